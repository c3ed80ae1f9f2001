use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Lets the operations of one cell on one record go one after another. All at once they would undo one another's tries: of a
/// thousand only one commits in each round. Those of other cells are not held back, and may still come in between.
#[derive(Default)]
pub(super) struct Lanes {
    /// By the record's handle; only those in which somebody is.
    lanes: RefCell<BTreeMap<[u8; 16], Arc<Mutex<()>>>>,
}

impl Lanes {
    /// Returns when it is the caller's turn, which lasts until this is dropped: whoever came first goes first.
    pub(super) async fn turn(&self, handle: [u8; 16]) -> Turn<'_> {
        let place = self.queue_up(handle);
        Turn { _turn: place.lane.clone().lock_owned().await, _place: place }
    }

    fn queue_up(&self, handle: [u8; 16]) -> Place<'_> {
        let lane = self.lanes.borrow_mut().entry(handle).or_default().clone();
        Place { lanes: self, handle, lane }
    }
}

/// The first place in a lane, given up in this order.
pub(super) struct Turn<'a> {
    _turn: OwnedMutexGuard<()>,
    _place: Place<'a>,
}

/// A place in a lane. The last to leave takes the lane away.
struct Place<'a> {
    lanes: &'a Lanes,
    handle: [u8; 16],
    lane: Arc<Mutex<()>>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let is_last = Arc::strong_count(&self.lane) == 2; // this one, and that in the map
        if is_last {
            self.lanes.lanes.borrow_mut().remove(&self.handle);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::join_all;
    use tokio::{task::yield_now, time::timeout};

    use super::*;

    #[tokio::test]
    async fn those_in_one_lane_go_one_after_another_and_those_in_another_do_not_wait() {
        let (lanes, done) = (Lanes::default(), RefCell::new(Vec::new()));
        let work = |handle: u8, name: &'static str| {
            let done = &done;
            let turn = lanes.turn([handle; 16]);
            async move {
                let _turn = turn.await;
                yield_now().await;
                done.borrow_mut().push(name);
                yield_now().await;
            }
        };

        join_all([work(1, "a"), work(1, "b"), work(2, "other"), work(1, "c")]).await;
        assert_eq!(*done.borrow(), ["a", "other", "b", "c"]);
        assert!(lanes.lanes.borrow().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_or_working_holds_nobody_up() {
        let lanes = Lanes::default();
        let stuck = async {
            let _turn = lanes.turn([1; 16]).await;
            std::future::pending::<()>().await;
        };
        let waiting = lanes.turn([1; 16]);

        let (stuck, waiting) = tokio::join!(
            timeout(Duration::from_secs(2), stuck), //
            timeout(Duration::from_secs(1), waiting),
        );
        assert!(stuck.is_err() && waiting.is_err());
        drop(lanes.turn([1; 16]).await);
        assert!(lanes.lanes.borrow().is_empty());
    }
}

//! Where a mail is tried. New mails have workers of their own, so that those which were put off or spoil their dialogs stand in no
//! new mail's way; and a try that takes long leaves its worker to the next mail while it goes on.

use std::{rc::Rc, time::Duration};

use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};

use super::{
    MAX_SENDS,
    shares::Correspondence,
    tries::Tries,
    turns::{Place, Turns, Worker},
};
use crate::domain::Moment;

/// Workers for mails that were tried before.
const RETRYING: usize = 4;
/// Those of all lanes.
pub(super) const WORKERS: usize = MAX_SENDS + RETRYING;
/// A try that takes longer than this takes long: few mails do, and a worker that hangs with one is soon free again.
const LONG: Duration = Duration::from_millis(250);
/// Mails tried before that wait for a worker at most, while more are claimed.
const MOST_RETRIES_WAITING: usize = 128;

pub(super) struct Lanes {
    new: Turns,
    tried: Turns,
    tries: Rc<Tries>,
    changed: Rc<Notify>,
}

impl Lanes {
    /// For tries that take no longer than `longest_try`.
    pub(super) fn new(longest_try: Duration) -> Self {
        let (tries, changed) = (Rc::new(Tries::new(longest_try)), Rc::new(Notify::new()));
        let lane = |workers| Turns::new(workers, tries.clone(), changed.clone());
        Self { new: lane(MAX_SENDS), tried: lane(RETRYING), tries, changed }
    }

    /// A place for a mail that was tried so often and asked for then, when it is its turn; as [`Turns::line_up`].
    pub(super) fn line_up(&self, of: Correspondence, tries: u32, asked_at: Moment) -> oneshot::Receiver<Place> {
        let lane = if tries == 0 { &self.new } else { &self.tried };
        lane.line_up(of, tries, asked_at)
    }

    /// Begins what there is room for when so many connections may be used.
    pub(super) fn begin(&self, connections: usize) {
        self.tries.allow(connections);
        self.new.begin();
        self.tried.begin();
    }

    /// Gives up tries that are overdue and keep others from theirs.
    pub(super) fn make_room(&self) {
        self.new.make_room();
        self.tried.make_room();
    }

    /// Begins nothing more: who waits for a worker gets none.
    pub(super) fn close(&self) {
        self.new.close();
        self.tried.close();
    }

    pub(super) fn are_closed(&self) -> bool {
        self.new.is_closed()
    }

    /// How many mails may be taken in when `at_once` new ones are to wait or be tried, at most. Which kind they will be of is not
    /// known before.
    pub(super) fn room(&self, at_once: usize) -> usize {
        at_once.saturating_sub(self.new.load()).min(MOST_RETRIES_WAITING.saturating_sub(self.tried.load()))
    }

    /// Whether mails wait for long.
    pub(super) fn are_late(&self) -> bool {
        self.new.are_late() || self.tried.are_late()
    }

    /// Returns when fewer than `refill_below` new mails wait for a worker or have one.
    pub(super) async fn until_refill(&self, refill_below: usize) {
        while self.tried.load() >= MOST_RETRIES_WAITING || self.new.load() >= refill_below {
            self.changed.notified().await;
        }
    }
}

/// Awaits a try, which leaves its worker when it takes long.
pub(super) async fn see_through<T>(worker: Worker, a_try: impl Future<Output = T>) -> T {
    tokio::pin!(a_try);
    if let Ok(outcome) = timeout(LONG, &mut a_try).await {
        return outcome;
    }
    drop(worker);
    a_try.await
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::time::{Instant, sleep};

    use super::{super::shares::to, *};
    use crate::{domain::MessageOutcome, mail::leash::Stage};

    const LONGEST_TRY: Duration = Duration::from_secs(40);

    fn deferred() -> MessageOutcome {
        MessageOutcome::Deferred { reply: "it took too long".to_owned(), maybe_accepted: true }
    }

    /// How often a mail had to be tried whose answer needs so long.
    async fn tries_until_sent(lanes: &Lanes, needs: Duration) -> u32 {
        for tries in 0.. {
            let Place { trying, worker } = lanes.line_up(to("shop", "example.org"), tries, Moment(0)).await.unwrap();
            trying.leash().reach(Stage::Speaking);
            let attempt = async {
                tokio::select! {
                    () = sleep(needs) => MessageOutcome::Sent("250 ok".to_owned()),
                    () = trying.leash().given_up() => deferred(),
                }
            };
            let outcome = see_through(worker, attempt).await;
            trying.ended(&outcome);
            if outcome != deferred() {
                return tries + 1;
            }
        }
        unreachable!("it is tried for ever")
    }

    /// How often each of some mails had to be tried, and how long all of them took.
    async fn send_all(mails: usize, needs: Duration) -> (Vec<u32>, Duration) {
        let (lanes, begun) = (Lanes::new(LONGEST_TRY), Instant::now());
        let looking_after = async {
            loop {
                sleep(Duration::from_millis(250)).await;
                lanes.begin(usize::MAX);
                lanes.make_room();
            }
        };
        let tries = tokio::select! {
            tries = join_all((0..mails).map(|_| tries_until_sent(&lanes, needs))) => tries,
            () = looking_after => unreachable!("it never ends"),
        };
        (tries, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn the_mails_of_a_slow_server_get_through_however_many_wait() {
        for seconds in [6, 15, 20] {
            let needs = Duration::from_secs(seconds);
            let (tries, took) = send_all(300, needs).await;
            // 24 at a time, and a start for those that were given up before the first answer
            assert!(took < needs * 300 / 24 * 3 / 2, "{seconds} s: {took:?}");
            assert!(tries.iter().all(|tries| *tries <= 3));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_given_up_while_there_is_room() {
        let (tries, _) = send_all(24, Duration::from_secs(39)).await;
        assert!(tries.iter().all(|tries| *tries == 1));
    }
}

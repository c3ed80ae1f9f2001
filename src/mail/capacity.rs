//! How many connections a server allows, as far as it has shown: one that refuses a connection, or keeps it waiting, while others of
//! ours carry mail allows no more than those. It is asked for one more from time to time, by no mail.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How often a server that allows no more is asked for one more.
const ASKED_EACH: Duration = Duration::from_secs(5);
/// How soon it is asked again when it had one.
const ASKED_AGAIN: Duration = Duration::from_secs(1);
/// More than anybody asks for.
const UNBOUNDED: usize = 1_000;
/// How long a connection may take, at least, when there are others: much longer than one that loses a packet.
const LEAST_WAIT: Duration = Duration::from_secs(3);
/// So many times as long as the last one took.
const TIMES_THE_LAST: u32 = 2;

/// What one server allows.
#[derive(Debug)]
pub(super) struct Capacity(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    /// Connections that may carry mail.
    open: usize,
    /// How many there may be.
    most: usize,
    asked_at: Instant,
    /// How long the last connection took.
    last_took: Duration,
}

/// A connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Counted(Arc<Capacity>);

impl Capacity {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Inner { open: 0, most: UNBOUNDED, asked_at: Instant::now(), last_took: Duration::ZERO }))
    }

    /// How many connections there may be.
    pub(super) fn most(&self) -> usize {
        self.inner().most
    }

    /// Whether there may be one more.
    pub(super) fn has_room(&self) -> bool {
        let inner = self.inner();
        inner.open < inner.most
    }

    /// Whether it is time to ask for one more although there is no room; if so, whoever is told has to.
    pub(super) fn is_to_be_asked(&self) -> bool {
        let mut inner = self.inner();
        let is_time = inner.open >= inner.most && inner.asked_at <= Instant::now();
        if is_time {
            inner.asked_at = Instant::now() + ASKED_EACH;
        }
        is_time
    }

    /// There was one more for whoever asked, so there may be many.
    pub(super) fn had_one_more(&self) {
        let mut inner = self.inner();
        if inner.open >= inner.most {
            inner.most *= 2;
            inner.asked_at = Instant::now() + ASKED_AGAIN;
        }
    }

    /// How long to wait for a connection when there are others, here or elsewhere.
    pub(super) fn patience(&self) -> Duration {
        LEAST_WAIT.max(self.inner().last_took * TIMES_THE_LAST)
    }

    /// Whether connections of ours may carry mail.
    pub(super) fn has_others(&self) -> bool {
        self.inner().open > 0
    }

    /// One more carries mail; it took so long until it did.
    pub(super) fn connected(self: &Arc<Self>, took: Duration) -> Counted {
        let mut inner = self.inner();
        inner.open += 1;
        inner.most = inner.most.max(inner.open);
        inner.last_took = took;
        Counted(self.clone())
    }

    /// One more was not to be had; whether that is because there are others.
    pub(super) fn refused(&self) -> bool {
        let mut inner = self.inner();
        if inner.open > 0 {
            inner.most = inner.open;
            inner.asked_at = Instant::now() + ASKED_EACH;
        }
        inner.open > 0
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.inner().open -= 1;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_refuses_one_more_allows_those_that_there_are_until_it_has_one_more() {
        let capacity = Arc::new(Capacity::new());
        let open = [(); 3].map(|()| capacity.connected(Duration::ZERO));
        assert!(capacity.has_room() && capacity.refused());
        assert_eq!((capacity.most(), capacity.has_room(), capacity.is_to_be_asked()), (3, false, false));

        advance(ASKED_EACH).await;
        assert!(capacity.is_to_be_asked() && !capacity.is_to_be_asked());
        capacity.had_one_more();
        assert_eq!((capacity.most(), capacity.has_room()), (6, true));
        advance(ASKED_EACH).await;
        assert!(!capacity.is_to_be_asked(), "there is room");
        drop(open);
        capacity.had_one_more();
        assert_eq!(capacity.most(), 6, "it was not one more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_refuses_the_only_connection_says_nothing_of_how_many_it_allows() {
        let capacity = Arc::new(Capacity::new());
        drop(capacity.connected(Duration::ZERO));
        assert!(!capacity.refused());
        assert_eq!((capacity.most(), capacity.has_others()), (UNBOUNDED, false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_waited_for_as_long_as_the_server_needs() {
        let capacity = Arc::new(Capacity::new());
        let _open = capacity.connected(Duration::from_secs(6));
        assert_eq!(capacity.patience(), Duration::from_secs(12));
        let _open_too = capacity.connected(Duration::ZERO);
        assert_eq!(capacity.patience(), LEAST_WAIT);
    }
}

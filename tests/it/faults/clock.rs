//! The campaign's time: that of the daemons, who are started so far ahead of the machine's.

use std::time::Duration;

use fiador::clock::{Clock, Hand};
use tokio::time::timeout;

use super::history::Ms;

#[derive(Clone)]
pub struct Time {
    clock: Clock,
    hand: Hand,
}

impl Time {
    pub fn new() -> Self {
        let hand = Hand::default();
        Self { clock: Clock::moved_by(&hand), hand }
    }

    pub fn now(&self) -> Ms {
        self.clock.now().0
    }

    /// Only while no daemon runs: they are told when they start.
    pub fn leap(&self, span: Duration) {
        self.hand.advance(span);
    }

    /// How far it is ahead of the machine's.
    pub fn ahead_seconds(&self) -> u64 {
        self.hand.moved().as_secs()
    }
}

/// Lets a drawn time pass: here it is time itself that is tested with.
pub async fn pass(span: Duration) {
    let _ = timeout(span, std::future::pending::<()>()).await;
}

//! How many mails are worth claiming at once: what half a second takes. More would wait in hand while another daemon could send
//! them; fewer would have the workers wait for the store.

use std::{cell::Cell, time::Duration};

use tokio::time::Instant;

use super::MAX_SENDS;

/// Mails claimed at once, at most.
const MOST_AT_ONCE: usize = 128;
/// What is claimed at once is to take so long.
const SPAN: Duration = Duration::from_millis(500);

pub(super) struct Pace {
    since: Cell<Instant>,
    done: Cell<u32>,
    at_once: Cell<usize>,
}

impl Pace {
    /// One for each worker, until it is known better.
    pub(super) fn new() -> Self {
        Self { since: Cell::new(Instant::now()), done: Cell::new(0), at_once: Cell::new(MAX_SENDS) }
    }

    /// A mail is done with.
    pub(super) fn note(&self) {
        self.done.set(self.done.get().saturating_add(1));
    }

    /// Measures what has been done since the last call.
    pub(super) fn tick(&self) {
        let elapsed = self.since.replace(Instant::now()).elapsed().as_millis().max(1);
        let in_span = u128::from(self.done.take()) * SPAN.as_millis() / elapsed;
        self.at_once.set(usize::try_from(in_span).unwrap_or(MOST_AT_ONCE).clamp(MAX_SENDS, MOST_AT_ONCE));
    }

    /// How many to claim at once.
    pub(super) fn at_once(&self) -> usize {
        self.at_once.get()
    }

    /// When fewer than this are left in hand, it is time to claim the next.
    pub(super) fn refill_below(&self) -> usize {
        (self.at_once.get() / 2).max(MAX_SENDS)
    }
}

//! What whoever looks after a try holds of it.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// One try as it looks from outside, and the way to end it.
#[derive(Debug)]
pub struct Leash {
    given_up: CancellationToken,
    stage: Mutex<(Stage, Instant)>,
}

/// How far a try is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has no connection that may carry mail.
    Connecting,
    /// It has one.
    Speaking,
}

impl Default for Leash {
    fn default() -> Self {
        Self { given_up: CancellationToken::new(), stage: Mutex::new((Stage::Connecting, Instant::now())) }
    }
}

impl Leash {
    /// Ends the try at the step where it is; it says itself what becomes of its mail.
    pub fn give_up(&self) {
        self.given_up.cancel();
    }

    /// Whether it was given up.
    pub fn is_given_up(&self) -> bool {
        self.given_up.is_cancelled()
    }

    /// Returns when it is given up.
    pub async fn given_up(&self) {
        self.given_up.cancelled().await;
    }

    /// How far the try is, and how long it has been there.
    pub fn stage(&self) -> (Stage, Duration) {
        let (stage, since) = *self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        (stage, since.elapsed())
    }

    /// It has come so far.
    pub fn reach(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = (stage, Instant::now());
    }
}

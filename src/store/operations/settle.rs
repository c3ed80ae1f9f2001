use rand::RngExt;

use super::{Decision, Operation, Snapshot, StoreError, Vault, decided};
use crate::{
    clock::thread_random,
    domain::{
        MessageKey, MessageOutcome, Moment,
        transitions::{Settle, settle},
    },
    planted::{Bug, is_planted},
    store::Handle,
};

/// Says what became of one try to send.
pub struct Settling {
    settle: Settle,
    written: Option<Vec<u8>>,
}

impl Settling {
    /// The outcome of the lease numbered `fence`, with the record that it left, if that is known.
    pub fn new(key: MessageKey, fence: u32, outcome: MessageOutcome, written: Option<Vec<u8>>) -> Self {
        let outcome = if is_planted(Bug::MaybeAcceptedForgotten) { surely_not_accepted(outcome) } else { outcome };
        Self { settle: Settle { key, fence, outcome, jitter: thread_random().random() }, written }
    }
}

/// A bug that tests plant.
fn surely_not_accepted(outcome: MessageOutcome) -> MessageOutcome {
    match outcome {
        MessageOutcome::Deferred { reply, .. } => MessageOutcome::Deferred { reply, maybe_accepted: false },
        other => other,
    }
}

impl Operation for Settling {
    type Answer = ();

    fn place(&self) -> MessageKey {
        self.settle.key
    }

    fn guess(&mut self) -> Option<Snapshot> {
        self.written.take().map(|record| Snapshot { record: Some(record), token: None })
    }

    fn decide(&self, vault: &Vault, read: &Snapshot, now: Moment) -> Result<Decision<()>, StoreError> {
        let handle = Handle(self.settle.key.handle);
        let outcome = settle(read.open(vault, handle)?, &self.settle, now);
        Ok(decided(vault, handle, (), outcome.commit.as_ref(), now))
    }
}

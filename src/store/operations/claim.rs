use super::{Decision, Operation, Snapshot, StoreError, Vault, decided};
use crate::{
    domain::{
        LeasedMessage, MessageKey, Moment,
        transitions::{Claim, claim},
    },
    store::Handle,
};

/// Asks for the right to send a mail that stands in the queue.
pub struct Claiming {
    /// Which.
    pub key: MessageKey,
}

impl Operation for Claiming {
    type Answer = Option<LeasedMessage>;

    fn place(&self) -> MessageKey {
        self.key
    }

    fn decide(&self, vault: &Vault, read: &Snapshot, now: Moment) -> Result<Decision<Self::Answer>, StoreError> {
        let handle = Handle(self.key.handle);
        let outcome = claim(read.open(vault, handle)?, Claim { key: self.key }, now);
        Ok(decided(vault, handle, outcome.answer, outcome.commit.as_ref(), now))
    }
}

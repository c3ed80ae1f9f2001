use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Decision, Operation, Snapshot, StoreError, Vault, decided};
use crate::{
    domain::{
        LeasedMessage, MessageKey, Moment,
        transitions::{Claim, claim},
    },
    planted::{Bug, is_planted},
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

    /// A record over which the rules fall is no other mail's concern: it counts as damaged.
    fn decide(&self, vault: &Vault, read: &Snapshot, now: Moment) -> Result<Decision<Self::Answer>, StoreError> {
        let handle = Handle(self.key.handle);
        let record = read.open(vault, handle)?;
        let outcome = catch_unwind(AssertUnwindSafe(|| claim(record, Claim { key: self.key }, now)));
        let mut outcome = outcome.map_err(|_| StoreError::Damaged("a record over which the rules fall"))?;
        if let Some(leased) = outcome.answer.as_mut().filter(|_| is_planted(Bug::OtherMessageIds)) {
            leased.message_id.insert_str(1, &leased.fence.to_string());
        }
        let mut decision = decided(vault, handle, outcome.answer, outcome.commit.as_ref(), now);
        if let (Some(write), Some(lease)) = (&decision.write, &mut decision.answer) {
            write.goes_with(lease);
        }
        Ok(decision)
    }
}

use super::{Decision, Operation, Snapshot, StoreError, Vault};
use crate::{
    domain::{
        ApplicationName, MessageKey, Moment, Refusal, VerificationId, VerificationView,
        transitions::{Read, read},
    },
    store::Handle,
};

/// Looks at a verification.
pub struct Reading {
    handle: Handle,
    read: Read,
}

impl Reading {
    /// None when the id is not of the application's own.
    pub fn new(vault: &Vault, application: &ApplicationName, id: VerificationId) -> Option<Self> {
        let handle = vault.handle_in(application, &id)?;
        let key = vault.key_of(application, &id);
        Some(Self { handle, read: Read { id, key } })
    }
}

impl Operation for Reading {
    type Answer = Result<VerificationView, Refusal>;

    fn place(&self) -> MessageKey {
        MessageKey { handle: self.handle.0, verification: self.read.key }
    }

    fn may_write(&self) -> bool {
        false
    }

    fn decide(&self, vault: &Vault, found: &Snapshot, now: Moment) -> Result<Decision<Self::Answer>, StoreError> {
        Ok(Decision { answer: read(found.open(vault, self.handle)?, &self.read, now), write: None })
    }
}

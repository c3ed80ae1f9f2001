use super::{Decision, Operation, Snapshot, StoreError, Vault, decided};
use crate::{
    domain::{
        ApplicationName, MessageKey, Moment, Refusal, VerificationId,
        transitions::{Cancel, cancel},
    },
    planted::Bug,
    store::Handle,
};

/// Calls a verification off.
pub struct Cancelling {
    handle: Handle,
    cancel: Cancel,
}

impl Cancelling {
    /// None when the id is not of the application's own.
    pub fn new(vault: &Vault, application: &ApplicationName, id: &VerificationId) -> Option<Self> {
        let handle = vault.handle_in(application, id)?;
        Some(Self { handle, cancel: Cancel { key: vault.key_of(application, id) } })
    }
}

impl Operation for Cancelling {
    type Answer = Result<(), Refusal>;

    fn place(&self) -> MessageKey {
        MessageKey { handle: self.handle.0, verification: self.cancel.key }
    }

    fn decide(&self, vault: &Vault, read: &Snapshot, now: Moment) -> Result<Decision<Self::Answer>, StoreError> {
        let outcome = cancel(read.open(vault, self.handle)?, self.cancel, now);
        Ok(decided(vault, self.handle, outcome.answer, outcome.commit.as_ref(), now).forgotten_by(Bug::CancelForgotten))
    }
}

use super::{Decision, Operation, Snapshot, StoreError, Vault, decided};
use crate::{
    domain::{
        ApplicationName, MessageKey, Moment, OperationId, Refusal, VerificationId,
        transitions::{Mailing, Resend, resend},
    },
    store::Handle,
};

/// Asks for a verification's mail again.
pub struct Resending {
    resend: Resend,
}

impl Resending {
    /// None when the id is not of the application's own.
    pub fn new(
        vault: &Vault,
        application: &ApplicationName,
        id: VerificationId,
        mail_domain: String,
        with_lease: bool,
        operation: &OperationId,
    ) -> Option<Self> {
        let handle = vault.handle_in(application, &id)?.0;
        let key = vault.key_of(application, &id);
        let operation = vault.operation(application.as_str(), &operation.0, id.as_str());
        let message_id = vault.message_id(&key, &operation, mail_domain);
        Some(Self { resend: Resend { id, key, operation, handle, message_id, with_lease } })
    }
}

impl Operation for Resending {
    type Answer = Result<Mailing, Refusal>;

    fn place(&self) -> MessageKey {
        MessageKey { handle: self.resend.handle, verification: self.resend.key }
    }

    fn decide(&self, vault: &Vault, read: &Snapshot, now: Moment) -> Result<Decision<Self::Answer>, StoreError> {
        let handle = Handle(self.resend.handle);
        let outcome = resend(read.open(vault, handle)?, &self.resend, now);
        let mut decision = decided(vault, handle, outcome.answer, outcome.commit.as_ref(), now);
        if let (Some(write), Ok(Mailing { message: Some(lease), .. })) = (&decision.write, &mut decision.answer) {
            write.goes_with(lease);
        }
        Ok(decision)
    }
}

use super::{Decision, Operation, Snapshot, StoreError, Vault, decided};
use crate::{
    domain::{
        ApplicationName, MailId, MailView, MessageKey, Moment, OperationId, Refusal,
        transitions::{Retry, look, retry},
    },
    store::Handle,
};

/// Looks at the mail of a verification.
pub struct Looking {
    application: ApplicationName,
    id: MailId,
    place: MessageKey,
}

/// Asks for a mail to be tried now.
pub struct Retrying {
    place: MessageKey,
    retry: Retry,
}

impl Looking {
    /// None when the id is not of the application's own.
    pub fn new(vault: &Vault, application: ApplicationName, id: MailId) -> Option<Self> {
        let place = vault.place_of(&application, &id)?;
        Some(Self { application, id, place })
    }

    /// The mail at a place, if it is the application's own.
    pub(in crate::store) fn at(vault: &Vault, application: &ApplicationName, place: MessageKey) -> Self {
        Self { application: application.clone(), id: vault.mail_id(application, &place), place }
    }
}

impl Operation for Looking {
    type Answer = Result<MailView, Refusal>;

    fn place(&self) -> MessageKey {
        self.place
    }

    fn may_write(&self) -> bool {
        false
    }

    fn decide(&self, vault: &Vault, read: &Snapshot, now: Moment) -> Result<Decision<Self::Answer>, StoreError> {
        let record = read.open(vault, Handle(self.place.handle))?;
        let found = look(record, &self.place.verification, &self.id, now);
        let own = found.filter(|(application, _)| *application == self.application).map(|(_, view)| view);
        Ok(Decision { answer: own.ok_or(Refusal::NotFound), write: None })
    }
}

impl Retrying {
    /// None when the id is not of the application's own.
    pub fn new(vault: &Vault, application: &ApplicationName, id: MailId, operation: &OperationId) -> Option<Self> {
        let place = vault.place_of(application, &id)?;
        let operation = vault.operation(application.as_str(), &operation.0, id.as_str());
        Some(Self { place, retry: Retry { id, key: place.verification, operation } })
    }
}

impl Operation for Retrying {
    type Answer = Result<MailView, Refusal>;

    fn place(&self) -> MessageKey {
        self.place
    }

    fn decide(&self, vault: &Vault, read: &Snapshot, now: Moment) -> Result<Decision<Self::Answer>, StoreError> {
        let handle = Handle(self.place.handle);
        let outcome = retry(read.open(vault, handle)?, &self.retry, now);
        Ok(decided(vault, handle, outcome.answer, outcome.commit.as_ref(), now))
    }
}

use std::{borrow::Cow, time::Duration};

use rand::RngExt;

use super::{Decision, Operation, Reads, Snapshot, StoreError, Vault, decided};
use crate::{
    clock::thread_random,
    domain::{
        AddressRecord, ApplicationName, Approval, FirstStep, IdentityNumber, MessageKey, Moment, OperationId, Refusal,
        SignInMethod, Token, VerificationId,
        transitions::{Approved, Check, check},
    },
    planted::{Bug, is_planted},
    store::{Handle, sealing::TokenPlace},
};

/// Presents a number, and releases the token when it is the right one.
pub struct Checking {
    application: ApplicationName,
    id: VerificationId,
    handle: Handle,
    check: Check,
}

impl Checking {
    /// None when the id is not of the application's own.
    pub fn new(
        vault: &Vault,
        application: ApplicationName,
        id: VerificationId,
        number: IdentityNumber,
        is_test: bool,
        operation: &OperationId,
    ) -> Option<Self> {
        let handle = vault.handle_in(&application, &id)?;
        let key = vault.key_of(&application, &id);
        let check = Check {
            key,
            operation: vault.operation(application.as_str(), &operation.0, id.as_str()),
            number_hash: vault.number(&key, number.as_str()),
            number,
            is_test,
        };
        Some(Self { application, id, handle, check })
    }

    fn release(&self, vault: &Vault, read: &Snapshot, approved: Approved) -> Result<Approval, StoreError> {
        let place =
            TokenPlace { application: &self.application, id: &self.id, key: &self.check.key, expires_at: approved.expires_at };
        let open = |sealed: &Vec<u8>| -> Result<Token, StoreError> { vault.open_token(&place, sealed) };
        let token = match (&read.token, approved.has_token) {
            (Some(sealed), true) => Some(open(sealed)?),
            (None, true) => return Err(StoreError::Damaged("no token where one was stored")),
            (_, false) => None,
        };
        let (email, purpose, approved_at) = (approved.email, approved.purpose, approved.approved_at);
        let signed_in = approved.signed_in.map(|(user, first_step)| {
            let methods = if first_step == FirstStep::Password {
                vec![SignInMethod::Password, SignInMethod::Number]
            } else {
                vec![SignInMethod::Number]
            };
            vault.signed_in(&self.application, self.handle, &user, methods, approved_at, &self.check.key)
        });
        Ok(Approval { id: self.id.clone(), email, purpose, approved_at, token, signed_in, assertion: None })
    }
}

impl Operation for Checking {
    type Answer = Result<Approval, Refusal>;

    fn place(&self) -> MessageKey {
        MessageKey { handle: self.handle.0, verification: self.check.key }
    }

    fn reads(&self) -> Reads {
        Reads::RecordAndToken
    }

    fn decide(&self, vault: &Vault, read: &Snapshot, now: Moment) -> Result<Decision<Self::Answer>, StoreError> {
        let record = read.open(vault, self.handle)?;
        let (request, at) = spoiled(&self.check, &record, now);
        let outcome = check(record, &request, at);
        let answer = match outcome.answer {
            Ok(approved) => Ok(self.release(vault, read, approved)?), // before the commit: a token that does not open ends nothing
            Err(refusal) => Err(refusal),
        };
        let bug = if answer.is_ok() { Bug::ApprovalForgotten } else { Bug::WrongCheckForgotten };
        Ok(decided(vault, self.handle, answer, outcome.commit.as_ref(), now).forgotten_by(bug))
    }
}

/// What is decided: the request now, unless a test has planted a bug.
fn spoiled<'a>(request: &'a Check, record: &AddressRecord, now: Moment) -> (Cow<'a, Check>, Moment) {
    let mut request = Cow::Borrowed(request);
    let found = record.verification(&request.key).and_then(|verification| verification.number.as_ref());
    if let Some(number) = found.filter(|_| is_planted(Bug::AnyNumberOpens)) {
        request.to_mut().number = number.clone();
    }
    if is_planted(Bug::CheckKeyIgnored) {
        request.to_mut().operation = thread_random().random();
    }
    let now = if is_planted(Bug::ExpiryIgnored) { now - Duration::from_secs(120) } else { now };
    (request, now)
}

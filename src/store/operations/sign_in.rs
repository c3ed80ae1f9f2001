use uuid::Uuid;

use super::{Decision, Operation, Snapshot, StartRequest, Starting, StoreError, Vault, Write, decided, user::UserPlace};
use crate::{
    domain::{
        ApplicationName, MessageKey, Moment, PasswordHash, Refusal, SignInMethod, SignedIn, UserAt, UserId,
        transitions::{BeginSignIn, Effect, FinishSignIn, Finished, Mailing, begin_sign_in, finish_sign_in},
    },
    store::Handle,
};

/// Charges a sign-in before its password is compared.
pub struct BeginningSignIn(UserPlace);

impl BeginningSignIn {
    /// None when the id is not of the application's own.
    pub fn new(vault: &Vault, application: ApplicationName, user: &UserAt) -> Option<Self> {
        UserPlace::of(vault, application, user).map(Self)
    }
}

impl Operation for BeginningSignIn {
    /// Whose password it is to be compared with, and its hash; none: there is no such user, or it has no password, or too many
    /// have failed lately.
    type Answer = Option<(UserId, PasswordHash)>;

    fn place(&self) -> MessageKey {
        MessageKey { handle: self.0.handle.0, verification: [0; 16] }
    }

    fn decide(&self, vault: &Vault, read: &Snapshot, now: Moment) -> Result<Decision<Self::Answer>, StoreError> {
        let UserPlace { application, handle, seed } = &self.0;
        let outcome = begin_sign_in(read.open(vault, *handle)?, BeginSignIn { seed: *seed }, now);
        let kept = outcome.answer.kept;
        let answer = kept.map(|(seed, hash)| (vault.user_id(application, *handle, &seed), hash));
        Ok(decided(vault, *handle, answer, outcome.commit.as_ref(), now))
    }
}

/// Ends a sign-in whose password was right.
pub struct FinishingSignIn {
    application: ApplicationName,
    handle: Handle,
    finish: FinishSignIn,
    starting: Option<Starting>,
    /// Names it.
    name: [u8; 16],
}

/// What is asked for.
pub struct PasswordSignIn {
    /// Whose the user is.
    pub application: ApplicationName,
    /// Which.
    pub id: UserId,
    /// What the password was compared with.
    pub hash: PasswordHash,
    /// Its hash under today's parameters, where they were raised.
    pub rehashed: Option<PasswordHash>,
    /// The number that is to follow.
    pub second_step: Option<StartRequest>,
}

impl FinishingSignIn {
    /// None when the id is not of the application's own.
    pub fn new(vault: &Vault, request: PasswordSignIn) -> Option<Self> {
        let PasswordSignIn { application, id, hash, rehashed, second_step } = request;
        let (handle, seed) = vault.user_in(&application, &id)?;
        let starting = second_step.map(|start| Starting::new(vault, start));
        let second_step = starting.as_ref().map(|starting| starting.start().clone());
        let finish = FinishSignIn { seed, hash, rehashed, second_step };
        Some(Self { application, handle, finish, starting, name: *Uuid::new_v4().as_bytes() })
    }
}

impl Operation for FinishingSignIn {
    /// Who signed in, and the number that is to follow, if one is.
    type Answer = Result<(SignedIn, Option<Mailing>), Refusal>;

    fn place(&self) -> MessageKey {
        let none = MessageKey { handle: self.handle.0, verification: [0; 16] };
        self.starting.as_ref().map_or(none, Operation::place)
    }

    fn redraw(&mut self, vault: &Vault) {
        if let Some(starting) = &mut self.starting {
            starting.redraw(vault);
            self.finish.second_step = Some(starting.start().clone());
        }
    }

    fn decide(&self, vault: &Vault, read: &Snapshot, now: Moment) -> Result<Decision<Self::Answer>, StoreError> {
        let outcome = finish_sign_in(read.open(vault, self.handle)?, &self.finish, now);
        let answer = outcome.answer.map(|Finished { user, mailing }| {
            let methods = vec![SignInMethod::Password];
            (vault.signed_in(&self.application, self.handle, &user, methods, now, &self.name), mailing)
        });
        let seal = |effects: &[Effect]| self.starting.as_ref().map(|starting| starting.seal(vault, effects)).unwrap_or_default();
        let write = outcome.commit.map(|commit| Write::seal(vault, self.handle, &commit, seal(&commit.effects), now));
        Ok(Decision { answer, write })
    }
}

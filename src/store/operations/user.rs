use super::{Decision, Operation, Snapshot, StartRequest, Starting, StoreError, Vault, Write, decided};
use crate::{
    domain::{
        ApplicationName, Attributes, EmailAddress, KeyedHash, Locale, MessageKey, Moment, OperationId, PasswordHash,
        PasswordProof, Refusal, User, UserAt, UserExport, UserId, UserView,
        transitions::{
            ChangeUser, Effect, KeepUser, Mailing, Proof, SetPassword, change_user, export_user, forget_user, keep_user,
            look_up_password, look_up_user, set_password,
        },
    },
    store::Handle,
};

/// What names no mail.
const NO_MAIL: KeyedHash = [0; 16];

/// Where a user is kept: its application, its address's handle, and its seed, if that is known.
pub(super) struct UserPlace {
    pub application: ApplicationName,
    pub handle: Handle,
    pub seed: Option<KeyedHash>,
}

impl UserPlace {
    /// None when the id is not of the application's own.
    pub fn of(vault: &Vault, application: ApplicationName, user: &UserAt) -> Option<Self> {
        let (handle, seed) = match user {
            UserAt::Id(id) => vault.user_in(&application, id).map(|(handle, seed)| (handle, Some(seed)))?,
            UserAt::Address(address) => (vault.handle(&application, address), None),
        };
        Some(Self { application, handle, seed })
    }

    pub fn view(&self, vault: &Vault, user: &User) -> UserView {
        user.view(vault.user_id(&self.application, self.handle, &user.seed))
    }

    fn record(&self) -> MessageKey {
        MessageKey { handle: self.handle.0, verification: NO_MAIL }
    }
}

/// A user with a seed, as an id names it.
struct Named {
    place: UserPlace,
    seed: KeyedHash,
}

impl Named {
    fn of(vault: &Vault, application: ApplicationName, id: &UserId) -> Option<Self> {
        let (handle, seed) = vault.user_in(&application, id)?;
        Some(Self { place: UserPlace { application, handle, seed: Some(seed) }, seed })
    }
}

/// Keeps a user.
pub struct KeepingUser {
    place: UserPlace,
    keep: KeepUser,
    starting: Option<Starting>,
}

/// What is asked for.
pub struct UserRequest {
    /// Whose it is.
    pub application: ApplicationName,
    /// Its address.
    pub address: EmailAddress,
    /// What its application keeps of it.
    pub attributes: Attributes,
    /// The language of its mails.
    pub locale: Option<Locale>,
    /// Its password's hash.
    pub password: Option<PasswordHash>,
    /// The verification of its address.
    pub verification: Option<StartRequest>,
    /// Names this attempt.
    pub operation: OperationId,
}

/// A user that is kept.
pub struct UserKept {
    /// As it stands.
    pub user: UserView,
    /// The verification of its address.
    pub mailing: Option<Mailing>,
    /// Whether it had been asked for before, by the same operation.
    pub is_repetition: bool,
}

impl KeepingUser {
    /// Derives the id, and what the verification needs.
    pub fn new(vault: &Vault, request: UserRequest) -> Self {
        let UserRequest { application, address, attributes, locale, password, verification, operation } = request;
        let handle = vault.handle(&application, &address);
        let seed = vault.user_seed(&application, &address, &operation);
        let starting = verification.map(|verification| Starting::new(vault, verification));
        let fingerprint = vault.body(&[
            b"user",
            application.as_str().as_bytes(),
            address.as_str().as_bytes(),
            attributes.as_str().as_bytes(),
            locale.as_ref().map(Locale::as_str).unwrap_or_default().as_bytes(),
            &[u8::from(password.is_some()), u8::from(starting.is_some())],
        ]);
        let verification = starting.as_ref().map(|starting| starting.start().clone());
        let set_by = password_operation(vault, &application, &vault.user_id(&application, handle, &seed), &operation);
        let keep = KeepUser { seed, fingerprint, address, attributes, locale, password, set_by, verification };
        Self { place: UserPlace { application, handle, seed: Some(seed) }, keep, starting }
    }
}

impl Operation for KeepingUser {
    type Answer = Result<UserKept, Refusal>;

    fn place(&self) -> MessageKey {
        self.starting.as_ref().map_or_else(|| self.place.record(), Operation::place)
    }

    fn redraw(&mut self, vault: &Vault) {
        if let Some(starting) = &mut self.starting {
            starting.redraw(vault);
            self.keep.verification = Some(starting.start().clone());
        }
    }

    fn decide(&self, vault: &Vault, read: &Snapshot, now: Moment) -> Result<Decision<Self::Answer>, StoreError> {
        let handle = self.place.handle;
        let outcome = keep_user(read.open(vault, handle)?, &self.keep, now);
        let answer = outcome.answer.map(|kept| UserKept {
            user: self.place.view(vault, &kept.user),
            mailing: kept.mailing,
            is_repetition: kept.is_repetition,
        });
        let seal = |effects: &[Effect]| self.starting.as_ref().map(|starting| starting.seal(vault, effects)).unwrap_or_default();
        let write = outcome.commit.map(|commit| Write::seal(vault, handle, &commit, seal(&commit.effects), now));
        Ok(Decision { answer, write })
    }
}

/// Looks at a user.
pub struct LookingUpUser(UserPlace);

impl LookingUpUser {
    /// None when the id is not of the application's own.
    pub fn new(vault: &Vault, application: ApplicationName, user: &UserAt) -> Option<Self> {
        UserPlace::of(vault, application, user).map(Self)
    }
}

impl Operation for LookingUpUser {
    type Answer = Result<UserView, Refusal>;

    fn place(&self) -> MessageKey {
        self.0.record()
    }

    fn may_write(&self) -> bool {
        false
    }

    fn decide(&self, vault: &Vault, read: &Snapshot, _: Moment) -> Result<Decision<Self::Answer>, StoreError> {
        let found = look_up_user(read.open(vault, self.0.handle)?, self.0.seed.as_ref());
        Ok(Decision { answer: found.map(|user| self.0.view(vault, &user)), write: None })
    }
}

/// Looks at what a new password of a user has to do with.
pub struct LookingUpPassword {
    place: UserPlace,
    seed: KeyedHash,
    operation: KeyedHash,
}

impl LookingUpPassword {
    /// None when the id is not of the application's own.
    pub fn new(vault: &Vault, application: ApplicationName, id: &UserId, operation: &OperationId) -> Option<Self> {
        let operation = password_operation(vault, &application, id, operation);
        let Named { place, seed } = Named::of(vault, application, id)?;
        Some(Self { place, seed, operation })
    }
}

impl Operation for LookingUpPassword {
    type Answer = Result<(EmailAddress, Option<PasswordHash>), Refusal>;

    fn place(&self) -> MessageKey {
        self.place.record()
    }

    fn may_write(&self) -> bool {
        false
    }

    fn decide(&self, vault: &Vault, read: &Snapshot, _: Moment) -> Result<Decision<Self::Answer>, StoreError> {
        let answer = look_up_password(read.open(vault, self.place.handle)?, &self.seed, &self.operation);
        Ok(Decision { answer, write: None })
    }
}

/// Changes what an application keeps of a user.
pub struct ChangingUser {
    place: UserPlace,
    change: ChangeUser,
}

impl ChangingUser {
    /// None when the id is not of the application's own.
    pub fn new(
        vault: &Vault,
        application: ApplicationName,
        id: &UserId,
        attributes: Option<Attributes>,
        locale: Option<Option<Locale>>,
    ) -> Option<Self> {
        let Named { place, seed } = Named::of(vault, application, id)?;
        Some(Self { place, change: ChangeUser { seed, attributes, locale } })
    }
}

impl Operation for ChangingUser {
    type Answer = Result<UserView, Refusal>;

    fn place(&self) -> MessageKey {
        self.place.record()
    }

    fn decide(&self, vault: &Vault, read: &Snapshot, now: Moment) -> Result<Decision<Self::Answer>, StoreError> {
        let outcome = change_user(read.open(vault, self.place.handle)?, &self.change, now);
        let answer = outcome.answer.map(|user| self.place.view(vault, &user));
        Ok(decided(vault, self.place.handle, answer, outcome.commit.as_ref(), now))
    }
}

/// Forgets a user and all of its address but the budgets.
pub struct ForgettingUser(Named);

impl ForgettingUser {
    /// None when the id is not of the application's own.
    pub fn new(vault: &Vault, application: ApplicationName, id: &UserId) -> Option<Self> {
        Named::of(vault, application, id).map(Self)
    }
}

impl Operation for ForgettingUser {
    type Answer = Result<(), Refusal>;

    fn place(&self) -> MessageKey {
        self.0.place.record()
    }

    fn decide(&self, vault: &Vault, read: &Snapshot, now: Moment) -> Result<Decision<Self::Answer>, StoreError> {
        let handle = self.0.place.handle;
        let outcome = forget_user(read.open(vault, handle)?, &self.0.seed, now);
        Ok(decided(vault, handle, outcome.answer, outcome.commit.as_ref(), now))
    }
}

/// Gathers all that is kept of a user.
pub struct ExportingUser(Named);

impl ExportingUser {
    /// None when the id is not of the application's own.
    pub fn new(vault: &Vault, application: ApplicationName, id: &UserId) -> Option<Self> {
        Named::of(vault, application, id).map(Self)
    }
}

impl Operation for ExportingUser {
    type Answer = Result<UserExport, Refusal>;

    fn place(&self) -> MessageKey {
        self.0.place.record()
    }

    fn may_write(&self) -> bool {
        false
    }

    fn decide(&self, vault: &Vault, read: &Snapshot, now: Moment) -> Result<Decision<Self::Answer>, StoreError> {
        let Named { place, seed } = &self.0;
        let view = |user: &User| place.view(vault, user);
        Ok(Decision { answer: export_user(read.open(vault, place.handle)?, seed, view, now), write: None })
    }
}

/// Sets a user's password.
pub struct SettingPassword {
    place: UserPlace,
    set: SetPassword,
}

/// What is asked for.
pub struct PasswordRequest {
    /// Whose the user is.
    pub application: ApplicationName,
    /// Which user.
    pub id: UserId,
    /// Why it may be set.
    pub proof: PasswordProof,
    /// The new one's hash.
    pub hash: PasswordHash,
    /// The domain of the notice's `Message-ID`.
    pub mail_domain: String,
    /// The notice's language where the user has none.
    pub locale: Locale,
    /// Whether its application is a test one.
    pub is_test: bool,
    /// Names this attempt.
    pub operation: OperationId,
}

impl SettingPassword {
    /// None when the user's id, or that of the verification, is not of the application's own.
    pub fn new(vault: &Vault, request: PasswordRequest) -> Option<Self> {
        let PasswordRequest { application, id, proof, hash, mail_domain, locale, is_test, operation } = request;
        let Named { place, seed } = Named::of(vault, application.clone(), &id)?;
        let operation = password_operation(vault, &application, &id, &operation);
        let proof = match proof {
            PasswordProof::Old(hash) => Proof::OldPassword(hash),
            PasswordProof::Verification(verification) => Proof::Verification(vault.key_of(&application, &verification)),
        };
        let message_id = vault.message_id(&operation, &operation, mail_domain);
        let set = SetPassword { seed, proof, hash, operation, message_id, application, locale, is_test };
        Some(Self { place, set })
    }
}

fn password_operation(vault: &Vault, application: &ApplicationName, user: &UserId, operation: &OperationId) -> KeyedHash {
    vault.operation(application.as_str(), &operation.0, user.as_str())
}

impl Operation for SettingPassword {
    type Answer = Result<(), Refusal>;

    fn place(&self) -> MessageKey {
        MessageKey { handle: self.place.handle.0, verification: self.set.operation }
    }

    fn decide(&self, vault: &Vault, read: &Snapshot, now: Moment) -> Result<Decision<Self::Answer>, StoreError> {
        let outcome = set_password(read.open(vault, self.place.handle)?, &self.set, now);
        Ok(decided(vault, self.place.handle, outcome.answer, outcome.commit.as_ref(), now))
    }
}

//! What a store is asked about users.

use fiador::{
    domain::{
        ApplicationName, Attributes, EmailAddress, FirstStep, Locale, PasswordHash, PasswordProof, UserAt, UserExport, UserId,
        UserView,
    },
    messages::{
        BeginSignIn, Credentials, Failure, FinishSignIn, FinishedSignIn, ForgetUser, GatherUser, KeepUser, KeptUser,
        LookUpPassword, LookUpUser, OpenVerification, PasswordPlace, ReplacePassword, ReviseUser,
    },
};

use super::stores::{DEADLINE, TestStore, failure, new_operation, shop};

/// The hash of everybody's password: a store looks into none.
pub fn hash() -> PasswordHash {
    PasswordHash("$argon2id$v=19$m=19456,t=2,p=1$CANARYsalt$CANARYhash".to_owned())
}

/// The hash of another password.
pub fn another_hash() -> PasswordHash {
    PasswordHash("$argon2id$v=19$m=19456,t=2,p=1$CANARYsalt$CANARYother".to_owned())
}

impl TestStore {
    /// Keeps a user with a password, and starts no verification.
    pub fn keeping(address: &str) -> KeepUser {
        KeepUser {
            application: shop(),
            address: EmailAddress::parse(address).unwrap(),
            attributes: Attributes::new(r#"{"plan": "CANARYplan"}"#.to_owned()).unwrap(),
            locale: Some(Locale::EN),
            password: Some(hash()),
            verification: None,
            operation: new_operation(),
        }
    }

    /// The same with a verification of its address, whose mail nobody leases yet.
    pub fn keeping_to_verify(address: &str) -> KeepUser {
        let keep = Self::keeping(address);
        let opening = OpenVerification { token: None, with_lease: false, ..Self::opening(address) };
        KeepUser { verification: Some(Box::new(OpenVerification { operation: keep.operation, ..opening })), ..keep }
    }

    /// A number that is to sign in whoever is kept under this address.
    pub fn opening_sign_in(address: &str, first: FirstStep) -> OpenVerification {
        OpenVerification { token: None, signs_in: Some(first), ..Self::opening(address) }
    }

    pub async fn keep(&self, keep: KeepUser) -> Result<KeptUser, Failure> {
        self.asks.keep_user.ask(keep, DEADLINE).await.map_err(failure)
    }

    /// Keeps a user of this address, as a new operation.
    pub async fn user(&self, address: &str) -> UserView {
        self.keep(Self::keeping(address)).await.unwrap().user
    }

    pub async fn look_up_user(&self, application: ApplicationName, user: UserAt) -> Result<UserView, Failure> {
        self.asks.look_up_user.ask(LookUpUser { application, user }, DEADLINE).await.map_err(failure)
    }

    pub async fn revise(&self, revise: ReviseUser) -> Result<UserView, Failure> {
        self.asks.revise_user.ask(revise, DEADLINE).await.map_err(failure)
    }

    pub async fn forget(&self, id: &UserId) -> Result<(), Failure> {
        let forget = ForgetUser { application: shop(), id: id.clone() };
        self.asks.forget_user.ask(forget, DEADLINE).await.map_err(failure)
    }

    pub async fn gather(&self, id: &UserId) -> Result<UserExport, Failure> {
        let gather = GatherUser { application: shop(), id: id.clone() };
        self.asks.gather_user.ask(gather, DEADLINE).await.map_err(failure)
    }

    /// Charges a sign-in of whoever is kept under this address.
    pub async fn begin(&self, address: &str) -> Option<Credentials> {
        self.begin_of(shop(), UserAt::Address(EmailAddress::parse(address).unwrap())).await.unwrap()
    }

    pub async fn begin_of(&self, application: ApplicationName, user: UserAt) -> Result<Option<Credentials>, Failure> {
        self.asks.begin_sign_in.ask(BeginSignIn { application, user }, DEADLINE).await.map_err(failure)
    }

    /// The right password was presented, and nothing is to follow.
    pub fn finishing(kept: &Credentials) -> FinishSignIn {
        let Credentials { id, hash } = kept.clone();
        FinishSignIn { application: shop(), id, hash, rehashed: None, second_step: None }
    }

    pub async fn finish(&self, finish: FinishSignIn) -> Result<FinishedSignIn, Failure> {
        self.asks.finish_sign_in.ask(finish, DEADLINE).await.map_err(failure)
    }

    pub fn replacing(id: &UserId, proof: PasswordProof) -> ReplacePassword {
        ReplacePassword {
            application: shop(),
            id: id.clone(),
            proof,
            hash: another_hash(),
            mail_domain: "example.org".to_owned(),
            locale: Locale::EN,
            is_test: false,
            operation: new_operation(),
        }
    }

    pub async fn look_up_password(&self, look_up: LookUpPassword) -> Result<PasswordPlace, Failure> {
        self.asks.look_up_password.ask(look_up, DEADLINE).await.map_err(failure)
    }

    pub async fn replace(&self, replace: ReplacePassword) -> Result<(), Failure> {
        self.asks.replace_password.ask(replace, DEADLINE).await.map_err(failure)
    }

    /// Replaces the password [`hash`] by [`another_hash`].
    pub async fn change_password(&self, id: &UserId) {
        self.replace(Self::replacing(id, PasswordProof::Old(hash()))).await.unwrap();
    }
}

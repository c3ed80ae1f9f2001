//! What is asked about users.

use zeroize::Zeroizing;

use super::{Front, Gateway, STORE_DEADLINE, answer_from_front, charges, failure, hand_over, invalid, opening};
use crate::{
    domain::{
        ApplicationName, Attributes, Charge, EmailAddress, Locale, PasswordHash, PasswordProof, Purpose, Refusal, UserAt,
        UserExport, UserId, UserView, VerificationId,
    },
    messages::{
        BeginSignIn, ChargeStart, CreateUser, CreatedUser, DeleteUser, ExportUser, Failure, FindUser, ForgetUser, GatherUser,
        KeepUser, KeptUser, LookUpPassword, LookUpUser, PasswordPlace, PresentedProof, ReadUser, RefundStart, ReplacePassword,
        ReviseUser, SetPassword, StartVerification, UpdateUser,
    },
    passwords::{Admission, Busy, NewPassword, Verdict},
};

answer_from_front! {
    CreateUser => create_user,
    ReadUser => read_user,
    FindUser => find_user,
    UpdateUser => update_user,
    DeleteUser => delete_user,
    ExportUser => export_user,
    SetPassword => set_password,
}

impl Front {
    async fn create_user(&self, ask: CreateUser) -> Result<CreatedUser, Failure> {
        let application = self.application(&ask.application)?;
        let address = EmailAddress::parse(&ask.email).map_err(|error| invalid("email", &error))?;
        let attributes = ask.attributes.clone().map(attributes).transpose()?.unwrap_or_default();
        let locale = ask.locale.as_deref().map(locale).transpose()?;
        let password = ask.password.as_deref().map(|text| new_password(text, &address)).transpose()?;
        let verification = if ask.is_verified { Some(opening(&application, confirmation(&ask), None)?) } else { None };
        let charges = if ask.is_verified { charges(&application, None) } else { Vec::new() };
        let password = match password {
            Some(password) => Some(hash(self.admit()?, password).await?),
            None => None,
        };
        let (application, operation, presented) = (ask.application, ask.operation, ask.password);
        let keep = KeepUser { application: application.clone(), address, attributes, locale, password, verification, operation };
        let KeptUser { user, opened, is_repetition } = self.keep_at_a_charge(keep, charges).await?;
        if let Some(presented) = presented.filter(|_| is_repetition) {
            let look_up = LookUpPassword { application, id: user.id.clone(), operation };
            self.compare_repeated(self.look_up_password(look_up).await?.set_before, presented).await?;
        }
        Ok(CreatedUser { user, verification: opened.map(|opened| opened.verification) })
    }

    async fn keep_at_a_charge(&self, keep: KeepUser, charges: Vec<Charge>) -> Result<KeptUser, Failure> {
        let application = keep.application.clone();
        self.charge(&application, &charges).await?;
        let kept = self.keep(keep).await;
        let was_needless = kept.as_ref().map_or_else(|error| matches!(error, Failure::Refused(_)), |kept| kept.is_repetition);
        if was_needless {
            self.refund(&application, charges).await;
        }
        kept
    }

    async fn keep(&self, mut keep: KeepUser) -> Result<KeptUser, Failure> {
        let room = self.handing_over.room_for(&keep.application, &keep.address);
        if let Some(verification) = &mut keep.verification {
            verification.with_lease = room.is_some();
        }
        let mut kept = self.store.keep_user.ask(keep, STORE_DEADLINE).await.map_err(failure)?;
        hand_over(room, kept.opened.as_mut().and_then(|opened| opened.message.take()));
        Ok(kept)
    }

    async fn read_user(&self, ask: ReadUser) -> Result<UserView, Failure> {
        let user = UserAt::Id(UserId::parse(&ask.id).ok_or(Refusal::NotFound)?);
        self.look_up_user(ask.application, user).await
    }

    async fn find_user(&self, ask: FindUser) -> Result<UserView, Failure> {
        let address = EmailAddress::parse(&ask.email).map_err(|error| invalid("email", &error))?;
        self.look_up_user(ask.application, UserAt::Address(address)).await
    }

    async fn look_up_user(&self, application: ApplicationName, user: UserAt) -> Result<UserView, Failure> {
        self.store.look_up_user.ask(LookUpUser { application, user }, STORE_DEADLINE).await.map_err(failure)
    }

    async fn update_user(&self, ask: UpdateUser) -> Result<UserView, Failure> {
        let id = UserId::parse(&ask.id).ok_or(Refusal::NotFound)?;
        let attributes = ask.attributes.map(attributes).transpose()?;
        let locale = ask.locale.map(|text| text.as_deref().map(locale).transpose()).transpose()?;
        let revise = ReviseUser { application: ask.application, id, attributes, locale };
        self.store.revise_user.ask(revise, STORE_DEADLINE).await.map_err(failure)
    }

    async fn delete_user(&self, ask: DeleteUser) -> Result<(), Failure> {
        let id = UserId::parse(&ask.id).ok_or(Refusal::NotFound)?;
        self.store.forget_user.ask(ForgetUser { application: ask.application, id }, STORE_DEADLINE).await.map_err(failure)
    }

    async fn export_user(&self, ask: ExportUser) -> Result<UserExport, Failure> {
        let id = UserId::parse(&ask.id).ok_or(Refusal::NotFound)?;
        self.store.gather_user.ask(GatherUser { application: ask.application, id }, STORE_DEADLINE).await.map_err(failure)
    }

    /// Room to hash or compare is asked for before anything is charged.
    async fn set_password(&self, ask: SetPassword) -> Result<(), Failure> {
        let id = UserId::parse(&ask.id).ok_or(Refusal::NotFound)?;
        let look_up = LookUpPassword { application: ask.application.clone(), id: id.clone(), operation: ask.operation };
        let PasswordPlace { address, set_before } = self.look_up_password(look_up).await?;
        if set_before.is_some() {
            return self.compare_repeated(set_before, ask.password).await;
        }
        let password = new_password(&ask.password, &address)?;
        let (proving, hashing) = (self.admit()?, self.admit()?);
        let proof = self.prove(&ask, &id, proving).await?;
        let hash = hash(hashing, password).await?;
        let application = self.application(&ask.application)?;
        let replace = ReplacePassword {
            application: ask.application,
            id,
            proof,
            hash,
            mail_domain: application.from.ascii_domain(),
            locale: application.locale,
            is_test: application.is_test,
            operation: ask.operation,
        };
        self.store.replace_password.ask(replace, STORE_DEADLINE).await.map_err(failure)
    }

    async fn look_up_password(&self, look_up: LookUpPassword) -> Result<PasswordPlace, Failure> {
        self.store.look_up_password.ask(look_up, STORE_DEADLINE).await.map_err(failure)
    }

    /// What this operation has set is there already: what is left is to see that the same one was meant. Nothing, when another one
    /// was set since.
    async fn compare_repeated(&self, set_before: Option<PasswordHash>, presented: Zeroizing<String>) -> Result<(), Failure> {
        let Some(kept) = set_before else { return Ok(()) };
        match self.admit()?.verify(presented, Some(kept.0.clone())).await.map_err(busy)? {
            Verdict::Right { .. } => Ok(()),
            Verdict::Wrong => Err(Refusal::IdempotencyMismatch.into()),
        }
    }

    async fn prove(&self, ask: &SetPassword, id: &UserId, room: Admission) -> Result<PasswordProof, Failure> {
        match &ask.proof {
            PresentedProof::Verification(id) => {
                Ok(PasswordProof::Verification(VerificationId::parse(id).ok_or(Refusal::NotProven)?))
            }
            PresentedProof::OldPassword(old) => {
                let (hash, _) = self.compare(&ask.application, UserAt::Id(id.clone()), old.clone(), room).await?.1;
                Ok(PasswordProof::Old(hash))
            }
        }
    }

    /// Whose password it is, the hash it was compared with, and its new hash where the parameters were raised. It is charged before it
    /// is compared, and one that nobody has takes as long.
    pub(super) async fn compare(
        &self,
        application: &ApplicationName,
        user: UserAt,
        presented: Zeroizing<String>,
        room: Admission,
    ) -> Result<(UserId, (PasswordHash, Option<PasswordHash>)), Failure> {
        let begin = BeginSignIn { application: application.clone(), user };
        let kept = self.store.begin_sign_in.ask(begin, STORE_DEADLINE).await.map_err(failure)?;
        let verdict = room.verify(presented, kept.as_ref().map(|kept| kept.hash.0.clone())).await.map_err(busy)?;
        match (kept, verdict) {
            (Some(kept), Verdict::Right { rehashed }) => Ok((kept.id, (kept.hash, rehashed.map(PasswordHash)))),
            _ => Err(Refusal::CredentialsInvalid.into()),
        }
    }

    /// A place in the queue of those who hash.
    pub(super) fn admit(&self) -> Result<Admission, Failure> {
        self.passwords.admit().map_err(busy)
    }

    pub(super) async fn charge(&self, application: &ApplicationName, charges: &[Charge]) -> Result<(), Failure> {
        if charges.is_empty() {
            return Ok(());
        }
        let charge = ChargeStart { application: application.clone(), charges: charges.to_vec() };
        self.store.charge_start.ask(charge, STORE_DEADLINE).await.map_err(failure)
    }

    /// Without an answer they come back by themselves.
    pub(super) async fn refund(&self, application: &ApplicationName, charges: Vec<Charge>) {
        if !charges.is_empty() {
            let refund = RefundStart { application: application.clone(), charges };
            let _ = self.store.refund_start.ask(refund, STORE_DEADLINE).await;
        }
    }
}

async fn hash(room: Admission, password: NewPassword) -> Result<PasswordHash, Failure> {
    room.hash(password).await.map(PasswordHash).map_err(busy)
}

fn busy(_: Busy) -> Failure {
    Failure::Overloaded
}

/// The verification of a new user's address.
fn confirmation(ask: &CreateUser) -> StartVerification {
    StartVerification {
        purpose: Some(Purpose::confirm_address().as_str().to_owned()),
        locale: ask.locale.clone(),
        ..StartVerification::new(ask.application.clone(), ask.email.clone(), ask.operation)
    }
}

fn attributes(text: String) -> Result<Attributes, Refusal> {
    Attributes::new(text).map_err(|error| invalid("attributes", &error))
}

fn locale(text: &str) -> Result<Locale, Refusal> {
    Locale::parse(text).map_err(|error| invalid("locale", &error))
}

fn new_password(text: &str, address: &EmailAddress) -> Result<NewPassword, Refusal> {
    NewPassword::parse(text, address).map_err(|error| invalid("password", &error))
}

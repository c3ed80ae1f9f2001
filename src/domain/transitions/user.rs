use super::{Effect, Mailing, Outcome, Start, start};
use crate::domain::{
    AddressRecord, ApplicationName, Attributes, EmailAddress, End, KeyedHash, Locale, MessageId, Moment, Notice, Password,
    PasswordHash, Refusal, Status, TokenBucket, Tombstone, User, UserExport, Verification, address_record::FAILED_SIGN_INS,
};

/// How long after the approval of its verification a password may be set by it.
const RESET_WITHIN: std::time::Duration = std::time::Duration::from_secs(600);

/// Keeps a user, and starts the verification of its address if that is wanted.
#[derive(Clone, Debug)]
pub struct KeepUser {
    /// What its id is made of, which the operation leads to.
    pub seed: KeyedHash,
    /// Keyed hash of the body, its password apart.
    pub fingerprint: KeyedHash,
    /// The address.
    pub address: EmailAddress,
    /// What its application keeps of it.
    pub attributes: Attributes,
    /// The language of its mails.
    pub locale: Option<Locale>,
    /// Its password's hash.
    pub password: Option<PasswordHash>,
    /// Names the attempt to set that password.
    pub set_by: KeyedHash,
    /// The verification of its address.
    pub verification: Option<Start>,
}

/// A user that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptUser {
    /// The user.
    pub user: User,
    /// The verification of its address, if one was wanted.
    pub mailing: Option<Mailing>,
    /// Whether it had been asked for before, by the same operation.
    pub is_repetition: bool,
}

/// Changes what an application keeps of a user.
#[derive(Clone, Debug)]
pub struct ChangeUser {
    /// Which.
    pub seed: KeyedHash,
    /// The new attributes; none: as they are.
    pub attributes: Option<Attributes>,
    /// The new language, or that of its application; none: as it is.
    pub locale: Option<Option<Locale>>,
}

/// Sets a user's password.
#[derive(Clone, Debug)]
pub struct SetPassword {
    /// Whose.
    pub seed: KeyedHash,
    /// Why it may be set.
    pub proof: Proof,
    /// The new one's hash.
    pub hash: PasswordHash,
    /// Names this attempt, and the notice.
    pub operation: KeyedHash,
    /// The notice's `Message-ID`.
    pub message_id: MessageId,
    /// Whose the user is.
    pub application: ApplicationName,
    /// The notice's language where the user has none.
    pub locale: Locale,
    /// Whether its application is a test one: then no notice is sent.
    pub is_test: bool,
}

/// What proves that a password may be set.
#[derive(Clone, Debug)]
pub enum Proof {
    /// The password with this hash was presented.
    OldPassword(PasswordHash),
    /// This verification was approved for it.
    Verification(KeyedHash),
}

/// One user an address. A repetition finds its own.
pub fn keep_user(mut record: AddressRecord, request: &KeepUser, now: Moment) -> Outcome<Result<KeptUser, Refusal>> {
    record.age(now);
    if let Some(user) = &record.user {
        if user.seed != request.seed {
            return Outcome::unchanged(Err(Refusal::UserExists));
        }
        if user.fingerprint != request.fingerprint {
            return Outcome::unchanged(Err(Refusal::IdempotencyMismatch));
        }
        let user = user.clone();
        let mailing = request.verification.as_ref().and_then(|verification| started_before(record, verification, now));
        return Outcome::unchanged(Ok(KeptUser { user, mailing, is_repetition: true }));
    }
    let user = new_user(request, now);
    let Some(verification) = &request.verification else {
        record.user = Some(user.clone());
        return Outcome::changed(Ok(KeptUser { user, mailing: None, is_repetition: false }), record, Vec::new());
    };
    let Outcome { answer, commit } = start(record, verification, now);
    match (answer, commit) {
        (Ok(mailing), Some(mut commit)) => {
            commit.record.user = Some(user.clone());
            let kept = KeptUser { user, mailing: Some(mailing), is_repetition: false };
            Outcome { answer: Ok(kept), commit: Some(commit) }
        }
        (Ok(_), None) => Outcome::unchanged(Err(Refusal::IdempotencyMismatch)), // this operation started it, for another user
        (Err(refusal), _) => Outcome::unchanged(Err(refusal)),
    }
}

/// The verification that came with the user; none once it was forgotten: then another one would be opened and kept nowhere.
fn started_before(record: AddressRecord, verification: &Start, now: Moment) -> Option<Mailing> {
    start(record, verification, now).answer.ok().filter(|mailing| mailing.is_repetition)
}

fn new_user(request: &KeepUser, now: Moment) -> User {
    User {
        seed: request.seed,
        fingerprint: request.fingerprint,
        address: request.address.clone(),
        attributes: request.attributes.clone(),
        locale: request.locale,
        created_at: now,
        updated_at: now,
        verified_at: None,
        password: request.password.clone().map(|hash| Password { hash, changed_at: now, set_by: request.set_by }),
    }
}

/// Who is kept under an address; only the one with `seed`, if that is given.
pub fn look_up_user(record: AddressRecord, seed: Option<&KeyedHash>) -> Result<User, Refusal> {
    record.user.filter(|user| seed.is_none_or(|seed| user.seed == *seed)).ok_or(Refusal::NotFound)
}

/// Changes what is given and leaves the rest.
pub fn change_user(mut record: AddressRecord, request: &ChangeUser, now: Moment) -> Outcome<Result<User, Refusal>> {
    record.age(now);
    let user = match record.user_with(&request.seed) {
        Ok(user) => user,
        Err(refusal) => return Outcome::unchanged(Err(refusal)),
    };
    if let Some(attributes) = &request.attributes {
        user.attributes.clone_from(attributes);
    }
    if let Some(locale) = request.locale {
        user.locale = locale;
    }
    user.updated_at = now;
    let changed = user.clone();
    Outcome::changed(Ok(changed), record, Vec::new())
}

/// Forgets a user and all of its address but its budgets. Without a seed, `NotFound`.
pub fn forget_user(mut record: AddressRecord, seed: &KeyedHash, now: Moment) -> Outcome<Result<(), Refusal>> {
    record.age(now);
    if let Err(refusal) = record.user_with(seed) {
        return Outcome::unchanged(Err(refusal));
    }
    let (verifications, tombstones, notices) = record.forget_user();
    let of_verification = |v: &Verification| [Effect::Forget { verification: v.key, number: v.lookup }, Effect::Unlist(v.key)];
    let of_notice = |notice: &Notice| [Effect::Forget { verification: notice.key, number: None }, Effect::Unlist(notice.key)];
    let of_verifications = verifications.iter().flat_map(of_verification);
    let of_tombstones = tombstones.iter().map(|tombstone| Effect::Unlist(tombstone.key));
    let effects = of_verifications.chain(of_tombstones).chain(notices.iter().flat_map(of_notice)).collect();
    Outcome::changed(Ok(()), record, effects)
}

/// All that is kept of a user and its address; its view is made by whoever knows its id.
pub fn export_user<V>(
    mut record: AddressRecord,
    seed: &KeyedHash,
    view: impl FnOnce(&User) -> V,
    now: Moment,
) -> Result<UserExport<V>, Refusal> {
    record.age(now);
    let user = view(record.user_with(seed)?);
    let ended = record.tombstones().iter().map(Tombstone::export);
    Ok(UserExport {
        user,
        verifications: record.verifications().iter().map(|verification| verification.export(now)).chain(ended).collect(),
        notices: record.notices().iter().map(|notice| notice.message.view()).collect(),
        mails_asked_at: record.sent_at().to_vec(),
        wrong_checks_left: record.wrong_checks_left(now),
        failed_sign_ins_left: record.failed_sign_ins.left(FAILED_SIGN_INS, now),
    })
}

/// The address for which a password is to be set, and its hash if `operation` has set it before.
pub fn look_up_password(
    record: AddressRecord,
    seed: &KeyedHash,
    operation: &KeyedHash,
) -> Result<(EmailAddress, Option<PasswordHash>), Refusal> {
    let user = look_up_user(record, Some(seed))?;
    let set_before = user.password_set_by(operation).cloned();
    Ok((user.address, set_before))
}

/// Sets it, tells of it by mail, and calls off the sign-ins that the old one began. A repetition has nothing left to do.
pub fn set_password(mut record: AddressRecord, request: &SetPassword, now: Moment) -> Outcome<Result<(), Refusal>> {
    record.age(now);
    if record.user_with(&request.seed).is_ok_and(|user| user.password_set_by(&request.operation).is_some()) {
        return Outcome::unchanged(Ok(()));
    }
    if let Err(refusal) = record.user_with(&request.seed).cloned().and_then(|user| prove(&mut record, &user, &request.proof, now))
    {
        return Outcome::unchanged(Err(refusal));
    }
    if matches!(request.proof, Proof::Verification(_)) {
        record.failed_sign_ins = TokenBucket::default(); // who reads the mailbox is not who fails
    }
    let user = record.user_with(&request.seed).expect("it was found above");
    user.password = Some(Password { hash: request.hash.clone(), changed_at: now, set_by: request.operation });
    let (address, locale) = (user.address.clone(), user.locale.unwrap_or(request.locale));
    let mut effects = call_off_sign_ins(&mut record, now);
    if !request.is_test {
        let (key, application, message_id) = (request.operation, request.application.clone(), request.message_id.clone());
        record.give_notice(Notice::of_password(key, application, address, locale, message_id, now));
        effects.push(Effect::Enqueue(now));
    }
    Outcome::changed(Ok(()), record, effects)
}

fn prove(record: &mut AddressRecord, user: &User, proof: &Proof, now: Moment) -> Result<(), Refusal> {
    match proof {
        Proof::OldPassword(hash) if user.password_hash() == Some(hash) => {
            record.failed_sign_ins.give_back(FAILED_SIGN_INS, &[]);
            Ok(())
        }
        Proof::OldPassword(_) => Err(Refusal::CredentialsInvalid), // it was changed since it was compared
        Proof::Verification(key) => use_up(record, key, now).ok_or(Refusal::NotProven),
    }
}

/// Marks an approved verification as used; none when it is none that lets a password be set.
fn use_up(record: &mut AddressRecord, key: &KeyedHash, now: Moment) -> Option<()> {
    let is_in_time = |approved_at: Moment| approved_at + RESET_WITHIN > now;
    if let Some(verification) = record.verification_mut(key) {
        let fits = verification.purpose.is_reset() && verification.approved_at().is_some_and(is_in_time);
        return (fits && !std::mem::replace(&mut verification.is_used, true)).then_some(());
    }
    let tombstone = record.tombstone_mut(key)?;
    let fits = tombstone.purpose.is_reset() && tombstone.status() == Status::Approved && is_in_time(tombstone.ended_at);
    (fits && !std::mem::replace(&mut tombstone.is_used, true)).then_some(())
}

fn call_off_sign_ins(record: &mut AddressRecord, now: Moment) -> Vec<Effect> {
    let signs_in = |v: &&mut Verification| v.signs_in.is_some() && v.status(now) == Status::Pending;
    let called_off: Vec<_> = record
        .verifications_mut()
        .iter_mut()
        .filter(signs_in)
        .map(|verification| {
            verification.finish(End::Canceled(now));
            (verification.key, verification.lookup)
        })
        .collect();
    for (key, _) in &called_off {
        record.give_back_unused_send(key);
    }
    called_off.into_iter().map(|(verification, number)| Effect::Forget { verification, number }).collect()
}

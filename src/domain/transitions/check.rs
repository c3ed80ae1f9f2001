use subtle::ConstantTimeEq;

use super::{Effect, Outcome, ended};
use crate::domain::{
    AddressRecord, CheckNote, EmailAddress, End, FirstStep, IdentityNumber, KeyedHash, Moment, Purpose, Refusal, TokenBucket,
    User, Verification,
    verification::{REPEATABLE, least},
};

/// Presents a number.
#[derive(Clone, Debug)]
pub struct Check {
    /// Which verification.
    pub key: KeyedHash,
    /// Keyed hash of the operation's id.
    pub operation: KeyedHash,
    /// The number presented.
    pub number: IdentityNumber,
    /// Its keyed hash, which is kept.
    pub number_hash: KeyedHash,
    /// Whether its application is a test one.
    pub is_test: bool,
}

/// The right number was presented: the token, if there is one, may be released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    /// The address as given.
    pub email: EmailAddress,
    /// Why.
    pub purpose: Purpose,
    /// When.
    pub approved_at: Moment,
    /// When the number would have stopped to hold.
    pub expires_at: Moment,
    /// Whether a token was deposited.
    pub has_token: bool,
    /// Who has signed in by it, and what came before it, if it was a sign-in.
    pub signed_in: Option<(User, FirstStep)>,
}

/// A repetition gets the answer it had; else the number is compared, once, and a wrong one charged.
pub fn check(mut record: AddressRecord, request: &Check, now: Moment) -> Outcome<Result<Approved, Refusal>> {
    record.age(now);
    if let Some(tombstone) = record.tombstone(&request.key) {
        return Outcome::unchanged(Err(ended(tombstone.status()).unwrap_or(Refusal::Expired)));
    }
    let is_known = |verification: &&Verification| request.is_test || !verification.message.is_withheld();
    // what a test application left behind opens nothing once it has become a real one
    let Some(verification) = record.verification(&request.key).filter(is_known) else {
        return Outcome::unchanged(Err(Refusal::NotFound));
    };
    if let Some(answer) = repeated(&record, verification, request).or_else(|| refused(verification, request, now)) {
        return Outcome::unchanged(answer);
    }
    let is_right = verification.number.as_ref() == Some(&request.number);
    // a spent budget refuses the right number too: else one more guess would be told apart
    match record.one_wrong_check_more(now) {
        Err(refusal) => Outcome::unchanged(Err(refusal)),
        Ok(_) if is_right => approve(record, request, now),
        Ok(budget) => deny(record, budget, request, now),
    }
}

/// The answer that this operation had before.
fn repeated(record: &AddressRecord, verification: &Verification, request: &Check) -> Option<Result<Approved, Refusal>> {
    let note = verification.checks.iter().find(|note| note.operation == request.operation)?;
    if !bool::from(note.number_hash.ct_eq(&request.number_hash)) {
        return Some(Err(Refusal::IdempotencyMismatch));
    }
    Some(match note.attempts_remaining {
        Some(attempts_remaining) => Err(Refusal::NumberIncorrect { attempts_remaining }),
        None => approval(record, verification).ok_or(Refusal::AlreadyApproved),
    })
}

fn refused(verification: &Verification, request: &Check, now: Moment) -> Option<Result<Approved, Refusal>> {
    if let Some(refusal) = ended(verification.status(now)) {
        return Some(Err(refusal));
    }
    let digits = verification.number.as_ref().expect("it is forgotten only with an end").digits();
    let mend = || format!("must be the {digits} digits that were mailed");
    (request.number.digits() != digits).then(|| Err(Refusal::FieldInvalid { field: "number", mend: mend() }))
}

fn approve(mut record: AddressRecord, request: &Check, now: Moment) -> Outcome<Result<Approved, Refusal>> {
    let verification = record.verification_mut(&request.key).expect("`check` found it");
    verification.finish(End::Approved(now));
    verification.checks.push(note(request, None));
    let signs_in = verification.signs_in;
    let mut effects = vec![Effect::Unqueue];
    effects.extend(verification.has_token.then_some(Effect::KeepToken(now + REPEATABLE)));
    effects.extend(verification.lookup.map(|number| Effect::KeepNumber(number, now + REPEATABLE)));
    record.give_back_unused_send(&request.key);
    if signs_in.is_some() {
        record.failed_sign_ins = TokenBucket::default(); // who reads the mailbox is not who fails
    }
    if let Some(user) = &mut record.user {
        if user.verified_at.is_none() && signs_in == Some(FirstStep::None) {
            user.password = None; // it may be that of somebody who made the user before whose mailbox it is came
        }
        user.verified_at.get_or_insert(now);
    }
    let approved = record.verification(&request.key).and_then(|verification| approval(&record, verification));
    Outcome::changed(approved.ok_or(Refusal::AlreadyApproved), record, effects)
}

fn deny(
    mut record: AddressRecord,
    wrong_checks: TokenBucket,
    request: &Check,
    now: Moment,
) -> Outcome<Result<Approved, Refusal>> {
    record.wrong_checks = wrong_checks;
    let address_left = record.wrong_checks_left(now);
    let verification = record.verification_mut(&request.key).expect("`check` found it");
    verification.wrong_checks_left = verification.wrong_checks_left.saturating_sub(1);
    let attempts_remaining = least(verification.wrong_checks_left, address_left);
    verification.checks.push(note(request, Some(attempts_remaining)));
    let mut effects = Vec::new();
    if verification.wrong_checks_left == 0 {
        verification.finish(End::Exhausted(now));
        effects = vec![Effect::Unqueue, Effect::DropToken];
        effects.extend(verification.lookup.map(Effect::DropNumber));
    }
    record.give_back_unused_send(&request.key);
    Outcome::changed(Err(Refusal::NumberIncorrect { attempts_remaining }), record, effects)
}

fn approval(record: &AddressRecord, verification: &Verification) -> Option<Approved> {
    Some(Approved {
        email: verification.address.clone(),
        purpose: verification.purpose.clone(),
        approved_at: verification.approved_at()?,
        expires_at: verification.expires_at,
        has_token: verification.has_token,
        signed_in: record.user.clone().zip(verification.signs_in),
    })
}

fn note(request: &Check, attempts_remaining: Option<u8>) -> CheckNote {
    CheckNote { operation: request.operation, number_hash: request.number_hash, attempts_remaining }
}

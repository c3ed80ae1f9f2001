use super::{Commit, Mailing, Outcome, Start, start};
use crate::domain::{AddressRecord, KeyedHash, Moment, PasswordHash, Refusal, User, address_record::FAILED_SIGN_INS};

/// Charges a sign-in to its address before its password is compared.
#[derive(Clone, Copy, Debug)]
pub struct BeginSignIn {
    /// Whose, where a user is named; none: whoever is kept under the address.
    pub seed: Option<KeyedHash>,
}

/// What a presented password is to be compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Whose it is and its hash; none: nobody's, or too many have failed lately.
    pub kept: Option<(KeyedHash, PasswordHash)>,
}

/// Says that the right password was presented.
#[derive(Clone, Debug)]
pub struct FinishSignIn {
    /// By whom.
    pub seed: KeyedHash,
    /// What it was compared with.
    pub hash: PasswordHash,
    /// Its hash under today's parameters, where they were raised.
    pub rehashed: Option<PasswordHash>,
    /// The number that is to follow.
    pub second_step: Option<Start>,
}

/// A password that was right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Whose.
    pub user: User,
    /// The number that is to follow, on its way.
    pub mailing: Option<Mailing>,
}

/// The charge is the same whether there is such a user or not. While none is left, whoever it is gets nothing to compare with,
/// and nothing is charged.
pub fn begin_sign_in(mut record: AddressRecord, request: BeginSignIn, now: Moment) -> Outcome<Begun> {
    record.age(now);
    if record.failed_sign_ins.take(FAILED_SIGN_INS, now).is_err() {
        return Outcome::unchanged(Begun { kept: None });
    }
    let user = record.user.as_ref().filter(|user| request.seed.is_none_or(|seed| user.seed == seed));
    let kept = user.and_then(|user| Some((user.seed, user.password_hash()?.clone())));
    Outcome::changed(Begun { kept }, record, Vec::new())
}

/// Gives the charge back, unless the password was changed meanwhile; and starts the second step, if there is one.
pub fn finish_sign_in(mut record: AddressRecord, request: &FinishSignIn, now: Moment) -> Outcome<Result<Finished, Refusal>> {
    record.age(now);
    let is_same = |user: &&mut User| user.seed == request.seed && user.password_hash() == Some(&request.hash);
    let Some(user) = record.user.as_mut().filter(is_same) else {
        return Outcome::unchanged(Err(Refusal::CredentialsInvalid));
    };
    if let (Some(hash), Some(password)) = (&request.rehashed, &mut user.password) {
        password.hash = hash.clone();
    }
    let user = user.clone();
    record.failed_sign_ins.give_back(FAILED_SIGN_INS, &[]);
    let Some(second_step) = &request.second_step else {
        return Outcome::changed(Ok(Finished { user, mailing: None }), record, Vec::new());
    };
    let Outcome { answer, commit } = start(record.clone(), second_step, now);
    let commit = commit.unwrap_or(Commit { record, effects: Vec::new() });
    Outcome { answer: answer.map(|mailing| Finished { user, mailing: Some(mailing) }), commit: Some(commit) }
}

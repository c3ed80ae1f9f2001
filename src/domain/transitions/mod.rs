//! One file an operation: (record, request, now) to (answer, new record, effects).

mod cancel;
mod check;
mod claim;
mod read;
mod resend;
mod retry;
mod settle;
mod sign_in;
mod start;
mod user;

pub use cancel::{Cancel, cancel};
pub use check::{Approved, Check, check};
pub use claim::{Claim, claim};
pub use read::{Read, read};
pub use resend::{Resend, resend};
pub use retry::{Retry, look, retry};
pub use settle::{Settle, settle};
pub use sign_in::{BeginSignIn, Begun, FinishSignIn, Finished, begin_sign_in, finish_sign_in};
pub use start::{Mailing, Start, start};
pub use user::{
    ChangeUser, KeepUser, KeptUser, Proof, SetPassword, change_user, export_user, forget_user, keep_user, look_up_password,
    look_up_user, set_password,
};

use super::{AddressRecord, KeyedHash, Moment, Refusal, Status};

/// What a transition decided. The answer may leave only once the commit, if there is one, is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<A> {
    /// What is answered.
    pub answer: A,
    /// What has to be stored before.
    pub commit: Option<Commit>,
}

/// A record and what has to change with it, all or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The record as it is to be.
    pub record: AddressRecord,
    /// What changes beside it, for the verification that the request names.
    pub effects: Vec<Effect>,
}

/// What changes beside the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Its mail stands in the queue, to be looked at from this moment on.
    Enqueue(Moment),
    /// Its mail is not in the queue.
    Unqueue,
    /// Its mail is listed among those that failed.
    ListAsFailed,
    /// Its mail is not listed among those that failed.
    UnlistFailed,
    /// Its token is stored until this moment.
    StoreToken(Moment),
    /// Its token is kept until this moment.
    KeepToken(Moment),
    /// Its token is gone.
    DropToken,
    /// Its number, of this key, leads to it until this moment, and led to none before.
    StoreNumber(KeyedHash, Moment),
    /// Its number leads to it until this moment.
    KeepNumber(KeyedHash, Moment),
    /// Its number leads nowhere.
    DropNumber(KeyedHash),
    /// Another verification of the address was replaced: its mail is not in the queue, its token and number are gone.
    Forget {
        /// Which.
        verification: KeyedHash,
        /// The key of its number, where that alone leads to it.
        number: Option<KeyedHash>,
    },
    /// The mail of another verification of the address, or a notice, is not listed among those that failed.
    Unlist(KeyedHash),
}

impl Effect {
    /// Of a mail that will never be sent, which somebody should hear of.
    const FAILED: [Self; 2] = [Self::Unqueue, Self::ListAsFailed];
}

impl<A> Outcome<A> {
    fn unchanged(answer: A) -> Self {
        Self { answer, commit: None }
    }

    fn changed(answer: A, record: AddressRecord, effects: Vec<Effect>) -> Self {
        Self { answer, commit: Some(Commit { record, effects }) }
    }
}

/// What an operation on a verification that has ended is told.
fn ended(status: Status) -> Option<Refusal> {
    match status {
        Status::Pending => None,
        Status::Approved => Some(Refusal::AlreadyApproved),
        Status::Canceled => Some(Refusal::Canceled),
        Status::Exhausted => Some(Refusal::Exhausted),
        Status::Expired => Some(Refusal::Expired),
    }
}

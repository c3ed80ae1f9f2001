//! What an operation reads, how its transition decides, and what is to be written: the same for both stores.

mod budget;
mod cancel;
mod check;
mod claim;
mod mail;
mod read;
mod resend;
mod settle;
mod sign_in;
mod start;
mod user;

pub use budget::{Charging, Counting};
pub use cancel::Cancelling;
pub use check::Checking;
pub use claim::Claiming;
pub use mail::{Looking, Retrying};
pub use read::Reading;
pub use resend::Resending;
pub use settle::Settling;
pub use sign_in::{BeginningSignIn, FinishingSignIn, PasswordSignIn};
pub use start::{StartRequest, Starting};
pub use user::{
    ChangingUser, ExportingUser, ForgettingUser, KeepingUser, LookingUpPassword, LookingUpUser, PasswordRequest, SettingPassword,
    UserKept, UserRequest,
};

use serde::{Serialize, de::DeserializeOwned};

use super::{Handle, StoreError, Vault};
use crate::{
    clock::thread_random,
    domain::{
        LeasedMessage, MessageKey, Moment,
        transitions::{Commit, Effect},
    },
    planted::{Bug, is_planted},
};

/// One operation on the record of one address. Deciding twice is safe: nothing is done until the commit.
pub trait Operation {
    /// What it answers.
    type Answer;

    /// Which record, and which of its verifications.
    fn place(&self) -> MessageKey;

    /// Draws another number, because the one it has is taken.
    fn redraw(&mut self, _: &Vault) {}

    /// What has to be read before it can decide.
    fn reads(&self) -> Reads {
        Reads::Record
    }

    /// What it would read, likely: a commit that finds another record returns it.
    fn guess(&mut self) -> Option<Snapshot> {
        None
    }

    /// Whether it ever decides to write.
    fn may_write(&self) -> bool {
        true
    }

    /// Decides from what was read.
    ///
    /// # Errors
    /// `Damaged` or `KeyMissing` when what was read does not open.
    fn decide(&self, vault: &Vault, read: &Snapshot, now: Moment) -> Result<Decision<Self::Answer>, StoreError>;
}

/// What an operation reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// The record.
    Record,
    /// The record and the verification's token, together.
    RecordAndToken,
}

/// What was read, sealed.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The record; none when there is none.
    pub record: Option<Vec<u8>>,
    /// The token, when it was asked for and there is one.
    pub token: Option<Vec<u8>>,
}

/// What was decided. The answer may leave only once the write, if there is one, is durable.
pub struct Decision<A> {
    /// What is answered.
    pub answer: A,
    /// What has to be written before.
    pub write: Option<Write>,
}

/// A sealed record and what changes beside it, all or nothing, if the record is still the one that was read.
pub struct Write {
    /// The record and until when it is kept; none: nothing in it matters any more.
    pub record: Option<(Vec<u8>, Moment)>,
    /// What changes beside it.
    pub effects: Vec<Effect>,
    /// What `Effect::StoreToken` and `Effect::StoreNumber` store.
    pub sealed: Sealed,
}

/// What is stored beside a record.
#[derive(Default)]
pub struct Sealed {
    /// The token.
    pub token: Vec<u8>,
    /// The id that a number leads to.
    pub id: Vec<u8>,
}

impl Write {
    /// Lets a lease take along the record that it writes.
    fn goes_with(&self, lease: &mut LeasedMessage) {
        lease.written = self.record.as_ref().map(|(sealed, _)| sealed.clone());
    }
}

impl<A> Decision<A> {
    /// Where a test has planted it, the answer leaves without its commit.
    fn forgotten_by(mut self, bug: Bug) -> Self {
        self.write = self.write.filter(|_| !is_planted(bug));
        self
    }
}

impl Snapshot {
    fn open<R: DeserializeOwned + Default>(&self, vault: &Vault, handle: Handle) -> Result<R, StoreError> {
        self.record.as_ref().map_or_else(|| Ok(R::default()), |sealed| vault.open_record(handle, sealed))
    }
}

impl Write {
    fn seal(vault: &Vault, handle: Handle, commit: &Commit, sealed: Sealed, now: Moment) -> Self {
        let record = seal_record(vault, handle, &commit.record, commit.record.keep_until(), now);
        Self { record, effects: commit.effects.clone(), sealed }
    }
}

fn seal_record(
    vault: &Vault,
    handle: Handle,
    record: &impl Serialize,
    keep_until: Moment,
    now: Moment,
) -> Option<(Vec<u8>, Moment)> {
    (keep_until > now).then(|| (vault.seal_record(&mut thread_random(), handle, record), keep_until))
}

/// Seals what a transition without token and number decided.
fn decided<A>(vault: &Vault, handle: Handle, answer: A, commit: Option<&Commit>, now: Moment) -> Decision<A> {
    Decision { answer, write: commit.map(|commit| Write::seal(vault, handle, commit, Sealed::default(), now)) }
}

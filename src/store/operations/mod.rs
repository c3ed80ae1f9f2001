//! What an operation reads, how its transition decides, and what is to be written: the same for both stores.

mod cancel;
mod check;
mod claim;
mod read;
mod settle;
mod start;

pub use cancel::Cancelling;
pub use check::Checking;
pub use claim::Claiming;
pub use read::Reading;
pub use settle::Settling;
pub use start::{StartRequest, Starting};

use super::{Handle, StoreError, Vault};
use crate::{
    clock::system_random,
    domain::{
        AddressRecord, MessageKey, Moment,
        transitions::{Commit, Effect},
    },
};

/// One operation on the record of one address. Deciding twice is safe: nothing is done until the commit.
pub trait Operation {
    /// What it answers.
    type Answer;

    /// Which record, and which of its verifications.
    fn place(&self) -> MessageKey;

    /// What has to be read before it can decide.
    fn reads(&self) -> Reads {
        Reads::Record
    }

    /// Decides from what was read.
    ///
    /// # Errors
    /// `Damaged` when what was read does not open.
    fn decide(&self, vault: &Vault, read: &Snapshot, now: Moment) -> Result<Decision<Self::Answer>, StoreError>;
}

/// What an operation reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// The record.
    Record,
    /// The record and the verification's token, together.
    RecordAndToken,
    /// Nothing at first: most addresses are fresh, and a commit that finds a record returns it.
    NothingAtFirst,
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
    /// The token that `Effect::StoreToken` stores.
    pub token: Option<Vec<u8>>,
}

impl Snapshot {
    fn open(&self, vault: &Vault, handle: Handle) -> Result<AddressRecord, StoreError> {
        self.record.as_ref().map_or_else(|| Ok(AddressRecord::default()), |sealed| vault.open_record(handle, sealed))
    }
}

impl Write {
    fn seal(vault: &Vault, handle: Handle, commit: &Commit, token: Option<Vec<u8>>, now: Moment) -> Self {
        let keep_until = commit.record.keep_until();
        let is_kept = keep_until > now;
        let record = is_kept.then(|| (vault.seal_record(&mut system_random(), handle, &commit.record), keep_until));
        Self { record, effects: commit.effects.clone(), token }
    }
}

/// Seals what a transition without a token decided.
fn decided<A>(vault: &Vault, handle: Handle, answer: A, commit: Option<&Commit>, now: Moment) -> Decision<A> {
    Decision { answer, write: commit.map(|commit| Write::seal(vault, handle, commit, None, now)) }
}

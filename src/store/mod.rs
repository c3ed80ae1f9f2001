//! How records are named, sealed and committed. `operations` says what an operation reads and writes; `redis` and
//! `embedded` carry that out, each in its own way.

pub mod embedded;
#[cfg(feature = "testing")]
pub(crate) mod fuzzing;
mod ids;
mod keys;
mod listing;
pub mod operations;
pub mod redis;
mod ring;
mod sealing;
mod vault;

use std::time::Duration;

use thiserror::Error;

use crate::domain::{ApplicationName, Claimed, IdentityNumber, MailCounts, MessageKey, VerificationId};
use operations::Operation;

pub use keys::{Handle, SHARDS};
pub use listing::{MailList, PageRequest, Place, Stretch, page};
pub use ring::{
    ClaimError, KeyRing, KeyUse, NoSuccessor, RingError, RingPlace, Rotation, RotationStep, SigningKey, SigningKeys,
    open_or_make, rotate,
};
pub use vault::Vault;

/// How often a number is drawn anew when the one drawn is taken.
const MOST_REDRAWS: usize = 8;

/// How long a mail that cannot be read is left alone before somebody looks at it again.
const SET_ASIDE: Duration = Duration::from_secs(600);

/// Why a store could not answer. What was asked for may or may not have happened unless the variant says otherwise.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Not connected, or no answer in time.
    #[error("store is not available: {0}")]
    Unavailable(String),
    /// Others changed the record each time before we could; it did not happen.
    #[error("record changed under every try")]
    Contended,
    /// Every number that was drawn is taken; it did not happen.
    #[error("no free number was drawn")]
    NoFreeNumber,
    /// What the store returned is not what was stored there; it did not happen.
    #[error("store returned what was not stored: {0}")]
    Damaged(&'static str),
    /// It was sealed by a key that our ring lacks, another daemon's that has rotated; it did not happen.
    #[error("sealed by a key that this ring lacks")]
    KeyMissing,
}

/// A mail whose record does not open, or over which the rules fall, is told and set aside.
fn tell_of_unreadable(place: &MessageKey, cause: &StoreError) {
    let shard = Handle(place.handle).shard();
    tracing::error!(shard, cause = %cause, "a queued mail cannot be read; set aside for ten minutes");
}

/// Where records are kept. Both kinds run the same operations.
pub trait Records {
    /// What names and seals here.
    fn vault(&self) -> &Vault;

    /// Carries an operation out: reads, decides, commits, then answers.
    ///
    /// # Errors
    /// `Unavailable`: whether it happened is unknown. `Contended`, `Damaged`, `KeyMissing`: it did not.
    fn run<O>(&self, operation: O) -> impl Future<Output = Result<O::Answer, StoreError>>
    where
        O: Operation + Send + 'static,
        O::Answer: Send + 'static;

    /// The verification that a number alone leads to; none when it leads nowhere.
    ///
    /// # Errors
    /// `Unavailable`, `Damaged` and `KeyMissing`: nothing was changed.
    fn find(
        &self,
        application: &ApplicationName,
        number: &IdentityNumber,
    ) -> impl Future<Output = Result<Option<VerificationId>, StoreError>>;

    /// How many mails stand in the queue.
    ///
    /// # Errors
    /// `Unavailable`.
    fn count_mails(&self) -> impl Future<Output = Result<MailCounts, StoreError>>;

    /// The next mails of a list behind a place, all applications'; the first ones when none is given.
    ///
    /// # Errors
    /// `Unavailable`.
    fn stretch(&self, list: MailList, after: Option<Place>) -> impl Future<Output = Result<Stretch, StoreError>>;

    /// Leases at most `limit` mails that are due. One that cannot be read is set aside, so that it stands in nobody's way.
    ///
    /// # Errors
    /// `Unavailable`: leases that were given all the same run out.
    fn claim_due(&self, limit: usize) -> impl Future<Output = Result<Claimed, StoreError>>;
}

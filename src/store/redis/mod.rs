//! Records in Redis: read, decide, commit by compare-and-set. One connection a cell, made anew when it breaks.

mod commit;
mod gate;
mod link;

use std::rc::Rc;

use futures_util::future::join_all;

pub use gate::{Unfit, claim_ring};
pub use link::{Link, RedisSettings, SettingsError};

use self::commit::Committed;
use super::{
    StoreError, Vault,
    keys::{self, RedisKeys},
    operations::{Claiming, Operation, Reads, Snapshot},
};
use crate::domain::{LeasedMessage, MessageKey};

/// How often an operation is decided anew when others commit first, or the clock was off.
const MOST_TRIES: usize = 16;

/// Runs operations on one Redis.
pub struct Redis {
    link: Rc<Link>,
    vault: Vault,
}

impl Redis {
    /// On a link that somebody keeps connected ([`Link::keep_connected`]).
    pub fn new(link: Rc<Link>, vault: Vault) -> Self {
        Self { link, vault }
    }

    /// What names and seals here.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Reads, decides, commits; decides anew when the record has changed in between.
    ///
    /// # Errors
    /// `Unavailable` when Redis did not answer: whether the commit happened is unknown. `Contended` when others came first
    /// sixteen times.
    pub async fn run<O: Operation>(&self, operation: &O) -> Result<O::Answer, StoreError> {
        let keys = RedisKeys::of(&operation.place());
        let mut read = match operation.reads() {
            Reads::NothingAtFirst => Snapshot::default(),
            Reads::Record => Snapshot { record: self.link.get(&keys.record).await?, token: None },
            Reads::RecordAndToken => self.link.get_both(&keys.record, &keys.token).await?,
        };
        for _ in 0..MOST_TRIES {
            let now = self.link.now();
            let decision = operation.decide(&self.vault, &read, now)?;
            let Some(write) = decision.write else { return Ok(decision.answer) };
            let command = commit::command(&operation.place(), &keys, read.record.as_deref(), &write, now);
            match self.link.commit(command).await? {
                Committed::Done => return Ok(decision.answer),
                Committed::Stale(record) => read.record = record,
                Committed::ClockOff(server_now) => self.link.learn_time(server_now),
            }
        }
        Err(StoreError::Contended)
    }

    /// Leases at most `limit` mails that are due, of all shards in turn.
    ///
    /// # Errors
    /// `Unavailable` when the queues could not be read. A mail whose claim fails stays in its queue.
    pub async fn claim_due(&self, limit: usize) -> Result<Vec<LeasedMessage>, StoreError> {
        let due = self.due(limit).await?;
        let operations: Vec<_> = due.into_iter().map(|key| Claiming { key }).collect();
        let claims = join_all(operations.iter().map(|claiming| self.run(claiming))).await;
        Ok(claims.into_iter().filter_map(Result::unwrap_or_default).collect())
    }

    async fn due(&self, limit: usize) -> Result<Vec<MessageKey>, StoreError> {
        let now = self.link.now();
        let first_shard = fastrand::usize(..super::SHARDS); // so that no shard is always last
        let queues: Vec<_> = (0..super::SHARDS).map(|shard| keys::queue((first_shard + shard) % super::SHARDS)).collect();
        let members = self.link.due_members(&queues, now, limit).await?;
        Ok(members.iter().filter_map(|member| keys::message_at(member)).take(limit).collect())
    }
}

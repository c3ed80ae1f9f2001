//! Records in Redis: read, decide, commit by compare-and-set. One connection a cell, made anew when it breaks.

mod commit;
mod connection;
mod frames;
#[cfg(feature = "testing")]
pub(crate) mod fuzzing;
mod gate;
mod lanes;
mod link;
mod meaning;
mod socket;

use std::{cell::Cell, rc::Rc, time::Duration};

use futures_util::future::join_all;
use tokio::time::timeout;

pub use connection::RedisSettings;
pub use gate::{Unfit, claim_ring};
pub use link::Link;

use self::{commit::Committed, lanes::Lanes};
use super::{
    Handle, MOST_REDRAWS, MailList, Place, Records, SET_ASIDE, SHARDS, StoreError, Stretch, Vault, keys,
    listing::merge,
    operations::{Claiming, Decision, Operation, Reads, Snapshot},
    tell_of_unreadable,
};
use crate::{
    domain::{ApplicationName, Claimed, IdentityNumber, LeasedMessage, MailCounts, MessageKey, VerificationId},
    planted::{Bug, is_planted},
};

/// How often an operation is decided anew when other cells commit first, or the clock was off. In each round one of them
/// commits: of eight that go on and on, one loses so often once in five thousand times.
const MOST_TRIES: usize = 64;
/// A claim looks so far into each queue that so many together have all that there is room for.
const SHARDS_FOR_ALL: usize = 16;
/// Of each shard's list so many mails are looked at together.
const LISTED_OF_EACH: usize = 32;
/// How long an operation may take, before its turn and in it: a clear answer comes within two seconds.
const LONGEST: Duration = Duration::from_millis(1500);

/// Records in one Redis.
pub struct Redis {
    link: Rc<Link>,
    vault: Vault,
    lanes: Lanes,
}

impl Redis {
    /// On a link that somebody keeps connected ([`Link::keep_connected`]).
    pub fn new(link: Rc<Link>, vault: Vault) -> Self {
        Self { link, vault, lanes: Lanes::default() }
    }

    async fn read(&self, operation: &impl Operation) -> Result<Snapshot, StoreError> {
        let place = operation.place();
        let record = keys::record(&place);
        match operation.reads() {
            Reads::Record => Ok(Snapshot { record: self.link.get(record).await?, token: None }),
            Reads::RecordAndToken => {
                let shard = Handle(place.handle).shard();
                self.link.get_both(record, keys::token(shard, &place.verification)).await
            }
        }
    }

    /// Reads or guesses, decides, commits; decides anew when the record is another by then.
    async fn try_until_committed<O: Operation>(&self, operation: &mut O) -> Result<O::Answer, StoreError> {
        let guess = operation.guess();
        let mut is_guessed = guess.is_some();
        let mut read = match guess {
            Some(guess) => guess,
            None => self.read(operation).await?,
        };
        let mut redraws = 0;
        for _ in 0..MOST_TRIES {
            let now = self.link.now();
            let Decision { answer, write } = operation.decide(&self.vault, &read, now)?;
            let Some(write) = write else {
                if std::mem::take(&mut is_guessed) {
                    read = self.read(operation).await?; // no commit told whether it was right
                    continue;
                }
                return Ok(answer);
            };
            let commit = commit::command(&operation.place(), read.record.as_deref(), &write, now);
            drop(write); // it is in the commit now
            #[cfg(feature = "testing")]
            let commit = commit.moved_by(self.link.moved());
            let committed = match self.link.commit(&commit).await {
                Err(_) if is_planted(Bug::AnsweredBeforeCommit) => Committed::Done,
                committed => committed?,
            };
            match committed {
                Committed::Done => return Ok(answer),
                Committed::Stale(record) => (read.record, is_guessed) = (record, false),
                Committed::ClockOff(server_now) => self.link.learn_time(server_now),
                Committed::NumberTaken if redraws == MOST_REDRAWS => return Err(StoreError::NoFreeNumber),
                Committed::NumberTaken => {
                    operation.redraw(&self.vault);
                    redraws += 1;
                }
            }
        }
        Err(StoreError::Contended)
    }

    /// At most `limit` mails that are due, and whether there may be more.
    async fn due(&self, limit: usize) -> Result<(Vec<MessageKey>, bool), StoreError> {
        let now = self.link.now();
        let first_shard = fastrand::usize(..SHARDS); // so that no shard is always last
        let queues: Vec<_> = (0..SHARDS).map(|shard| keys::queue((first_shard + shard) % SHARDS)).collect();
        let of_each = limit.div_ceil(SHARDS_FOR_ALL);
        let members = self.link.due_members(&queues, now, of_each).await?;
        let is_cut_off = members.iter().any(|of_shard| of_shard.len() == of_each);
        let mut due: Vec<_> = members.iter().flatten().filter_map(|member| keys::message_at(member)).collect();
        let may_be_more = is_cut_off || due.len() > limit;
        due.truncate(limit);
        Ok((due, may_be_more))
    }

    /// The lease; none when it is not to be sent, or the claim failed: then it stays in its queue.
    async fn claim(&self, key: MessageKey) -> Option<LeasedMessage> {
        match self.run(Claiming { key }).await {
            Ok(leased) => leased,
            Err(error @ StoreError::Damaged(_)) => {
                tell_of_unreadable(&key, &error);
                let queue = keys::queue(Handle(key.handle).shard());
                // without an answer somebody sets it aside at its next claim
                let _ = self.link.postpone(queue, &keys::member(&key), self.link.now() + SET_ASIDE).await;
                None
            }
            Err(_) => None,
        }
    }
}

impl Records for Redis {
    fn vault(&self) -> &Vault {
        &self.vault
    }

    /// In turn with the cell's others on the same record; what only reads waits for nobody.
    fn run<O: Operation + Send + 'static>(&self, mut operation: O) -> impl Future<Output = Result<O::Answer, StoreError>> {
        let has_begun = Cell::new(false);
        async move {
            let work = timeout(LONGEST, async {
                let _turn = if operation.may_write() { Some(self.lanes.turn(operation.place().handle).await) } else { None };
                has_begun.set(true);
                self.try_until_committed(&mut operation).await
            });
            let too_slow = || StoreError::Unavailable("Redis is too slow".to_owned());
            work.await.unwrap_or_else(|_| Err(if has_begun.get() { too_slow() } else { StoreError::Contended }))
        }
    }

    async fn find(&self, application: &ApplicationName, number: &IdentityNumber) -> Result<Option<VerificationId>, StoreError> {
        let shard = usize::try_from(number.shard(SHARDS as u64)).expect("there are 64 shards");
        let sealed = self.link.get(keys::number(shard, &self.vault.lookup(application, number))).await?;
        sealed.map(|sealed| self.vault.open_id(number, &sealed)).transpose()
    }

    async fn count_mails(&self) -> Result<MailCounts, StoreError> {
        self.link.count_mails(self.link.now()).await
    }

    async fn stretch(&self, list: MailList, after: Option<Place>) -> Result<Stretch, StoreError> {
        let now = self.link.now();
        let windows = self.link.windows(list, after.map(|place| place.at), now, LISTED_OF_EACH).await?;
        let (places, next) = merge(list, after, windows, LISTED_OF_EACH);
        let records: Vec<_> = places.iter().filter_map(|place| keys::message_at(&place.member)).collect();
        let records = self.link.get_all(records.iter().map(keys::record)).await?;
        let snapshots = records.into_iter().map(|record| Snapshot { record, token: None });
        Ok(Stretch { now, mails: places.into_iter().zip(snapshots).collect(), next })
    }

    /// Of all shards in turn.
    async fn claim_due(&self, limit: usize) -> Result<Claimed, StoreError> {
        let (due, may_be_more) = self.due(limit).await?;
        let claims = join_all(due.into_iter().map(|key| self.claim(key))).await;
        Ok(Claimed { messages: claims.into_iter().flatten().collect(), may_be_more })
    }
}

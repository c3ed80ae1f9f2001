use std::ops::Bound;

use redb::{Database, Error, ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction};

use crate::{
    domain::{MailCounts, MessageKey, Moment, transitions::Effect},
    store::{
        MailList, Place, Stretch,
        keys::{member, message_at},
        listing::STRETCH,
        operations::{Operation, Reads, Sealed, Snapshot, Write},
    },
};

type Hash = [u8; 16];
type Member = [u8; 32];

/// handle to (kept until, sealed record)
const RECORDS: TableDefinition<Hash, (u64, &[u8])> = TableDefinition::new("records");
/// verification to (kept until, sealed token)
const TOKENS: TableDefinition<Hash, (u64, &[u8])> = TableDefinition::new("tokens");
/// key of a number to (kept until, sealed id)
const NUMBERS: TableDefinition<Hash, (u64, &[u8])> = TableDefinition::new("numbers");
/// (due at, mail): the queue in order
const QUEUE: TableDefinition<(u64, Member), ()> = TableDefinition::new("queue");
/// mail to due at: where it stands in the queue
const QUEUED: TableDefinition<Member, u64> = TableDefinition::new("queued");
/// (failed at, mail)
const FAILED: TableDefinition<(u64, Member), ()> = TableDefinition::new("failed");
/// mail to failed at: where it stands among those that failed
const LISTED: TableDefinition<Member, u64> = TableDefinition::new("listed");
/// (kept until, kind, handle or verification): what to sweep, in order
const EXPIRY: TableDefinition<(u64, u8, Hash), ()> = TableDefinition::new("expiry");
/// one row: fingerprint and origin of the key ring
const RING: TableDefinition<(), (&str, &str)> = TableDefinition::new("ring");

const A_RECORD: u8 = 0;
const A_TOKEN: u8 = 1;
const A_NUMBER: u8 = 2;
/// Expired rows that one commit takes away at most.
const MOST_SWEPT: usize = 256;
const FAILED_LISTED_MS: u64 = 3_600_000;

/// The tables of one write transaction.
pub(super) struct Tables<'txn> {
    records: Table<'txn, Hash, (u64, &'static [u8])>,
    tokens: Table<'txn, Hash, (u64, &'static [u8])>,
    numbers: Table<'txn, Hash, (u64, &'static [u8])>,
    queue: Ranked<'txn>,
    failed: Ranked<'txn>,
    expiry: Table<'txn, (u64, u8, Hash), ()>,
}

impl<'txn> Tables<'txn> {
    pub(super) fn open(transaction: &'txn WriteTransaction) -> Result<Self, Error> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            tokens: transaction.open_table(TOKENS)?,
            numbers: transaction.open_table(NUMBERS)?,
            queue: Ranked { in_order: transaction.open_table(QUEUE)?, places: transaction.open_table(QUEUED)? },
            failed: Ranked { in_order: transaction.open_table(FAILED)?, places: transaction.open_table(LISTED)? },
            expiry: transaction.open_table(EXPIRY)?,
        })
    }

    pub(super) fn read(&self, operation: &impl Operation) -> Result<Snapshot, Error> {
        let place = operation.place();
        let value = |found: Option<redb::AccessGuard<'_, (u64, &'static [u8])>>| found.map(|row| row.value().1.to_vec());
        let record = value(self.records.get(place.handle)?);
        let token = if operation.reads() == Reads::RecordAndToken { value(self.tokens.get(place.verification)?) } else { None };
        Ok(Snapshot { record, token })
    }

    /// The sealed id that a number leads to.
    pub(super) fn id_of(&self, lookup: Hash, now: Moment) -> Result<Option<Vec<u8>>, Error> {
        let found = self.numbers.get(lookup)?.map(|row| (row.value().0, row.value().1.to_vec()));
        Ok(found.filter(|(until, _)| *until > now.0).map(|(_, sealed)| sealed))
    }

    /// Whether a number that `write` stores leads somewhere already.
    pub(super) fn is_number_taken(&self, write: &Write, now: Moment) -> Result<bool, Error> {
        let new_number = write.effects.iter().find_map(|effect| match effect {
            Effect::StoreNumber(lookup, _) => Some(*lookup),
            _ => None,
        });
        new_number.map_or(Ok(false), |lookup| Ok(self.id_of(lookup, now)?.is_some()))
    }

    pub(super) fn write(&mut self, place: &MessageKey, write: &Write, now: Moment) -> Result<(), Error> {
        match &write.record {
            Some((sealed, until)) => put(&mut self.records, &mut self.expiry, A_RECORD, place.handle, (until.0, sealed))?,
            None => remove(&mut self.records, &mut self.expiry, A_RECORD, place.handle)?,
        }
        for &effect in &write.effects {
            self.apply(effect, place, &write.sealed, now)?;
        }
        Ok(())
    }

    fn apply(&mut self, effect: Effect, place: &MessageKey, sealed: &Sealed, now: Moment) -> Result<(), Error> {
        let verification = place.verification;
        let Self { tokens, numbers, expiry, .. } = self;
        match effect {
            Effect::Enqueue(due_at) => self.queue.put(&member(place), due_at),
            Effect::Unqueue => self.queue.remove(&member(place)),
            Effect::ListAsFailed => self.failed.put(&member(place), now),
            Effect::UnlistFailed => self.failed.remove(&member(place)),
            Effect::StoreToken(until) => put(tokens, expiry, A_TOKEN, verification, (until.0, &sealed.token)),
            Effect::KeepToken(until) => keep(tokens, expiry, A_TOKEN, verification, until),
            Effect::DropToken => remove(tokens, expiry, A_TOKEN, verification),
            Effect::StoreNumber(lookup, until) => put(numbers, expiry, A_NUMBER, lookup, (until.0, &sealed.id)),
            Effect::KeepNumber(lookup, until) => keep(numbers, expiry, A_NUMBER, lookup, until),
            Effect::DropNumber(lookup) => remove(numbers, expiry, A_NUMBER, lookup),
            Effect::Unlist(verification) => self.failed.remove(&member(&MessageKey { verification, ..*place })),
            Effect::Forget { verification, number } => {
                remove(tokens, expiry, A_TOKEN, verification)?;
                number.map_or(Ok(()), |number| remove(numbers, expiry, A_NUMBER, number))?;
                self.queue.remove(&member(&MessageKey { verification, ..*place }))
            }
        }
    }

    /// Lets a mail that stands in the queue stand there until `due_at`.
    pub(super) fn postpone(&mut self, key: &MessageKey, due_at: Moment) -> Result<(), Error> {
        self.queue.put(&member(key), due_at)
    }

    /// The mails that are due, the longest waiting first, at most `limit`.
    pub(super) fn due(&self, now: Moment, limit: usize) -> Result<Vec<MessageKey>, Error> {
        let due = self.queue.in_order.range(..=(now.0, [0xff; 32]))?.take(limit);
        let keys = due.map(|row| Ok(message_at(&row?.0.value().1)));
        Ok(keys.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten().collect())
    }

    /// How many mails stand in the queue, by state.
    pub(super) fn count_mails(&self, now: Moment) -> Result<MailCounts, Error> {
        let due = self.queue.in_order.range(..=(now.0, [0xff; 32]))?.count() as u64;
        let failed = self.failed.in_order.range(long_ago(now)..)?.count() as u64;
        Ok(MailCounts { due, later: self.queue.in_order.len()? - due, failed })
    }

    /// The next mails of a list behind a place, with their records.
    pub(super) fn stretch(&self, list: MailList, after: Option<Place>, now: Moment) -> Result<Stretch, Error> {
        let after = after.map(|Place { at, member }| (at, member));
        let rows: Vec<(u64, Member)> = match list {
            MailList::Queue => {
                let from = after.map_or(Bound::Unbounded, Bound::Excluded);
                places(self.queue.in_order.range((from, Bound::Unbounded))?)?
            }
            MailList::Failed => {
                // behind a place that is no longer listed there is nothing
                let to = after.map_or((u64::MAX, [0xff; 32]), |after| after.max(long_ago(now)));
                places(self.failed.in_order.range(long_ago(now)..to)?.rev())?
            }
        };
        let mails = rows.into_iter().map(|(at, member)| {
            let handle = message_at(&member).map(|key| key.handle).unwrap_or_default();
            let record = self.records.get(handle)?.map(|row| row.value().1.to_vec());
            Ok((Place { at, member }, Snapshot { record, token: None }))
        });
        let mails: Vec<_> = mails.collect::<Result<_, Error>>()?;
        let next = if mails.len() == STRETCH { mails.last().map(|(place, _)| *place) } else { None };
        Ok(Stretch { now, mails, next })
    }

    /// Takes away what expired; whether there was anything.
    pub(super) fn sweep(&mut self, now: Moment) -> Result<bool, Error> {
        let expired = self.expiry.range(..(now.0, 0, [0; 16]))?.take(MOST_SWEPT);
        let expired: Vec<_> = expired.map(|row| Ok(row?.0.value())).collect::<Result<_, Error>>()?;
        for &(_, kind, hash) in &expired {
            let table = match kind {
                A_RECORD => &mut self.records,
                A_TOKEN => &mut self.tokens,
                _ => &mut self.numbers,
            };
            remove(table, &mut self.expiry, kind, hash)?;
        }
        let listed = self.failed.in_order.range(..long_ago(now))?.take(MOST_SWEPT);
        let listed: Vec<_> = listed.map(|row| Ok(row?.0.value())).collect::<Result<_, Error>>()?;
        for (at, member) in &listed {
            self.failed.in_order.remove((*at, *member))?;
            self.failed.places.remove(member)?;
        }
        Ok(!expired.is_empty() || !listed.is_empty())
    }
}

/// Mails in order of a moment.
struct Ranked<'txn> {
    in_order: Table<'txn, (u64, Member), ()>,
    /// Where each stands.
    places: Table<'txn, Member, u64>,
}

impl Ranked<'_> {
    /// Each stands there once, at its newest moment.
    fn put(&mut self, member: &Member, at: Moment) -> Result<(), Error> {
        self.remove(member)?;
        self.places.insert(member, at.0)?;
        self.in_order.insert((at.0, *member), ())?;
        Ok(())
    }

    fn remove(&mut self, member: &Member) -> Result<(), Error> {
        let at = self.places.remove(member)?.map(|row| row.value());
        if let Some(at) = at {
            self.in_order.remove((at, *member))?;
        }
        Ok(())
    }
}

type RankedRow<'a> = (redb::AccessGuard<'a, (u64, Member)>, redb::AccessGuard<'a, ()>);

fn places<'a>(rows: impl Iterator<Item = Result<RankedRow<'a>, redb::StorageError>>) -> Result<Vec<(u64, Member)>, Error> {
    rows.take(STRETCH).map(|row| Ok(row?.0.value())).collect()
}

/// Before everything that is still listed as failed.
fn long_ago(now: Moment) -> (u64, Member) {
    (now.0.saturating_sub(FAILED_LISTED_MS), [0; 32])
}

type Rows<'txn> = Table<'txn, Hash, (u64, &'static [u8])>;
type Expiry<'txn> = Table<'txn, (u64, u8, Hash), ()>;

fn put(rows: &mut Rows<'_>, expiry: &mut Expiry<'_>, kind: u8, hash: Hash, row: (u64, &[u8])) -> Result<(), Error> {
    let before = rows.insert(hash, row)?.map(|before| before.value().0);
    if let Some(until) = before.filter(|&until| until != row.0) {
        expiry.remove((until, kind, hash))?;
    }
    expiry.insert((row.0, kind, hash), ())?;
    Ok(())
}

fn keep(rows: &mut Rows<'_>, expiry: &mut Expiry<'_>, kind: u8, hash: Hash, until: Moment) -> Result<(), Error> {
    let sealed = rows.get(hash)?.map(|row| row.value().1.to_vec());
    sealed.map_or(Ok(()), |sealed| put(rows, expiry, kind, hash, (until.0, &sealed)))
}

fn remove(rows: &mut Rows<'_>, expiry: &mut Expiry<'_>, kind: u8, hash: Hash) -> Result<(), Error> {
    let until = rows.remove(hash)?.map(|row| row.value().0);
    if let Some(until) = until {
        expiry.remove((until, kind, hash))?;
    }
    Ok(())
}

/// Writes a ring's fingerprint and origin where there is none, and reads what is there.
pub(super) fn claim_ring(database: &Database, fingerprint: &str, origin: &str) -> Result<(String, String), Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true); // else this would be what a damaged file falls back from
    transaction.set_quick_repair(true);
    let found = {
        let mut ring = transaction.open_table(RING)?;
        let found = ring.get(())?.map(|row| (row.value().0.to_owned(), row.value().1.to_owned()));
        if let Some(found) = found {
            found
        } else {
            ring.insert((), (fingerprint, origin))?;
            (fingerprint.to_owned(), origin.to_owned())
        }
    };
    transaction.commit()?;
    Ok(found)
}

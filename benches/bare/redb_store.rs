//! The rows that the daemon writes, by one thread that commits together what waits.

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use redb::{Database, ReadableTable, Table, TableDefinition};
use tokio::sync::oneshot;

use super::{Place, Sizes, now, value};

type Hash = [u8; 16];
type Member = [u8; 32];

const RECORDS: TableDefinition<Hash, (u64, &[u8])> = TableDefinition::new("records");
const TOKENS: TableDefinition<Hash, (u64, &[u8])> = TableDefinition::new("tokens");
const QUEUE: TableDefinition<(u64, Member), ()> = TableDefinition::new("queue");
const QUEUED: TableDefinition<Member, u64> = TableDefinition::new("queued");
const EXPIRY: TableDefinition<(u64, u8, Hash), ()> = TableDefinition::new("expiry");

const HOUR_MS: u64 = 3_600_000;
const LEASE_MS: u64 = 60_000;
const LIFE_MS: u64 = 600_000;
const LINGERING_MS: u64 = 60_000;
const A_RECORD: u8 = 0;
const A_TOKEN: u8 = 1;
const MOST_TOGETHER: usize = 1024;

enum Change {
    Start,
    Check { is_right: bool },
}

struct Job {
    place: Place,
    change: Change,
    done: oneshot::Sender<()>,
}

pub struct RedbStore {
    jobs: Sender<Job>,
}

impl RedbStore {
    pub fn open(path: &str, sizes: Sizes) -> anyhow::Result<Self> {
        let database = Database::create(path)?;
        let (jobs, asked) = channel();
        thread::Builder::new().name("writer".to_owned()).spawn(move || write_all(&database, &asked, sizes))?;
        Ok(Self { jobs })
    }

    pub async fn start(&self, place: Place) -> anyhow::Result<()> {
        self.run(place, Change::Start).await
    }

    pub async fn check(&self, place: Place, is_right: bool) -> anyhow::Result<()> {
        self.run(place, Change::Check { is_right }).await
    }

    async fn run(&self, place: Place, change: Change) -> anyhow::Result<()> {
        let (done, is_done) = oneshot::channel();
        self.jobs.send(Job { place, change, done })?;
        Ok(is_done.await?)
    }
}

fn write_all(database: &Database, asked: &Receiver<Job>, sizes: Sizes) {
    while let Ok(first) = asked.recv() {
        let jobs: Vec<Job> = std::iter::once(first).chain(asked.try_iter().take(MOST_TOGETHER - 1)).collect();
        if let Err(error) = write(database, &jobs, sizes) {
            eprintln!("bare: {error}");
            return;
        }
        for job in jobs {
            let _ = job.done.send(()); // who asked may have gone
        }
    }
}

fn write(database: &Database, jobs: &[Job], sizes: Sizes) -> anyhow::Result<()> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    {
        let mut tables = Tables {
            records: transaction.open_table(RECORDS)?,
            tokens: transaction.open_table(TOKENS)?,
            queue: transaction.open_table(QUEUE)?,
            queued: transaction.open_table(QUEUED)?,
            expiry: transaction.open_table(EXPIRY)?,
        };
        for job in jobs {
            match job.change {
                Change::Start => tables.start(&job.place, sizes)?,
                Change::Check { is_right } => tables.check(&job.place, is_right, sizes)?,
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

struct Tables<'txn> {
    records: Table<'txn, Hash, (u64, &'static [u8])>,
    tokens: Table<'txn, Hash, (u64, &'static [u8])>,
    queue: Table<'txn, (u64, Member), ()>,
    queued: Table<'txn, Member, u64>,
    expiry: Table<'txn, (u64, u8, Hash), ()>,
}

impl Tables<'_> {
    fn start(&mut self, place: &Place, sizes: Sizes) -> anyhow::Result<()> {
        let now = now();
        anyhow::ensure!(self.records.get(place.handle)?.is_none(), "the address is not new");
        self.put_record(place, now + HOUR_MS, sizes.record)?;
        self.put_token(place, now + LIFE_MS, &value(sizes.token))?;
        self.queued.insert(place.member(), now + LEASE_MS)?;
        self.queue.insert((now + LEASE_MS, place.member()), ())?;
        Ok(())
    }

    fn check(&mut self, place: &Place, is_right: bool, sizes: Sizes) -> anyhow::Result<()> {
        anyhow::ensure!(self.records.get(place.handle)?.is_some(), "there is no such record");
        let token = self.tokens.get(place.verification)?.map(|row| row.value().1.to_vec()).unwrap_or_default();
        let now = now();
        self.put_record(place, now + HOUR_MS, sizes.checked_record)?;
        if is_right {
            self.put_token(place, now + LINGERING_MS, &token)?;
            self.unqueue(place)?;
        }
        Ok(())
    }

    fn unqueue(&mut self, place: &Place) -> anyhow::Result<()> {
        let due_at = self.queued.remove(place.member())?.map(|row| row.value());
        if let Some(due_at) = due_at {
            self.queue.remove((due_at, place.member()))?;
        }
        Ok(())
    }

    fn put_record(&mut self, place: &Place, until: u64, size: usize) -> anyhow::Result<()> {
        let before = self.records.insert(place.handle, (until, value(size).as_slice()))?.map(|row| row.value().0);
        if let Some(before) = before {
            self.expiry.remove((before, A_RECORD, place.handle))?;
        }
        self.expiry.insert((until, A_RECORD, place.handle), ())?;
        Ok(())
    }

    fn put_token(&mut self, place: &Place, until: u64, token: &[u8]) -> anyhow::Result<()> {
        let before = self.tokens.insert(place.verification, (until, token))?.map(|row| row.value().0);
        if let Some(before) = before {
            self.expiry.remove((before, A_TOKEN, place.verification))?;
        }
        self.expiry.insert((until, A_TOKEN, place.verification), ())?;
        Ok(())
    }
}

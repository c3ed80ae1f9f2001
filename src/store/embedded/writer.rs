use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use redb::{Database, Error, WriteTransaction};
use tokio::sync::oneshot;

use super::{OpenError, mend, open, tables::Tables};
use crate::{
    clock::Clock,
    domain::{ApplicationName, Claimed, IdentityNumber, MailCounts, Moment, VerificationId},
    store::{
        MOST_REDRAWS, MailList, Place, Records, SET_ASIDE, StoreError, Stretch, Vault,
        operations::{Claiming, Operation},
        tell_of_unreadable,
    },
};

/// Operations that one commit makes durable at most.
const MOST_TOGETHER: usize = 1024;
/// How long nothing is asked for until what expired is swept all the same.
const SWEEP_AFTER: Duration = Duration::from_secs(30);

/// The one thread that reads and writes the file. Every cell's store sends it what is asked for; it ends with the last
/// of them.
#[derive(Clone)]
pub struct Writer {
    jobs: mpsc::Sender<Job>,
    vault: Vault,
    commits: Arc<AtomicU64>,
}

/// Runs within a transaction; what it returns is called once the transaction is durable, or with why it is not.
type Job = Box<dyn FnOnce(&mut Tables<'_>, &mut Batch) -> Result<(), Error> + Send>;
type Answer = Box<dyn FnOnce(Result<(), &StoreError>) + Send>;

/// What one transaction gathers.
struct Batch {
    now: Moment,
    has_written: bool,
    /// Whether nothing could be committed since an error.
    has_failed_before: bool,
    answers: Vec<Answer>,
}

impl Writer {
    /// Opens the file and starts the thread.
    ///
    /// # Errors
    /// [`OpenError`] when the file cannot be used, another daemon's for example.
    pub fn start(path: &Path, vault: Vault, clock: Clock) -> Result<Self, OpenError> {
        let path = path.to_owned();
        Self::start_on(move || open(&path), vault, clock)
    }

    /// [`Self::start`] on what `open` opens, now and after each error: tests have disks that fail.
    ///
    /// # Errors
    /// [`OpenError`] when it cannot be opened now.
    pub fn start_on(
        open: impl Fn() -> Result<Database, OpenError> + Send + 'static,
        vault: Vault,
        clock: Clock,
    ) -> Result<Self, OpenError> {
        let database = Some(open()?);
        let (jobs, waiting) = mpsc::channel();
        let commits = Arc::new(AtomicU64::new(0));
        let thread = WriterThread { open: Box::new(open), database, clock, waiting, commits: commits.clone(), has_failed: false };
        let spawned = thread::Builder::new().name("fiador-writer".to_owned()).spawn(move || thread.run());
        spawned.map_err(OpenError::Thread)?;
        Ok(Self { jobs, vault, commits })
    }

    /// How many transactions became durable since the start.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Whether the file can be read; and written, if the last commit failed.
    ///
    /// # Errors
    /// `Unavailable`, with why it cannot.
    pub async fn check_file(&self) -> Result<(), StoreError> {
        let check = self.submit(|_, batch| {
            batch.has_written |= batch.has_failed_before;
            Ok(())
        });
        check.await
    }

    async fn submit<A: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tables<'_>, &mut Batch) -> Result<A, Error> + Send + 'static,
    ) -> Result<A, StoreError> {
        let (reply, answered) = oneshot::channel();
        let job: Job = Box::new(move |tables, batch| {
            let answer = work(tables, batch)?;
            batch.answers.push(Box::new(move |durable| {
                let _ = reply.send(durable.map(|()| answer).map_err(|failed| StoreError::Unavailable(failed.to_string())));
            }));
            Ok(())
        });
        let gone = || StoreError::Unavailable("the embedded store could not write".to_owned());
        self.jobs.send(job).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

impl Records for Writer {
    fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Reads, decides, commits, and answers once that is durable.
    async fn run<O>(&self, mut operation: O) -> Result<O::Answer, StoreError>
    where
        O: Operation + Send + 'static,
        O::Answer: Send + 'static,
    {
        let vault = self.vault.clone();
        self.submit(move |tables, batch| run_one(&vault, &mut operation, tables, batch)).await?
    }

    async fn find(&self, application: &ApplicationName, number: &IdentityNumber) -> Result<Option<VerificationId>, StoreError> {
        let lookup = self.vault.lookup(application, number);
        let sealed = self.submit(move |tables, batch| tables.id_of(lookup, batch.now)).await?;
        sealed.map(|sealed| self.vault.open_id(number, &sealed)).transpose()
    }

    async fn count_mails(&self) -> Result<MailCounts, StoreError> {
        self.submit(|tables, batch| tables.count_mails(batch.now)).await
    }

    async fn stretch(&self, list: MailList, after: Option<Place>) -> Result<Stretch, StoreError> {
        self.submit(move |tables, batch| tables.stretch(list, after, batch.now)).await
    }

    /// The longest waiting first.
    async fn claim_due(&self, limit: usize) -> Result<Claimed, StoreError> {
        let vault = self.vault.clone();
        let claim = move |tables: &mut Tables<'_>, batch: &mut Batch| {
            let due = tables.due(batch.now, limit)?;
            let may_be_more = due.len() == limit;
            let mut messages = Vec::new();
            for key in due {
                match run_one(&vault, &mut Claiming { key }, tables, batch)? {
                    Ok(leased) => messages.extend(leased),
                    Err(cause) => {
                        tell_of_unreadable(&key, &cause);
                        tables.postpone(&key, batch.now + SET_ASIDE)?;
                        batch.has_written = true;
                    }
                }
            }
            Ok(Claimed { messages, may_be_more })
        };
        self.submit(claim).await
    }
}

fn run_one<O: Operation>(
    vault: &Vault,
    operation: &mut O,
    tables: &mut Tables<'_>,
    batch: &mut Batch,
) -> Result<Result<O::Answer, StoreError>, Error> {
    let read = tables.read(operation)?;
    for _ in 0..=MOST_REDRAWS {
        let decision = match operation.decide(vault, &read, batch.now) {
            Ok(decision) => decision,
            Err(damaged) => return Ok(Err(damaged)),
        };
        let Some(write) = &decision.write else { return Ok(Ok(decision.answer)) };
        if !tables.is_number_taken(write, batch.now)? {
            tables.write(&operation.place(), write, batch.now)?;
            batch.has_written = true;
            return Ok(Ok(decision.answer));
        }
        operation.redraw(vault);
    }
    Ok(Err(StoreError::NoFreeNumber))
}

struct WriterThread {
    open: Box<dyn Fn() -> Result<Database, OpenError> + Send>,
    /// None after an error of the file, until it could be opened anew.
    database: Option<Database>,
    clock: Clock,
    waiting: Receiver<Job>,
    commits: Arc<AtomicU64>,
    /// Since an error nothing could be committed: told once.
    has_failed: bool,
}

impl WriterThread {
    fn run(mut self) {
        loop {
            let jobs: Vec<Job> = match self.waiting.recv_timeout(SWEEP_AFTER) {
                Ok(first) => std::iter::once(first).chain(self.waiting.try_iter().take(MOST_TOGETHER - 1)).collect(),
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // a panic drops the transaction with all it did, and the askers learn that it failed
            let failed = match catch_unwind(AssertUnwindSafe(|| self.commit_together(jobs))) {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => told(&error),
                Err(_) => "a panic, told above".to_owned(),
            };
            self.tell_of_failure(&failed);
            self.database = None; // redb writes nothing more after an error: it is opened anew, and repairs itself
        }
    }

    /// Once, until something could be committed; what follows while it lasts is for who looks closely.
    fn tell_of_failure(&mut self, cause: &str) {
        if std::mem::replace(&mut self.has_failed, true) {
            tracing::debug!(cause, "embedded store still could not write");
        } else {
            tracing::error!(cause, "embedded store could not write; answering 503 until it can");
        }
    }

    fn note_commit(&mut self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        if std::mem::take(&mut self.has_failed) {
            tracing::info!("embedded store writes again");
        }
    }

    fn commit_together(&mut self, jobs: Vec<Job>) -> Result<(), Error> {
        let database = match &mut self.database {
            Some(database) => database,
            closed => closed.insert((self.open)().map_err(|error| Error::Io(std::io::Error::other(error)))?),
        };
        let mut transaction = database.begin_write()?;
        transaction.set_two_phase_commit(true);
        transaction.set_quick_repair(true);
        let (now, has_failed_before) = (self.clock.now(), self.has_failed);
        let mut batch = Batch { now, has_written: false, has_failed_before, answers: Vec::with_capacity(jobs.len()) };
        let mut tables = Tables::open(&transaction)?;
        for job in jobs {
            job(&mut tables, &mut batch)?;
        }
        batch.has_written |= tables.sweep(batch.now)?;
        drop(tables);
        let durable = if batch.has_written { self.commit(transaction) } else { transaction.abort().map_err(Error::from) };
        let told = durable.as_ref().copied().map_err(|error| StoreError::Unavailable(told(error)));
        for answer in batch.answers {
            answer(told.as_ref().copied());
        }
        durable
    }

    /// Returns once it is durable.
    fn commit(&mut self, transaction: WriteTransaction) -> Result<(), Error> {
        fail::fail_point!("embedded.commit.before");
        transaction.commit()?;
        fail::fail_point!("embedded.commit.after");
        self.note_commit();
        Ok(())
    }
}

/// What went wrong and, where that is known, what mends it.
fn told(error: &Error) -> String {
    let mend = match error {
        Error::Io(cause) => mend(cause),
        _ => None,
    };
    mend.map_or_else(|| error.to_string(), |mend| format!("{error}; {mend}"))
}

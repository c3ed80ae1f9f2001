//! The audit log: what was asked for in whose name, and what came of it, one JSON object a line, only ever appended.
//!
//! A line holds nothing that its reader must not know or that could write a second line: addresses are masked, of ids and
//! keys there are keyed hashes and labels, and everything else is a word of ours, a declared name, an IP address or a time.
//!
//! Lines are written by a thread of their own, so that no cell waits for a disk. What does not fit into its queue, or cannot
//! be written, is lost; how many were is written as soon as there is room.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Write},
    net::IpAddr,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    clock::Clock,
    domain::{ApplicationName, KeyLabel, Purpose},
};

/// Lines on their way to the writer: some seconds of a busy daemon.
const QUEUE: usize = 16_384;
/// How much is gathered into one write.
const BATCH_BYTES: usize = 64 * 1024;
/// How long a stop waits for what is queued.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To standard output.
    Stdout,
    /// To the end of a file, made for its owner alone when it is missing.
    File(PathBuf),
}

/// The file cannot be opened.
#[derive(Debug, Error)]
#[error("audit.to: {}: {cause}", path.display())]
pub struct AuditError {
    path: PathBuf,
    cause: io::Error,
}

/// Takes lines. Cheap to clone; all clones write to the same place.
#[derive(Clone)]
pub struct AuditLog(Option<Arc<Open>>);

struct Open {
    orders: SyncSender<Order>,
    lost: Arc<AtomicU64>,
    destination: Destination,
    clock: Clock,
    naming_key: Zeroizing<[u8; 32]>,
}

/// What the writer is told.
enum Order {
    Append(Vec<u8>),
    /// The file was opened anew, because the old one may have been moved away.
    Switch(File),
    /// Write what is queued, and say when that is done.
    Finish(SyncSender<()>),
}

/// One line, its time apart. What is not known is left out.
#[derive(Default, Serialize)]
pub struct Entry<'a> {
    /// What was asked for, `verification.start` for example.
    pub event: &'static str,
    /// The HTTP status that was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it was refused: the problem's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// Why a key opened nothing, which its presenter is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// In whose name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<&'a ApplicationName>,
    /// With which of its keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyLabel>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// The request, as its reply names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'a str>,
    /// The verification: [`AuditLog::hash_of`] its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<String>,
    /// The user: [`AuditLog::hash_of`] its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The address, masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<&'a str>,
    /// What for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<&'a Purpose>,
    /// What has changed, for events of the configuration.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub changes: &'a [String],
    /// How many lines are missing here, for `audit.lost`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(flatten)]
    entry: &'a Entry<'a>,
}

impl AuditLog {
    /// One that keeps nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Appends to `destination` from here on. `naming_key` makes the hashes of ids.
    ///
    /// # Errors
    /// [`AuditError`] when the file cannot be opened.
    pub fn start(destination: Destination, clock: Clock, naming_key: Zeroizing<[u8; 32]>) -> Result<Self, AuditError> {
        let output: Box<dyn Write + Send> = match &destination {
            Destination::Stdout => Box::new(io::stdout()),
            Destination::File(path) => Box::new(open(path)?),
        };
        let (orders, queue) = sync_channel(QUEUE);
        let lost = Arc::<AtomicU64>::default();
        let writer = Writer::new(output, lost.clone(), clock.clone());
        let spawned = thread::Builder::new().name("fiador-audit".to_owned()).spawn(move || writer.run(&queue));
        spawned.map_err(|cause| AuditError { path: "its thread".into(), cause })?;
        Ok(Self(Some(Arc::new(Open { orders, lost, destination, clock, naming_key }))))
    }

    /// Whether lines are kept at all.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// What the log calls the verification or user of this id: the same each time, and nothing that leads back to the id.
    pub fn hash_of(&self, id: &str) -> Option<String> {
        let open = self.0.as_ref()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(open.naming_key.as_slice()).expect("HMAC takes keys of any length");
        mac.update(id.as_bytes());
        Some(mac.finalize().into_bytes()[..8].iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
    }

    /// Appends a line, or counts it as lost. It never waits.
    pub fn append(&self, entry: &Entry<'_>) {
        let Some(open) = &self.0 else { return };
        if open.orders.try_send(Order::Append(line(&open.clock, entry))).is_err() {
            open.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Opens the file anew, for whoever has moved the old one away.
    ///
    /// # Errors
    /// [`AuditError`]: the old one is written on.
    pub fn reopen(&self) -> Result<(), AuditError> {
        if let Some(Open { orders, destination: Destination::File(path), .. }) = self.0.as_deref() {
            let _ = orders.send(Order::Switch(open(path)?)); // it ends with the process only
        }
        Ok(())
    }

    /// Returns when all that was appended is written, or after two seconds.
    pub fn finish(&self) {
        let Some(open) = &self.0 else { return };
        let (done, finished) = sync_channel(1);
        if open.orders.send(Order::Finish(done)).is_ok() && finished.recv_timeout(LAST_LINES) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("audit log was not written to its end");
        }
    }
}

fn open(path: &Path) -> Result<File, AuditError> {
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    let judged = opened.and_then(|file| judge(&file.metadata()?).map(|()| file));
    judged.map_err(|cause| AuditError { path: path.to_owned(), cause })
}

/// What others may write is no record of what was done; devices and pipes keep none.
fn judge(found: &Metadata) -> io::Result<()> {
    if found.is_file() && found.mode() & 0o022 != 0 {
        return Err(io::Error::other("can be written by others than its owner; chmod go-w it"));
    }
    Ok(())
}

fn line(clock: &Clock, entry: &Entry<'_>) -> Vec<u8> {
    let line = Line { time: clock.now().rfc3339(), entry };
    let mut bytes = serde_json::to_vec(&line).expect("its keys are strings, its values plain");
    bytes.push(b'\n');
    bytes
}

struct Writer {
    output: Box<dyn Write + Send>,
    lost: Arc<AtomicU64>,
    clock: Clock,
    batch: Vec<u8>,
    lines_in_batch: u64,
    is_failing: bool,
}

impl Writer {
    fn new(output: Box<dyn Write + Send>, lost: Arc<AtomicU64>, clock: Clock) -> Self {
        Self { output, lost, clock, batch: Vec::new(), lines_in_batch: 0, is_failing: false }
    }

    /// Carries orders out until nobody can give one. What waits is written together.
    fn run(mut self, queue: &Receiver<Order>) {
        while let Ok(order) = queue.recv() {
            self.carry_out(order);
            while self.batch.len() < BATCH_BYTES
                && let Ok(order) = queue.try_recv()
            {
                self.carry_out(order);
            }
            self.write_batch();
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Append(line) => {
                self.batch.extend_from_slice(&line);
                self.lines_in_batch += 1;
            }
            Order::Switch(file) => {
                self.write_batch();
                self.output = Box::new(file);
            }
            Order::Finish(done) => {
                self.write_batch();
                let _ = done.send(()); // whoever asked may have stopped waiting
            }
        }
    }

    fn write_batch(&mut self) {
        let missing = self.lost.swap(0, Ordering::Relaxed);
        let bytes = [self.preface(missing), std::mem::take(&mut self.batch)].concat();
        let lines = std::mem::take(&mut self.lines_in_batch);
        if bytes.is_empty() {
            return;
        }
        let written = self.output.write_all(&bytes).and_then(|()| self.output.flush());
        if written.is_err() {
            self.lost.fetch_add(missing + lines, Ordering::Relaxed);
        }
        self.tell(written.err().as_ref());
    }

    /// What goes before a batch: an end to a line that was cut off, and how many are missing.
    fn preface(&self, missing: u64) -> Vec<u8> {
        if missing == 0 {
            return Vec::new();
        }
        let told = line(&self.clock, &Entry { event: "audit.lost", count: Some(missing), ..Entry::default() });
        if self.is_failing { [b"\n".as_slice(), &told].concat() } else { told }
    }

    /// Tells of the first failure of several, and of their end.
    fn tell(&mut self, failure: Option<&io::Error>) {
        match failure {
            Some(cause) if !self.is_failing => tracing::error!(error = %cause, "audit log cannot be written"),
            None if self.is_failing => tracing::info!("audit log is written again"),
            _ => {}
        }
        self.is_failing = failure.is_some();
    }
}

//! Records in a redb file of our own: one writer thread; what waits is committed together, with one fsync, before any of
//! it is answered.

mod tables;
mod writer;

use std::{
    fs::OpenOptions,
    io::{self, ErrorKind},
    os::unix::fs::OpenOptionsExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use redb::{Database, DatabaseError, StorageError, backends::FileBackend};
use thiserror::Error;

use super::ClaimError;
use crate::private_file::{self, PrivateFileError};
pub use writer::Writer;

/// Why the file cannot be used.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another daemon works on it.
    #[error("{0} is in use by another daemon; one machine, one daemon, or set store.redis_url")]
    InUse(PathBuf),
    /// The file cannot be opened, read or written.
    #[error("{0}: {1}; restore it, or move it away to begin with an empty store")]
    File(PathBuf, String),
    /// It has to grow, and cannot.
    #[error("{}: {}; {}", .0.display(), .1, mend(.1).unwrap_or_default())]
    NoRoom(PathBuf, io::Error),
    /// There is no thread to write it.
    #[error("the embedded store's thread: {0}")]
    Thread(io::Error),
    /// Others may read or change it.
    #[error("{} {}", .0.display(), .1)]
    NotPrivate(PathBuf, PrivateFileError),
}

/// Opens the file, for its owner alone, and makes it when there is none.
fn open(path: &Path) -> Result<Database, OpenError> {
    let failed = |cause: String| OpenError::File(path.to_owned(), cause);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = file.map_err(|error| failed(error.to_string()))?;
    private_file::check_file(path, &file).map_err(|error| OpenError::NotPrivate(path.to_owned(), error))?;
    let made = || FileBackend::new(file).and_then(|backend| Database::builder().create_with_backend(backend));
    match catch_unwind(AssertUnwindSafe(made)) {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(DatabaseError::DatabaseAlreadyOpen)) => Err(OpenError::InUse(path.to_owned())),
        Ok(Err(DatabaseError::Storage(StorageError::Io(cause)))) if mend(&cause).is_some() => {
            Err(OpenError::NoRoom(path.to_owned(), cause))
        }
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed("the file is damaged".to_owned())),
    }
}

/// Reads all of the file against its checksums: what is damaged is to be known before anything of it is served. Commits in two
/// phases leave nothing to fall back on, so a file of ours passes or is refused as it is.
fn verify(path: &Path, database: &mut Database) -> Result<(), OpenError> {
    let checked = catch_unwind(AssertUnwindSafe(|| database.check_integrity()));
    match checked {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(OpenError::File(path.to_owned(), error.to_string())),
        Err(_) => Err(OpenError::File(path.to_owned(), "the file is damaged".to_owned())),
    }
}

/// Tells the file our ring's fingerprint and origin, and answers with those it then holds.
///
/// # Errors
/// Why the file cannot be used, as one line.
pub fn claim_ring(path: &Path, fingerprint: &str, origin: &str) -> Result<(String, String), ClaimError> {
    let mut database = open(path).map_err(|error| ClaimError::Unfit(error.to_string()))?;
    verify(path, &mut database).map_err(|error| ClaimError::Unfit(error.to_string()))?;
    let claimed = tables::claim_ring(&database, fingerprint, origin);
    claimed.map_err(|error| ClaimError::Unfit(format!("{}: {error}", path.display())))
}

/// What makes room for a file that could not grow; none when it failed otherwise.
fn mend(cause: &io::Error) -> Option<&'static str> {
    match cause.kind() {
        ErrorKind::StorageFull => Some("make room on the disk"),
        ErrorKind::QuotaExceeded => Some("raise the disk quota"),
        ErrorKind::FileTooLarge => Some("raise the limit of file sizes (ulimit -f, LimitFSIZE)"),
        _ => None,
    }
}

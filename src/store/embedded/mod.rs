//! Records in a redb file of our own: one writer thread; what waits is committed together, with one fsync, before any of
//! it is answered.

mod tables;
mod writer;

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use redb::{Database, DatabaseError, backends::FileBackend};
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
    /// There is no thread to write it.
    #[error("the embedded store's thread: {0}")]
    Thread(std::io::Error),
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
    match FileBackend::new(file).and_then(|backend| Database::builder().create_with_backend(backend)) {
        Ok(database) => Ok(database),
        Err(DatabaseError::DatabaseAlreadyOpen) => Err(OpenError::InUse(path.to_owned())),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Tells the file our ring's fingerprint and origin, and answers with those it then holds.
///
/// # Errors
/// Why the file cannot be used, as one line.
pub fn claim_ring(path: &Path, fingerprint: &str, origin: &str) -> Result<(String, String), ClaimError> {
    let database = open(path).map_err(|error| ClaimError::Unfit(error.to_string()))?;
    let claimed = tables::claim_ring(&database, fingerprint, origin);
    claimed.map_err(|error| ClaimError::Unfit(format!("{}: {error}", path.display())))
}

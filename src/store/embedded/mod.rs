//! Records in a redb file of our own: one writer thread; what waits is committed together, with one fsync, before any of
//! it is answered.

mod file;
mod tables;
mod writer;

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::ClaimError;
use crate::private_file::PrivateFileError;
use file::{open, verify};
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

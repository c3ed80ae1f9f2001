//! The file: how it is made, opened and verified. It is there whole or not at all, so that one of no bytes is never ours: it has
//! lost what it held.

use std::{
    fmt::Display,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use redb::{Database, DatabaseError, StorageError, backends::FileBackend};

use super::{OpenError, mend};
use crate::{foreseen, private_file};

/// What is said of a file over which redb panics.
const DAMAGED: &str = "the file is damaged";

/// Opens the file, for its owner alone, and makes it when there is none.
pub(super) fn open(path: &Path) -> Result<Database, OpenError> {
    match existing(path)? {
        Some(file) => open_existing(path, file),
        None => make(path),
    }
}

fn existing(path: &Path) -> Result<Option<File>, OpenError> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, error)),
    }
}

fn open_existing(path: &Path, file: File) -> Result<Database, OpenError> {
    private_file::check_file(path, &file).map_err(|error| OpenError::NotPrivate(path.to_owned(), error))?;
    if file.metadata().map_err(|error| failed(path, error))?.len() == 0 {
        return Err(failed(path, "the file has no bytes, what it held is lost"));
    }
    database_in(path, file)
}

/// Makes it under another name, and puts it in its place when it is whole. A crash or a full disk on the way leaves what the next
/// start makes anew. Of those that start at once one makes it: the others wait here, and find it.
fn make(path: &Path) -> Result<Database, OpenError> {
    let directory = directory_of(path).map_err(|error| failed(path, error))?;
    directory.lock().map_err(|error| failed(path, error))?;
    if let Some(file) = existing(path)? {
        return open_existing(path, file);
    }
    if fs::symlink_metadata(path).is_ok() {
        return Err(failed(path, "it is a link to a file that is not there"));
    }
    let draft = draft_of(path);
    let database = database_in(path, draft_file(&draft).map_err(|error| failed(path, error))?)?;
    let placed = fs::rename(&draft, path).and_then(|()| directory.sync_all());
    placed.map_err(|error| failed(path, error))?;
    Ok(database)
}

fn directory_of(path: &Path) -> io::Result<File> {
    File::open(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// A new file; what an earlier start left there goes.
fn draft_file(draft: &Path) -> io::Result<File> {
    match fs::remove_file(draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(draft)
}

/// The database in `file`, which is made when the file is new; what is told of is `path`.
fn database_in(path: &Path, file: File) -> Result<Database, OpenError> {
    let opened = foreseen::catch(|| FileBackend::new(file).and_then(|backend| Database::builder().create_with_backend(backend)));
    match opened {
        Some(Ok(database)) => Ok(database),
        Some(Err(DatabaseError::DatabaseAlreadyOpen)) => Err(OpenError::InUse(path.to_owned())),
        Some(Err(DatabaseError::Storage(StorageError::Io(cause)))) if mend(&cause).is_some() => {
            Err(OpenError::NoRoom(path.to_owned(), cause))
        }
        Some(Err(error)) => Err(failed(path, error)),
        None => Err(failed(path, DAMAGED)),
    }
}

/// Reads all of the file against its checksums: what is damaged is to be known before anything of it is served. Commits in two
/// phases leave nothing to fall back on, so a file of ours passes or is refused as it is.
pub(super) fn verify(path: &Path, database: &mut Database) -> Result<(), OpenError> {
    match foreseen::catch(|| database.check_integrity()) {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(failed(path, error)),
        None => Err(failed(path, DAMAGED)),
    }
}

fn failed(path: &Path, cause: impl Display) -> OpenError {
    OpenError::File(path.to_owned(), cause.to_string())
}

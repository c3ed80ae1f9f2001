//! The application `demo`, which makes a fresh clone usable at once: it is there when no other is declared and only this
//! machine can reach the listener.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use thiserror::Error;
use uuid::Uuid;

use crate::{
    api_key::ApiKey,
    domain::{ApiKeyGrant, Application, ApplicationName, EmailAddress, Limits, Locale, Lookup, SecondStep},
    private_file::{PrivateFile, PrivateFileError},
};

/// No key's file is longer, in bytes.
const LONGEST_FILE: u64 = 1024;

/// Why there is no demo application.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The directory or the key's file cannot be made or read.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file holds something else than a key.
    #[error("{0}: must hold one key, fdr_ and 43 characters; delete it and the next start makes a new one")]
    NotAKey(String),
    /// The key cannot be read, or not by its owner alone.
    #[error("{} {error}", path.display())]
    NotPrivate {
        /// The key's file.
        path: PathBuf,
        /// Why.
        error: PrivateFileError,
    },
}

/// The demo application, its mails sent by `sender`, and the path of its key: `demo.key` in `data_dir`, both made when missing,
/// for their owner alone.
///
/// # Errors
/// [`DemoError`], in one line that names the file.
pub fn application(data_dir: &Path, sender: &EmailAddress) -> Result<(Application, PathBuf), DemoError> {
    let path = data_dir.join("demo.key");
    if !path.try_exists().map_err(|error| failed(&path, error))? {
        make_directory(data_dir).map_err(|error| failed(data_dir, error))?;
        make_key(&path).map_err(|error| failed(&path, error))?;
    }
    let key = read_key(&path)?;
    Ok((declaration(sender, vec![ApiKeyGrant::new(key.hash())]), path))
}

/// The demo application as `[[applications]]` would declare it.
pub fn declaration(sender: &EmailAddress, keys: Vec<ApiKeyGrant>) -> Application {
    Application {
        name: ApplicationName::parse("demo").expect("a constant name, tested"),
        display_name: "Fiador demo".to_owned(),
        keys,
        locale: Locale::default(),
        from: sender.clone(),
        reply_to: None,
        lookup: Lookup::Id,
        number_in_subject: false,
        second_step: SecondStep::Number,
        is_test: false,
        limits: Limits::default(),
        purposes: BTreeMap::new(),
    }
}

fn failed(path: &Path, error: io::Error) -> DemoError {
    DemoError::Io { path: path.to_owned(), error }
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes the file whole or not at all: written under another name and linked, so that neither a crash nor a second daemon's
/// start leaves half a key or replaces one that is in use.
fn make_key(path: &Path) -> io::Result<()> {
    let draft = path.with_extension(format!("{}.new", Uuid::new_v4()));
    let linked = write_private(&draft, ApiKey::draw().as_str()).and_then(|()| fs::hard_link(&draft, path));
    let removed = fs::remove_file(&draft);
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => removed, // another start was first: its key holds
        Err(error) => Err(error),
        Ok(()) => removed,
    }
}

fn write_private(path: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{line}")?;
    file.sync_all()
}

fn read_key(path: &Path) -> Result<ApiKey, DemoError> {
    let read = PrivateFile::at(path).read(LONGEST_FILE);
    let text = read.map_err(|error| DemoError::NotPrivate { path: path.to_owned(), error })?;
    ApiKey::parse(text.trim_end()).ok_or_else(|| DemoError::NotAKey(path.display().to_string()))
}

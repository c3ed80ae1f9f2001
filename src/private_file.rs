//! Files that hold secrets: only their owner reads and writes them, and the owner is the user that runs us, or root.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    mem,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use thiserror::Error;
use zeroize::Zeroizing;

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateFile {
    path: PathBuf,
    is_credential: bool,
}

/// Why a file is not one that only its owner reads and writes; to be read after its path.
#[derive(Debug, Error)]
pub enum PrivateFileError {
    /// The system refuses it.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// Others can use it.
    #[error("can be read or written by others than its owner; chmod {mode} {path}", path = path.display())]
    Exposed {
        /// The mode that mends it.
        mode: &'static str,
        /// Which file.
        path: PathBuf,
    },
    /// Another user owns it, and could change it or its mode at will.
    #[error("belongs to user {owner}, neither to root nor to {us}, who runs this; run this as {owner}, or chown it")]
    Foreign {
        /// Whose it is.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// It is too long for what it is.
    #[error("is longer than {0} bytes")]
    TooLong(u64),
}

impl PrivateFile {
    /// A file of its owner's: mode 600 or less.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), is_credential: false }
    }

    /// The credential `name` that systemd put into `directory`: it may be readable by a group, because systemd lets services
    /// without root read theirs by an access control list, whose mask shows as the group's rights.
    pub fn credential(directory: &Path, name: &str) -> Self {
        Self { path: directory.join(name), is_credential: true }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its text, of at most `longest` bytes, in one piece of memory that is wiped when dropped.
    ///
    /// # Errors
    /// [`PrivateFileError`]; `Unreadable` also when it is not UTF-8.
    pub fn read(&self, longest: u64) -> Result<Zeroizing<String>, PrivateFileError> {
        let mut bytes = self.read_bytes(longest)?;
        String::from_utf8(mem::take(&mut *bytes)).map(Zeroizing::new).map_err(|error| {
            drop(Zeroizing::new(error.into_bytes()));
            io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8").into()
        })
    }

    /// Its bytes, at most `longest`, as [`Self::read`].
    ///
    /// # Errors
    /// [`PrivateFileError`].
    pub fn read_bytes(&self, longest: u64) -> Result<Zeroizing<Vec<u8>>, PrivateFileError> {
        let file = self.open()?;
        let length = file.metadata()?.len().min(longest);
        // room for all from the start: growing would leave copies behind that nobody wipes
        let room = usize::try_from(length).unwrap_or_default() + SPARE_ROOM;
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        file.take(longest + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > longest { Err(PrivateFileError::TooLong(longest)) } else { Ok(bytes) }
    }

    fn open(&self) -> Result<File, PrivateFileError> {
        let file = File::open(&self.path)?;
        let (forbidden, mode) = if self.is_credential { (0o037, "440") } else { (0o077, "600") };
        judge(&self.path, &file.metadata()?, forbidden, mode)?;
        Ok(file)
    }
}

/// What a reader looks for at the end of what it has read.
const SPARE_ROOM: usize = 64;

/// Judges the open file at `path`, of mode 600 or less.
///
/// # Errors
/// [`PrivateFileError`].
pub fn check_file(path: &Path, file: &File) -> Result<(), PrivateFileError> {
    judge(path, &file.metadata()?, 0o077, "600")
}

/// Judges a directory of ours: others may look into it, for the files have modes of their own, but not put other files there.
///
/// # Errors
/// [`PrivateFileError`].
pub fn check_directory(path: &Path) -> Result<(), PrivateFileError> {
    judge(path, &path.metadata()?, 0o022, "700")
}

fn judge(path: &Path, found: &Metadata, forbidden: u32, mode: &'static str) -> Result<(), PrivateFileError> {
    let (owner, us) = (found.uid(), rustix::process::geteuid().as_raw());
    if owner != us && owner != 0 {
        return Err(PrivateFileError::Foreign { owner, us });
    }
    if found.mode() & forbidden != 0 {
        return Err(PrivateFileError::Exposed { mode, path: path.to_owned() });
    }
    Ok(())
}

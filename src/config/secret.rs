use std::{
    fmt,
    fs::File,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A text that nobody may see: its Debug shows the type's name only, it is compared in constant time and wiped when dropped.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// The longest secret in a file, in bytes.
    const LONGEST: usize = 4096;

    /// Keeps `text` secret.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one who must present it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The one line in the file at `path`, which its owner alone may read.
    ///
    /// # Errors
    /// What is wrong with the file and how to mend it, to be read after the name of the key that names the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let file = open_owners_alone(path)?;
        let longest = Self::LONGEST as u64;
        // room from the start: growing would leave copies behind that nobody wipes
        let mut secret = Self(String::with_capacity(2 * Self::LONGEST));
        file.take(longest + 1).read_to_string(&mut secret.0).map_err(|error| cannot_be_read(path, &error))?;
        secret.strip_line_end();
        if secret.0.is_empty() {
            return Err(format!("names {shown}, which is empty; it must hold the password"));
        }
        if secret.0.len() > Self::LONGEST || secret.0.contains(|c: char| c.is_control()) {
            return Err(format!("names {shown}, which must hold one line of at most {longest} bytes"));
        }
        Ok(secret)
    }

    fn strip_line_end(&mut self) {
        let line = self.0.strip_suffix('\n').unwrap_or(&self.0);
        let length = line.strip_suffix('\r').unwrap_or(line).len();
        self.0.truncate(length);
    }
}

/// The file at `path`, which its owner alone may read.
///
/// # Errors
/// What is wrong with the file and how to mend it, to be read after the name of the key that names the file.
pub(super) fn open_owners_alone(path: &Path) -> Result<File, String> {
    let shown = path.display();
    let file = File::open(path).map_err(|error| cannot_be_read(path, &error))?;
    let mode = file.metadata().map_err(|error| cannot_be_read(path, &error))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!("names {shown}, which others than its owner can read or write; chmod 600 {shown}"));
    }
    Ok(file)
}

pub(super) fn cannot_be_read(path: &Path, error: &io::Error) -> String {
    format!("names {}, which cannot be read: {error}", path.display())
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

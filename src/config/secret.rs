use std::{fmt, mem};

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::private_file::{PrivateFile, PrivateFileError};

/// A text that nobody may see: its Debug shows the type's name only, it is compared in constant time and wiped when dropped.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// The longest secret in a file, in bytes.
    const LONGEST: usize = 4096;
    const LINE_END: usize = 2;

    /// Keeps `text` secret.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one who must present it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The one line in `file`.
    ///
    /// # Errors
    /// What is wrong with the file and how to mend it, to be read after the name of the key that names the file.
    pub fn read(file: &PrivateFile) -> Result<Self, String> {
        let shown = file.path().display();
        let not_one_line = || format!("names {shown}, which must hold one line of at most {} bytes", Self::LONGEST);
        let mut text = file.read((Self::LONGEST + Self::LINE_END) as u64).map_err(|error| match error {
            PrivateFileError::TooLong(_) => not_one_line(),
            error => unusable(file, &error),
        })?;
        let mut secret = Self(mem::take(&mut *text));
        secret.strip_line_end();
        if secret.0.is_empty() {
            return Err(format!("names {shown}, which is empty; it must hold the password"));
        }
        if secret.0.len() > Self::LONGEST || secret.0.contains(|c: char| c.is_control()) {
            return Err(not_one_line());
        }
        Ok(secret)
    }

    fn strip_line_end(&mut self) {
        let line = self.0.strip_suffix('\n').unwrap_or(&self.0);
        let length = line.strip_suffix('\r').unwrap_or(line).len();
        self.0.truncate(length);
    }
}

/// What is wrong with `file`, to be read after the name of the key that names it.
pub(super) fn unusable(file: &PrivateFile, error: &PrivateFileError) -> String {
    format!("names {}, which {error}", file.path().display())
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

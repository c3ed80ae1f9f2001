use std::path::{Path, PathBuf};

use super::{ConfigError, read_settings, settings::Settings, validation::Validation};
use crate::private_file::PrivateFile;

/// Where the key ring is, for who works on it beside the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring {
    /// As [`super::Config::data_dir`].
    pub data_dir: PathBuf,
    /// As [`super::Config::keyring`].
    pub file: Option<PrivateFile>,
    /// Whether several daemons may have a copy of it, because the store is a server.
    pub is_shared: bool,
}

impl Keyring {
    /// What a configuration, found as [`super::Config::load`] finds it, says of the key ring, whatever else it says: secrets that
    /// only the daemon can read are left alone.
    ///
    /// # Errors
    /// The first thing that is wrong, in one line. A ring that is a credential cannot be worked on.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let (settings, validation) = read_settings(file, std::env::vars_os())?;
        validation.refuse_credential(&settings)?;
        let (data_dir, file) = validation.keyring(&settings)?;
        Ok(Self { data_dir, file, is_shared: !settings.store.redis_url.is_empty() })
    }
}

impl Validation {
    /// The data directory, and the ring's file when it is not there.
    ///
    /// # Errors
    /// An empty name, or a credential that there is not.
    pub fn keyring(&self, settings: &Settings) -> Result<(PathBuf, Option<PrivateFile>), ConfigError> {
        if settings.data_dir.is_empty() {
            return Err(self.refuse("data_dir", "must name a directory"));
        }
        Ok((PathBuf::from(&settings.data_dir), self.private_file("keyring_file", &settings.keyring_file)?))
    }

    fn refuse_credential(&self, settings: &Settings) -> Result<(), ConfigError> {
        if !Self::is_credential(&settings.keyring_file) {
            return Ok(());
        }
        let mend = "names a credential, which nobody can write: rotate the file that LoadCredential= names, by \
                    `FIADOR__KEYRING_FILE=FILE fiador key rotate`, and restart the daemon";
        Err(self.refuse("keyring_file", mend))
    }
}

use std::path::PathBuf;

use super::{error::ConfigError, settings::AuditSettings, validation::Validation};
use crate::audit::Destination;

impl Validation {
    /// # Errors
    /// A text that names no place for lines.
    pub fn audit(&self, settings: &AuditSettings) -> Result<Option<Destination>, ConfigError> {
        match settings.to.as_str() {
            "" => Ok(None),
            "stdout" => Ok(Some(Destination::Stdout)),
            path if path.contains('/') => Ok(Some(Destination::File(PathBuf::from(path)))),
            _ => Err(self.refuse("audit.to", "must be empty (off), stdout, or a file's path with a / in it")),
        }
    }
}

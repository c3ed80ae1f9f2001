use super::{error::ConfigError, settings::AssertionSettings, validation::Validation};
use crate::assertions::Issuer;

/// The longest `iss`, in bytes.
const LONGEST: usize = 255;

impl Validation {
    /// # Errors
    /// A name that is none, or a time out of range.
    pub fn assertions(&self, settings: &AssertionSettings) -> Result<Issuer, ConfigError> {
        let name = &settings.issuer;
        if name.is_empty() || name.len() > LONGEST || name.chars().any(char::is_control) {
            return Err(self.refuse("assertions.issuer", "must be 1 to 255 bytes without control characters"));
        }
        let ttl_seconds = self.in_range("assertions.ttl_seconds", settings.ttl_seconds, 60..=600)?;
        Ok(Issuer { name: name.clone(), ttl_seconds })
    }
}

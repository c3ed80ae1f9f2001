use std::net::SocketAddr;

use super::{
    error::ConfigError,
    settings::CompatSettings,
    validation::{Validation, is_loopback},
};
use crate::domain::{Application, ApplicationName, Lookup, Purpose};

/// What the old contract asks for: a purpose that allows less would refuse each of its starts.
const TTL_SECONDS: u64 = 300;

/// The listener of the old contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compat {
    /// Where it listens.
    pub listen: SocketAddr,
    /// For which application.
    pub application: ApplicationName,
}

impl Validation {
    /// # Errors
    /// A listener that others than this machine reach without that being spelled out, or no application for it.
    pub fn compat(&self, settings: &CompatSettings, applications: &[Application]) -> Result<Option<Compat>, ConfigError> {
        if settings.listen.is_empty() {
            return if settings.application.is_empty() {
                Ok(None)
            } else {
                Err(self.refuse("compat.application", "must be empty when compat.listen is"))
            };
        }
        let mend = "must be empty (off) or an IP address and a port, such as 127.0.0.1:8430";
        let listen: SocketAddr = settings.listen.parse().map_err(|_| self.refuse("compat.listen", mend))?;
        if !is_loopback(listen) && !settings.public {
            let mend = "must be a loopback address, because the old contract has no keys; or set compat.public = true";
            return Err(self.refuse("compat.listen", mend));
        }
        let is_named = |application: &&Application| application.name.as_str() == settings.application;
        let application = applications.iter().find(is_named).filter(|application| application.lookup == Lookup::Number);
        let mend = "must name an application that is declared with lookup = \"number\"";
        let application = application.ok_or_else(|| self.refuse("compat.application", mend))?;
        if application.ttl_seconds(Some(TTL_SECONDS), &Purpose::default()).is_err() {
            let mend = format!("must name an application whose numbers for sign-in may hold {TTL_SECONDS} seconds");
            return Err(self.refuse("compat.application", mend));
        }
        Ok(Some(Compat { listen, application: application.name.clone() }))
    }
}

use std::{collections::BTreeSet, net::SocketAddr, ops::RangeInclusive, time::Duration};

use super::{
    Config, Log, LogFormat, Secret,
    environment::Overridden,
    error::{ConfigError, Place},
    settings::{LogSettings, MetricsSettings, Settings},
    source::Source,
};
use crate::{domain::EmailAddress, private_file::PrivateFile};

/// What a key that names a file begins with when it names one of systemd's credentials.
const CREDENTIAL: &str = "credential:";

const CONNECTIONS: RangeInclusive<i64> = 1..=1_000_000;

/// Judges settings, and knows where each came from, so that a refusal can say it.
#[derive(Default)]
pub(super) struct Validation {
    source: Option<Source>,
    overridden: Overridden,
}

impl Validation {
    pub fn new(source: Option<Source>, overridden: Overridden) -> Self {
        Self { source, overridden }
    }

    /// # Errors
    /// The first value that is not allowed.
    pub fn config(&self, settings: &Settings) -> Result<Config, ConfigError> {
        let (data_dir, keyring) = self.keyring(settings)?;
        let tls = self.tls(&settings.http.tls)?;
        let listen = self.listen(&settings.http, tls.is_some())?;
        let servers = self.smtp(settings)?;
        let mail = self.mail(settings, servers, listen)?;
        let default_sender = mail.default_sender();
        let templates = self.templates(&settings.mail.templates_dir)?;
        let applications = self.applications(settings, default_sender.as_ref(), &templates)?;
        let compat = self.compat(&settings.compat, &applications)?;
        let demo_sender = self.demo_sender(listen, applications.is_empty(), default_sender)?;
        Ok(Config {
            data_dir,
            keyring,
            listen,
            tls,
            trusted_proxies: self.networks("http.trusted_proxies", &settings.http.trusted_proxies)?,
            connections: self.in_range("http.connections", settings.http.connections, CONNECTIONS)?,
            connections_per_peer: self.in_range("http.connections_per_peer", settings.http.connections_per_peer, CONNECTIONS)?,
            compat,
            store: self.store(&settings.store)?,
            mail,
            templates,
            applications,
            demo_sender,
            audit: self.audit(&settings.audit)?,
            assertions: self.assertions(&settings.assertions)?,
            log: self.log(&settings.log)?,
            metrics: self.metrics(&settings.metrics)?,
            shutdown_grace: Duration::from_secs(self.in_range(
                "shutdown.grace_seconds",
                settings.shutdown.grace_seconds,
                1..=300,
            )?),
        })
    }

    fn demo_sender(
        &self,
        listen: SocketAddr,
        none_declared: bool,
        sender: Option<EmailAddress>,
    ) -> Result<Option<EmailAddress>, ConfigError> {
        if !none_declared {
            return Ok(None);
        }
        if !is_loopback(listen) {
            let mend = "must declare an application when http.listen is no loopback address; `fiador key new NAME` prints one";
            return Err(self.refuse("applications", mend));
        }
        sender.map(Some).ok_or_else(|| self.refuse("smtp[0].from", "must be given when no application is declared"))
    }

    fn metrics(&self, settings: &MetricsSettings) -> Result<Option<SocketAddr>, ConfigError> {
        if settings.listen.is_empty() {
            return Ok(None);
        }
        let mend = "must be empty (off) or an IP address and a port, such as 127.0.0.1:8421";
        let listen: SocketAddr = settings.listen.parse().map_err(|_| self.refuse("metrics.listen", mend))?;
        if !is_loopback(listen) && !settings.public {
            let mend = "must be a loopback address, because metrics have no keys; or set metrics.public = true";
            return Err(self.refuse("metrics.listen", mend));
        }
        Ok(Some(listen))
    }

    fn log(&self, settings: &LogSettings) -> Result<Log, ConfigError> {
        let level = match settings.level.as_str() {
            "error" => tracing::Level::ERROR,
            "warn" => tracing::Level::WARN,
            "info" => tracing::Level::INFO,
            "debug" => tracing::Level::DEBUG,
            "trace" => tracing::Level::TRACE,
            _ => return Err(self.refuse("log.level", "must be error, warn, info, debug or trace")),
        };
        let format = match settings.format.as_str() {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            _ => return Err(self.refuse("log.format", "must be text or json")),
        };
        Ok(Log { level, format })
    }
}

/// What every section needs.
impl Validation {
    /// The refusal of what `key` says; `mend` says what is allowed.
    pub fn refuse(&self, key: &str, mend: impl Into<String>) -> ConfigError {
        ConfigError::Value { place: self.place_of(key), key: key.to_owned(), mend: mend.into() }
    }

    fn place_of(&self, key: &str) -> Place {
        let of_variable = self.overridden.variable_of(key).map(Place::Variable);
        of_variable.or_else(|| self.source.as_ref().map(|source| source.place_of(key))).unwrap_or(Place::Default)
    }

    /// # Errors
    /// A value outside `range`.
    pub fn in_range<T: TryFrom<i64>>(&self, key: &str, value: i64, range: RangeInclusive<i64>) -> Result<T, ConfigError> {
        let fitting = T::try_from(value).ok().filter(|_| range.contains(&value));
        fitting.ok_or_else(|| self.refuse(key, format!("must be {} to {}", range.start(), range.end())))
    }

    /// # Errors
    /// A text that is no address.
    pub fn address(&self, key: &str, text: &str) -> Result<EmailAddress, ConfigError> {
        EmailAddress::parse(text).map_err(|error| self.refuse(key, error.to_string()))
    }

    /// The secret in the file that `key` names; none when it names none.
    ///
    /// # Errors
    /// A file that cannot be read, is empty, is open to others than its owner, or another user's.
    pub fn secret(&self, key: &str, text: &str) -> Result<Option<Secret>, ConfigError> {
        let Some(file) = self.private_file(key, text)? else { return Ok(None) };
        Secret::read(&file).map(Some).map_err(|mend| self.refuse(key, mend))
    }

    /// The file that `key` names, by its path or as a credential; none when it names none.
    ///
    /// # Errors
    /// A credential where there are none, or with a name that is no file's.
    pub fn private_file(&self, key: &str, text: &str) -> Result<Option<PrivateFile>, ConfigError> {
        if text.is_empty() {
            return Ok(None);
        }
        let Some(name) = text.strip_prefix(CREDENTIAL) else { return Ok(Some(PrivateFile::at(text))) };
        if name.is_empty() || name.starts_with('.') || name.contains('/') {
            return Err(self.refuse(key, "must name a credential as the unit's LoadCredential= does: credential:NAME"));
        }
        let mend =
            "names a credential, and CREDENTIALS_DIRECTORY is not set: systemd sets it for a unit that has LoadCredential=";
        let directory = self.overridden.credentials().ok_or_else(|| self.refuse(key, mend))?;
        Ok(Some(PrivateFile::credential(directory, name)))
    }

    /// Whether what a key says names a credential.
    pub fn is_credential(text: &str) -> bool {
        text.starts_with(CREDENTIAL)
    }

    /// # Errors
    /// A value that is among `seen` already; otherwise it is put there.
    pub fn once<T: Ord>(&self, seen: &mut BTreeSet<T>, key: &str, value: T, mend: &str) -> Result<(), ConfigError> {
        if seen.insert(value) { Ok(()) } else { Err(self.refuse(key, mend)) }
    }
}

/// Whether only this machine can reach `address`.
pub(super) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

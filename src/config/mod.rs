//! Configuration: one TOML file, then the environment over it, validated whole before anything starts. What each key means,
//! its unit, range and default stand in `config.toml`.

mod applications;
mod assertions;
mod audit;
mod compat;
mod environment;
mod error;
#[cfg(feature = "testing")]
pub(crate) mod fuzzing;
mod http;
mod keyring;
mod keys;
mod mail;
mod secret;
mod settings;
mod source;
mod store;
mod tls;
mod validation;

use std::{
    ffi::OsString,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use zeroize::Zeroizing;

pub use crate::mail::smtp::SmtpTls;
pub use compat::Compat;
pub use error::{ConfigError, Place};
pub use keyring::Keyring;
pub use mail::{Mail, Smtp, SmtpLogin};
pub use secret::Secret;
pub use store::{RedisServer, Store};
pub use tls::{Tls, TlsUnusable};

use crate::{
    assertions::Issuer,
    audit::Destination,
    domain::{Application, EmailAddress},
    mail::templates::Templates,
    private_file::PrivateFile,
};
use settings::Settings;
use source::Source;
use validation::Validation;

/// The file that is read when none is named.
pub const DEFAULT_FILE: &str = "config.toml";

/// What the daemon is to do: every value typed, in range, and in agreement with the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the key ring, the embedded store and the demo key are; default `data`.
    pub data_dir: PathBuf,
    /// The key ring's file, which is there; none, the default: `keyring.toml` in `data_dir`, made when missing.
    pub keyring: Option<PrivateFile>,
    /// Where HTTP listens; default `127.0.0.1:8420`. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// With what HTTP is encrypted, the old contract's too; default: it is not.
    pub tls: Option<Tls>,
    /// Whose `X-Forwarded-For` is believed; default nobody's.
    pub trusted_proxies: Vec<IpNet>,
    /// Connections that each listener serves at once, 1 to 1,000,000; default 16,384.
    pub connections: usize,
    /// How many of them may come from one address (IPv6: one /64) that is neither loopback nor a trusted proxy, 1 to 1,000,000;
    /// default 256.
    pub connections_per_peer: usize,
    /// The old contract's listener; default none.
    pub compat: Option<Compat>,
    /// Where the records are; default the embedded store.
    pub store: Store,
    /// Where mails go; default the dev inbox.
    pub mail: Mail,
    /// What the mails say; default the built-in templates.
    pub templates: Templates,
    /// Who may call, by unlike names and keys.
    pub applications: Vec<Application>,
    /// The sender of the demo application's mails: given exactly when that application is to be made, because none is declared
    /// and the listener is loopback.
    pub demo_sender: Option<EmailAddress>,
    /// Where the audit log goes; default nowhere.
    pub audit: Option<Destination>,
    /// Who issues assertions, and for how long they hold; default `fiador`, 300 s.
    pub assertions: Issuer,
    /// What is logged, and how.
    pub log: Log,
    /// Where `GET /metrics` listens; default `127.0.0.1:8421`. None: nothing is measured.
    pub metrics: Option<SocketAddr>,
    /// How long a stop waits for what is under way, 1 to 300 seconds; default 20.
    pub shutdown_grace: Duration,
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least severe level; default `info`. `RUST_LOG` goes before it.
    pub level: tracing::Level,
    /// Default `text`.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// The configuration in `file`, in [`DEFAULT_FILE`] when none is named and it exists, else the built-in defaults; over it
    /// what this process's environment says.
    ///
    /// # Errors
    /// The first thing that is wrong, in one line.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::load_with(file, std::env::vars_os())
    }

    /// [`Self::load`] with another environment.
    ///
    /// # Errors
    /// The first thing that is wrong, in one line.
    pub fn load_with(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let (settings, validation) = read_settings(file, environment)?;
        validation.config(&settings)
    }
}

impl Config {
    /// The keys in which `other` differs and that a running daemon cannot change.
    pub fn fixed_differences(&self, other: &Self) -> Vec<&'static str> {
        let fixed = [
            ("data_dir", self.data_dir == other.data_dir),
            ("keyring_file", self.keyring == other.keyring),
            ("http.listen", self.listen == other.listen),
            ("http.tls", self.tls.is_some() == other.tls.is_some()),
            ("http.connections", self.connections == other.connections),
            ("http.connections_per_peer", self.connections_per_peer == other.connections_per_peer),
            ("compat", self.compat == other.compat),
            ("store", self.store == other.store),
            ("smtp and dev.inbox", self.mail == other.mail),
            ("audit", self.audit == other.audit),
            ("log", self.log == other.log),
            ("metrics", self.metrics == other.metrics),
            ("shutdown", self.shutdown_grace == other.shutdown_grace),
        ];
        fixed.into_iter().filter(|(_, is_equal)| !is_equal).map(|(key, _)| key).collect()
    }
}

impl Default for Config {
    /// What holds without a file and without variables.
    fn default() -> Self {
        let judged = Validation::default().config(&Settings::default());
        judged.expect("the built-in defaults are allowed, as a test holds")
    }
}

/// What file and environment say, not yet judged, and the judge.
fn read_settings(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(Settings, Validation), ConfigError> {
    let source = read(file)?;
    let mut settings = source.as_ref().map_or_else(|| Ok(Settings::default()), Source::settings)?;
    let overridden = environment::apply(&mut settings, environment)?;
    Ok((settings, Validation::new(source, overridden)))
}

/// The named file, which must be there, or the default one, which may be missing.
fn read(file: Option<&Path>) -> Result<Option<Source>, ConfigError> {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    let name = path.display().to_string();
    match fs::read_to_string(path) {
        Ok(text) => Source::parse(name, Zeroizing::new(text)).map(Some),
        Err(error) if file.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ConfigError::Unreadable { file: name, cause: error.to_string() }),
    }
}

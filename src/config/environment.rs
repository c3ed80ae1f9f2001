//! The environment's share: every key outside the blocks has a variable, `http.listen` has `FIADOR__HTTP__LISTEN`.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{
    error::{ConfigError, Place},
    settings::Settings,
};

const PREFIX: &str = "FIADOR__";
/// Where systemd puts a service's credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

type Set = fn(&mut Settings, &str) -> Result<(), &'static str>;

const KEYS: &[(&str, Set)] = &[
    ("data_dir", |settings, text| set(&mut settings.data_dir, text)),
    ("keyring_file", |settings, text| set(&mut settings.keyring_file, text)),
    ("http.listen", |settings, text| set(&mut settings.http.listen, text)),
    ("http.allow_plaintext", |settings, text| set(&mut settings.http.allow_plaintext, text)),
    ("http.trusted_proxies", |settings, text| set(&mut settings.http.trusted_proxies, text)),
    ("http.connections", |settings, text| set(&mut settings.http.connections, text)),
    ("http.connections_per_peer", |settings, text| set(&mut settings.http.connections_per_peer, text)),
    ("http.tls.certificate_file", |settings, text| set(&mut settings.http.tls.certificate_file, text)),
    ("http.tls.key_file", |settings, text| set(&mut settings.http.tls.key_file, text)),
    ("compat.listen", |settings, text| set(&mut settings.compat.listen, text)),
    ("compat.application", |settings, text| set(&mut settings.compat.application, text)),
    ("compat.public", |settings, text| set(&mut settings.compat.public, text)),
    ("store.redis_url", |settings, text| set(&mut *settings.store.redis_url, text)),
    ("store.redis_password_file", |settings, text| set(&mut settings.store.redis_password_file, text)),
    ("mail.templates_dir", |settings, text| set(&mut settings.mail.templates_dir, text)),
    ("dev.inbox", |settings, text| set(&mut settings.dev.inbox, text)),
    ("audit.to", |settings, text| set(&mut settings.audit.to, text)),
    ("assertions.issuer", |settings, text| set(&mut settings.assertions.issuer, text)),
    ("assertions.ttl_seconds", |settings, text| set(&mut settings.assertions.ttl_seconds, text)),
    ("log.level", |settings, text| set(&mut settings.log.level, text)),
    ("log.format", |settings, text| set(&mut settings.log.format, text)),
    ("metrics.listen", |settings, text| set(&mut settings.metrics.listen, text)),
    ("metrics.public", |settings, text| set(&mut settings.metrics.public, text)),
    ("shutdown.grace_seconds", |settings, text| set(&mut settings.shutdown.grace_seconds, text)),
];

/// What the environment says: the keys that it set, and where credentials are.
#[derive(Default)]
pub(super) struct Overridden {
    keys: BTreeSet<&'static str>,
    credentials: Option<PathBuf>,
}

impl Overridden {
    /// The variable that set `key`, if one did.
    pub fn variable_of(&self, key: &str) -> Option<String> {
        self.keys.contains(key).then(|| variable(key))
    }

    /// The directory that systemd made for the service's credentials.
    pub fn credentials(&self) -> Option<&Path> {
        self.credentials.as_deref()
    }
}

/// Sets in `settings` what the variables among `environment` say.
///
/// # Errors
/// A variable of Fiador's prefix that no key has, or whose text is not of its key's type.
pub(super) fn apply(
    settings: &mut Settings,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Overridden, ConfigError> {
    let mut overridden = Overridden::default();
    for (name, text) in environment {
        if name == CREDENTIALS {
            overridden.credentials = Some(PathBuf::from(text));
            continue;
        }
        let name = name.to_string_lossy();
        if !name.starts_with(PREFIX) {
            continue;
        }
        let (key, set) = KEYS.iter().find(|(key, _)| variable(key) == name).ok_or_else(|| unknown(&name))?;
        let done = text.to_str().ok_or("must be UTF-8").and_then(|text| set(settings, text));
        done.map_err(|mend| ConfigError::Value {
            place: Place::Variable(name.into_owned()),
            key: (*key).to_owned(),
            mend: mend.to_owned(),
        })?;
        overridden.keys.insert(key);
    }
    Ok(overridden)
}

fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

fn unknown(name: &str) -> ConfigError {
    let allowed: Vec<String> = KEYS.iter().map(|(key, _)| variable(key)).collect();
    ConfigError::UnknownVariable { variable: name.to_owned(), allowed: allowed.join(", ") }
}

/// A type that a variable's text can be read as.
trait FromText: Sized {
    fn from_text(text: &str) -> Result<Self, &'static str>;
}

impl FromText for String {
    fn from_text(text: &str) -> Result<Self, &'static str> {
        Ok(text.to_owned())
    }
}

impl FromText for bool {
    fn from_text(text: &str) -> Result<Self, &'static str> {
        text.parse().map_err(|_| "must be true or false")
    }
}

impl FromText for i64 {
    fn from_text(text: &str) -> Result<Self, &'static str> {
        text.parse().map_err(|_| "must be a whole number")
    }
}

/// A list in one text has commas between.
impl FromText for Vec<String> {
    fn from_text(text: &str) -> Result<Self, &'static str> {
        Ok(text.split(',').map(|element| element.trim().to_owned()).filter(|element| !element.is_empty()).collect())
    }
}

fn set<T: FromText>(target: &mut T, text: &str) -> Result<(), &'static str> {
    *target = T::from_text(text)?;
    Ok(())
}

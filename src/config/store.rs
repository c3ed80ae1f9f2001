use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use super::{Secret, error::ConfigError, settings::StoreSettings, validation::Validation};

/// The forms of a Redis URL.
const SCHEMES: [&str; 4] = ["redis://", "rediss://", "redis+unix://", "unix://"];

/// Where the records are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// In a file in `data_dir`.
    Embedded,
    /// On a Redis or Valkey server.
    Redis(RedisServer),
}

/// A Redis or Valkey server. Displayed, it shows where it is and how it is reached, never its user's password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisServer {
    url: Secret,
    password: Option<Secret>,
}

impl RedisServer {
    /// What the client needs to connect, with the password from the file if one is named.
    pub fn connection_info(&self) -> ConnectionInfo {
        let info = self.url.expose().into_connection_info().expect("validation parsed the same URL");
        match &self.password {
            Some(password) => {
                let login = info.redis_settings().clone().set_password(password.expose());
                info.set_redis_settings(login)
            }
            None => info,
        }
    }
}

impl fmt::Display for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.connection_info();
        let manner = match info.addr() {
            ConnectionAddr::TcpTls { .. } => "over TLS",
            ConnectionAddr::Unix(_) => "over a unix socket",
            _ => "without TLS",
        };
        write!(f, "{}, database {}, {manner}", info.addr(), info.redis_settings().db())
    }
}

impl Validation {
    /// # Errors
    /// A URL of another form, or a password without a server or beside another password.
    pub fn store(&self, settings: &StoreSettings) -> Result<Store, ConfigError> {
        let password = self.secret("store.redis_password_file", &settings.redis_password_file)?;
        if settings.redis_url.is_empty() {
            return match password {
                Some(_) => Err(self.refuse("store.redis_password_file", "must be empty when store.redis_url is")),
                None => Ok(Store::Embedded),
            };
        }
        let has_password = self.redis_connection(&settings.redis_url)?.redis_settings().password().is_some();
        if has_password && password.is_some() {
            return Err(self.refuse("store.redis_password_file", "must be empty when store.redis_url holds a password"));
        }
        Ok(Store::Redis(RedisServer { url: Secret::new(settings.redis_url.to_string()), password }))
    }

    fn redis_connection(&self, url: &str) -> Result<ConnectionInfo, ConfigError> {
        let mend = "must be empty (the embedded store) or redis://, rediss://, redis+unix:// or unix://, such as redis://user@host:6379/0";
        let has_form = SCHEMES.iter().any(|scheme| url.starts_with(scheme));
        // a fragment could only be #insecure, which takes any certificate
        let is_allowed = has_form && !url.contains('#');
        let info = is_allowed.then(|| url.into_connection_info().ok()).flatten();
        // the address is logged, and a path may have anything in it, percent-encoded
        let is_one_line = |info: &ConnectionInfo| !info.addr().to_string().contains(char::is_control);
        info.filter(is_one_line).ok_or_else(|| self.refuse("store.redis_url", mend))
    }
}

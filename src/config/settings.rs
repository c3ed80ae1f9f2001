//! The keys as they are written, typed but not yet judged. What each means stands in `config.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::domain::Limits;

// No section derives Debug: a URL may hold a password.

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct Settings {
    pub data_dir: String,
    pub keyring_file: String,
    pub http: HttpSettings,
    pub compat: CompatSettings,
    pub store: StoreSettings,
    pub mail: MailSettings,
    pub dev: DevSettings,
    pub audit: AuditSettings,
    pub assertions: AssertionSettings,
    pub log: LogSettings,
    pub shutdown: ShutdownSettings,
    pub metrics: MetricsSettings,
    pub smtp: Vec<SmtpSettings>,
    pub applications: Vec<ApplicationSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: "data".to_owned(),
            keyring_file: String::new(),
            http: HttpSettings::default(),
            compat: CompatSettings::default(),
            store: StoreSettings::default(),
            mail: MailSettings::default(),
            dev: DevSettings::default(),
            audit: AuditSettings::default(),
            assertions: AssertionSettings::default(),
            log: LogSettings::default(),
            shutdown: ShutdownSettings::default(),
            metrics: MetricsSettings::default(),
            smtp: Vec::new(),
            applications: Vec::new(),
        }
    }
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct HttpSettings {
    pub listen: String,
    pub allow_plaintext: bool,
    pub trusted_proxies: Vec<String>,
    pub connections: i64,
    pub connections_per_peer: i64,
    pub tls: TlsSettings,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8420".to_owned(),
            allow_plaintext: false,
            trusted_proxies: Vec::new(),
            connections: 16_384,
            connections_per_peer: 256,
            tls: TlsSettings::default(),
        }
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct TlsSettings {
    pub certificate_file: String,
    pub key_file: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct CompatSettings {
    pub listen: String,
    pub application: String,
    pub public: bool,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct StoreSettings {
    pub redis_url: Zeroizing<String>,
    pub redis_password_file: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct MailSettings {
    pub templates_dir: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct DevSettings {
    pub inbox: bool,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct AuditSettings {
    pub to: String,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct AssertionSettings {
    pub issuer: String,
    pub ttl_seconds: i64,
}

impl Default for AssertionSettings {
    fn default() -> Self {
        Self { issuer: "fiador".to_owned(), ttl_seconds: 300 }
    }
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct LogSettings {
    pub level: String,
    pub format: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: "text".to_owned() }
    }
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct ShutdownSettings {
    pub grace_seconds: i64,
}

impl Default for ShutdownSettings {
    fn default() -> Self {
        Self { grace_seconds: 20 }
    }
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct MetricsSettings {
    pub listen: String,
    pub public: bool,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8421".to_owned(), public: false }
    }
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct SmtpSettings {
    pub host: String,
    pub port: Option<i64>,
    #[serde(default = "starttls")]
    pub tls: String,
    #[serde(default)]
    pub allow_plaintext: bool,
    #[serde(default)]
    pub user: String,
    #[serde(default)]
    pub password_file: String,
    pub from: Option<String>,
}

fn id() -> String {
    "id".to_owned()
}

fn number() -> String {
    "number".to_owned()
}

fn starttls() -> String {
    "starttls".to_owned()
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct ApplicationSettings {
    pub name: String,
    pub display_name: Option<String>,
    #[serde(default)]
    pub keys: Vec<KeySettings>,
    pub locale: Option<String>,
    pub from: Option<String>,
    pub reply_to: Option<String>,
    #[serde(default = "id")]
    pub lookup: String,
    #[serde(default)]
    pub number_in_subject: bool,
    #[serde(default = "number")]
    pub second_step: String,
    #[serde(default)]
    pub test: bool,
    #[serde(default)]
    pub limits: LimitSettings,
    #[serde(default)]
    pub purposes: BTreeMap<String, PurposeSettings>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { ttl_seconds = 300 }")]
pub(super) struct PurposeSettings {
    pub ttl_seconds: Option<i64>,
    pub longest_ttl_seconds: Option<i64>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { hash = \"sha256:…\" }")]
pub(super) struct KeySettings {
    pub hash: String,
    /// None: those that verifications need.
    pub scopes: Option<Vec<String>>,
    pub expires_at: Option<toml::value::Datetime>,
    /// None: anywhere.
    pub networks: Option<Vec<String>>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct LimitSettings {
    /// None: what fits the lookup.
    pub digits: Option<i64>,
    pub ttl_seconds: i64,
    pub wrong_checks: i64,
    /// None, as the next: no budget.
    pub starts_at_once: Option<i64>,
    pub starts_per_hour: Option<i64>,
}

impl Default for LimitSettings {
    fn default() -> Self {
        let Limits { ttl_seconds, wrong_checks, .. } = Limits::default();
        Self {
            digits: None,
            ttl_seconds: ttl_seconds.into(),
            wrong_checks: wrong_checks.into(),
            starts_at_once: None,
            starts_per_hour: None,
        }
    }
}

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use super::{
    Secret,
    error::ConfigError,
    settings::{Settings, SmtpSettings},
    validation::{Validation, is_loopback},
};
use crate::{
    domain::EmailAddress,
    mail::{smtp::SmtpTls, templates::Templates},
};

/// The sender of mails that never leave the dev inbox.
const DEV_SENDER: &str = "fiador@localhost.localdomain";

/// Where mails go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mail {
    /// To an SMTP server.
    Smtp(Smtp),
    /// Nowhere: they are kept in memory and shown to loopback peers.
    DevInbox,
}

impl Mail {
    /// The sender for applications that name none.
    pub(super) fn default_sender(&self) -> Option<EmailAddress> {
        match self {
            Self::Smtp(smtp) => smtp.from.clone(),
            Self::DevInbox => Some(EmailAddress::parse(DEV_SENDER).expect("a constant address, tested")),
        }
    }
}

/// An SMTP server that takes our mails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smtp {
    /// Its host name or IP address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: SmtpTls,
    /// Whether an unencrypted connection may leave this machine.
    pub allow_plaintext: bool,
    /// As whom we log in; none: not at all.
    pub login: Option<SmtpLogin>,
    /// The sender for applications that name none.
    pub from: Option<EmailAddress>,
}

fn default_port(tls: SmtpTls) -> u16 {
    match tls {
        SmtpTls::Implicit => 465,
        SmtpTls::StartTls => 587,
        SmtpTls::None => 25,
    }
}

/// As whom we log in to an SMTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpLogin {
    /// The user's name.
    pub user: String,
    /// Its password, from a file.
    pub password: Secret,
}

impl Validation {
    /// # Errors
    /// A block that is not allowed, or a second one.
    pub fn smtp(&self, settings: &Settings) -> Result<Option<Smtp>, ConfigError> {
        if settings.smtp.len() > 1 {
            return Err(self.refuse("smtp[1]", "is a second [[smtp]] block; one is allowed"));
        }
        settings.smtp.first().map(|block| self.smtp_block(block)).transpose()
    }

    /// # Errors
    /// No place for mails, or two.
    pub fn mail(&self, settings: &Settings, smtp: Option<Smtp>, listen: SocketAddr) -> Result<Mail, ConfigError> {
        let is_exposed = !is_loopback(listen) || !settings.applications.is_empty();
        match smtp {
            Some(_) if settings.dev.inbox => {
                Err(self.refuse("dev.inbox", "must be false when an [[smtp]] block is given: mails go to one of the two"))
            }
            Some(smtp) => Ok(Mail::Smtp(smtp)),
            None if is_exposed && !settings.dev.inbox => {
                let why = "when an application is declared or http.listen is no loopback address";
                Err(self.refuse("smtp", format!("must be given {why}; or set dev.inbox = true, which sends no mail")))
            }
            None => Ok(Mail::DevInbox),
        }
    }

    /// # Errors
    /// No directory, or a template in it that is not allowed.
    pub fn templates(&self, directory: &str) -> Result<Templates, ConfigError> {
        if directory.is_empty() {
            return Ok(Templates::default());
        }
        let path = Path::new(directory);
        if !path.is_dir() {
            return Err(
                self.refuse("mail.templates_dir", "must name a directory, or be empty: then the built-in templates are used")
            );
        }
        Ok(Templates::load(path)?)
    }

    fn smtp_block(&self, settings: &SmtpSettings) -> Result<Smtp, ConfigError> {
        if !is_host(&settings.host) {
            return Err(self.refuse("smtp[0].host", "must be a host name or an IP address, without port and brackets"));
        }
        let tls = self.smtp_tls(settings)?;
        Ok(Smtp {
            host: settings.host.clone(),
            port: match settings.port {
                Some(port) => self.in_range("smtp[0].port", port, 1..=65_535)?,
                None => default_port(tls),
            },
            tls,
            allow_plaintext: settings.allow_plaintext,
            login: self.smtp_login(settings)?,
            from: settings.from.as_ref().map(|text| self.address("smtp[0].from", text)).transpose()?,
        })
    }

    fn smtp_tls(&self, settings: &SmtpSettings) -> Result<SmtpTls, ConfigError> {
        match settings.tls.as_str() {
            "implicit" => Ok(SmtpTls::Implicit),
            "starttls" => Ok(SmtpTls::StartTls),
            "none" if settings.allow_plaintext || is_loopback_host(&settings.host) => Ok(SmtpTls::None),
            "none" => {
                let mend =
                    "must be implicit or starttls, because the host is not loopback; or set allow_plaintext = true in its block";
                Err(self.refuse("smtp[0].tls", mend))
            }
            _ => Err(self.refuse("smtp[0].tls", "must be implicit, starttls or none")),
        }
    }

    fn smtp_login(&self, settings: &SmtpSettings) -> Result<Option<SmtpLogin>, ConfigError> {
        let user = &settings.user;
        if user.contains(char::is_control) {
            return Err(self.refuse("smtp[0].user", "must have no control characters"));
        }
        match self.secret("smtp[0].password_file", &settings.password_file)? {
            Some(_) if user.is_empty() => Err(self.refuse("smtp[0].user", "must be given along with password_file")),
            Some(password) => Ok(Some(SmtpLogin { user: user.clone(), password })),
            None if user.is_empty() => Ok(None),
            None => Err(self.refuse("smtp[0].password_file", "must be given along with user")),
        }
    }
}

fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    text.parse::<IpAddr>().is_ok() || (text.len() <= 253 && text.split('.').all(is_label))
}

fn is_loopback_host(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

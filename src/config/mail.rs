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
    /// To the first of these SMTP servers that takes them; at least one.
    Smtp(Vec<Smtp>),
    /// Nowhere: they are kept in memory and shown to loopback peers.
    DevInbox,
}

impl Mail {
    /// The sender for applications that name none.
    pub(super) fn default_sender(&self) -> Option<EmailAddress> {
        match self {
            Self::Smtp(servers) => servers.iter().find_map(|smtp| smtp.from.clone()),
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
    /// A block that is not allowed, or that does not agree with those before it.
    pub fn smtp(&self, settings: &Settings) -> Result<Vec<Smtp>, ConfigError> {
        let mut servers: Vec<Smtp> = Vec::new();
        for (index, block) in settings.smtp.iter().enumerate() {
            let path = format!("smtp[{index}]");
            let server = self.smtp_block(&path, block)?;
            let earlier = servers.iter().find_map(|earlier| earlier.from.as_ref());
            if earlier.is_some_and(|earlier| server.from.as_ref().is_some_and(|from| from != earlier)) {
                let mend = "must be that of the block above, or be left out: a mail has one sender, whichever server takes it";
                return Err(self.refuse(&format!("{path}.from"), mend));
            }
            servers.push(server);
        }
        Ok(servers)
    }

    /// # Errors
    /// No place for mails, or two.
    pub fn mail(&self, settings: &Settings, servers: Vec<Smtp>, listen: SocketAddr) -> Result<Mail, ConfigError> {
        let is_exposed = !is_loopback(listen) || !settings.applications.is_empty();
        match servers.is_empty() {
            false if settings.dev.inbox => {
                Err(self.refuse("dev.inbox", "must be false when an [[smtp]] block is given: mails go to one of the two"))
            }
            false => Ok(Mail::Smtp(servers)),
            true if is_exposed && !settings.dev.inbox => {
                let why = "when an application is declared or http.listen is no loopback address";
                Err(self.refuse("smtp", format!("must be given {why}; or set dev.inbox = true, which sends no mail")))
            }
            true => Ok(Mail::DevInbox),
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

    fn smtp_block(&self, path: &str, settings: &SmtpSettings) -> Result<Smtp, ConfigError> {
        let key = |name: &str| format!("{path}.{name}");
        if !is_host(&settings.host) {
            return Err(self.refuse(&key("host"), "must be a host name or an IP address, without port and brackets"));
        }
        let tls = self.smtp_tls(&key("tls"), settings)?;
        Ok(Smtp {
            host: settings.host.clone(),
            port: match settings.port {
                Some(port) => self.in_range(&key("port"), port, 1..=65_535)?,
                None => default_port(tls),
            },
            tls,
            allow_plaintext: settings.allow_plaintext,
            login: self.smtp_login(path, settings)?,
            from: settings.from.as_ref().map(|text| self.address(&key("from"), text)).transpose()?,
        })
    }

    fn smtp_tls(&self, key: &str, settings: &SmtpSettings) -> Result<SmtpTls, ConfigError> {
        match settings.tls.as_str() {
            "implicit" => Ok(SmtpTls::Implicit),
            "starttls" => Ok(SmtpTls::StartTls),
            "none" if settings.allow_plaintext || is_loopback_host(&settings.host) => Ok(SmtpTls::None),
            "none" => {
                let mend =
                    "must be implicit or starttls, because the host is not loopback; or set allow_plaintext = true in its block";
                Err(self.refuse(key, mend))
            }
            _ => Err(self.refuse(key, "must be implicit, starttls or none")),
        }
    }

    fn smtp_login(&self, path: &str, settings: &SmtpSettings) -> Result<Option<SmtpLogin>, ConfigError> {
        let (user_key, file_key) = (format!("{path}.user"), format!("{path}.password_file"));
        let user = &settings.user;
        if user.contains(char::is_control) {
            return Err(self.refuse(&user_key, "must have no control characters"));
        }
        match self.secret(&file_key, &settings.password_file)? {
            Some(_) if user.is_empty() => Err(self.refuse(&user_key, "must be given along with password_file")),
            Some(password) => Ok(Some(SmtpLogin { user: user.clone(), password })),
            None if user.is_empty() => Ok(None),
            None => Err(self.refuse(&file_key, "must be given along with user")),
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

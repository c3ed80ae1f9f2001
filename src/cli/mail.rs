use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use clap::Subcommand;

use super::{ConfigFile, Refusal};
use crate::{
    clock::Clock,
    config::Config,
    demo,
    domain::{Application, EmailAddress, IdentityNumber, LEASE, LeasedMessage, Locale, MessageKey, Purpose},
    mail::rendering::Renderer,
};

/// The first of them make the number of a preview: it is nobody's.
const SAMPLE_DIGITS: &str = "407182936455127";
/// Reserved for examples. Source: RFC 2606, 3.
const SAMPLE_ADDRESS: &str = "ada@example.org";

#[derive(Subcommand)]
pub(super) enum MailCommand {
    /// Writes the mail that would be sent, head and body, with a number that is nobody's.
    Preview {
        /// Why it is sent: sign-in, confirm-address, reset-password, a word of the application's own, or password-changed.
        #[arg(long, default_value = "sign-in")]
        purpose: String,
        /// The mail's language, such as en or es-MX; without it the application's.
        #[arg(long)]
        locale: Option<String>,
        /// Whose mail; needed where several applications are declared.
        #[arg(long, value_name = "NAME")]
        application: Option<String>,
        #[command(flatten)]
        file: ConfigFile,
    },
}

impl MailCommand {
    pub fn run(self) -> Result<ExitCode, Refusal> {
        let Self::Preview { purpose, locale, application, file } = self;
        let purpose = Purpose::of_mail(&purpose).map_err(|error| Refusal(format!("--purpose {error}")))?;
        let locale = locale.map(|text| Locale::parse(&text)).transpose().map_err(|error| Refusal(format!("--locale {error}")))?;
        let config = load(file.config.as_deref())?;
        let application = choose(&config, application.as_deref())?;
        let message = sample(&application, purpose, locale.unwrap_or(application.locale));
        let mail = Renderer::new(config.templates).render(&message, &application)?;
        io::stdout().lock().write_all(&mail.bytes)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The configuration, with the demo application where the daemon would make it.
fn load(file: Option<&Path>) -> Result<Config, Refusal> {
    let mut config = Config::load(file)?;
    if let Some(sender) = &config.demo_sender {
        config.applications.push(demo::declaration(sender, Vec::new()));
    }
    Ok(config)
}

/// The application of that name; without one the only one.
fn choose(config: &Config, name: Option<&str>) -> Result<Application, Refusal> {
    let wanted = |application: &&Application| name.is_none_or(|name| application.name.as_str() == name);
    let mut found = config.applications.iter().filter(wanted);
    if let (Some(application), None) = (found.next(), found.next()) {
        return Ok(application.clone());
    }
    let names: Vec<&str> = config.applications.iter().map(|application| application.name.as_str()).collect();
    Err(Refusal(format!("--application must be one of: {}", names.join(", "))))
}

/// A mail such as a start now would queue.
fn sample(application: &Application, purpose: Purpose, locale: Locale) -> LeasedMessage {
    let now = Clock::system().now();
    let holds = Duration::from_secs(application.ttl_of(&purpose).default_seconds.into());
    let digits = &SAMPLE_DIGITS[..SAMPLE_DIGITS.len().min(application.limits.digits.into())];
    LeasedMessage {
        key: MessageKey { handle: [0; 16], verification: [0; 16] },
        fence: 1,
        tries: 0,
        leased_until: now + LEASE,
        leased_at: now,
        application: application.name.clone(),
        address: EmailAddress::parse(SAMPLE_ADDRESS).expect("a constant address"),
        number: (!purpose.is_notice()).then(|| IdentityNumber::parse(digits).expect("at least six digits")),
        purpose,
        locale,
        started_at: now,
        queued_at: now,
        expires_at: now + holds,
        message_id: format!("<preview@{}>", application.from.ascii_domain()),
        written: None,
    }
}

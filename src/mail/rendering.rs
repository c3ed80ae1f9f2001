//! Writes the mail that carries a number, or a notice. The same message gives the same bytes at every try, so that a
//! server that saw an earlier try can tell.

use std::{
    fmt,
    time::{Duration, UNIX_EPOCH},
};

use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Body, Mailbox, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue},
    },
};
use minijinja::Environment;
use thiserror::Error;
use zeroize::Zeroize;

use super::{
    facts::Facts,
    templates::{Filled, Templates},
};
use crate::domain::{Application, EmailAddress, IdentityNumber, LeasedMessage};

/// In characters, without its end. Source: RFC 5322, 2.1.1.
const LONGEST_LINE: usize = 998;

/// Why a mail could not be written.
#[derive(Debug, Error)]
pub enum RenderError {
    /// An address that a mail cannot carry.
    #[error("the address cannot be written in a mail")]
    Address,
    /// A template does not fit what it is given.
    #[error("{}:{}: {}", .0.name().unwrap_or("a template"), .0.line().unwrap_or_default(), .0.kind())]
    // its detail may have the number
    Template(#[from] minijinja::Error),
    /// The parts do not make a mail.
    #[error("the mail cannot be put together: {0}")]
    Build(#[from] lettre::error::Error),
}

/// A mail as it is sent and shown. What carries the number is wiped when it is dropped.
pub struct Mail {
    /// Its `Message-ID`, angle brackets included.
    pub message_id: String,
    /// To whom, as given.
    pub to: EmailAddress,
    /// Its subject.
    pub subject: String,
    /// Its text part.
    pub text: String,
    /// Its HTML part.
    pub html: String,
    /// Sender and recipient for SMTP.
    pub envelope: Envelope,
    /// Head and body, with CRLF line ends.
    pub bytes: Vec<u8>,
    /// The number it carries, if it does, so that it can be struck out of what a server answers.
    pub number: Option<IdentityNumber>,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mail")
    }
}

impl Drop for Mail {
    fn drop(&mut self) {
        self.subject.zeroize();
        self.text.zeroize();
        self.html.zeroize();
        self.bytes.zeroize();
    }
}

/// Writes mails by one set of templates.
#[derive(Debug)]
pub struct Renderer {
    templates: Templates,
    environment: Environment<'static>,
}

impl Default for Renderer {
    /// By the built-in templates.
    fn default() -> Self {
        Self::new(Templates::default())
    }
}

impl Renderer {
    /// By these templates.
    pub fn new(templates: Templates) -> Self {
        let environment = templates.environment();
        Self { templates, environment }
    }

    /// Writes the mail of `message` in the name of `application`: in the message's language, else in the application's, else
    /// in English.
    ///
    /// # Errors
    /// [`RenderError`]; the same message fails again.
    pub fn render(&self, message: &LeasedMessage, application: &Application) -> Result<Mail, RenderError> {
        let display_name = one_line(&application.display_name);
        let (locale, set) = self.templates.choose(message.locale, application.locale, &message.purpose);
        let facts = Facts {
            display_name: &display_name,
            number: message.digits(),
            number_in_subject: application.number_in_subject,
            purpose: message.purpose.as_str(),
            locale: locale.as_str(),
            holds: message.expires_at.since(message.started_at),
        };
        let Filled { subject, text, html } = set.fill(&self.environment, &facts)?;
        let built = put_together(message, application, display_name, &subject, &text, &html)?;
        Ok(Mail {
            message_id: message.message_id.clone(),
            to: message.address.clone(),
            subject,
            text,
            html,
            envelope: built.envelope().clone(),
            bytes: built.formatted(),
            number: message.number.clone(),
        })
    }
}

/// Control characters have no place in a name, line breaks least of all.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

fn put_together(
    message: &LeasedMessage,
    application: &Application,
    display_name: String,
    subject: &str,
    text: &str,
    html: &str,
) -> Result<Message, RenderError> {
    let (from, to) = (smtp_address(&application.from)?, smtp_address(&message.address)?);
    let date = UNIX_EPOCH + Duration::from_millis(message.started_at.0);
    let mut builder = Message::builder()
        .envelope(Envelope::new(Some(from.clone()), vec![to.clone()])?) // lettre would parse its own headers for it
        .from(Mailbox::new(Some(display_name), from))
        .to(Mailbox::new(None, to))
        .subject(subject)
        .date(date)
        .message_id(Some(message.message_id.clone()))
        .header(AutoSubmitted);
    if let Some(reply_to) = &application.reply_to {
        builder = builder.reply_to(Mailbox::new(None, smtp_address(reply_to)?));
    }
    let body = MultiPart::alternative()
        .boundary(boundary(&message.message_id))
        .singlepart(SinglePart::builder().content_type(ContentType::TEXT_PLAIN).body(encoded(text)))
        .singlepart(SinglePart::builder().content_type(ContentType::TEXT_HTML).body(encoded(html)));
    Ok(builder.multipart(body)?)
}

/// As it is, where a mail may carry it so; lettre would encode each text with a line of more than 76 characters, for a third of
/// the time that writing a mail takes.
fn encoded(text: &str) -> Body {
    let lines: Vec<&str> = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
    let is_plain = |line: &&str| line.len() <= LONGEST_LINE && line.is_ascii() && !line.contains(['\r', '\0']);
    if lines.iter().all(is_plain) {
        return Body::dangerous_pre_encoded(lines.join("\r\n").into_bytes(), ContentTransferEncoding::SevenBit);
    }
    Body::new(text.to_owned())
}

fn smtp_address(address: &EmailAddress) -> Result<Address, RenderError> {
    address.for_smtp().parse().map_err(|_| RenderError::Address)
}

/// A boundary that is the same at every try. The `Message-ID`, which nobody can guess, is in no body.
///
/// Source: RFC 2045, 6.7 (5) suggests `=_`; RFC 2046, 5.1.1 allows 70 characters.
fn boundary(message_id: &str) -> String {
    let name: String = message_id.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
    format!("=_{name}")
}

/// `Auto-Submitted: auto-generated`: no vacation notice is to answer it. Source: RFC 3834, 5.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

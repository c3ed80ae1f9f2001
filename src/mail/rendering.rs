//! Writes the mail that carries a number. The same message gives the same bytes at every try, so that a
//! server that saw an earlier try can tell.

use std::{
    fmt,
    time::{Duration, UNIX_EPOCH},
};

use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{Header, HeaderName, HeaderValue},
    },
};
use minijinja::{Environment, UndefinedBehavior, Value, context};
use thiserror::Error;
use zeroize::Zeroize;

use crate::domain::{Application, EmailAddress, IdentityNumber, LeasedMessage, Locale};

/// What a locale says for itself; the layout is common to all.
const WORDINGS: [(&str, &str); 8] = [
    ("en/subject", include_str!("templates/en/verification.subject")),
    ("en/intro", include_str!("templates/en/verification.intro")),
    ("en/holds", include_str!("templates/en/verification.holds")),
    ("en/warning", include_str!("templates/en/verification.warning")),
    ("es/subject", include_str!("templates/es/verification.subject")),
    ("es/intro", include_str!("templates/es/verification.intro")),
    ("es/holds", include_str!("templates/es/verification.holds")),
    ("es/warning", include_str!("templates/es/verification.warning")),
];
/// The parts of the mail; what is inserted where the name ends in `.html` is escaped.
const LAYOUTS: [(&str, &str); 2] = [
    ("verification.txt", include_str!("templates/verification.txt")),
    ("verification.html", include_str!("templates/verification.html")),
];

/// From here on a mail says hours instead of minutes; at least two, so that no language needs its singular.
const HOURS_FROM_MINUTES: u64 = 120;
/// Digits that are shown together in the HTML part, at most.
const LARGEST_GROUP: usize = 4;

/// Why a mail could not be written.
#[derive(Debug, Error)]
pub enum RenderError {
    /// An address that a mail cannot carry.
    #[error("the address cannot be written in a mail")]
    Address,
    /// A template does not fit what it is given.
    #[error("the template failed: {0}")]
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
    /// The number it carries, so that it can be struck out of what a server answers.
    pub number: IdentityNumber,
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

/// The templates, read once.
#[derive(Debug)]
pub struct Renderer {
    templates: Environment<'static>,
}

impl Default for Renderer {
    fn default() -> Self {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        for (name, source) in WORDINGS.into_iter().chain(LAYOUTS) {
            templates.add_template(name, source).expect("the built-in templates are read in the tests");
        }
        Self { templates }
    }
}

impl Renderer {
    /// Writes the mail of `message` in the name of `application`.
    ///
    /// # Errors
    /// [`RenderError`]; the same message fails again.
    pub fn render(&self, message: &LeasedMessage, application: &Application) -> Result<Mail, RenderError> {
        let display_name = one_line(&application.display_name);
        let facts = facts(message, application, &display_name);
        let wording = Wording { templates: &self.templates, locale: message.locale, facts };
        let subject = wording.say("subject")?;
        let parts = context! {
            locale => message.locale.as_str(),
            application => &display_name,
            number => message.number.as_str(),
            groups => Value::from_iter(groups(message.number.as_str())),
            intro => wording.say("intro")?,
            holds => wording.say("holds")?,
            warning => wording.say("warning")?,
        };
        let text = self.templates.get_template("verification.txt")?.render(&parts)?;
        let html = self.templates.get_template("verification.html")?.render(&parts)?;
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

/// The sentences of one locale, filled in.
struct Wording<'a> {
    templates: &'a Environment<'static>,
    locale: Locale,
    facts: Value,
}

impl Wording<'_> {
    fn say(&self, part: &str) -> Result<String, RenderError> {
        let name = format!("{}/{part}", self.locale.as_str());
        Ok(self.templates.get_template(&name)?.render(&self.facts)?)
    }
}

fn facts(message: &LeasedMessage, application: &Application, display_name: &str) -> Value {
    // rounded down: a mail must not promise more than holds
    let minutes = message.expires_at.since(message.started_at).as_secs() / 60;
    let hours = (minutes >= HOURS_FROM_MINUTES).then_some(minutes / 60);
    context! {
        application => display_name,
        number => message.number.as_str(),
        number_in_subject => application.number_in_subject,
        purpose => message.purpose.as_str(),
        minutes,
        hours,
    }
}

/// Control characters have no place in a name, line breaks least of all.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// The digits in groups of nearly the same size, the longer ones last: 3 4 for seven, 3 3 4 for ten.
fn groups(number: &str) -> Vec<&str> {
    let count = number.len().div_ceil(LARGEST_GROUP);
    let (size, longer) = (number.len() / count, number.len() % count);
    let mut rest = number;
    (0..count)
        .map(|index| {
            let take = if index < count - longer { size } else { size + 1 };
            let (group, after) = rest.split_at(take);
            rest = after;
            group
        })
        .collect()
}

fn put_together(
    message: &LeasedMessage,
    application: &Application,
    display_name: String,
    subject: &str,
    text: &str,
    html: &str,
) -> Result<Message, RenderError> {
    let date = UNIX_EPOCH + Duration::from_millis(message.started_at.0);
    let mut builder = Message::builder()
        .from(Mailbox::new(Some(display_name), smtp_address(&application.from)?))
        .to(Mailbox::new(None, smtp_address(&message.address)?))
        .subject(subject)
        .date(date)
        .message_id(Some(message.message_id.clone()))
        .header(AutoSubmitted);
    if let Some(reply_to) = &application.reply_to {
        builder = builder.reply_to(Mailbox::new(None, smtp_address(reply_to)?));
    }
    let body = MultiPart::alternative()
        .boundary(boundary(&message.message_id))
        .singlepart(SinglePart::plain(text.to_owned()))
        .singlepart(SinglePart::html(html.to_owned()));
    Ok(builder.multipart(body)?)
}

fn smtp_address(address: &EmailAddress) -> Result<Address, RenderError> {
    address.for_smtp().parse().map_err(|_| RenderError::Address)
}

/// A boundary that is the same at every try. Quoted-printable never writes `=_`, and the `Message-ID` is in no body.
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

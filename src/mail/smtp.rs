//! One worker's line to the SMTP servers: a connection that it owns, and the dialog that hands over one mail.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use lettre::{
    Address,
    address::Envelope,
    transport::smtp::{
        authentication::Credentials,
        client::AsyncSmtpConnection,
        commands::{Data, Mail as MailFrom, Noop, Rcpt, Rset},
        extension::{Extension, MailBodyParameter, MailParameter},
        response::{Response, Severity},
    },
};
use rustls::pki_types::CertificateDer;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::{
    connecting::Server,
    rendering::Mail,
    reply::{Deadline, Trouble, presentable},
};
use crate::domain::{IdentityNumber, MessageOutcome};

/// A connection that was not used for so long is closed: servers hang up on idle clients after minutes.
const LONGEST_IDLE: Duration = Duration::from_secs(60);
/// How long a server may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(1);

/// An SMTP server and how to speak to it.
#[derive(Clone)]
pub struct SmtpSettings {
    /// Its host name, which its certificate must name too.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: SmtpTls,
    /// Whether `tls = none` may leave this machine. Credentials never do so in clear.
    pub allow_plaintext: bool,
    /// The account; none: no AUTH.
    pub user: Option<String>,
    /// The account's password.
    pub password: Option<Zeroizing<String>>,
    /// Certificates that are trusted besides the system's.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// How long each step may take.
    pub limits: SmtpLimits,
}

impl fmt::Debug for SmtpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, tls, .. } = self;
        f.debug_struct("SmtpSettings").field("host", host).field("port", port).field("tls", tls).finish_non_exhaustive()
    }
}

impl SmtpSettings {
    pub(super) fn credentials(&self) -> Option<Credentials> {
        let password = self.password.as_ref().map_or("", |password| password.as_str());
        self.user.clone().map(|user| Credentials::new(user, password.to_owned()))
    }

    /// The ways in which the login's secret is written when it is sent, the longest first.
    fn logins(&self) -> Vec<Zeroizing<String>> {
        let Some(password) = self.password.as_ref().filter(|password| !password.is_empty()) else { return Vec::new() };
        let plain = Zeroizing::new(format!("\0{}\0{}", self.user.as_deref().unwrap_or_default(), password.as_str()));
        let encoded = |text: &str| Zeroizing::new(STANDARD.encode(text));
        vec![encoded(&plain), encoded(password), password.clone()]
    }
}

/// How a connection is encrypted. There is no opportunistic way: whoever can strip an offer of TLS could then read the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// TLS from the first byte; port 465 by custom.
    Implicit,
    /// STARTTLS, and nothing is said to a server that does not offer it; port 587 by custom.
    StartTls,
    /// No TLS: to this machine only, unless `allow_plaintext` is set.
    None,
}

/// How long each step of a try may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmtpLimits {
    /// Name look-up and TCP connection.
    pub connect: Duration,
    /// TLS, or one command and its answer.
    pub command: Duration,
    /// The mail's bytes, the final dot and its answer.
    pub after_final_dot: Duration,
    /// All of one try.
    pub whole: Duration,
}

impl Default for SmtpLimits {
    fn default() -> Self {
        let [connect, command, after_final_dot, whole] = [5, 10, 20, 40].map(Duration::from_secs);
        Self { connect, command, after_final_dot, whole }
    }
}

/// A line to the first of some servers that takes a connection. Never shared: what was said on a connection
/// decides what its next answer means.
#[derive(Debug)]
pub struct SmtpLine {
    servers: Arc<[Server]>,
    /// Made by the first try, kept while it works, closed when idle.
    open: Option<Open>,
    /// Why no server could be reached at the last attempt to connect.
    trouble: Option<String>,
}

struct Open {
    connection: AsyncSmtpConnection,
    limits: SmtpLimits,
    used_at: Instant,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Open")
    }
}

/// Where a dialog stopped, and why.
struct Stop {
    step: Step,
    trouble: Trouble,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing of this mail has been accepted: it may be tried again at once over another connection.
    Sender,
    /// The recipient, or the wish to send data.
    Envelope,
    /// The mail itself, but not its end.
    Content,
    /// The final dot was sent, or may have been.
    FinalDot,
}

impl SmtpLine {
    pub(super) fn new(servers: Arc<[Server]>) -> Self {
        Self { servers, open: None, trouble: None }
    }

    /// Why no server could be reached at the last attempt to connect; none when one was. Without address.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Tries to hand over `mail`; takes no longer than the limits say.
    pub async fn send(&mut self, mail: &Mail) -> MessageOutcome {
        let deadline = self.deadline();
        let mut result = match self.reusable() {
            Some(open) => Some(converse(open, mail, deadline).await),
            None => None,
        };
        if result.as_ref().is_none_or(was_dead_before_the_mail) {
            if let Err(reason) = self.connect(deadline).await {
                return MessageOutcome::Deferred { reply: reason, maybe_accepted: false };
            }
            let open = self.open.as_mut().expect("`connect` opened it");
            result = Some(converse(open, mail, deadline).await);
        }
        let result = result.expect("one of both dialogs was held");
        self.tidy_up(&result, deadline).await;
        outcome(result, |text| self.kept(text, Some(&mail.number)))
    }

    /// What may be kept of what a server said.
    fn kept(&self, text: &str, number: Option<&IdentityNumber>) -> String {
        let logins: Vec<_> = self.servers.iter().flat_map(|server| server.settings.logins()).collect();
        presentable(text, number, &logins)
    }

    /// Connects if there is no connection that can be used.
    ///
    /// # Errors
    /// Why it could not, for the operator; without address.
    pub async fn reach(&mut self) -> Result<(), String> {
        let deadline = self.deadline();
        let is_usable = match self.reusable() {
            Some(open) => open.answers(deadline).await,
            None => false,
        };
        if is_usable { Ok(()) } else { self.connect(deadline).await }
    }

    /// Whether there is a connection that nobody has used for long.
    pub fn is_stale(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.used_at.elapsed() >= LONGEST_IDLE)
    }

    /// Says goodbye and hangs up.
    pub async fn close(&mut self) {
        if let Some(mut open) = self.open.take() {
            // a server that does not answer is hung up on all the same
            let _ = timeout(FAREWELL, open.connection.quit()).await;
        }
    }

    fn deadline(&self) -> Deadline {
        let whole = self.servers.iter().map(|server| server.settings.limits.whole).max();
        Deadline::after(whole.unwrap_or_default())
    }

    fn reusable(&mut self) -> Option<&mut Open> {
        if self.is_stale() {
            self.open = None;
        }
        self.open.as_mut()
    }

    async fn connect(&mut self, deadline: Deadline) -> Result<(), String> {
        self.open = None;
        let mut reason = "no SMTP server is configured".to_owned();
        for server in self.servers.iter() {
            match server.connect(deadline).await {
                Ok(connection) => {
                    self.trouble = None;
                    self.open = Some(Open { connection, limits: server.settings.limits, used_at: Instant::now() });
                    return Ok(());
                }
                Err(trouble) => reason = self.kept(&format!("{}: {trouble}", server.settings.host), None),
            }
        }
        self.trouble = Some(reason.clone());
        Err(reason)
    }

    /// Leaves the connection ready for the next mail, or drops it.
    async fn tidy_up(&mut self, result: &Result<String, Stop>, deadline: Deadline) {
        let Some(mut open) = self.open.take() else { return };
        let is_ready = match result {
            Ok(_) => true,
            Err(stop) if stop.trouble.ends_connection() => false,
            Err(_) => deadline.within(open.limits.command, "RSET", open.connection.command(Rset)).await.is_ok(),
        };
        if is_ready {
            open.used_at = Instant::now();
            self.open = Some(open);
        }
    }
}

impl Open {
    async fn answers(&mut self, deadline: Deadline) -> bool {
        deadline.within(self.limits.command, "NOOP", self.connection.command(Noop)).await.is_ok()
    }
}

/// A connection that the server gave up while it was idle tells so at the first command.
fn was_dead_before_the_mail(result: &Result<String, Stop>) -> bool {
    matches!(result, Err(stop) if stop.step == Step::Sender && stop.trouble.ends_connection())
}

fn outcome(result: Result<String, Stop>, kept: impl Fn(&str) -> String) -> MessageOutcome {
    match result {
        Ok(reply) => MessageOutcome::Sent(kept(&reply)),
        Err(Stop { trouble, .. }) if trouble.is_final() => MessageOutcome::Refused(kept(&trouble.to_string())),
        Err(Stop { step, trouble }) => {
            let has_no_answer = matches!(trouble, Trouble::Broken(_));
            MessageOutcome::Deferred {
                reply: kept(&trouble.to_string()),
                maybe_accepted: step == Step::FinalDot && has_no_answer,
            }
        }
    }
}

/// MAIL, RCPT, DATA and the mail. `Ok` has the reply to the final dot.
async fn converse(open: &mut Open, mail: &Mail, deadline: Deadline) -> Result<String, Stop> {
    let Open { connection, limits, .. } = open;
    let at = |step| move |trouble| Stop { step, trouble };

    let parameters = mail_parameters(connection, mail).map_err(at(Step::Envelope))?;
    let sender = MailFrom::new(mail.envelope.from().cloned(), parameters);
    let reply = deadline.within(limits.command, "MAIL", connection.command(sender)).await;
    expect(reply, Severity::PositiveCompletion).map_err(at(Step::Sender))?;

    for recipient in mail.envelope.to() {
        let recipient = Rcpt::new(recipient.clone(), vec![]);
        let reply = deadline.within(limits.command, "RCPT", connection.command(recipient)).await;
        expect(reply, Severity::PositiveCompletion).map_err(at(Step::Envelope))?;
    }
    let reply = deadline.within(limits.command, "DATA", connection.command(Data)).await;
    expect(reply, Severity::PositiveIntermediate).map_err(at(Step::Envelope))?;

    let has_ended = AtomicBool::new(false);
    // lettre writes the final dot after the iterator has said that there is no more
    let end = std::iter::from_fn(|| {
        has_ended.store(true, Ordering::Relaxed);
        None
    });
    let content = connection.message_iter(std::iter::once(mail.bytes.as_slice()).chain(end));
    let reply = deadline.within(limits.after_final_dot, "the final dot", content).await;
    let reached = if has_ended.load(Ordering::Relaxed) { Step::FinalDot } else { Step::Content };
    expect(reply, Severity::PositiveCompletion).map(|reply| one_line(&reply)).map_err(at(reached))
}

/// What MAIL must announce. Source: RFC 6531 (SMTPUTF8), RFC 6152 (8BITMIME).
fn mail_parameters(connection: &AsyncSmtpConnection, mail: &Mail) -> Result<Vec<MailParameter>, Trouble> {
    let mut parameters = vec![];
    if has_address_beyond_ascii(&mail.envelope) {
        require(connection, Extension::SmtpUtfEight, "addresses beyond ASCII (SMTPUTF8)")?;
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !mail.bytes.is_ascii() {
        require(connection, Extension::EightBitMime, "mails beyond ASCII (8BITMIME)")?;
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(parameters)
}

fn has_address_beyond_ascii(envelope: &Envelope) -> bool {
    let is_beyond = |address: &Address| !AsRef::<str>::as_ref(address).is_ascii();
    envelope.from().is_some_and(is_beyond) || envelope.to().iter().any(is_beyond)
}

fn require(connection: &AsyncSmtpConnection, extension: Extension, what: &str) -> Result<(), Trouble> {
    if connection.server_info().supports_feature(extension) {
        return Ok(());
    }
    // what a server without the extension would answer; source: RFC 6531, 3.5
    Err(Trouble::Refused { code: 553, text: format!("5.6.7 the server does not take {what}") })
}

fn expect(reply: Result<Response, Trouble>, severity: Severity) -> Result<Response, Trouble> {
    let reply = reply?;
    if reply.code().severity == severity {
        return Ok(reply);
    }
    Err(Trouble::Broken(format!("an answer out of turn: {}", one_line(&reply))))
}

fn one_line(reply: &Response) -> String {
    let lines: Vec<&str> = reply.message().collect();
    format!("{} {}", reply.code(), lines.join(" "))
}

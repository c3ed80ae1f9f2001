//! One worker's line to the SMTP servers, over a connection that it owns.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use lettre::transport::smtp::authentication::Credentials;
use rustls::pki_types::CertificateDer;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{
    answers::{Answers, Step, Stop},
    breaker::Finding,
    capacity::Counted,
    handover::Connection,
    leash::{Leash, Stage},
    providers::Providers,
    rendering::Mail,
    reply::{Deadline, Trouble, presentable},
};
use crate::domain::{IdentityNumber, MessageOutcome};

/// A connection that was not used for so long is closed: servers hang up on idle clients after minutes.
const LONGEST_IDLE: Duration = Duration::from_secs(60);

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

    /// What may be kept of what this server said.
    pub(super) fn kept(&self, text: &str, number: Option<&IdentityNumber>) -> String {
        presentable(text, number, &self.logins())
    }

    /// The ways in which the login's secret is written when it is sent, the longest first.
    pub(super) fn logins(&self) -> Vec<Zeroizing<String>> {
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

/// A line to some servers, in their order. Never shared: what was said on a connection decides what its next answer means.
#[derive(Debug)]
pub struct SmtpLine {
    providers: Arc<Providers>,
    /// Made by the first try, kept while it works, closed when idle.
    open: Option<Open>,
}

struct Open {
    /// Whose connection it is, by its place among the providers.
    provider: usize,
    connection: Connection,
    used_at: Instant,
    _counted: Counted,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Open")
    }
}

impl SmtpLine {
    pub(super) fn new(providers: Arc<Providers>) -> Self {
        Self { providers, open: None }
    }

    /// Tries to hand over `mail` to the first server that takes mails, and to the next ones as long as nobody has, or may have,
    /// decided over it; takes no longer than the limits say, and ends when it is given up.
    pub async fn attempt(&mut self, mail: &Mail, leash: &Leash) -> MessageOutcome {
        let providers = self.providers.clone();
        let deadline = Deadline::after(providers.longest_try(), leash);
        let mut answers = Answers::default();
        for (index, provider) in providers.iter().enumerate() {
            let has_time = answers.is_empty() || deadline.leaves(provider.limits().after_final_dot);
            let is_full = !self.is_connected_to(index) && !provider.capacity.has_room();
            let is_left_to_others = is_full && index + 1 < providers.len();
            if !has_time || is_left_to_others || !provider.breaker.admit() {
                answers.passed_over = true;
                continue;
            }
            let begun = Instant::now();
            let result = self.try_with(index, mail, deadline).await;
            if matches!(&result, Err(stop) if stop.is_of_no_connection()) && provider.capacity.refused() {
                answers.passed_over = true; // it serves others of ours
                continue;
            }
            let settings = &provider.server.settings;
            if provider.breaker.found(begun, result.as_ref().map_or_else(|stop| stop.finding(settings), |_| Finding::Sound)) {
                providers.note_recovery();
            }
            let kept = |text: &str| settings.kept(text, mail.number.as_ref());
            if let Some(outcome) = answers.take(result, kept) {
                return outcome;
            }
        }
        answers.outcome()
    }

    /// Whether there is a connection.
    pub fn is_connected(&self) -> bool {
        self.open.is_some()
    }

    fn is_connected_to(&self, provider: usize) -> bool {
        self.open.as_ref().is_some_and(|open| open.provider == provider)
    }

    /// Whether there is a connection that nobody has used for long.
    pub fn is_stale(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.used_at.elapsed() >= LONGEST_IDLE)
    }

    /// Says goodbye and hangs up.
    pub async fn close(&mut self) {
        if let Some(open) = self.open.take() {
            open.connection.say_goodbye().await;
        }
    }

    async fn try_with(&mut self, provider: usize, mail: &Mail, deadline: Deadline<'_>) -> Result<String, Stop> {
        let mut result = None;
        if let Some(open) = self.reusable(provider).await {
            result = Some(open.connection.hand_over(mail, deadline).await);
        }
        let was_dead = |result: &Result<_, Stop>| result.as_ref().is_err_and(Stop::was_dead_before_the_mail);
        if result.as_ref().is_none_or(|result| was_dead(result) && !deadline.leash.is_given_up()) {
            let open = self.connect(provider, deadline).await.map_err(|trouble| Stop { step: Step::Connecting, trouble })?;
            result = Some(open.connection.hand_over(mail, deadline).await);
        }
        let result = result.expect("one of both dialogs was held");
        self.tidy_up(&result, deadline).await;
        result
    }

    /// The connection, if it is to that server and may still be there.
    async fn reusable(&mut self, provider: usize) -> Option<&mut Open> {
        if self.is_stale() {
            self.open = None;
        }
        if !self.is_connected_to(provider) {
            self.close().await;
        }
        self.open.as_mut()
    }

    async fn connect(&mut self, provider: usize, deadline: Deadline<'_>) -> Result<&mut Open, Trouble> {
        self.open = None;
        deadline.leash.reach(Stage::Connecting);
        let its = &self.providers[provider];
        let (begun, limits) = (Instant::now(), its.limits());
        let is_last = provider + 1 == self.providers.len();
        let patience = if is_last && !its.capacity.has_others() { limits.whole } else { its.capacity.patience() };
        let connecting = Box::pin(its.server.connect(deadline)); // large, and rare
        let connection = deadline.within(patience, "a connection", connecting).await?;
        let counted = its.connected(begun.elapsed());
        Ok(self.open.insert(Open { provider, connection, used_at: Instant::now(), _counted: counted }))
    }

    /// Leaves the connection ready for the next mail, or drops it.
    async fn tidy_up(&mut self, result: &Result<String, Stop>, deadline: Deadline<'_>) {
        let Some(mut open) = self.open.take() else { return };
        let is_ready = match result {
            Ok(_) => true,
            Err(stop) if stop.trouble.ends_connection() => false,
            Err(_) => open.connection.reset(deadline).await,
        };
        if is_ready {
            open.used_at = Instant::now();
            self.open = Some(open);
        }
    }
}

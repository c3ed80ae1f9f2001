//! Whether a server is worth a try. What stops a mail is told apart from what stops a server: only the latter opens its
//! breaker, and while it is open no mail is tried there.
//!
//! It opens when a connection cannot be made, and when the login is refused. Then the way is probed, once a second, after a
//! refused login each half minute. A server that a probe reached is in doubt, and so is one where three dialogs in a row broke
//! off with a mail: mails are tried there, but none is begun sooner than [`BETWEEN_TRIES`] after another, until one gets a clear
//! answer.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Troubles in a row that say something of a server that took mails a moment ago: one that bounds its connections refuses one
/// and serves the others.
const TROUBLES_IN_A_ROW: u32 = 3;
/// How recent that moment is.
const MOMENT_AGO: Duration = Duration::from_secs(1);
/// How long after a probe that failed the next one is made.
const PROBE_EACH: Duration = Duration::from_secs(1);
/// How long a probe is waited for before another is made beside it: a server that is back answers the new one alone.
const PROBE_BESIDE: Duration = Duration::from_secs(5);
/// How often a refused login is tried again: too many wrong ones lock accounts.
const LOGIN_EACH: Duration = Duration::from_secs(30);
/// Between the tries of two mails at a server in doubt. Long enough to spare the mails if it is the server that fails; short
/// enough that those which spoil their dialogs delay no others that one would notice.
const BETWEEN_TRIES: Duration = Duration::from_millis(50);
/// How often the log says that a server is in doubt.
const TELL_DOUBT_EACH: Duration = Duration::from_secs(60);

/// The breaker of one server.
#[derive(Debug)]
pub(super) struct Breaker {
    /// What logs and readiness call the server.
    name: String,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    /// When the last mail got a clear answer.
    sound_at: Option<Instant>,
    /// When it was last connected to, or a mail got a clear answer.
    reached_at: Option<Instant>,
    /// Whether the log says that it is open.
    is_told: bool,
    /// When the log last said that it is in doubt.
    doubt_told_at: Option<Instant>,
}

#[derive(Debug)]
enum State {
    Closed {
        /// Troubles since the last clear answer.
        troubles: u32,
    },
    Open {
        why: String,
        probe_at: Instant,
        /// Whether no probe is made beside another.
        is_login: bool,
    },
    InDoubt {
        /// How the last mail broke off; none after a probe.
        why: Option<String>,
        /// When the next mail may be tried.
        next_try: Instant,
    },
}

/// What a try, or a probe, says of a server; the reasons as they may be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// It gave a clear answer, whichever: it works.
    Sound,
    /// It could not be connected to.
    Unreached(String),
    /// It could be connected to, and the dialog broke off with a mail: the fault may be the mail's.
    Spoiled(String),
    /// It does not take our login.
    LoginRefused(String),
}

/// When a mail may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Now,
    At(Instant),
    /// Not before a probe was made.
    Never,
}

impl Breaker {
    pub(super) fn new(name: String) -> Self {
        let inner =
            Inner { state: State::Closed { troubles: 0 }, sound_at: None, reached_at: None, is_told: false, doubt_told_at: None };
        Self { name, inner: Mutex::new(inner) }
    }

    /// When the next mail may be tried.
    pub(super) fn next_turn(&self) -> Turn {
        self.inner().next_turn()
    }

    /// Takes the turn to try one mail, if there is one now.
    pub(super) fn admit(&self) -> bool {
        let mut inner = self.inner();
        let is_now = inner.next_turn() == Turn::Now;
        match &mut inner.state {
            State::InDoubt { next_try, .. } if is_now => *next_try = Instant::now() + BETWEEN_TRIES,
            State::InDoubt { .. } | State::Closed { .. } | State::Open { .. } => {}
        }
        is_now
    }

    /// What there is to say of it to the operator; nothing while mails are taken.
    pub(super) fn alarm(&self) -> Option<String> {
        match &self.inner().state {
            State::Open { why, .. } => Some(format!("{}: {why}", self.name)),
            State::InDoubt { why: Some(why), .. } => Some(format!("{}: mails break off there: {why}", self.name)),
            State::Closed { .. } | State::InDoubt { why: None, .. } => None,
        }
    }

    /// Whether it is time for a probe; if so, whoever asked has to make it.
    pub(super) fn is_probe_due(&self) -> bool {
        match &mut self.inner().state {
            State::Open { probe_at, is_login, .. } if *probe_at <= Instant::now() => {
                *probe_at = Instant::now() + if *is_login { LOGIN_EACH } else { PROBE_BESIDE };
                true
            }
            _ => false,
        }
    }

    /// It was connected to.
    pub(super) fn reached(&self) {
        let mut inner = self.inner();
        inner.reached_at = Some(Instant::now());
        if matches!(inner.state, State::Open { .. }) {
            inner.state = State::InDoubt { why: None, next_try: Instant::now() };
        }
    }

    /// A probe that was begun then failed so. It says nothing if another one did better meanwhile.
    pub(super) fn probe_failed(&self, begun: Instant, finding: Finding) {
        let mut inner = self.inner();
        if !inner.was_reached_since(begun) {
            inner.open(&self.name, finding);
        }
    }

    /// What the try of a mail that was begun then found; whether that ended an outage. It decides nothing over an open breaker, for
    /// it began before; and one that was not connected says nothing if another was meanwhile.
    pub(super) fn found(&self, begun: Instant, finding: Finding) -> bool {
        let mut inner = self.inner();
        if matches!(finding, Finding::Unreached(_)) && inner.was_reached_since(begun) {
            return false;
        }
        let troubles = match inner.state {
            State::Closed { troubles } => troubles + 1,
            State::InDoubt { .. } => TROUBLES_IN_A_ROW,
            State::Open { .. } => return false,
        };
        let was_sound_lately = inner.sound_at.is_some_and(|at| at.elapsed() < MOMENT_AGO);
        match finding {
            Finding::Sound => return inner.close(&self.name),
            Finding::LoginRefused(_) => inner.open(&self.name, finding),
            Finding::Unreached(_) if !was_sound_lately => inner.open(&self.name, finding),
            _ if troubles < TROUBLES_IN_A_ROW => inner.state = State::Closed { troubles },
            Finding::Unreached(_) => inner.open(&self.name, finding),
            Finding::Spoiled(why) => inner.doubt(&self.name, why),
        }
        false
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn was_reached_since(&self, begun: Instant) -> bool {
        self.reached_at.is_some_and(|at| at > begun)
    }

    fn next_turn(&self) -> Turn {
        match self.state {
            State::Open { .. } => Turn::Never,
            State::InDoubt { next_try, .. } if next_try > Instant::now() => Turn::At(next_try),
            State::InDoubt { .. } | State::Closed { .. } => Turn::Now,
        }
    }

    /// Whether it was open.
    fn close(&mut self, name: &str) -> bool {
        self.state = State::Closed { troubles: 0 };
        self.sound_at = Some(Instant::now());
        self.reached_at = self.sound_at;
        let ends_outage = std::mem::take(&mut self.is_told);
        if ends_outage {
            tracing::info!(smtp.host = name, "smtp server takes mails again");
        }
        ends_outage
    }

    /// Told once, until it is closed: what follows while it lasts is for who looks closely.
    fn open(&mut self, name: &str, finding: Finding) {
        let (why, wait, is_login) = match finding {
            Finding::Sound => return,
            Finding::Unreached(why) | Finding::Spoiled(why) => (why, PROBE_EACH, false),
            Finding::LoginRefused(why) => (why, LOGIN_EACH, true),
        };
        match std::mem::replace(&mut self.is_told, true) {
            true => tracing::debug!(smtp.host = name, cause = why, "smtp server still takes no mails"),
            false if is_login => {
                tracing::error!(smtp.host = name, cause = why, "smtp server refuses our login; mails wait or go by another");
            }
            false => tracing::warn!(smtp.host = name, cause = why, "smtp server takes no mails; trying until it does"),
        }
        self.state = State::Open { why, probe_at: Instant::now() + wait, is_login };
    }

    fn doubt(&mut self, name: &str, why: String) {
        let was_told = self.doubt_told_at.is_some_and(|at| at.elapsed() < TELL_DOUBT_EACH);
        if !was_told {
            tracing::warn!(smtp.host = name, cause = why, "mails break off at an smtp server; others go on");
            self.doubt_told_at = Some(Instant::now());
        }
        let next_try = match self.state {
            State::InDoubt { next_try, .. } => next_try,
            State::Closed { .. } | State::Open { .. } => Instant::now() + BETWEEN_TRIES,
        };
        self.state = State::InDoubt { why: Some(why), next_try };
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn breaker() -> Breaker {
        Breaker::new("smtp.example.org".to_owned())
    }

    fn unreached() -> Finding {
        Finding::Unreached("refused".to_owned())
    }

    fn spoiled() -> Finding {
        Finding::Spoiled("connection closed".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_cannot_be_connected_to_is_probed_once_a_second_until_it_can() {
        let (breaker, begun) = (breaker(), Instant::now());
        breaker.found(Instant::now(), unreached());
        assert_eq!(breaker.alarm().as_deref(), Some("smtp.example.org: refused"));
        assert_eq!((breaker.next_turn(), breaker.admit(), breaker.is_probe_due()), (Turn::Never, false, false));

        advance(Duration::from_secs(1)).await;
        assert!(breaker.is_probe_due() && !breaker.is_probe_due());
        advance(PROBE_BESIDE).await;
        assert!(breaker.is_probe_due(), "the first one may wait for an answer that never comes");
        breaker.reached();
        assert_eq!((breaker.next_turn(), breaker.alarm()), (Turn::Now, None));
        breaker.probe_failed(begun, unreached());
        breaker.found(begun, unreached());
        assert_eq!(breaker.next_turn(), Turn::Now, "it was reached after those were begun");
    }

    #[tokio::test(start_paused = true)]
    async fn in_doubt_one_mail_is_begun_after_another_until_one_gets_a_clear_answer() {
        let breaker = breaker();
        breaker.probe_failed(Instant::now(), unreached());
        breaker.reached();
        for _ in 0..3 {
            assert!(breaker.admit() && !breaker.admit());
            assert_eq!(breaker.next_turn(), Turn::At(Instant::now() + BETWEEN_TRIES));
            breaker.found(Instant::now(), spoiled());
            advance(BETWEEN_TRIES).await;
        }
        assert!(breaker.found(Instant::now(), Finding::Sound), "it ended an outage");
        assert!(breaker.admit() && breaker.admit());
    }

    #[tokio::test(start_paused = true)]
    async fn mails_that_break_off_open_nothing_and_bring_it_into_doubt_at_the_third_in_a_row() {
        let breaker = breaker();
        for finding in [spoiled(), spoiled(), Finding::Sound, spoiled(), spoiled()] {
            breaker.found(Instant::now(), finding);
            assert_eq!((breaker.next_turn(), breaker.alarm()), (Turn::Now, None));
        }
        for _ in 0..10 {
            breaker.found(Instant::now(), spoiled());
        }
        assert_eq!(breaker.next_turn(), Turn::At(Instant::now() + BETWEEN_TRIES));
        assert_eq!(breaker.alarm().as_deref(), Some("smtp.example.org: mails break off there: connection closed"));
        assert!(!breaker.found(Instant::now(), Finding::Sound), "there was no outage");
        assert_eq!(breaker.alarm(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_in_doubt_that_cannot_be_connected_to_is_open_again() {
        let breaker = breaker();
        breaker.probe_failed(Instant::now(), unreached());
        breaker.reached();
        breaker.found(Instant::now(), unreached());
        assert_eq!(breaker.next_turn(), Turn::Never);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_took_a_mail_a_moment_ago_may_refuse_a_connection() {
        let breaker = breaker();
        breaker.found(Instant::now(), Finding::Sound);
        breaker.found(Instant::now(), unreached());
        assert_eq!(breaker.next_turn(), Turn::Now);
        advance(Duration::from_secs(1)).await;
        breaker.found(Instant::now(), unreached());
        assert_eq!(breaker.next_turn(), Turn::Never);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_login_is_tried_again_each_half_minute() {
        let breaker = breaker();
        breaker.found(Instant::now(), Finding::LoginRefused("535 no".to_owned()));
        advance(Duration::from_secs(29)).await;
        assert!(!breaker.is_probe_due());
        advance(Duration::from_secs(1)).await;
        assert!(breaker.is_probe_due());
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_began_before_decides_nothing_over_an_open_one() {
        let breaker = breaker();
        breaker.found(Instant::now(), unreached());
        assert!(!breaker.found(Instant::now(), Finding::Sound));
        assert_eq!(breaker.next_turn(), Turn::Never);
    }
}

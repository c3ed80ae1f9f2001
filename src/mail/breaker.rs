//! Whether a server is worth a try. What stops a mail is told apart from what stops a server: only the latter opens its
//! breaker, and while it is open no mail is tried there.
//!
//! It opens when a connection cannot be made, at the third dialog in a row that breaks off, and when the login is refused. Then
//! the way is probed, once a second, after a refused login each half minute. A probe that connects half-opens it: one mail at
//! a time is tried, until one gets a clear answer.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::transport::Reach;

/// Troubles in a row that open the breaker of a server that took mails a moment ago: a server that bounds its connections
/// refuses one and serves the others.
const TROUBLES_IN_A_ROW: u32 = 3;
/// How recent that moment is.
const MOMENT_AGO: Duration = Duration::from_secs(1);
/// How often the way to a server is probed.
const PROBE_EACH: Duration = Duration::from_secs(1);
/// How often a refused login is tried again: too many wrong ones lock accounts.
const LOGIN_EACH: Duration = Duration::from_secs(30);

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
    /// Whether the log says that it is open.
    is_told: bool,
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
        is_probed: bool,
    },
    /// A probe connected.
    HalfOpen {
        /// Whether a mail is being tried.
        is_tried: bool,
    },
}

/// What a try, or a probe, says of a server; the reasons as they may be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// It gave a clear answer, whichever: it works.
    Sound,
    /// It could not be connected to.
    Unreached(String),
    /// The dialog broke off.
    Broken(String),
    /// It does not take our login.
    LoginRefused(String),
}

/// The right to try one mail. Dropped without a finding, as by a panic, it leaves the breaker as it was.
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    is_trial: bool,
}

impl Breaker {
    pub(super) fn new(name: String) -> Self {
        let inner = Inner { state: State::Closed { troubles: 0 }, sound_at: None, is_told: false };
        Self { name, inner: Mutex::new(inner) }
    }

    /// The right to try one mail, unless it is open.
    pub(super) fn admit(&self) -> Option<Pass<'_>> {
        match &mut self.inner().state {
            State::Closed { .. } => Some(Pass { breaker: self, is_trial: false }),
            State::HalfOpen { is_tried } if !*is_tried => {
                *is_tried = true;
                Some(Pass { breaker: self, is_trial: true })
            }
            State::HalfOpen { .. } | State::Open { .. } => None,
        }
    }

    /// Whether mails can be tried there.
    pub(super) fn reach(&self) -> Reach {
        match self.inner().state {
            State::Closed { .. } => Reach::All,
            State::HalfOpen { is_tried: false } => Reach::OneMail,
            State::HalfOpen { is_tried: true } | State::Open { .. } => Reach::None,
        }
    }

    /// Why no mail is tried there, for the operator; none when mails are.
    pub(super) fn why_open(&self) -> Option<String> {
        match &self.inner().state {
            State::Open { why, .. } => Some(format!("{}: {why}", self.name)),
            State::Closed { .. } | State::HalfOpen { .. } => None,
        }
    }

    /// Whether it is time for a probe; if so, whoever asked has to make it.
    pub(super) fn is_probe_due(&self) -> bool {
        match &mut self.inner().state {
            State::Open { probe_at, is_probed, .. } if !*is_probed && *probe_at <= Instant::now() => {
                *is_probed = true;
                true
            }
            _ => false,
        }
    }

    /// What a probe found.
    pub(super) fn probed(&self, finding: Finding) {
        let mut inner = self.inner();
        match finding {
            Finding::Sound if matches!(inner.state, State::Open { .. }) => inner.state = State::HalfOpen { is_tried: false },
            Finding::Sound => {}
            failing => inner.open(&self.name, failing),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// What the try found; whether that ended an outage. Only the one mail that may try it decides over a breaker that is half
    /// open.
    pub(super) fn found(self, finding: Finding) -> bool {
        let mut inner = self.breaker.inner();
        let troubles = match inner.state {
            State::Closed { troubles } => troubles,
            _ if self.is_trial => TROUBLES_IN_A_ROW,
            _ => return false,
        };
        let was_sound_lately = inner.sound_at.is_some_and(|at| at.elapsed() < MOMENT_AGO);
        match finding {
            Finding::Sound => return inner.close(&self.breaker.name),
            Finding::Unreached(_) if !was_sound_lately => inner.open(&self.breaker.name, finding),
            Finding::Unreached(_) | Finding::Broken(_) if troubles + 1 < TROUBLES_IN_A_ROW => {
                inner.state = State::Closed { troubles: troubles + 1 };
            }
            Finding::Unreached(_) | Finding::Broken(_) | Finding::LoginRefused(_) => inner.open(&self.breaker.name, finding),
        }
        false
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let State::HalfOpen { is_tried } = &mut self.breaker.inner().state
            && self.is_trial
        {
            *is_tried = false;
        }
    }
}

impl Inner {
    /// Whether it was open.
    fn close(&mut self, name: &str) -> bool {
        self.state = State::Closed { troubles: 0 };
        self.sound_at = Some(Instant::now());
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
            Finding::Unreached(why) | Finding::Broken(why) => (why, PROBE_EACH, false),
            Finding::LoginRefused(why) => (why, LOGIN_EACH, true),
        };
        match std::mem::replace(&mut self.is_told, true) {
            true => tracing::debug!(smtp.host = name, cause = why, "smtp server still takes no mails"),
            false if is_login => {
                tracing::error!(smtp.host = name, cause = why, "smtp server refuses our login; mails wait or go by another");
            }
            false => tracing::warn!(smtp.host = name, cause = why, "smtp server takes no mails; trying until it does"),
        }
        self.state = State::Open { why, probe_at: Instant::now() + wait, is_probed: false };
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

    fn broken() -> Finding {
        Finding::Broken("took too long".to_owned())
    }

    fn find(breaker: &Breaker, finding: Finding) {
        breaker.admit().unwrap().found(finding);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_cannot_be_connected_to_is_probed_once_a_second_and_then_tried_with_one_mail() {
        let breaker = breaker();
        find(&breaker, unreached());
        assert_eq!(breaker.why_open().as_deref(), Some("smtp.example.org: refused"));
        assert_eq!((breaker.reach(), breaker.admit().is_none(), breaker.is_probe_due()), (Reach::None, true, false));

        advance(Duration::from_secs(1)).await;
        assert!(breaker.is_probe_due() && !breaker.is_probe_due());
        breaker.probed(Finding::Sound);
        assert_eq!((breaker.reach(), breaker.why_open()), (Reach::OneMail, None));
        let trial = breaker.admit().unwrap();
        assert!(breaker.reach() == Reach::None && breaker.admit().is_none());
        trial.found(Finding::Sound);
        assert_eq!(breaker.reach(), Reach::All);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_fails_opens_it_again_and_one_that_vanishes_leaves_room_for_the_next() {
        let breaker = breaker();
        breaker.probed(unreached());
        breaker.probed(Finding::Sound);
        drop(breaker.admit().unwrap());
        assert_eq!(breaker.reach(), Reach::OneMail);

        find(&breaker, broken());
        assert_eq!(breaker.reach(), Reach::None);
    }

    #[tokio::test(start_paused = true)]
    async fn dialogs_that_break_off_open_it_at_the_third_in_a_row() {
        let breaker = breaker();
        for finding in [broken(), broken(), Finding::Sound, broken(), broken()] {
            find(&breaker, finding);
            assert_eq!(breaker.reach(), Reach::All);
        }
        find(&breaker, broken());
        assert_eq!(breaker.reach(), Reach::None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_took_a_mail_a_moment_ago_may_refuse_a_connection() {
        let breaker = breaker();
        find(&breaker, Finding::Sound);
        find(&breaker, unreached());
        assert_eq!(breaker.reach(), Reach::All);
        advance(Duration::from_secs(1)).await;
        find(&breaker, unreached());
        assert_eq!(breaker.reach(), Reach::None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_login_is_tried_again_each_half_minute() {
        let breaker = breaker();
        find(&breaker, Finding::LoginRefused("535 no".to_owned()));
        advance(Duration::from_secs(29)).await;
        assert!(!breaker.is_probe_due());
        advance(Duration::from_secs(1)).await;
        assert!(breaker.is_probe_due());
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_began_before_decides_nothing_over_an_open_one() {
        let breaker = breaker();
        let (early, late) = (breaker.admit().unwrap(), breaker.admit().unwrap());
        early.found(unreached());
        late.found(Finding::Sound);
        assert_eq!(breaker.reach(), Reach::None);
    }
}

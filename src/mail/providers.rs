//! The SMTP servers in their order, each with its breaker. All workers share them.

use std::{ops::Deref, time::Duration};

use tokio::{
    sync::{Mutex, Notify},
    time::{Instant, sleep_until},
};

use super::{
    breaker::{Breaker, Finding, Turn},
    connecting::Server,
    leash::Leash,
    reply::Deadline,
    smtp::{SmtpLimits, say_goodbye},
};

/// The servers, the one to be preferred first.
#[derive(Debug)]
pub(super) struct Providers {
    all: Vec<Provider>,
    /// Tells that a server that was out of reach has been reached.
    recovered: Notify,
    /// Who waits for a server in doubt; fair.
    queue: Mutex<()>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) server: Server,
    pub(super) breaker: Breaker,
}

impl Provider {
    pub(super) fn limits(&self) -> SmtpLimits {
        self.server.settings.limits
    }
}

impl Deref for Providers {
    type Target = [Provider];

    fn deref(&self) -> &[Provider] {
        &self.all
    }
}

impl Providers {
    pub(super) fn new(servers: Vec<Server>) -> Self {
        let provider = |server: Server| Provider { breaker: Breaker::new(server.settings.host.clone()), server };
        Self { all: servers.into_iter().map(provider).collect(), recovered: Notify::new(), queue: Mutex::default() }
    }

    /// How long one try may take, over all of them.
    pub(super) fn longest_try(&self) -> Duration {
        self.iter().map(|provider| provider.limits().whole).max().unwrap_or_default()
    }

    /// Whether mails can be tried at any of them.
    pub(super) fn take_mails(&self) -> bool {
        self.iter().any(|provider| provider.breaker.next_turn() != Turn::Never)
    }

    /// Returns when one of them may be given a mail, or none may before it was probed. Who came first goes first.
    pub(super) async fn next_turn(&self) {
        let _first_in_line = self.queue.lock().await;
        while let Some(at) = self.earliest_turn() {
            sleep_until(at).await;
        }
    }

    /// Until when all have to be waited for, if any is worth it.
    fn earliest_turn(&self) -> Option<Instant> {
        let turns = || self.iter().map(|provider| provider.breaker.next_turn());
        let later = |turn| if let Turn::At(at) = turn { Some(at) } else { None };
        if turns().any(|turn| turn == Turn::Now) { None } else { turns().filter_map(later).min() }
    }

    /// Connects to one of them; whether it could. Its breaker learns of it.
    pub(super) async fn probe(&self, index: usize) -> bool {
        let Provider { server, breaker } = &self[index];
        match server.connect(Deadline::after(server.settings.limits.whole, &Leash::default())).await {
            Ok(connection) => {
                breaker.probed(Finding::Sound);
                self.note_recovery();
                say_goodbye(connection).await;
                true
            }
            Err(trouble) => {
                breaker.probed(trouble.finding_of_connecting(server.settings.kept(&trouble.to_string(), None)));
                false
            }
        }
    }

    /// Those that somebody has to probe now; each is named once.
    pub(super) fn due_probes(&self) -> Vec<usize> {
        (0..self.len()).filter(|&index| self[index].breaker.is_probe_due()).collect()
    }

    /// Whoever waits for it hears of it, or whoever waits next.
    pub(super) fn note_recovery(&self) {
        self.recovered.notify_one();
    }

    /// Returns when one of them was reached, or has taken a mail again, since the last call.
    pub(super) async fn recovered(&self) {
        self.recovered.notified().await;
    }
}

//! The SMTP servers in their order, each with its breaker. All workers share them.

use std::{ops::Deref, time::Duration};

use tokio::sync::Notify;

use super::{
    breaker::{Breaker, Finding},
    connecting::Server,
    reply::Deadline,
    smtp::{SmtpLimits, say_goodbye},
    transport::Reach,
};

/// The servers, the one to be preferred first.
#[derive(Debug)]
pub(super) struct Providers {
    all: Vec<Provider>,
    /// Tells that a server that was out of reach has been reached.
    recovered: Notify,
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
        Self { all: servers.into_iter().map(provider).collect(), recovered: Notify::new() }
    }

    /// How long one try may take, over all of them.
    pub(super) fn longest_try(&self) -> Duration {
        self.iter().map(|provider| provider.limits().whole).max().unwrap_or_default()
    }

    /// Whether mails can be tried: by the best of them.
    pub(super) fn reach(&self) -> Reach {
        self.iter().map(|provider| provider.breaker.reach()).max().unwrap_or(Reach::None)
    }

    /// Connects to one of them; whether it could. Its breaker learns of it.
    pub(super) async fn probe(&self, index: usize) -> bool {
        let Provider { server, breaker } = &self[index];
        match server.connect(Deadline::after(server.settings.limits.whole)).await {
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

//! The SMTP servers in their order, each with its breaker. All workers share them.

use std::{ops::Deref, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, Notify},
    time::{Instant, sleep_until},
};

use super::{
    breaker::{Breaker, Turn},
    capacity::{Capacity, Counted},
    connecting::Server,
    leash::Leash,
    reply::Deadline,
    smtp::SmtpLimits,
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
    pub(super) capacity: Arc<Capacity>,
}

impl Provider {
    fn new(server: Server) -> Self {
        Self { breaker: Breaker::new(server.settings.host.clone()), server, capacity: Arc::new(Capacity::new()) }
    }

    /// One more connection carries mail; it took so long until it did. What others found when it was refused them is over.
    pub(super) fn connected(&self, took: Duration) -> Counted {
        self.breaker.reached();
        self.capacity.connected(took)
    }

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
        Self { all: servers.into_iter().map(Provider::new).collect(), recovered: Notify::new(), queue: Mutex::default() }
    }

    /// How long one try may take, over all of them.
    pub(super) fn longest_try(&self) -> Duration {
        self.iter().map(|provider| provider.limits().whole).max().unwrap_or_default()
    }

    /// Whether mails can be tried at any of them.
    pub(super) fn take_mails(&self) -> bool {
        self.iter().any(|provider| provider.breaker.next_turn() != Turn::Never)
    }

    /// How many connections to those that take mails may carry mails at once, as far as is known; any number if none does.
    pub(super) fn connections(&self) -> usize {
        let taking = self.iter().filter(|provider| provider.breaker.next_turn() != Turn::Never);
        let connections = taking.map(|provider| provider.capacity.most());
        connections.reduce(usize::saturating_add).unwrap_or(usize::MAX)
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
        let is_full = |provider: &&Provider| !provider.capacity.has_room();
        let all_are_full = self.iter().all(|provider| is_full(&provider));
        let with_room = || self.iter().filter(move |provider| all_are_full || !is_full(provider));
        let turns = || with_room().map(|provider| provider.breaker.next_turn());
        let later = |turn| if let Turn::At(at) = turn { Some(at) } else { None };
        if turns().any(|turn| turn == Turn::Now) { None } else { turns().filter_map(later).min() }
    }

    /// Connects to one of them; whether it could. Its breaker learns of it.
    pub(super) async fn probe(&self, index: usize) -> bool {
        let Provider { server, breaker, capacity } = &self[index];
        let patience = if capacity.has_others() { capacity.patience() } else { server.settings.limits.whole };
        let begun = Instant::now();
        match server.connect(Deadline::after(patience, &Leash::default())).await {
            Ok(connection) => {
                breaker.reached();
                capacity.had_one_more();
                self.note_recovery();
                connection.say_goodbye().await;
                true
            }
            Err(trouble) if !trouble.is_of_login() && capacity.refused() => true,
            Err(trouble) => {
                let why = server.settings.kept(&trouble.to_string(), None);
                breaker.probe_failed(begun, trouble.finding_of_connecting(why));
                false
            }
        }
    }

    /// Those that somebody has to probe now; each is named once.
    pub(super) fn due_probes(&self) -> Vec<usize> {
        let is_due = |its: &Provider| its.breaker.is_probe_due() || its.capacity.is_to_be_asked();
        (0..self.len()).filter(|&index| is_due(&self[index])).collect()
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

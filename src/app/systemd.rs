//! What systemd is told; nothing when the daemon was not started by it.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use super::roster::Roster;

/// The daemon listens, or listens on with what it has after a reload.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// A reload begins; [`ready`] ends it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(error = %error, "systemd is not told of a reload"),
    }
}

/// The daemon ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(error = %error, "systemd could not be told how the daemon is");
    }
}

/// Feeds the watchdog, if systemd set one.
pub(super) struct Watchdog(Option<JoinHandle<()>>);

impl Watchdog {
    /// Feeds it from now on, twice in its time, as long as every actor answers.
    pub fn of(roster: Roster) -> Self {
        Self(sd_notify::watchdog_enabled().map(|time| actix_rt::spawn(feed_while_alive(time / 2, roster))))
    }

    /// Feeds it without asking: a stop ends the actors, and is bounded by its grace.
    pub fn stopping(self) {
        if let (Some(feeding), Some(time)) = (self.0, sd_notify::watchdog_enabled()) {
            feeding.abort();
            actix_rt::spawn(feed(time / 2));
        }
    }
}

async fn feed_while_alive(each: Duration, roster: Roster) {
    let (mut ticks, mut was_alive) = (ticks(each), true);
    loop {
        ticks.tick().await;
        let is_alive = roster.all_alive().await;
        if is_alive {
            tell(&[NotifyState::Watchdog]);
        } else if was_alive {
            tracing::error!("an actor does not answer: the watchdog is not fed");
        }
        was_alive = is_alive;
    }
}

async fn feed(each: Duration) {
    let mut ticks = ticks(each);
    loop {
        ticks.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn ticks(each: Duration) -> tokio::time::Interval {
    let mut ticks = interval(each.max(Duration::from_millis(1))); // a watchdog of no time is no reason to fall
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

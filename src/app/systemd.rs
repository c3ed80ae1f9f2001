//! What systemd is told; nothing when the daemon was not started by it.
//!
//! The protocol is that of `sd_notify(3)`: a datagram to the socket that `NOTIFY_SOCKET` names. It is our own few lines because
//! the crate `sd-notify` takes a name in the abstract namespace for a path, and loses what it was to say.

use std::{
    env,
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    process,
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use super::roster::Roster;

const ALIVE: &str = "WATCHDOG=1\n";

/// The daemon listens, or listens on with what it has after a reload.
pub(super) fn ready() {
    tell("READY=1\n");
}

/// A reload begins; [`ready`] ends it.
pub(super) fn reloading() {
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={}\n", microseconds_since_boot()));
}

/// The daemon ends.
pub(super) fn stopping() {
    tell("STOPPING=1\n");
}

fn tell(states: &str) {
    let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return };
    if let Err(error) = send(states, &name) {
        tracing::warn!(error = %error, "systemd could not be told how the daemon is");
    }
}

fn send(states: &str, socket: &OsStr) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(states.as_bytes(), &address).map(drop) // a datagram is sent whole or not at all
}

/// By the clock that systemd compares it with.
fn microseconds_since_boot() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

/// The watchdog's time; none when systemd set none for this process.
fn watchdog_time() -> Option<Duration> {
    let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let is_ours = number("WATCHDOG_PID").is_none_or(|id| id == u64::from(process::id()));
    number("WATCHDOG_USEC").filter(|_| is_ours).map(Duration::from_micros)
}

/// Feeds the watchdog, if systemd set one.
pub(super) struct Watchdog(Option<JoinHandle<()>>);

impl Watchdog {
    /// Feeds it from now on, twice in its time, as long as every actor answers.
    pub fn of(roster: Roster) -> Self {
        Self(watchdog_time().map(|time| actix_rt::spawn(feed_while_alive(time / 2, roster))))
    }

    /// Feeds it without asking: a stop ends the actors, and is bounded by its grace.
    pub fn stopping(self) {
        if let (Some(feeding), Some(time)) = (self.0, watchdog_time()) {
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
            tell(ALIVE);
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
        tell(ALIVE);
    }
}

fn ticks(each: Duration) -> tokio::time::Interval {
    let mut ticks = interval(each.max(Duration::from_millis(1))); // a watchdog of no time is no reason to fall
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

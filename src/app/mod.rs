//! The composition root: what the daemon consists of, in which order it starts, and how it stops.

mod banner;
mod cells;
mod certificate;
mod changes;
mod daemon;
mod entrance;
mod observatory;
mod open_files;
mod parts;
mod reload;
mod roster;
mod service;
mod systemd;

use std::{path::PathBuf, process::ExitCode};

use actix::System;
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use daemon::{Daemon, Ending};
pub use parts::Parts;
pub use reload::LoadConfig;
pub use roster::Place;
pub use service::Service;

use reload::Reloading;
use systemd::Watchdog;

use crate::{
    audit::AuditError,
    clock::Clock,
    config::{Config, TlsUnusable},
    demo::DemoError,
    http::ListenError,
    mail::transport::SmtpSetupError,
    meters::MetersError,
    private_file::PrivateFileError,
    store::RingError,
};

/// Why the daemon did not start; one line, with what mends it.
#[derive(Debug, Error)]
pub enum StartError {
    /// No runtime, thread or directory.
    #[error("{0}: {1}")]
    System(String, std::io::Error),
    /// A data directory that others may change.
    #[error("data_dir {} {}", .0.display(), .1)]
    DataDirectory(PathBuf, PrivateFileError),
    /// No demo application.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// No keys, or not those of the store.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// No embedded store.
    #[error(transparent)]
    Embedded(#[from] crate::store::embedded::OpenError),
    /// No way to send mails.
    #[error(transparent)]
    Smtp(#[from] SmtpSetupError),
    /// No audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// No listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// No listener for metrics.
    #[error("metrics.listen: {0}")]
    MetricsListen(ListenError),
    /// No certificate to follow the one in use.
    #[error(transparent)]
    Certificate(#[from] TlsUnusable),
    /// No recorder for metrics.
    #[error(transparent)]
    Meters(#[from] MetersError),
}

/// Exit code when an actor's restart budget is spent: the process supervisor above us is to start us anew.
const EXIT_GAVE_UP: u8 = 70;
const EXIT_ABORTED: i32 = 130;

/// Runs the daemon until it is told to stop, or until an actor's restart budget is spent: then it drains and its exit code is
/// 70. On SIGHUP it takes from what `load` reads anew what can change while it runs.
///
/// # Errors
/// [`StartError`] when it did not start.
pub fn run(config: Config, load: LoadConfig) -> Result<ExitCode, StartError> {
    let system = System::new();
    system.block_on(async {
        let mut signals = Signals::listen()?;
        let banner = banner::Banner::of(&config);
        let mut reloading = Reloading::new(config.clone(), load);
        let mut daemon = Daemon::start(config, clock()).await?;
        banner.print(daemon.address());
        systemd::ready();
        let watchdog = Watchdog::of(daemon.roster().clone());
        let ending = until_the_end(&mut daemon, &mut signals, &mut reloading).await;
        systemd::stopping();
        watchdog.stopping();
        actix_rt::spawn(async move {
            signals.stop().await;
            tracing::warn!("stopped a second time: aborting");
            std::process::exit(EXIT_ABORTED);
        });
        daemon.stop(&ending).await;
        Ok(ending.code())
    })
}

async fn until_the_end(daemon: &mut Daemon, signals: &mut Signals, reloading: &mut Reloading) -> Ending {
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Asked::ToStop => return Ending::Asked,
                Asked::ToReload => {
                    systemd::reloading();
                    reloading.reload(daemon).await;
                    systemd::ready();
                }
            },
            escalation = daemon.escalation() => return Ending::GaveUp(escalation),
        }
    }
}

#[cfg(not(feature = "testing"))]
fn clock() -> Clock {
    Clock::system()
}

#[cfg(feature = "testing")]
fn clock() -> Clock {
    Clock::ahead_by_environment()
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// What a signal asks for.
enum Asked {
    ToStop,
    ToReload,
}

impl Signals {
    fn listen() -> Result<Self, StartError> {
        let on = |kind| signal(kind).map_err(|error| StartError::System("signals".to_owned(), error));
        // once it has been listened to, a file that may not grow is an error of the write, and not our end
        drop(on(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
        let (terminate, interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt, hang_up: on(SignalKind::hangup())? })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::ToStop,
            _ = self.interrupt.recv() => Asked::ToStop,
            _ = self.hang_up.recv() => Asked::ToReload,
        }
    }

    async fn stop(&mut self) {
        while !matches!(self.next().await, Asked::ToStop) {}
    }
}

//! The composition root: what the daemon consists of, in which order it starts, and how it stops.

mod banner;
mod daemon;
mod parts;
mod service;

use std::process::ExitCode;

use actix::System;
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use daemon::{Daemon, Ending};
pub use parts::Parts;
pub use service::Service;

use crate::{
    clock::Clock, config::Config, demo::DemoError, http::ListenError, mail::transport::SmtpSetupError, store::RingError,
};

/// Why the daemon did not start; one line, with what mends it.
#[derive(Debug, Error)]
pub enum StartError {
    /// No runtime, thread or directory.
    #[error("{0}: {1}")]
    System(String, std::io::Error),
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
    /// No listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// Exit code when an actor's restart budget is spent: the process supervisor above us is to start us anew.
const EXIT_GAVE_UP: u8 = 70;
const EXIT_ABORTED: i32 = 130;

/// Runs the daemon until a signal, or until an actor's restart budget is spent: then it drains and its exit code is 70.
///
/// # Errors
/// [`StartError`] when it did not start.
pub fn run(config: Config) -> Result<ExitCode, StartError> {
    let system = System::new();
    system.block_on(async {
        let mut stop = StopSignals::listen()?;
        let banner = banner::Banner::of(&config);
        let mut daemon = Daemon::start(config, clock()).await?;
        banner.print(daemon.address());
        let ending = tokio::select! {
            () = stop.next() => Ending::Asked,
            escalation = daemon.escalation() => Ending::GaveUp(escalation),
        };
        actix_rt::spawn(async move {
            stop.next().await;
            tracing::warn!("stopped a second time: aborting");
            std::process::exit(EXIT_ABORTED);
        });
        daemon.stop(&ending).await;
        Ok(ending.code())
    })
}

#[cfg(not(feature = "testing"))]
fn clock() -> Clock {
    Clock::system()
}

#[cfg(feature = "testing")]
fn clock() -> Clock {
    Clock::ahead_by_environment()
}

struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> Result<Self, StartError> {
        let on = |kind| signal(kind).map_err(|error| StartError::System("signals".to_owned(), error));
        Ok(Self { terminate: on(SignalKind::terminate())?, interrupt: on(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

use std::sync::Arc;

use thiserror::Error;
use tokio::task::spawn_blocking;

use super::{Daemon, StartError, changes::changes};
use crate::{
    audit::Entry,
    config::{Config, ConfigError},
};

/// Reads the configuration anew.
pub type LoadConfig = Arc<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// Takes from the configuration, on SIGHUP, what can change while everything runs: all of it, or nothing.
pub(super) struct Reloading {
    /// What the daemon goes by.
    running: Config,
    load: LoadConfig,
}

/// Why the configuration was not reloaded; one line, with what mends it.
#[derive(Debug, Error)]
enum ReloadError {
    /// It is not allowed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It changes what cannot change.
    #[error("{}: cannot change while the daemon runs; restart it, or put back what was there", .0.join(", "))]
    Fixed(Vec<&'static str>),
    /// What it names is not there.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl Reloading {
    pub(super) fn new(running: Config, load: LoadConfig) -> Self {
        Self { running, load }
    }

    pub(super) async fn reload(&mut self, daemon: &Daemon) {
        match self.try_to(daemon).await {
            Ok(changes) => {
                tracing::info!("configuration reloaded");
                record(daemon, "configuration.reloaded", &changes);
            }
            Err(cause) => {
                tracing::error!(cause = %cause, "configuration not reloaded; the one before holds on");
                record(daemon, "configuration.refused", &[cause.to_string()]);
            }
        }
    }

    /// What has changed.
    async fn try_to(&mut self, daemon: &Daemon) -> Result<Vec<String>, ReloadError> {
        let load = self.load.clone();
        let config = spawn_blocking(move || load()).await.expect("loading returns its errors")?;
        let fixed = self.running.fixed_differences(&config);
        if !fixed.is_empty() {
            return Err(ReloadError::Fixed(fixed));
        }
        daemon.reload(&config)?;
        let changes = changes(&self.running, &config);
        self.running = config;
        Ok(changes)
    }
}

fn record(daemon: &Daemon, event: &'static str, changes: &[String]) {
    daemon.audit().append(&Entry { event, changes, ..Entry::default() });
}

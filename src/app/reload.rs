use std::sync::Arc;

use thiserror::Error;
use tokio::task::spawn_blocking;

use super::{Daemon, StartError};
use crate::config::{Config, ConfigError};

/// Reads the configuration anew.
pub type LoadConfig = Arc<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// Takes from the configuration, on SIGHUP, what can change while everything runs: all of it, or nothing.
pub(super) struct Reloading {
    /// What the daemon was started with: what cannot change goes by it.
    started_with: Config,
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
    pub(super) fn new(started_with: Config, load: LoadConfig) -> Self {
        Self { started_with, load }
    }

    pub(super) async fn reload(&self, daemon: &Daemon) {
        match self.try_to(daemon).await {
            Ok(()) => tracing::info!("configuration reloaded"),
            Err(cause) => tracing::error!(cause = %cause, "configuration not reloaded; the one before holds on"),
        }
    }

    async fn try_to(&self, daemon: &Daemon) -> Result<(), ReloadError> {
        let load = self.load.clone();
        let config = spawn_blocking(move || load()).await.expect("loading returns its errors")?;
        let fixed = self.started_with.fixed_differences(&config);
        if !fixed.is_empty() {
            return Err(ReloadError::Fixed(fixed));
        }
        Ok(daemon.reload(&config)?)
    }
}

use std::{path::Path, process::ExitCode};

use super::Refusal;
use crate::{config::Config, telemetry};

/// Runs the daemon until it is told to stop.
pub(super) fn run(file: Option<&Path>) -> Result<ExitCode, Refusal> {
    let config = Config::load(file)?;
    telemetry::start(config.log)?;
    run_daemon(config)
}

/// STAND-IN: becomes `Ok(crate::app::run(config)?)` when the composition root is there.
#[expect(clippy::needless_pass_by_value, clippy::unnecessary_wraps, reason = "has the signature of what it stands in for")]
fn run_daemon(config: Config) -> Result<ExitCode, Refusal> {
    tracing::info!(http.listen = %config.listen, "configured");
    Ok(ExitCode::SUCCESS)
}

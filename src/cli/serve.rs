use std::{path::Path, process::ExitCode};

use super::Refusal;
use crate::{app, config::Config, telemetry};

/// Runs the daemon until it is told to stop.
pub(super) fn run(file: Option<&Path>) -> Result<ExitCode, Refusal> {
    let config = Config::load(file)?;
    telemetry::start(config.log)?;
    Ok(app::run(config)?)
}

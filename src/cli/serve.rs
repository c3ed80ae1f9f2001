use std::{path::Path, process::ExitCode, sync::Arc};

use super::Refusal;
use crate::{app, config::Config, telemetry};

/// Runs the daemon until it is told to stop.
pub(super) fn run(file: Option<&Path>) -> Result<ExitCode, Refusal> {
    let file = file.map(Path::to_owned);
    let load = Arc::new(move || Config::load(file.as_deref()));
    let config = load()?;
    telemetry::start(config.log)?;
    Ok(app::run(config, load)?)
}

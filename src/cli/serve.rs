use std::{io, path::Path, process::ExitCode, sync::Arc};

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use super::Refusal;
use crate::{app, config::Config, telemetry};

/// Runs the daemon until it is told to stop.
pub(super) fn run(file: Option<&Path>) -> Result<ExitCode, Refusal> {
    keep_memory_to_ourselves().map_err(|error| Refusal(format!("core dumps cannot be turned off: {error}")))?;
    let file = file.map(Path::to_owned);
    let load = Arc::new(move || Config::load(file.as_deref()));
    let config = load()?;
    telemetry::start(config.log)?;
    Ok(app::run(config, load)?)
}

/// Turns core dumps off, before any secret is read: keys and open tokens pass through this memory. A limit of 0 holds for core
/// files, not for a `core_pattern` that is a pipe; not being dumpable holds for both, and keeps other processes of the same user
/// from reading the memory.
fn keep_memory_to_ourselves() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

#[cfg(test)]
mod tests {
    use rustix::process::{dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn no_core_is_dumped_to_a_file_or_a_pipe() {
        keep_memory_to_ourselves().unwrap();

        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}

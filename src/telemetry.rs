//! What the daemon logs goes to standard error: text for people, or one JSON object a line.

use std::io::{self, IsTerminal};

use thiserror::Error;
use tracing::Level;
use tracing_subscriber::EnvFilter;

use crate::{
    config::{Log, LogFormat},
    foreseen, supervision,
};

/// Why logging did not start.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TelemetryError {
    /// `RUST_LOG` is no list of directives.
    #[error("RUST_LOG: must be directives such as info or fiador=debug,warn")]
    Directives,
}

/// Logs from here on as `log` says; `RUST_LOG`, when set, says instead what is logged. Called once, first of all.
///
/// # Errors
/// [`TelemetryError::Directives`].
pub fn start(log: Log) -> Result<(), TelemetryError> {
    let directives = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty()).unwrap_or_else(|| directives(log.level));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter(&directives)?).with_writer(io::stderr);
    match log.format {
        LogFormat::Text => subscriber.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
    std::panic::set_hook(Box::new(|panic| {
        supervision::note_place(panic);
        // only where: what a panic says may hold what must not be logged
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        if foreseen::is_foreseen() {
            tracing::debug!(panic.place = place, "panicked, as was reckoned with");
        } else {
            tracing::error!(panic.place = place, "panicked");
        }
    }));
    Ok(())
}

fn filter(directives: &str) -> Result<EnvFilter, TelemetryError> {
    let filter = EnvFilter::try_new(directives).map_err(|_| TelemetryError::Directives)?;
    Ok(CARRIERS
        .iter()
        .fold(filter, |filter, carrier| filter.add_directive(carrier.parse().expect("a constant directive, tested"))))
}

/// Libraries that carry addresses, ids, keys or mails, and tell of them in what they trace: warp every path, ids included. Not even
/// `RUST_LOG=trace` lets them. What h2 warns of is what a client does, once a connection: nobody fills the log from outside.
const CARRIERS: [&str; 7] = ["h2=error", "hyper=warn", "hyper_util=warn", "lettre=warn", "mio=warn", "redis=warn", "warp=warn"];

/// Our own events from `level` on; those of the libraries from `warn` at most, because what they tell below that is not ours to
/// keep free of secrets.
fn directives(level: Level) -> String {
    let of_libraries = level.min(Level::WARN);
    format!("{of_libraries},fiador={level}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_never_log_below_warnings_unless_asked_for_by_name() {
        assert_eq!(directives(Level::TRACE), "WARN,fiador=TRACE");
        assert_eq!(directives(Level::ERROR), "ERROR,fiador=ERROR");
    }

    #[test]
    fn libraries_that_carry_secrets_are_held_back_whatever_is_asked_for_and_h2_does_not_warn_of_each_client() {
        let shown = filter("trace,h2=trace,warp=trace").unwrap().to_string();

        for held in CARRIERS {
            assert!(shown.split(',').any(|directive| directive == held), "{held}: {shown}");
        }
        assert!(CARRIERS.contains(&"h2=error") && !shown.contains("h2=trace"), "{shown}");
    }
}

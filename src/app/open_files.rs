//! How many connections the process can hold: each is an open file.

use rustix::process::{Resource, getrlimit, setrlimit};

/// What the process has open besides its listeners' connections: logs, stores, connections to Redis and SMTP, and room to spare.
const OTHERS: u64 = 256;

/// Raises the limit of open files as far as it may be raised, and says how many connections fit under it, at most `wished`.
pub(super) fn room_for_connections(wished: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_ok() {
        limit = raised;
    }
    let room = limit.current.map_or(u64::MAX, |files| files.saturating_sub(OTHERS).max(1));
    let fitting = usize::try_from(room).unwrap_or(usize::MAX).min(wished);
    if fitting < wished {
        tracing::warn!(connections = fitting, "fewer connections than otherwise: raise the limit of open files (ulimit -n)");
    }
    fitting
}

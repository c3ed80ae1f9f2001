//! How many connections the process can hold: each is an open file.

use rustix::process::{Resource, getrlimit, setrlimit};

/// What the process has open besides its listeners' connections: logs, stores, connections to Redis and SMTP, and room to spare.
const OTHERS: u64 = 256;

/// Raises the limit of open files as far as it may be raised, and says how many connections fit under it for each of `listeners`,
/// at most `wished`. Each has its own share: who fills one leaves the others, and the store, the files they need.
pub(super) fn room_for_connections(wished: usize, listeners: u64) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_ok() {
        limit = raised;
    }
    let fitting = share(limit.current, listeners).min(wished);
    if fitting < wished {
        tracing::warn!(connections = fitting, "fewer connections than otherwise: raise the limit of open files (ulimit -n)");
    }
    fitting
}

fn share(files: Option<u64>, listeners: u64) -> usize {
    let room = files.map_or(u64::MAX, |files| files.saturating_sub(OTHERS) / listeners);
    usize::try_from(room).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_listeners_together_leave_the_files_that_the_rest_needs() {
        assert_eq!([1, 2].map(|listeners| share(Some(1_024), listeners)), [768, 384]);
        assert_eq!([Some(0), Some(OTHERS + 1)].map(|files| share(files, 2)), [1, 1]);
        assert_eq!(share(None, 2), usize::MAX);
    }
}

//! `PyJWT`, a library that is not ours, as a resource server would use it.

use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use super::daemon::Daemon;

/// Where a daemon publishes its keys.
pub const KEYS: &str = "/.well-known/jwks.json";
/// Debian's own Python, which has the package `python3-jwt`.
const PYTHON: &str = "/usr/bin/python3";

/// The claims that an independent library (`PyJWT`) reads with the daemon's keys, or what it says against the assertion.
pub async fn verified(daemon: &Daemon, assertion: &str) -> Result<Value, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/kit/verify_assertion.py");
    let keys = format!("http://{}{KEYS}", daemon.address);
    let mut python = Command::new(PYTHON);
    python.env_clear().arg(script).args([&keys, "fiador", "shop", assertion]).kill_on_drop(true);
    let output = python.output().await.expect("Debian's python3 and python3-jwt are installed");
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

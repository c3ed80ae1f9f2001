//! Where it was measured.

use std::{fs, process::Command, thread};

/// Processor, cores, memory, system, and the versions of what stood beside the daemon.
pub fn description() -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let memory = value_in("/proc/meminfo", "MemTotal:").trim_end_matches(" kB").parse().unwrap_or(0.0) / 1024.0 / 1024.0;
    format!(
        "{cores} cores of {}, {memory:.0} GiB, {} {}; {}; Node.js {}",
        value_in("/proc/cpuinfo", "model name").trim_start_matches([':', ' ', '\t']),
        said("uname", &["-s"]),
        said("uname", &["-r"]),
        redis_version(),
        said("node", &["--version"]),
    )
}

fn value_in(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.map_or_else(|| "unknown".to_owned(), |value| value.trim().to_owned())
}

fn redis_version() -> String {
    let said = said("redis-server", &["--version"]);
    let version = said.split_whitespace().find_map(|word| word.strip_prefix("v="));
    format!("Redis {}", version.unwrap_or("unknown"))
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}

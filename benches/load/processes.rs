//! The servers that are measured, each a process of its own that ends with us, and what they use.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

/// How Linux counts CPU time, in ticks a second.
const TICKS: f64 = 100.0;

pub struct Process {
    child: Child,
    lines: Option<std::io::Lines<BufReader<ChildStdout>>>,
}

impl Process {
    pub fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().with_context(|| format!("{command:?}"))?;
        let stdout = child.stdout.take().context("a pipe was asked for")?;
        Ok(Self { child, lines: Some(BufReader::new(stdout).lines()) })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The rest of the first line that holds `marker`.
    pub fn line_after(&mut self, marker: &str) -> anyhow::Result<String> {
        let lines = self.lines.as_mut().context("its output is no longer read")?;
        for line in lines.map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once(marker) {
                return Ok(rest.trim().to_owned());
            }
        }
        bail!("the program ended before it said {marker:?}")
    }

    /// Reads on, so that its pipe does not fill up.
    pub fn drain(&mut self) {
        if let Some(lines) = self.lines.take() {
            std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

/// CPU time that a process has used, in seconds.
pub fn cpu_seconds(process: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat has a name in brackets")?;
    let mut ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    let (user, system) = (ticks.next().context("user time")??, ticks.next().context("system time")??);
    Ok((user + system) / TICKS)
}

/// Memory that a process has resident, in MiB.
pub fn resident_mib(process: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("/proc/PID/status has VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

/// A port that is free, and stays so unless somebody else takes it.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A redis-server of our own: AOF, everysec, never rewritten while it is measured.
pub struct Redis {
    pub process: Process,
    pub port: u16,
    _directory: TempDir,
}

impl Redis {
    pub fn start() -> anyhow::Result<Self> {
        let (directory, port) = (tempfile::tempdir()?, free_port()?);
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "yes"]);
        command.args(["--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0", "--dir"]).arg(directory.path());
        let mut process = Process::spawn(&mut command)?;
        process.line_after("Ready to accept connections")?;
        process.drain();
        Ok(Self { process, port, _directory: directory })
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub fn connection(&self) -> anyhow::Result<redis::Connection> {
        Ok(redis::Client::open(self.url())?.get_connection()?)
    }

    /// Drops the queues of mails, and leaves the records that they lead to.
    pub fn forget_queued_mails(&self) -> anyhow::Result<()> {
        let mut connection = self.connection()?;
        let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("{*}q").query(&mut connection)?;
        let queues: Vec<_> = keys.into_iter().filter(|key| key.len() <= LONGEST_QUEUE_KEY).collect();
        ensure!(!queues.is_empty(), "no mail is queued");
        Ok(redis::cmd("UNLINK").arg(queues).exec(&mut connection)?)
    }

    /// Drops all records, but not what says whose they are.
    pub fn flush(&self) -> anyhow::Result<()> {
        let mut connection = self.connection()?;
        let ring: Option<Vec<u8>> = redis::cmd("DUMP").arg(KEY_RING).query(&mut connection)?;
        redis::cmd("FLUSHALL").exec(&mut connection)?;
        if let Some(ring) = ring {
            redis::cmd("RESTORE").arg(KEY_RING).arg(0).arg(ring).exec(&mut connection)?;
        }
        Ok(())
    }

    pub fn used_memory(&self) -> anyhow::Result<f64> {
        let info: String = redis::cmd("INFO").arg("memory").query(&mut self.connection()?)?;
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).context("INFO tells used_memory")?;
        Ok(line.trim().parse()?)
    }
}

/// Where the daemon writes whose records a Redis holds.
const KEY_RING: &str = "fiador:keyring";
/// A tag of two letters in braces, and a letter; a record's name has a hash besides.
const LONGEST_QUEUE_KEY: usize = 5;

/// The bare reference, on the store that its arguments say.
pub fn start_bare(program: &Path, kind: &str, place: &str, sizes: &str) -> anyhow::Result<(Process, SocketAddr)> {
    let mut process = Process::spawn(Command::new(program).args([kind, place, sizes]))?;
    let address = process.line_after("http://")?.parse()?;
    Ok((process, address))
}

/// The old design's three servers.
pub struct Express {
    pub processes: Vec<Process>,
    pub address: SocketAddr,
}

impl Express {
    pub fn start(directory: &Path, redis_url: &str, smtp: SocketAddr) -> anyhow::Result<Self> {
        let server = |file: &str, settings: &[(&str, &str)]| -> anyhow::Result<(Process, String)> {
            let mut command = Command::new("node");
            command.arg(directory.join(file)).env("NODE_ENV", "production").envs(settings.iter().copied());
            let mut process = Process::spawn(&mut command)?;
            let address = process.line_after("listens on ")?;
            Ok((process, address))
        };
        let (redis, redis_server) = server("redis-server.js", &[("REDIS_URL", redis_url)])?;
        let (mail, mail_server) = server("mail-server.js", &[("SMTP", &smtp.to_string())])?;
        let (gateway, address) = server("gateway.js", &[("REDIS_SERVER", &redis_server), ("MAIL_SERVER", &mail_server)])?;
        let address = address.trim_start_matches("http://").parse()?;
        Ok(Self { processes: vec![redis, mail, gateway], address })
    }
}

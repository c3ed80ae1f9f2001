//! The real daemon, in a directory of its own, on a port that the system chose.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

pub struct Daemon {
    process: Child,
    /// Where it listens, `127.0.0.1:1234`.
    pub address: String,
    /// What it printed about how to try it.
    pub try_lines: String,
    directory: TempDir,
}

impl Daemon {
    /// Without configuration: embedded store, dev inbox, demo application.
    pub fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), &[], &[])
    }

    /// In `directory`, with these arguments, and more variables of the environment.
    pub fn start_in(directory: TempDir, arguments: &[&str], variables: &[(&str, &Path)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_fiador"))
            .args(arguments)
            .current_dir(directory.path())
            .env("FIADOR__HTTP__LISTEN", "127.0.0.1:0")
            .env("FIADOR__METRICS__LISTEN", "")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut until = |part: &str| lines.by_ref().take_while(|line| !line.contains(part)).collect::<Vec<_>>();
        let banner = until("  mail:  ");
        let has_demo = directory.path().join("data/demo.key").exists();
        let tried = if has_demo { until("All mails:") } else { Vec::new() };
        let (_, address) = banner[0].split_once("http://").unwrap();
        let curls: Vec<_> = tried.into_iter().filter(|line| line.contains("curl")).collect();
        let try_lines = curls.join("\n") + "\n";
        Self { process, address: address.to_owned(), try_lines, directory }
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn demo_key(&self) -> String {
        fs::read_to_string(self.directory().join("data/demo.key")).unwrap().trim().to_owned()
    }

    /// What `script` prints, run in the directory that the daemon was started in.
    pub fn shell(&self, script: &str) -> String {
        let ran = Command::new("sh").args(["-c", script]).current_dir(self.directory()).env("NO_PROXY", "*").output().unwrap();
        assert!(ran.status.success(), "{script}");
        String::from_utf8(ran.stdout).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

//! The daemon itself, as a process of the test's own, ended by id when the test is over.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

pub struct TestDaemon {
    process: Child,
    address: String,
}

impl TestDaemon {
    /// Runs in this directory with these variables, on a free port; returns once it listens.
    pub fn start(directory: &Path, environment: &[(&str, &str)]) -> Self {
        let mut process = command(directory, environment).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find_map(|line| line.split_once("listens on ").map(|(_, address)| address.to_owned()));
        std::thread::spawn(move || lines.for_each(drop)); // its pipe must not fill up
        Self { process, address: address.expect("the daemon says where it listens") }
    }

    /// What it says when it does not start.
    pub fn refusal(directory: &Path, environment: &[(&str, &str)]) -> String {
        let output = command(directory, environment).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
    }
}

fn command(directory: &Path, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fiador"));
    command.current_dir(directory).env_clear().env("FIADOR__HTTP__LISTEN", "127.0.0.1:0").envs(environment.iter().copied());
    command
}

impl Drop for TestDaemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

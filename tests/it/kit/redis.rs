//! A real redis-server of the test's own, on a free port, ended by id when the test is over.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use redis::{Client, Commands, Connection};
use tempfile::TempDir;

pub struct TestRedis {
    port: u16,
    server: Child,
    directory: TempDir,
    arguments: Vec<String>,
}

impl TestRedis {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With more command line arguments, such as `--maxmemory-policy`.
    pub fn start_with(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        // what else runs on this machine may take a port between that it is found free and that it is bound
        let mut tries = (0..5).map(|_| free_port());
        let started = tries.find_map(|port| Some((port, try_to_spawn(port, &directory, &arguments, READY)?)));
        let (port, server) = started.expect("redis-server starts on one of five free ports");
        Self { port, server, directory, arguments }
    }

    /// Over TLS alone, with this certificate and key.
    pub fn start_tls(certificate: &Path, key: &Path) -> Self {
        let port = free_port().to_string();
        let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
        let files = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no"];
        let mut server = Self::start_with(&[&["--port", "0", "--tls-port", &port], files.as_slice()].concat());
        server.port = port.parse().unwrap();
        server
    }

    /// One node of a cluster that has all slots: it refuses what crosses slots, and scripts that touch undeclared keys.
    pub fn start_cluster_of_one() -> Self {
        let server = Self::start_with(&["--cluster-enabled", "yes"]);
        let mut connection = server.connection();
        redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(0).arg(16_383).exec(&mut connection).unwrap();
        while !cluster_info(&mut connection).contains("cluster_state:ok") {}
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Where it keeps its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn connection(&self) -> Connection {
        Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// All keys, as they are named.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        self.connection().keys("*").unwrap()
    }

    /// All keys with their values, as text where they are text.
    pub fn dump(&self) -> Vec<(String, String)> {
        let mut connection = self.connection();
        let keys: Vec<Vec<u8>> = connection.keys("*").unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let value = |key: &Vec<u8>| -> Vec<u8> { redis::cmd("DUMP").arg(key).query(&mut connection).unwrap() };
        let values: Vec<Vec<u8>> = keys.iter().map(value).collect();
        keys.into_iter().map(text).zip(values.into_iter().map(text)).collect()
    }

    /// Ends the server as a crash would.
    pub fn kill(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    /// Starts it again on the same port and directory.
    pub fn start_again(&mut self) {
        self.server = spawn(self.port, &self.directory, &self.arguments, READY);
    }

    /// Starts it again on the snapshot that [`Self::snapshot`] made, of which it takes so long to load each key, in
    /// microseconds. Returns once it has begun to.
    pub fn start_again_loading(&mut self, microseconds_a_key: u32) {
        let delay = microseconds_a_key.to_string();
        let slowly = ["--key-load-delay", &delay, "--loading-process-events-interval-bytes", "1024"].map(str::to_owned);
        let arguments = [self.arguments.as_slice(), &slowly].concat();
        self.server = spawn(self.port, &self.directory, &arguments, "Server initialized");
    }

    /// Writes all there is to its snapshot.
    pub fn snapshot(&self) {
        self.tell(&["SAVE"]);
    }

    /// Stops it in its tracks: connections stay, and are still accepted, but nothing is answered.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.server.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Runs a command of these words.
    pub fn tell(&self, words: &[&str]) {
        command(words).exec(&mut self.connection()).unwrap();
    }

    /// Breaks all connections.
    pub fn cut_connections(&self) {
        self.tell(&["CLIENT", "KILL", "TYPE", "normal"]);
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn cluster_info(connection: &mut Connection) -> String {
    redis::cmd("CLUSTER").arg("INFO").query(connection).unwrap()
}

/// A command of these words.
pub fn command(words: &[&str]) -> redis::Cmd {
    let mut command = redis::Cmd::new();
    command.arg(words);
    command
}

fn free_port() -> u16 {
    // a cluster node also takes the port 10,000 above
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if port < 50_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

/// What a server says when it answers.
const READY: &str = "Ready to accept connections";

/// Returns once the server has said that.
fn spawn(port: u16, directory: &TempDir, arguments: &[String], said: &str) -> Child {
    try_to_spawn(port, directory, arguments, said).unwrap_or_else(|| panic!("redis-server ended before it said {said}"))
}

/// None when it has ended instead.
fn try_to_spawn(port: u16, directory: &TempDir, arguments: &[String], said: &str) -> Option<Child> {
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string(), "--dir"])
        .arg(directory.path())
        .args(arguments);
    let mut server = command.stdout(Stdio::piped()).spawn().expect("redis-server is installed");
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let is_ready = |line: &String| line.contains(said);
    let ready = lines.by_ref().map_while(Result::ok).find(is_ready);
    if ready.is_none() {
        server.wait().expect("it has ended");
        return None;
    }
    std::thread::spawn(move || lines.for_each(drop)); // its pipe must not fill up
    Some(server)
}

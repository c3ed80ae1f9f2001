//! The real daemon: a process of its own in a directory of its own, killed when the test is over.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};

use fiador::api_key::{ApiKey, key_hash_to_text};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};

const FIADOR: &str = env!("CARGO_BIN_EXE_fiador");
/// Longer than any of this takes on a busy machine: who waits so long waits in vain.
const PATIENCE: Duration = Duration::from_secs(60);

/// The directory that daemons are started in. It outlives them, as its data do.
pub struct Home {
    directory: TempDir,
}

impl Home {
    /// An empty one: what a fresh clone is.
    pub fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    /// One whose configuration declares an application; its key.
    pub fn with_application(config: &str) -> (Self, String) {
        let (home, key) = (Self::new(), ApiKey::draw());
        home.declare_application(config, key.as_str());
        (home, key.as_str().to_owned())
    }

    /// Writes a configuration with an application that has this key.
    pub fn declare_application(&self, config: &str, key: &str) {
        self.write("config.toml", &format!("{config}\n{}", application("shop", key)));
    }

    /// Adds one to the configuration; its key.
    pub fn declare_another_application(&self) -> String {
        let key = ApiKey::draw();
        self.write("config.toml", &format!("{}\n{}", self.read("config.toml"), application("forum", key.as_str())));
        key.as_str().to_owned()
    }

    /// Another one with the same configuration and key ring: for a second daemon of one service.
    pub fn beside(&self) -> Self {
        let other = Self::new();
        for name in ["config.toml", "data/keyring.toml"] {
            other.write(name, &self.read(name));
        }
        other
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file for its owner alone.
    pub fn write(&self, name: &str, text: &str) {
        self.write_with_mode(name, text, 0o600);
    }

    pub fn write_with_mode(&self, name: &str, text: &str, mode: u32) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self.set_mode(name, mode);
    }

    pub fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn demo_key(&self) -> String {
        self.read("data/demo.key").trim_end().to_owned()
    }

    /// A daemon that listens already.
    pub async fn start(&self) -> Daemon {
        self.start_with(&[]).await
    }

    /// One with more in its environment.
    pub async fn start_with(&self, environment: &[(&str, &str)]) -> Daemon {
        let mut child = self.command(environment).spawn().unwrap();
        let stdout = Lines::of(child.stdout.take().unwrap());
        let stderr = Lines::of(child.stderr.take().unwrap());
        let first_line = tokio::select! {
            line = stdout.line_with("") => line,
            code = child.wait() => panic!("ended at once with {code:?}: {:#?}", stderr.so_far()),
        };
        let address = first_line.split_once("://").expect("what the first line says").1.to_owned();
        Daemon { child, address, stdout, stderr }
    }

    /// One whose standard output nobody reads, so that it is broken.
    pub async fn start_unheard(&self) -> Daemon {
        let mut child = self.command(&[]).spawn().unwrap();
        drop(child.stdout.take());
        let (stdout, stderr) = (Lines::of(tokio::io::empty()), Lines::of(child.stderr.take().unwrap()));
        let listens = stderr.line_with("http.listen=").await;
        let address = listens.split("http.listen=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().to_owned();
        Daemon { child, address, stdout, stderr }
    }

    /// The one line with which the daemon refuses to start.
    pub async fn refusal(&self, environment: &[(&str, &str)]) -> String {
        let Output { status, stdout, stderr } = timeout(PATIENCE, self.command(environment).output()).await.unwrap().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert_eq!((status.code(), stdout.as_slice()), (Some(1), b"".as_slice()), "{said}");
        let refusals: Vec<&str> = said.lines().filter(|line| line.starts_with("fiador: ")).collect();
        assert_eq!(refusals, said.lines().collect::<Vec<_>>(), "more than the refusal is said");
        assert_eq!(refusals.len(), 1, "{said}");
        said
    }

    /// Starts one and ends it by force; all it said on standard error, if it ended with a refusal.
    pub async fn start_and_stop(&self) -> Result<(), String> {
        let mut child = self.command(&[]).spawn().unwrap();
        let (mut stdout, mut listens) = (BufReader::new(child.stdout.take().unwrap()), String::new());
        timeout(PATIENCE, stdout.read_line(&mut listens)).await.unwrap().unwrap();
        if !listens.is_empty() {
            child.kill().await.unwrap();
            return Ok(());
        }
        let (code, said) = ended(child).await;
        assert_eq!(code, Some(1), "{said}");
        Err(said)
    }

    /// What a command other than `serve` says; it succeeds.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let output = timeout(PATIENCE, self.command(&[]).args(arguments).output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// One that is on its way, killed when it is dropped.
    pub fn begin(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Child {
        self.command(environment).args(arguments).spawn().unwrap()
    }

    fn command(&self, environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(FIADOR);
        command
            .env_clear()
            .env("FIADOR__HTTP__LISTEN", "127.0.0.1:0")
            .env("FIADOR__METRICS__LISTEN", "")
            .envs(environment.iter().copied())
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

fn application(name: &str, key: &str) -> String {
    application_whose_key(name, key, "")
}

/// The block that declares an application with one key, of which `more` is said.
pub fn application_whose_key(name: &str, key: &str, more: &str) -> String {
    let hash = key_hash_to_text(&ApiKey::parse(key).unwrap().hash());
    format!("[[applications]]\nname = \"{name}\"\nkeys = [{{ hash = \"{hash}\"{more} }}]\n")
}

/// The exit code of a command, and all it said.
pub async fn ended(command: Child) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = timeout(PATIENCE, command.wait_with_output()).await.unwrap().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

/// Returns once it has died of SIGKILL: nobody but itself sends it.
pub async fn killed(child: &mut Child) {
    let status = timeout(PATIENCE, child.wait()).await.expect("it still lives: the place was never passed").unwrap();
    assert_eq!(status.signal(), Some(libc::SIGKILL), "{status}");
}

/// A daemon that runs. Dropped, it is killed.
pub struct Daemon {
    child: Child,
    /// `127.0.0.1` and its port.
    pub address: String,
    stdout: Lines,
    stderr: Lines,
}

impl Daemon {
    /// The most memory it ever had, in KiB.
    pub fn peak_kib(&self) -> u64 {
        let id = self.child.id().expect("it has not ended");
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells it");
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// What it has printed: where it listens and what to try.
    pub fn printed(&self) -> Vec<String> {
        self.stdout.so_far()
    }

    /// What it has logged.
    pub fn logged(&self) -> Vec<String> {
        self.stderr.so_far()
    }

    /// Returns once it has printed the lines to paste: the first sets `ID`, the second `NUMBER`.
    pub async fn lines_to_paste(&self) -> String {
        self.stdout.line_with("All mails: ").await;
        let printed = self.printed();
        let first = printed.iter().position(|line| line.starts_with("ID=")).unwrap();
        printed[first..first + 3].join("\n")
    }

    /// Returns once it has logged a line with this text.
    pub async fn until_logged(&self, text: &str) {
        self.stderr.line_with(text).await;
    }

    /// The loopback address in the log's line with this text, in either format.
    pub async fn logged_address(&self, text: &str) -> String {
        let line = self.stderr.line_with(text).await;
        let port = line.split("127.0.0.1:").nth(1).expect("an address").chars().take_while(char::is_ascii_digit);
        format!("127.0.0.1:{}", port.collect::<String>())
    }

    /// Ends it as a crash would, and returns once it is gone.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Returns once it has killed itself, as `FIADOR_TESTING_DIES_AT` says.
    pub async fn killed(mut self) {
        killed(&mut self.child).await;
    }

    /// How much memory it holds, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id().expect("it has not ended")
    }

    /// How often it has logged a line with this text.
    pub fn times_logged(&self, text: &str) -> usize {
        self.logged().iter().filter(|line| line.contains(text)).count()
    }

    /// Returns once it has logged this many lines with this text.
    pub async fn until_logged_times(&self, times: usize, text: &str) {
        let mut read = self.stderr.read.clone();
        let has_said = |lines: &Vec<String>| lines.iter().filter(|line| line.contains(text)).count() >= times;
        let said = timeout(PATIENCE, read.wait_for(has_said)).await;
        assert!(matches!(said, Ok(Ok(_))), "{text:?} is not said so often: {:#?}", self.logged());
    }

    /// What Ctrl-C does.
    pub async fn interrupt(&self) {
        self.signal("INT").await;
    }

    /// Asks it to read its configuration anew.
    pub async fn hang_up(&self) {
        self.signal("HUP").await;
    }

    /// What a process supervisor does.
    pub async fn terminate(&self) {
        self.signal("TERM").await;
    }

    /// Its exit code, once it has ended by itself and all it said has been read.
    pub async fn ended(&mut self) -> Option<i32> {
        let status = timeout(PATIENCE, self.child.wait()).await.unwrap_or_else(|_| panic!("still there: {:#?}", self.logged()));
        for lines in [&mut self.stdout, &mut self.stderr] {
            timeout(PATIENCE, &mut lines.reading).await.unwrap().unwrap();
        }
        status.unwrap().code()
    }

    async fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -\"$0\" \"$1\"", name, &id]).status().await.unwrap();
        assert!(sent.success());
    }
}

/// The lines of a pipe, read by a task of their own so that it never fills up.
struct Lines {
    read: watch::Receiver<Vec<String>>,
    reading: JoinHandle<()>,
}

impl Lines {
    fn of(pipe: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let (sender, read) = watch::channel(Vec::new());
        let reading = tokio::spawn(async move {
            let mut lines = BufReader::new(pipe).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                sender.send_modify(|read| read.push(line));
            }
        });
        Self { read, reading }
    }

    fn so_far(&self) -> Vec<String> {
        self.read.borrow().clone()
    }

    /// The first line with this text, once it is there.
    async fn line_with(&self, text: &str) -> String {
        let mut read = self.read.clone();
        let find = |lines: &Vec<String>| lines.iter().find(|line| line.contains(text)).cloned();
        let said = timeout(PATIENCE, read.wait_for(|lines| find(lines).is_some())).await;
        let found = said.ok().and_then(Result::ok).and_then(|lines| find(&lines));
        found.unwrap_or_else(|| panic!("{text:?} is not said: {:#?}", self.so_far()))
    }
}

//! The socket on which systemd listens to a daemon.

use std::{
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram as StdUnixDatagram},
    },
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::{net::UnixDatagram, sync::mpsc, time::timeout};

/// Longer than any of this takes on a busy machine: who waits so long waits in vain.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct NotifySocket {
    /// `NOTIFY_SOCKET` to who is to be heard.
    name: String,
    /// Holds the socket that has a path, and lends its own name to the one that has none.
    _directory: TempDir,
    told: mpsc::UnboundedReceiver<(Instant, String)>,
}

impl NotifySocket {
    /// One in the file system.
    pub fn bind() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Self::listen(socket, path.display().to_string(), directory)
    }

    /// One in Linux's abstract namespace, as some supervisors of containers have it.
    pub fn bind_abstract() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().display().to_string();
        let socket = StdUnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self::listen(UnixDatagram::from_std(socket).unwrap(), format!("@{name}"), directory)
    }

    fn listen(socket: UnixDatagram, name: String, directory: TempDir) -> Self {
        let (teller, told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer).await {
                let text = str::from_utf8(&buffer[..length]).unwrap().to_owned();
                if teller.send((Instant::now(), text)).is_err() {
                    return; // the test is over
                }
            }
        });
        Self { name, _directory: directory, told }
    }

    /// What `NOTIFY_SOCKET` is to be.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is told next.
    pub async fn next(&mut self) -> String {
        timeout(PATIENCE, self.told.recv()).await.expect("something is told").unwrap().1
    }

    /// What is told next, but for that the daemon is alive.
    pub async fn next_but_watchdog(&mut self) -> String {
        loop {
            let told = self.next().await;
            if told != "WATCHDOG=1\n" {
                return told;
            }
        }
    }

    /// Whether the daemon says within this time that it is alive.
    pub async fn is_fed_within(&mut self, time: Duration) -> bool {
        timeout(time, self.told.recv()).await.is_ok_and(|told| told.unwrap().1 == "WATCHDOG=1\n")
    }

    /// Whether anything is told within this time.
    pub async fn tells_within(&mut self, time: Duration) -> bool {
        timeout(time, self.told.recv()).await.is_ok()
    }

    /// Forgets what was told so far.
    pub fn forget(&mut self) {
        while self.told.try_recv().is_ok() {}
    }

    /// When each of the next words came.
    pub async fn next_times(&mut self, count: usize) -> Vec<Instant> {
        let mut times = Vec::new();
        while times.len() < count {
            times.push(timeout(PATIENCE, self.told.recv()).await.expect("something is told").unwrap().0);
        }
        times
    }
}

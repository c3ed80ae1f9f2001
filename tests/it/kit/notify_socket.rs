//! The socket on which systemd listens to a daemon.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::{net::UnixDatagram, sync::mpsc, time::timeout};

/// Longer than any of this takes on a busy machine: who waits so long waits in vain.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct NotifySocket {
    directory: TempDir,
    told: mpsc::UnboundedReceiver<(Instant, String)>,
}

impl NotifySocket {
    pub fn bind() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
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
        Self { directory, told }
    }

    pub fn path(&self) -> String {
        self.directory.path().join("notify").display().to_string()
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

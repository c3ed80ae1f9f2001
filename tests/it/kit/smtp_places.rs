//! How many connections a test's SMTP server serves at once.

use std::sync::{Arc, Mutex};

use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// What becomes of a connection beyond.
#[derive(Clone, Copy, Debug)]
pub enum Excess {
    /// It is refused.
    Refused,
    /// It is not greeted before another one ends.
    LeftWaiting,
}

/// Any number, unless the test bounds it.
pub(super) struct Places(Mutex<(Arc<Semaphore>, Excess)>);

impl Default for Places {
    fn default() -> Self {
        Self(Mutex::new((Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)), Excess::Refused)))
    }
}

impl Places {
    pub(super) fn bound(&self, count: usize, excess: Excess) {
        *self.0.lock().unwrap() = (Arc::new(Semaphore::new(count)), excess);
    }

    /// A place for this connection; none when it was refused.
    pub(super) async fn take(&self, socket: &mut TcpStream) -> Option<OwnedSemaphorePermit> {
        let (places, excess) = self.0.lock().unwrap().clone();
        match excess {
            Excess::LeftWaiting => places.acquire_owned().await.ok(),
            Excess::Refused => {
                let place = places.try_acquire_owned().ok();
                if place.is_none() {
                    let _ = socket.write_all(b"421 4.7.0 too many connections from you\r\n").await;
                }
                place
            }
        }
    }
}

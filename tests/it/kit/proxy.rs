//! Stands between a store and its Redis: counts round trips, holds a command back, turns the server's clock.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::oneshot,
};

use super::redis::TestRedis;

const ASKS_TIME: &[u8] = b"*1\r\n$4\r\nTIME\r\n";

pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    trips: AtomicUsize,
    clock_ahead_seconds: AtomicI64,
    to_hold: Mutex<Option<Hold>>,
}

struct Hold {
    word: &'static [u8],
    reached: oneshot::Sender<()>,
    released: oneshot::Receiver<()>,
}

/// A command that is to be held back.
pub struct Held {
    reached: oneshot::Receiver<()>,
    release: oneshot::Sender<()>,
}

impl Held {
    /// Returns once the command is there and held back.
    pub async fn reached(&mut self) {
        (&mut self.reached).await.unwrap();
    }

    /// Lets it go on.
    pub fn release(self) {
        self.release.send(()).unwrap();
    }
}

impl Proxy {
    pub async fn before(server: &TestRedis) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self { port: listener.local_addr().unwrap().port(), shared: Arc::default() };
        let (server, shared) = (server.port(), proxy.shared.clone());
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                tokio::spawn(pass(client, server, shared.clone()));
            }
        });
        proxy
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Round trips since the last call, those for the time alone not counted.
    pub fn take_trips(&self) -> usize {
        self.shared.trips.swap(0, Ordering::SeqCst)
    }

    /// Holds the next command back that has this word in it.
    pub fn hold(&self, word: &'static str) -> Held {
        let ((reached, is_reached), (release, released)) = (oneshot::channel(), oneshot::channel());
        *self.shared.to_hold.lock().unwrap() = Some(Hold { word: word.as_bytes(), reached, released });
        Held { reached: is_reached, release }
    }

    /// From now on the server's TIME goes so far ahead of its own clock.
    pub fn set_clock_ahead(&self, seconds: i64) {
        self.shared.clock_ahead_seconds.store(seconds, Ordering::SeqCst);
    }
}

/// Passes on what comes from either side, in turns, until one of them ends.
async fn pass(client: TcpStream, server: TcpStream, shared: Arc<Shared>) {
    let ((from_client, mut to_client), (from_server, mut to_server)) = (client.into_split(), server.into_split());
    let is_waiting = AtomicUsize::new(0);
    let there = async { pass_requests(from_client, &mut to_server, &shared, &is_waiting).await };
    let back = async { pass_replies(from_server, &mut to_client, &shared, &is_waiting).await };
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}

async fn pass_requests(mut from: OwnedReadHalf, to: &mut OwnedWriteHalf, shared: &Shared, is_waiting: &AtomicUsize) {
    let mut bytes = Vec::with_capacity(1 << 20);
    while matches!(from.read_buf(&mut bytes).await, Ok(1..)) {
        if bytes != ASKS_TIME && is_waiting.swap(1, Ordering::SeqCst) == 0 {
            shared.trips.fetch_add(1, Ordering::SeqCst);
        }
        let hold = shared.to_hold.lock().unwrap().take_if(|hold| contains(&bytes, hold.word));
        if let Some(hold) = hold {
            hold.reached.send(()).unwrap();
            let _ = hold.released.await; // dropped: the test is over
        }
        if to.write_all(&bytes).await.is_err() {
            return;
        }
        bytes.clear();
    }
}

async fn pass_replies(mut from: OwnedReadHalf, to: &mut OwnedWriteHalf, shared: &Shared, is_waiting: &AtomicUsize) {
    let mut bytes = Vec::with_capacity(1 << 20);
    while matches!(from.read_buf(&mut bytes).await, Ok(1..)) {
        is_waiting.store(0, Ordering::SeqCst);
        let ahead = shared.clock_ahead_seconds.load(Ordering::SeqCst);
        if to.write_all(&turned(&bytes, ahead)).await.is_err() {
            return;
        }
        bytes.clear();
    }
}

/// The reply, and if it is TIME's, so far ahead.
fn turned(reply: &[u8], ahead_seconds: i64) -> Vec<u8> {
    let time = str::from_utf8(reply).ok().and_then(|text| text.strip_prefix("*2\r\n$10\r\n")?.split_once("\r\n"));
    let Some((seconds, rest)) = time.filter(|(seconds, _)| seconds.bytes().all(|byte| byte.is_ascii_digit())) else {
        return reply.to_vec();
    };
    format!("*2\r\n$10\r\n{}\r\n{rest}", seconds.parse::<i64>().unwrap() + ahead_seconds).into_bytes()
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

//! Stands between a store and its Redis: counts round trips, holds a command back, cuts, stalls and slows replies, turns the
//! server's clock.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
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
    to_hold: Mutex<Option<(&'static [u8], Hold)>>,
    to_spoil: Mutex<Option<(&'static [u8], Spoiling)>>,
    pause_after_each_byte: Mutex<Option<Duration>>,
}

/// How much of a reply's bytes there is before something happens to it.
pub type Part = fn(usize) -> usize;

/// What is to happen to a reply.
enum Spoiling {
    /// So much of it, then the connection ends.
    Cut(Part),
    /// So much of it, and the rest when the test says so.
    Stall(Part, Hold),
}

struct Hold {
    reached: oneshot::Sender<()>,
    released: oneshot::Receiver<()>,
}

impl Hold {
    fn new() -> (Self, Held) {
        let ((reached, is_reached), (release, released)) = (oneshot::channel(), oneshot::channel());
        (Self { reached, released }, Held { reached: is_reached, release })
    }

    /// Returns when the test lets it go on.
    async fn wait(self) {
        self.reached.send(()).unwrap();
        let _ = self.released.await; // dropped: the test is over
    }
}

/// A command, or the rest of a reply, that is to be held back.
pub struct Held {
    reached: oneshot::Receiver<()>,
    release: oneshot::Sender<()>,
}

impl Held {
    /// Returns once it is there and held back.
    pub async fn reached(&mut self) {
        (&mut self.reached).await.unwrap();
    }

    /// Lets it go on, if somebody still waits for it.
    pub fn release(self) {
        let _ = self.release.send(());
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
        let (hold, handle) = Hold::new();
        *self.shared.to_hold.lock().unwrap() = Some((word.as_bytes(), hold));
        handle
    }

    /// Passes on only a part of the reply to the next command that has this word in it, and cuts the connection.
    pub fn cut_reply(&self, word: &'static str, part: Part) {
        *self.shared.to_spoil.lock().unwrap() = Some((word.as_bytes(), Spoiling::Cut(part)));
    }

    /// Passes on only a part of the reply to the next command that has this word in it, and the rest when it is let go on.
    pub fn stall_reply(&self, word: &'static str, part: Part) -> Held {
        let (hold, handle) = Hold::new();
        *self.shared.to_spoil.lock().unwrap() = Some((word.as_bytes(), Spoiling::Stall(part, hold)));
        handle
    }

    /// Whether the reply that was to be cut or stalled was.
    pub fn has_spoiled(&self) -> bool {
        self.shared.to_spoil.lock().unwrap().is_none()
    }

    /// From now on replies come byte by byte, with this pause after each.
    pub fn trickle(&self, pause: Duration) {
        *self.shared.pause_after_each_byte.lock().unwrap() = Some(pause);
    }

    /// Replies come at once again.
    pub fn flow(&self) {
        *self.shared.pause_after_each_byte.lock().unwrap() = None;
    }

    /// From now on the server's TIME goes so far ahead of its own clock.
    pub fn set_clock_ahead(&self, seconds: i64) {
        self.shared.clock_ahead_seconds.store(seconds, Ordering::SeqCst);
    }
}

/// What both directions of one connection know of it.
#[derive(Default)]
struct Line {
    is_waiting: AtomicUsize,
    /// For the reply that comes next.
    spoiling: Mutex<Option<Spoiling>>,
}

/// Passes on what comes from either side, in turns, until one of them ends.
async fn pass(client: TcpStream, server: TcpStream, shared: Arc<Shared>) {
    let ((from_client, mut to_client), (from_server, mut to_server)) = (client.into_split(), server.into_split());
    let line = Line::default();
    let there = async { pass_requests(from_client, &mut to_server, &shared, &line).await };
    let back = async { pass_replies(from_server, &mut to_client, &shared, &line).await };
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}

async fn pass_requests(mut from: OwnedReadHalf, to: &mut OwnedWriteHalf, shared: &Shared, line: &Line) {
    let mut bytes = Vec::with_capacity(1 << 20);
    while matches!(from.read_buf(&mut bytes).await, Ok(1..)) {
        if bytes != ASKS_TIME && line.is_waiting.swap(1, Ordering::SeqCst) == 0 {
            shared.trips.fetch_add(1, Ordering::SeqCst);
        }
        if let Some(hold) = take_for(&shared.to_hold, &bytes) {
            hold.wait().await;
        }
        if let Some(spoiling) = take_for(&shared.to_spoil, &bytes) {
            *line.spoiling.lock().unwrap() = Some(spoiling);
        }
        if to.write_all(&bytes).await.is_err() {
            return;
        }
        bytes.clear();
    }
}

/// What is to be done with a command that has its word in these bytes.
fn take_for<T>(todo: &Mutex<Option<(&'static [u8], T)>>, bytes: &[u8]) -> Option<T> {
    let found = todo.lock().unwrap().take_if(|(word, _)| contains(bytes, word));
    found.map(|(_, what)| what)
}

async fn pass_replies(mut from: OwnedReadHalf, to: &mut OwnedWriteHalf, shared: &Shared, line: &Line) {
    let mut bytes = Vec::with_capacity(1 << 20);
    while matches!(from.read_buf(&mut bytes).await, Ok(1..)) {
        line.is_waiting.store(0, Ordering::SeqCst);
        let ahead = shared.clock_ahead_seconds.load(Ordering::SeqCst);
        if pass_reply(&turned(&bytes, ahead), to, shared, line).await.is_none() {
            return;
        }
        bytes.clear();
    }
}

/// None: the connection is to end.
async fn pass_reply(reply: &[u8], to: &mut OwnedWriteHalf, shared: &Shared, line: &Line) -> Option<()> {
    let spoiling = line.spoiling.lock().unwrap().take();
    match spoiling {
        None => write(reply, to, shared).await,
        Some(Spoiling::Cut(part)) => {
            write(&reply[..part(reply.len())], to, shared).await;
            None
        }
        Some(Spoiling::Stall(part, hold)) => {
            let (first, rest) = reply.split_at(part(reply.len()));
            write(first, to, shared).await?;
            hold.wait().await;
            write(rest, to, shared).await
        }
    }
}

async fn write(bytes: &[u8], to: &mut OwnedWriteHalf, shared: &Shared) -> Option<()> {
    let pause = *shared.pause_after_each_byte.lock().unwrap();
    let Some(pause) = pause else { return to.write_all(bytes).await.ok() };
    let mut ticks = (!pause.is_zero()).then(|| tokio::time::interval(pause));
    for byte in bytes {
        to.write_all(&[*byte]).await.ok()?;
        match &mut ticks {
            Some(ticks) => drop(ticks.tick().await),
            None => tokio::task::yield_now().await,
        }
    }
    Some(())
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

//! An SMTP server that takes every mail and reads the number in it. Like servers at large it takes commands in groups, and answers
//! a group in one piece, unless each answer is to be late.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore},
};

/// A number has so many digits.
const DIGITS: std::ops::RangeInclusive<usize> = 6..=15;

/// Mails that may be under way before the next start waits for one to arrive: what bounds the queue. The Mailer has 256 in hand at
/// most; those beyond wait for its next poll.
pub const MAILS_UNDER_WAY: usize = 192;

/// What arrived, by address.
pub struct Post {
    numbers: Mutex<HashMap<String, String>>,
    arrived: Notify,
    room: Semaphore,
}

impl Post {
    fn new() -> Self {
        Self { numbers: Mutex::default(), arrived: Notify::new(), room: Semaphore::new(MAILS_UNDER_WAY) }
    }

    /// Returns once another mail may be under way.
    pub async fn wait_for_room(&self) {
        self.room.acquire().await.expect("it is never closed").forget();
    }

    /// How many mails arrived since it was emptied.
    pub fn count(&self) -> usize {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Returns once so many have arrived.
    ///
    /// # Errors
    /// When for ten seconds none arrives.
    pub async fn wait_for(&self, count: usize) -> anyhow::Result<()> {
        while self.count() < count {
            let arrived = tokio::time::timeout(Duration::from_secs(10), self.arrived.notified()).await;
            arrived.with_context(|| format!("{} of {count} mails arrived, then none for 10 s", self.count()))?;
        }
        Ok(())
    }

    /// Takes out all numbers; no mail is under way then.
    pub fn empty(&self) -> HashMap<String, String> {
        self.room.forget_permits(usize::MAX);
        self.room.add_permits(MAILS_UNDER_WAY);
        std::mem::take(&mut self.numbers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take(&self, recipient: String, content: &str) {
        let is_number = |line: &&str| DIGITS.contains(&line.len()) && line.bytes().all(|byte| byte.is_ascii_digit());
        let number = content.lines().find(is_number).unwrap_or_default().to_owned();
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).insert(recipient, number);
        self.arrived.notify_one();
        self.room.add_permits(1);
    }
}

/// Starts it on a thread and a port of its own; it pauses before each answer.
pub fn start(pause: Duration) -> anyhow::Result<(SocketAddr, Arc<Post>)> {
    let post = Arc::new(Post::new());
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let filled = post.clone();
    let serve = move || runtime.block_on(accept(listener, filled, pause));
    thread::Builder::new().name("sink".to_owned()).spawn(serve)?;
    Ok((address, post))
}

async fn accept(listener: std::net::TcpListener, post: Arc<Post>, pause: Duration) -> anyhow::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(talk(stream, post.clone(), pause));
    }
}

/// One connection; whatever goes wrong in it is the client's to notice.
async fn talk(mut stream: TcpStream, post: Arc<Post>, pause: Duration) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(b"220 sink\r\n").await?;
    let (mut buffer, mut recipient, mut is_in_data) = (Vec::new(), String::new(), false);
    while stream.read_buf(&mut buffer).await? > 0 {
        let mut answers = Vec::new();
        while let Some(part) = take_part(&mut buffer, is_in_data) {
            if !pause.is_zero() {
                stream.write_all(&std::mem::take(&mut answers)).await?;
                tokio::time::sleep(pause).await;
            }
            if is_in_data {
                is_in_data = false;
                post.take(std::mem::take(&mut recipient), &String::from_utf8_lossy(&part));
                answers.extend_from_slice(b"250 2.0.0 taken\r\n");
                continue;
            }
            let line = String::from_utf8_lossy(&part).into_owned();
            let verb = line.get(..4).unwrap_or_default().to_uppercase();
            if verb == "RCPT" {
                line.split(['<', '>']).nth(1).unwrap_or_default().clone_into(&mut recipient);
            }
            is_in_data = verb == "DATA";
            answers.extend_from_slice(answer(&verb));
        }
        stream.write_all(&answers).await?;
    }
    Ok(())
}

/// A line, or a mail's content, without its end.
fn take_part(buffer: &mut Vec<u8>, is_in_data: bool) -> Option<Vec<u8>> {
    let end: &[u8] = if is_in_data { b"\r\n.\r\n" } else { b"\r\n" };
    let at = buffer.windows(end.len()).position(|window| window == end)?;
    let part = buffer[..at].to_vec();
    buffer.drain(..at + end.len());
    Some(part)
}

fn answer(verb: &str) -> &'static [u8] {
    match verb {
        "EHLO" => b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
        "DATA" => b"354 go on\r\n",
        "QUIT" => b"221 bye\r\n",
        _ => b"250 ok\r\n",
    }
}

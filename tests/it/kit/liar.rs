//! Stands between a store and its Redis, and lies: what the server answers is replaced on its way.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::redis::TestRedis;

/// What the liar says instead of the server.
pub enum Said {
    Bytes(Vec<u8>),
    /// This, then the rest again and again for as long as anybody listens.
    Forever(Vec<u8>, Vec<u8>),
    /// Nothing, now or later.
    Nothing,
}

/// The command as it was sent, and the server's own reply, to what is said instead.
type Lie = Box<dyn FnMut(&Command, Vec<u8>) -> Said + Send>;

/// A command's words.
pub struct Command(Vec<Vec<u8>>);

impl Command {
    pub fn is(&self, name: &str) -> bool {
        self.0[0].eq_ignore_ascii_case(name.as_bytes())
    }

    /// Whether it is about a key of this kind: `a` for records, `n` for numbers.
    pub fn is_about(&self, kind: u8) -> bool {
        let key = self.0.get(1).map_or(b"".as_slice(), Vec::as_slice);
        key.split(|&byte| byte == b'}').nth(1).and_then(|rest| rest.first()) == Some(&kind)
    }
}

pub struct Liar {
    port: u16,
    lie: Arc<Mutex<Lie>>,
}

impl Liar {
    /// One that does not lie yet.
    pub async fn before(server: &TestRedis) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let liar = Self { port: listener.local_addr().unwrap().port(), lie: Arc::new(Mutex::new(truth())) };
        let (server, lie) = (server.port(), liar.lie.clone());
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                tokio::spawn(stand_between(client, server, lie.clone()));
            }
        });
        liar
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub fn lies(&self, lie: impl FnMut(&Command, Vec<u8>) -> Said + Send + 'static) {
        *self.lie.lock().unwrap() = Box::new(lie);
    }

    pub fn behaves(&self) {
        *self.lie.lock().unwrap() = truth();
    }
}

fn truth() -> Lie {
    Box::new(|_, reply| Said::Bytes(reply))
}

/// One command after the other, until an end hangs up. `None` means that.
async fn stand_between(client: TcpStream, server: TcpStream, lie: Arc<Mutex<Lie>>) -> Option<()> {
    client.set_nodelay(true).ok()?;
    server.set_nodelay(true).ok()?;
    let ((from_client, mut to_client), (from_server, mut to_server)) = (client.into_split(), server.into_split());
    let (mut from_client, mut from_server) = (BufReader::new(from_client), BufReader::new(from_server));
    loop {
        let command = whole(&mut from_client).await?;
        to_server.write_all(&command).await.ok()?;
        let reply = whole(&mut from_server).await?;
        let said = lie.lock().unwrap()(&Command(words(&command)), reply);
        say(said, &mut to_client).await?;
    }
}

async fn say(said: Said, to: &mut OwnedWriteHalf) -> Option<()> {
    match said {
        Said::Bytes(bytes) => to.write_all(&bytes).await.ok(),
        Said::Nothing => std::future::pending().await,
        Said::Forever(first, again) => {
            to.write_all(&first).await.ok()?;
            let again = again.repeat((64 * 1024 / again.len()).max(1));
            loop {
                to.write_all(&again).await.ok()?;
            }
        }
    }
}

/// The bytes of a whole command or reply.
async fn whole(from: &mut BufReader<OwnedReadHalf>) -> Option<Vec<u8>> {
    let (mut bytes, mut left) = (Vec::new(), 1);
    while left > 0 {
        let line = bytes.len();
        from.read_until(b'\n', &mut bytes).await.ok()?;
        let count = str::from_utf8(bytes.get(line + 1..)?).ok()?.trim_end().parse::<i64>();
        left -= 1;
        match (bytes[line], count) {
            (b'*', Ok(count)) => left += count.max(0),
            (b'$', Ok(length @ 0..)) => {
                let mut content = vec![0; usize::try_from(length).unwrap() + 2];
                from.read_exact(&mut content).await.ok()?;
                bytes.append(&mut content);
            }
            _ => {}
        }
    }
    Some(bytes)
}

/// The words of a command, which are all bulk strings.
fn words(command: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = after_line(command);
    let mut words = Vec::new();
    while rest.first() == Some(&b'$') {
        let length: usize = str::from_utf8(&rest[1..rest.len() - after_line(rest).len()]).unwrap().trim_end().parse().unwrap();
        let content = after_line(rest);
        words.push(content[..length].to_vec());
        rest = &content[length + 2..];
    }
    words
}

fn after_line(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap();
    &bytes[end + 1..]
}

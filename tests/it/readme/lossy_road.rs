//! A road to the daemon on which every other reply is lost, the first one too.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

pub struct LossyRoad {
    pub url: String,
    replies: Arc<AtomicUsize>,
}

impl LossyRoad {
    pub fn to(daemon: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let replies = Arc::new(AtomicUsize::new(0));
        let (counter, daemon) = (replies.clone(), daemon.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (counter, daemon) = (counter.clone(), daemon.clone());
                thread::spawn(move || carry(client, &daemon, &counter));
            }
        });
        Self { url, replies }
    }

    /// How many replies the daemon gave.
    pub fn replies(&self) -> usize {
        self.replies.load(Ordering::SeqCst)
    }
}

fn carry(mut client: TcpStream, daemon: &str, replies: &AtomicUsize) {
    while let Some(request) = read_message(&mut client) {
        let mut server = TcpStream::connect(daemon).unwrap();
        server.write_all(&request).unwrap();
        let reply = read_message(&mut server).unwrap();
        let is_lost = replies.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        if is_lost || client.write_all(&reply).is_err() {
            return;
        }
    }
}

/// A whole HTTP/1.1 message with a `Content-Length`; none when the peer has hung up.
fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut message, mut chunk) = (Vec::new(), [0; 4096]);
    while !is_whole(&message) {
        let count = stream.read(&mut chunk).ok().filter(|count| *count > 0)?;
        message.extend_from_slice(&chunk[..count]);
    }
    Some(message)
}

fn is_whole(message: &[u8]) -> bool {
    let text = String::from_utf8_lossy(message).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).expect("each message here has a body");
    body.len() >= length.trim().parse().unwrap()
}

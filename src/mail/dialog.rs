//! The stream of one dialog with a server, for lettre, which keeps a line in memory until it ends, however long it is, and sends the
//! end of a mail apart from it.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use zeroize::Zeroize;

/// The longest answer that is read, in bytes. Source: RFC 5321, 4.5.3.1.5, has 512 in a line; answers of many lines have a dozen.
pub(super) const LONGEST_REPLY: usize = 16 * 1024;

/// The most lines of an answer: lettre reads all of them again with each that comes. EHLO of the largest servers has twenty.
const MOST_LINES: usize = 128;

/// What we and the stream tell each other beside lettre, to which the stream belongs.
#[derive(Debug, Default)]
pub(super) struct Aside {
    takes_groups: AtomicBool,
    holds_back: AtomicBool,
}

impl Aside {
    /// Whether the server said that it takes commands in groups; lettre does not look for it. Source: RFC 2920 (PIPELINING).
    pub(super) fn takes_groups(&self) -> bool {
        self.takes_groups.load(Ordering::Relaxed)
    }

    /// Nothing is sent until [`Self::let_go`].
    pub(super) fn hold_back(&self) {
        self.holds_back.store(true, Ordering::Relaxed);
    }

    /// With what is said next, all of it is sent.
    pub(super) fn let_go(&self) {
        self.holds_back.store(false, Ordering::Relaxed);
    }

    /// Whether what is said is not sent yet.
    pub(super) fn holds_back(&self) -> bool {
        self.holds_back.load(Ordering::Relaxed)
    }

    fn read(&self, line: &[u8]) {
        let keyword = line.strip_prefix(b"250-").or_else(|| line.strip_prefix(b"250 ")).map(<[u8]>::trim_ascii);
        if keyword.is_some_and(|keyword| keyword.eq_ignore_ascii_case(b"PIPELINING")) {
            self.takes_groups.store(true, Ordering::Relaxed);
        }
    }
}

/// A stream on which the server says no more than one answer to each of our words, of at most [`LONGEST_REPLY`] and [`MOST_LINES`].
#[derive(Debug)]
pub(super) struct Dialog<S> {
    stream: S,
    peer: SocketAddr,
    /// What is read before anything of the server; empty when the server itself greets.
    greeting: &'static [u8],
    /// What we said and is to be sent.
    unsent: Vec<u8>,
    /// How much of it was sent.
    sent: usize,
    aside: Arc<Aside>,
    /// How many answers are asked for.
    asked: usize,
    /// What was said since we last spoke.
    heard: Heard,
    /// What there is of the line that is being said.
    line: Vec<u8>,
}

#[derive(Debug, Default)]
struct Heard {
    bytes: usize,
    lines: usize,
    answers: usize,
}

impl<S> Dialog<S> {
    /// With what is to be read first, since lettre reads a greeting on every connection.
    pub(super) fn new(stream: S, peer: SocketAddr, greeting: &'static [u8], aside: Arc<Aside>) -> Self {
        Self { stream, peer, greeting, unsent: Vec::new(), sent: 0, aside, asked: 1, heard: Heard::default(), line: Vec::new() }
    }

    fn hear(&mut self, said: &[u8]) -> io::Result<()> {
        self.heard.bytes += said.len();
        for piece in said.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.aside.read(&self.line);
                self.heard.lines += 1;
                self.heard.answers += usize::from(self.line.get(3) == Some(&b' '));
                self.line.clear();
            }
        }
        if self.heard.bytes > LONGEST_REPLY * self.asked || self.heard.lines > MOST_LINES * self.asked {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer does not end"));
        }
        Ok(())
    }

    /// We say something new, to which so many answers are to come. An answer more than was asked for before would be taken for one
    /// of them.
    fn ask(&mut self, answers: usize) -> io::Result<()> {
        if self.heard.answers > self.asked {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the server said more than it was asked"));
        }
        self.asked = answers;
        self.heard = Heard::default();
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug> AsyncTokioStream for Dialog<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl<S: AsyncWrite + Unpin> Dialog<S> {
    /// Sends what is unsent, and wipes it: it may be a mail with its number.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unsent.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while self.sent < self.unsent.len() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unsent[self.sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sent += count,
            }
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.unsent.zeroize();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Dialog<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.greeting.is_empty() {
            let (now, later) = self.greeting.split_at(self.greeting.len().min(buffer.remaining()));
            buffer.put_slice(now);
            self.greeting = later;
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        Poll::Ready(self.hear(&buffer.filled()[before..]))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Dialog<S> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.unsent.is_empty() {
            let is_a_mail = self.aside.holds_back();
            let lines = bytes.split(|&byte| byte == b'\n').skip(1).count();
            self.ask(if is_a_mail { 1 } else { lines.max(1) })?;
        }
        self.unsent.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.aside.holds_back() { Poll::Ready(Ok(())) } else { self.poll_send(cx) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_is_held_back_is_sent_with_what_is_said_next() {
        let (ours, mut theirs) = duplex(1024);
        let aside = Arc::new(Aside::default());
        let mut dialog = Dialog::new(ours, SocketAddr::from((Ipv4Addr::LOCALHOST, 25)), b"", aside.clone());
        let mut heard = [0; 64];

        aside.hold_back();
        dialog.write_all(b"a mail").await.unwrap();
        dialog.flush().await.unwrap();
        assert!(theirs.read(&mut heard).now_or_never().is_none());
        aside.let_go();
        dialog.write_all(b", and its end").await.unwrap();
        dialog.flush().await.unwrap();

        let length = theirs.read(&mut heard).await.unwrap();
        assert_eq!(&heard[..length], b"a mail, and its end");
    }

    #[tokio::test]
    async fn pipelining_is_found_among_what_is_offered_however_it_comes() {
        for (offer, has_it) in [
            (&b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n"[..], true),
            (b"250-sink\r\n250 Pipelining \r\n", true),
            (b"250-sink\r\n250 X-PIPELINING\r\n", false),
            (b"250-PIPELINING.example.org\r\n250 8BITMIME\r\n", false),
            (b"220 PIPELINING\r\n", false),
        ] {
            for size in [1, 7, offer.len()] {
                let aside = Arc::new(Aside::default());
                let (ours, mut theirs) = duplex(size); // so much is read at once
                let mut dialog = Dialog::new(ours, SocketAddr::from((Ipv4Addr::LOCALHOST, 25)), b"", aside.clone());
                let mut said = Vec::new();

                let (sent, read) = tokio::join!(
                    async {
                        theirs.write_all(offer).await?;
                        theirs.shutdown().await
                    },
                    dialog.read_to_end(&mut said)
                );

                sent.and(read).unwrap();
                assert_eq!(aside.takes_groups(), has_it, "{}", String::from_utf8_lossy(offer));
            }
        }
    }
}

//! The stream of one dialog with a server, for lettre, which keeps a line in memory until it ends, however long it is.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest answer that is read, in bytes. Source: RFC 5321, 4.5.3.1.5, has 512 in a line; answers of many lines have a dozen.
pub(super) const LONGEST_REPLY: usize = 16 * 1024;

/// The most lines of an answer: lettre reads all of them again with each that comes. EHLO of the largest servers has twenty.
const MOST_LINES: usize = 128;

/// A stream on which the server says no more than [`LONGEST_REPLY`] and [`MOST_LINES`] between two of our words.
#[derive(Debug)]
pub(super) struct Dialog<S> {
    stream: S,
    peer: SocketAddr,
    /// What is read before anything of the server; empty when the server itself greets.
    greeting: &'static [u8],
    /// How much was said since we last spoke, in bytes and in lines.
    heard: (usize, usize),
}

impl<S> Dialog<S> {
    /// With what is to be read first, since lettre reads a greeting on every connection.
    pub(super) fn new(stream: S, peer: SocketAddr, greeting: &'static [u8]) -> Self {
        Self { stream, peer, greeting, heard: (0, 0) }
    }

    fn hear(&mut self, said: &[u8]) -> io::Result<()> {
        let (bytes, lines) = &mut self.heard;
        *bytes += said.len();
        *lines += said.split(|&byte| byte == b'\n').skip(1).count();
        if *bytes > LONGEST_REPLY || *lines > MOST_LINES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer does not end"));
        }
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug> AsyncTokioStream for Dialog<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
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
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.heard = (0, 0);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

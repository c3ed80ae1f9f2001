//! The socket to a server, opened by ourselves: only so what is read can be bounded before the client library keeps it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use redis::{ConnectionAddr, ConnectionInfo, io::tcp::socket2::SockRef};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsConnector;

use super::frames::{Frames, Malformed};

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// One that passes on a reply for each command, in order and of bounded size, and breaks at anything else.
pub(super) struct Socket {
    stream: Box<dyn Stream>,
    commands: Frames,
    replies: Frames,
    /// Commands without their reply.
    unanswered: usize,
}

impl Socket {
    /// Connects as `info` says: TCP, TLS over it, or a unix socket.
    pub(super) async fn open(info: &ConnectionInfo) -> io::Result<Self> {
        let stream: Box<dyn Stream> = match info.addr() {
            ConnectionAddr::Tcp(host, port) => Box::new(open_tcp(host, *port, info).await?),
            ConnectionAddr::TcpTls { host, port, .. } => {
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                let tcp = open_tcp(host, *port, info).await?;
                Box::new(TlsConnector::from(Arc::new(tls()?)).connect(name, tcp).await?)
            }
            ConnectionAddr::Unix(path) => Box::new(UnixStream::connect(path).await?),
            _ => return Err(io::Error::other("no such kind of address is known here")),
        };
        Ok(Self::over(stream))
    }

    /// Over a stream that is open.
    pub(super) fn over(stream: Box<dyn Stream>) -> Self {
        Self { stream, commands: Frames::of_commands(), replies: Frames::of_replies(), unanswered: 0 }
    }

    fn note_sent(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.unanswered += self.commands.follow(bytes)?;
        Ok(())
    }

    fn note_read(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let ended = self.replies.follow(bytes)?;
        self.unanswered = self.unanswered.checked_sub(ended).ok_or(Malformed::Unasked)?;
        if self.replies.is_within() && self.unanswered == 0 {
            return Err(Malformed::Unasked);
        }
        Ok(())
    }
}

async fn open_tcp(host: &str, port: u16, info: &ConnectionInfo) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    let settings = info.tcp_settings();
    stream.set_nodelay(settings.nodelay())?;
    let socket = SockRef::from(&stream);
    if let Some(keepalive) = settings.keepalive() {
        socket.set_tcp_keepalive(keepalive)?;
    }
    socket.set_tcp_user_timeout(settings.user_timeout())?;
    Ok(stream)
}

fn tls() -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    // a certificate of the system that cannot be read is one that is not trusted
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(versions.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth())
}

fn broken(malformed: Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, malformed)
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        Poll::Ready(self.note_read(&buffer.filled()[before..]).map_err(broken))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        Poll::Ready(self.note_sent(&bytes[..written]).map(|()| written).map_err(broken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

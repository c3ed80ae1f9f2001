//! From nothing to a connection that may carry mail: TCP, TLS, EHLO, AUTH. TLS is our own, so that the socket has
//! nodelay and nothing that was said in clear outlives STARTTLS.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use lettre::transport::smtp::{
    authentication::Mechanism,
    client::{AsyncSmtpConnection, AsyncTokioStream},
    commands::{Ehlo, Starttls},
    extension::{ClientId, Extension, ServerInfo},
    response::Response,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use thiserror::Error;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    dialog::{Aside, Dialog, LONGEST_REPLY},
    handover::{Connection, Groups},
    reply::{Deadline, Trouble},
    smtp::{SmtpSettings, SmtpTls},
};

/// Stands for the greeting that a server does not repeat after STARTTLS.
const GREETING: &[u8] = b"220 secured\r\n";

/// Why a server cannot be spoken to as configured.
#[derive(Debug, Error)]
pub enum SmtpSetupError {
    /// TLS needs a name or an IP address to verify.
    #[error("smtp host must be a host name or an IP address")]
    Host,
    /// Without roots no certificate can be trusted.
    #[error("no trusted root certificates were found on this system; install ca-certificates or set SSL_CERT_FILE")]
    NoRoots,
    /// A root certificate that cannot be read, or a provider without the protocol's versions.
    #[error("tls cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// A server with what TLS to it needs.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) settings: SmtpSettings,
    tls: Option<Tls>,
    hello: ClientId,
    groups: Arc<Groups>,
}

#[derive(Clone)]
struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl Server {
    /// Reads the trusted roots, unless the server is spoken to in clear.
    pub(super) fn new(settings: SmtpSettings) -> Result<Self, SmtpSetupError> {
        let tls = match settings.tls {
            SmtpTls::None => None,
            SmtpTls::Implicit | SmtpTls::StartTls => Some(Tls::new(&settings.host, &settings.extra_roots)?),
        };
        Ok(Self { settings, tls, hello: ClientId::default(), groups: Arc::default() })
    }

    /// A connection that may carry mail: encrypted as configured, and logged in.
    pub(super) async fn connect(&self, deadline: Deadline<'_>) -> Result<Connection, Trouble> {
        let SmtpSettings { host, port, limits, .. } = &self.settings;
        fail::fail_point!("smtp.connect.before");
        let socket = deadline.within(limits.connect, "connecting", open_socket(host, *port, limits.connect)).await?;
        fail::fail_point!("smtp.connect.after");
        let peer = socket.peer_addr()?;
        let aside = Arc::new(Aside::default());
        let stream = self.secure(socket, peer, aside.clone(), deadline).await?;

        // the greeting and EHLO: two answers
        let hello = AsyncSmtpConnection::connect_with_transport(stream, &self.hello);
        let mut connection = deadline.within(limits.command * 2, "the greeting or EHLO", hello).await?;
        fail::fail_point!("smtp.ehlo.after");
        self.log_in(&mut connection, peer.ip().is_loopback(), deadline).await?;
        Ok(Connection::new(connection, aside, self.groups.clone(), *limits))
    }

    async fn secure(
        &self,
        mut socket: TcpStream,
        peer: SocketAddr,
        aside: Arc<Aside>,
        deadline: Deadline<'_>,
    ) -> Result<Box<dyn AsyncTokioStream>, Trouble> {
        let limits = self.settings.limits;
        let Some(tls) = &self.tls else {
            if peer.ip().is_loopback() || self.settings.allow_plaintext {
                return Ok(Box::new(Dialog::new(socket, peer, b"", aside)));
            }
            return Err(Trouble::Broken("the server is not on this machine and tls = none".to_owned()));
        };
        let mut greeting: &[u8] = &[];
        if self.settings.tls == SmtpTls::StartTls {
            // three answers: the greeting, EHLO, STARTTLS
            deadline.within(limits.command * 3, "the greeting or STARTTLS", ask_for_tls(&mut socket, &self.hello)).await?;
            fail::fail_point!("smtp.starttls.after");
            greeting = GREETING;
        }
        let handshake = tls.connector.connect(tls.name.clone(), socket);
        let tls = deadline.within(limits.command, "TLS", handshake).await?;
        fail::fail_point!("smtp.tls.after");
        Ok(Box::new(Dialog::new(tls, peer, greeting, aside)))
    }

    async fn log_in(
        &self,
        connection: &mut AsyncSmtpConnection,
        peer_is_here: bool,
        deadline: Deadline<'_>,
    ) -> Result<(), Trouble> {
        let Some(credentials) = self.settings.credentials() else { return Ok(()) };
        if self.tls.is_none() && !peer_is_here {
            return Err(Trouble::Broken("no credentials are sent in clear".to_owned()));
        }
        let login = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials);
        // LOGIN asks twice
        let logged_in = deadline.within(self.settings.limits.command * 3, "AUTH", login).await;
        fail::fail_point!("smtp.auth.after");
        logged_in.map(drop).map_err(Trouble::while_logging_in)
    }
}

impl Tls {
    fn new(host: &str, extra_roots: &[CertificateDer<'static>]) -> Result<Self, SmtpSetupError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| SmtpSetupError::Host)?;
        let mut roots = RootCertStore::empty();
        // a certificate of the system that cannot be read is one that is not trusted
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for root in extra_roots {
            roots.add(root.clone())?;
        }
        if roots.is_empty() {
            return Err(SmtpSetupError::NoRoots);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }
}

/// Tries each of the host's addresses; one that does not answer leaves the others their share of the time.
async fn open_socket(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    let share = limit / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => {
                // or the final dot, a write of its own, waits for a delayed acknowledgement: 40 ms a mail
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, "connecting took too long"),
        }
    }
    Err(last)
}

/// Greeting, EHLO and STARTTLS in clear. A server that does not offer STARTTLS is told nothing more.
pub(super) async fn ask_for_tls(socket: &mut (impl AsyncRead + AsyncWrite + Unpin), hello: &ClientId) -> Result<(), Trouble> {
    let mut dialog = BufReader::new(socket);
    read_reply(&mut dialog).await?;
    dialog.write_all(Ehlo::new(hello.clone()).to_string().as_bytes()).await?;
    let offer = ServerInfo::from_response(&read_reply(&mut dialog).await?)?;
    if !offer.supports_feature(Extension::StartTls) {
        return Err(Trouble::Broken("the server does not offer STARTTLS".to_owned()));
    }
    dialog.write_all(Starttls.to_string().as_bytes()).await?;
    read_reply(&mut dialog).await?;
    // answers that somebody put in front of the encrypted ones; source: RFC 3207, 6
    if !dialog.buffer().is_empty() {
        return Err(Trouble::Broken("the server said more than its answer to STARTTLS".to_owned()));
    }
    Ok(())
}

async fn read_reply(dialog: &mut (impl AsyncBufRead + Unpin)) -> Result<Response, Trouble> {
    let mut dialog = dialog.take(LONGEST_REPLY as u64);
    let mut text = String::new();
    loop {
        let start = text.len();
        dialog.read_line(&mut text).await?;
        if !text.ends_with('\n') {
            return Err(Trouble::Broken("the answer is incomplete".to_owned()));
        }
        if text.as_bytes().get(start + 3) != Some(&b'-') {
            break;
        }
    }
    let reply: Response = text.parse()?;
    if reply.is_positive() {
        return Ok(reply);
    }
    Err(Trouble::Refused { code: reply.code().into(), text: reply.message().collect::<Vec<_>>().join(" ") })
}

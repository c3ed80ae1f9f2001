//! One connection: TLS if its listener has it, then HTTP/1.1 or HTTP/2, as the two ends agree, until either end has enough.

use std::{
    convert::Infallible,
    future::{Future, ready},
    net::SocketAddr,
    pin::pin,
    sync::Arc,
};

use futures_util::{StreamExt, future::Either, stream::FuturesUnordered};
use http::{Request, StatusCode};
use hyper::{
    body::Incoming,
    rt::Executor,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    select,
    sync::watch,
    task::spawn_local,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use warp::reply::Response;

use super::{
    Front, Limits,
    activity::Activity,
    peers::{Peer, PeerRules},
    tls::ALPN_H2,
};
use crate::live::Live;

const MOST_HEADERS: usize = 64;
/// Of a header; over HTTP/1.1 of what is read and not yet taken.
const LONGEST_HEADER: u32 = 32 * 1024;
/// Requests at once on one HTTP/2 connection.
const MOST_STREAMS: u32 = 128;
/// Streams that a client opened and reset before they were looked at (rapid reset, CVE-2023-44487), and those that we reset for
/// its mistakes (CVE-2025-8671), before its connection ends with `ENHANCE_YOUR_CALM`.
const MOST_RESETS_UNSEEN: usize = 20;
const MOST_RESETS_OF_OURS: usize = 64;
/// What a client may send of one body, and of all bodies of a connection, before it is read: whole bodies of one, four of them.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;
/// What is kept for a client that does not read its answer.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// How a listener's connections are treated. What is live in it can change with each connection.
#[derive(Clone)]
pub(super) struct Entrance {
    /// Their encryption; none: they are in clear.
    pub tls: Option<Live<ServerConfig>>,
    pub rules: Live<PeerRules>,
}

/// One connection, once it has come to its cell.
pub(super) struct Connection {
    pub peer: SocketAddr,
    pub entrance: Entrance,
    pub front: Front,
    pub limits: Limits,
    /// Becomes true when the requests in flight are to be the last.
    pub stop: watch::Receiver<bool>,
}

impl Connection {
    pub async fn serve(mut self, stream: TcpStream) {
        // Without it answers wait for the peer's delayed acknowledgements; a socket that refuses works all the same.
        let _ = stream.set_nodelay(true);
        let Some(tls) = self.entrance.tls.as_ref().map(Live::now) else { return self.serve_http1(stream).await };
        let Some(stream) = self.shake_hands(stream, tls).await else { return };
        match stream.get_ref().1.alpn_protocol() {
            Some(ALPN_H2) => self.serve_http2(stream).await,
            _ => self.serve_http1(stream).await,
        }
    }

    /// The stream, once it is encrypted; none when the peer cannot or does not in time.
    async fn shake_hands(&mut self, stream: TcpStream, tls: Arc<ServerConfig>) -> Option<TlsStream<TcpStream>> {
        let handshake = timeout(self.limits.handshake_time, TlsAcceptor::from(tls).accept(stream));
        let shaken = select! {
            shaken = handshake => shaken,
            () = stopped(&mut self.stop) => return None,
        };
        match shaken {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => tracing::debug!(peer = %self.peer, error = %error, "a TLS handshake failed"),
            Err(_elapsed) => tracing::debug!(peer = %self.peer, "a TLS handshake took too long"),
        }
        None
    }

    async fn serve_http1(self, stream: impl AsyncRead + AsyncWrite + Unpin + 'static) {
        let activity = Activity::new();
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // A client may close its side once it has asked. To look whether it did costs a call of the system and 8 KiB for each
            // request, and what it asked for is done all the same.
            .half_close(true)
            .writev(false) // a reply is short: to copy it beside its header costs less than to hand over both
            .header_read_timeout(self.limits.header_time)
            .max_headers(MOST_HEADERS)
            .max_buf_size(LONGEST_HEADER as usize)
            .serve_connection(TokioIo::new(stream), service_fn(|request| self.answer(request, &activity)));
        self.attend(connection, &activity).await;
    }

    async fn serve_http2(self, stream: impl AsyncRead + AsyncWrite + Unpin + 'static) {
        let activity = Activity::new();
        let connection = http2::Builder::new(OnThisThread)
            .timer(TokioTimer::new())
            .max_concurrent_streams(MOST_STREAMS)
            .max_header_list_size(LONGEST_HEADER)
            .max_pending_accept_reset_streams(MOST_RESETS_UNSEEN)
            .max_local_error_reset_streams(MOST_RESETS_OF_OURS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            // In the midst of a header a client may not answer a ping: so these bound the time that a header takes, too.
            .keep_alive_interval(self.limits.header_time)
            .keep_alive_timeout(self.limits.header_time)
            .serve_connection(TokioIo::new(stream), service_fn(|request| self.answer(request, &activity)));
        self.attend(connection, &activity).await;
    }

    fn answer(
        &self,
        request: Request<Incoming>,
        activity: &Activity,
    ) -> impl Future<Output = Result<Response, Infallible>> + use<> {
        let running = activity.begin();
        let peer = Peer::of(self.peer, request.headers(), &self.entrance.rules.now());
        let response = match request.headers().len() {
            // over HTTP/1.1 hyper counts them
            0..=MOST_HEADERS => Either::Left(self.front.answer(request, peer)),
            _ => Either::Right(ready(without_body(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE))),
        };
        async move {
            fail::fail_point!("http.request.before");
            let response = response.await;
            running.answered();
            fail::fail_point!("http.reply.before");
            Ok(response)
        }
    }

    /// Returns once there is one.
    async fn reason_to_end(&self, activity: &Activity) -> Reason {
        let Limits { header_time, idle_time, .. } = self.limits;
        let mut stop = self.stop.clone();
        select! {
            biased; // a client that only makes work is not to get a graceful end by chance
            () = activity.too_many_given_up() => Reason::Abuse,
            () = activity.quiet(header_time, idle_time) => Reason::Quiet,
            () = stopped(&mut stop) => Reason::Stop,
        }
    }

    /// Lets the connection go on until the peer ends it, or we do: at the stop, when the peer keeps it for nothing, or gives up
    /// what it asks for. It is told, and what is in flight is finished.
    async fn attend(&self, connection: impl GracefulConnection<Error = hyper::Error>, activity: &Activity) {
        let mut connection = pin!(connection);
        let Limits { header_time, .. } = self.limits;
        // nearly always it is the connection that goes on, and what is in here is looked at only when it may be ready itself
        let mut ends = FuturesUnordered::from_iter([self.reason_to_end(activity)]);
        select! {
            biased;
            ended = connection.as_mut() => return note(ended),
            Some(reason) = ends.next() => match reason {
                Reason::Abuse => return tracing::debug!(peer = %self.peer, "a peer gives up all it asks for"),
                Reason::Quiet | Reason::Stop => {}
            },
        }
        connection.as_mut().graceful_shutdown();
        activity.rouse();
        select! {
            ended = connection => note(ended),
            // All is answered; who does not take it in this time never does.
            () = activity.quiet(header_time, header_time) => {}
        }
    }
}

/// Why we end a connection.
enum Reason {
    /// The peer gives up all it asks for.
    Abuse,
    /// It keeps it for nothing.
    Quiet,
    /// The daemon stops.
    Stop,
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // a sender that is gone has stopped too
    let _ = stop.wait_for(|is_stopped| *is_stopped).await;
}

fn note(ended: Result<(), hyper::Error>) {
    fail::fail_point!("http.connection.ended");
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection broke off");
    }
}

fn without_body(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// Runs the requests of an HTTP/2 connection on its cell's thread.
#[derive(Clone)]
struct OnThisThread;

impl<F: Future<Output: 'static> + 'static> Executor<F> for OnThisThread {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}

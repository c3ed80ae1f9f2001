//! The outermost layer: what holds for every request, whoever answers it.

#[cfg(feature = "testing")]
use std::net::{Ipv4Addr, SocketAddr};
use std::{
    error::Error,
    future::{Future, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use futures_util::{FutureExt, future::Either};
use http::{
    HeaderName, HeaderValue, Method, Request, Version,
    header::{CACHE_CONTROL, HOST},
};
use hyper::body::Body;
use tower::Service;
use uuid::Uuid;
use warp::{Reply, filters::BoxedFilter, reply::Response};

use super::{
    Asks, CompatAsks, Limits, Scrape, compat,
    metering::Metering,
    peers::Peer,
    problem::{Code, Problem},
    routes::{Api, Around, routes},
    scraping,
    test_mark::TestMark,
    trail::{Line, Trail},
};
use crate::audit::AuditLog;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request's body, from a connection or, in measurements, from memory.
pub trait Content: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Sync + 'static {}

impl<B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Sync + 'static> Content for B {}

/// Answers requests. Cheap to clone.
#[derive(Clone)]
pub struct Front {
    routes: BoxedFilter<(Response,)>,
    audit: AuditLog,
}

impl Front {
    /// The front of one cell; it asks that cell's actors.
    pub fn new(asks: Asks, limits: Limits, audit: AuditLog) -> Self {
        Self { routes: routes(&Arc::new(Api { asks, limits })), audit }
    }

    /// The front of one cell for the old contract.
    pub fn compat(asks: CompatAsks, limits: Limits, audit: AuditLog) -> Self {
        Self { routes: compat::routes(asks, limits), audit }
    }

    /// The front of what was measured.
    pub fn metrics(scrape: Scrape) -> Self {
        Self { routes: scraping::routes(scrape), audit: AuditLog::off() }
    }

    /// Answers a request that came over no connection, as one from this machine.
    #[cfg(feature = "testing")]
    pub async fn answer_in_memory<B: Content>(&self, request: Request<B>) -> Response {
        let connection = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        self.answer(request, Peer { connection, client: connection.ip() }).await
    }

    /// Answers one request: always, and with its own id. A handler that panics is answered for.
    ///
    /// No `async fn`: its future would keep the request beside what becomes of it.
    pub(super) fn answer<B: Content>(&self, mut request: Request<B>, peer: Peer) -> impl Future<Output = Response> + use<B> {
        let (request_id, metering) = (Uuid::new_v4(), Metering::begin(&request));
        let (trail, test_mark) = (Trail::begin(&self.audit), TestMark::default());
        let line = Line::begin(self.audit.clone(), trail.clone(), request_id, peer.client);
        let refusal = refusal_of(&request);
        let around = Around::of(&mut request, peer, trail, test_mark.clone());
        request.extensions_mut().insert(around);
        let routing = catch_unwind(AssertUnwindSafe(|| self.route(request, refusal)));
        async move {
            let routed = match routing {
                Ok(routing) => AssertUnwindSafe(routing).catch_unwind().await,
                Err(panic) => Err(panic),
            };
            let mut request_id_text = Uuid::encode_buffer();
            let request_id = &*request_id.as_hyphenated().encode_lower(&mut request_id_text);
            let mut response = routed.unwrap_or_else(|_panic| {
                tracing::error!(request.id = request_id, "a request's handler panicked");
                Problem::internal().into_response()
            });
            let problem = response.extensions_mut().remove::<Problem>();
            let code = problem.as_ref().map(Problem::code);
            if let Some(problem) = problem {
                response = problem.render(request_id, &test_mark);
            }
            line.answered(response.status().as_u16(), code);
            metering.end(&response, code);
            sign(&mut response, request_id);
            test_mark.write(response.headers_mut());
            response
        }
    }

    fn route<B: Content>(&self, request: Request<B>, refusal: Option<Problem>) -> impl Future<Output = Response> + use<B> {
        if let Some(problem) = refusal {
            return Either::Left(ready(problem.into_response()));
        }
        let routed = warp::service(self.routes.clone()).call(request);
        Either::Right(routed.map(|routed| routed.unwrap_or_else(|never| match never {})))
    }
}

/// Why no route is looked for, if so.
fn refusal_of<B>(request: &Request<B>) -> Option<Problem> {
    // Its target is no path, and warp 0.4.3's filters on whole paths panic at that.
    if request.method() == Method::CONNECT {
        return Some(Problem::method_not_allowed("DELETE, GET, HEAD, POST"));
    }
    let detail = "HTTP/1.1 needs exactly one header Host";
    (!names_one_host(request)).then(|| Problem::new(Code::MalformedHeader, detail).with("field", "Host"))
}

/// As RFC 9112, 3.2, has it: proxies that differ on whose request it is must not be led apart. Older ones and HTTP/2 need none.
fn names_one_host<B>(request: &Request<B>) -> bool {
    match request.headers().get_all(HOST).iter().count() {
        0 => request.version() != Version::HTTP_11,
        count => count == 1,
    }
}

fn sign(response: &mut Response, request_id: &str) {
    let request_id = HeaderValue::from_str(request_id).expect("a UUID is visible ASCII");
    response.headers_mut().insert(REQUEST_ID, request_id);
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

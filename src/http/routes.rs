//! Which path leads to which handler. Paths match, or the answer is 404; everything after that is the handler's
//! reply, never a rejection: so the first thing that is wrong is the one that is answered.

use std::{convert::Infallible, net::IpAddr, pin::Pin, sync::Arc};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, Method, Request, uri::Authority};
use warp::{Filter, Rejection, Reply, filters::BoxedFilter, reply::Response};

use super::{
    Asks, Limits, dev_inbox, health, jwks, messages, peers::Peer, problem::Problem, sign_ins, system, test_mark::TestMark,
    trail::Trail, users, verifications,
};

/// What every handler needs.
pub(super) struct Api {
    pub asks: Asks,
    pub limits: Limits,
}

/// What the front knows of a request, beside the request itself.
#[derive(Clone)]
pub(super) struct Around {
    pub peer: Peer,
    pub trail: Trail,
    pub test_mark: TestMark,
    pub headers: Arc<HeaderMap>,
    /// Whom the request's target names, where it is more than a path.
    pub authority: Option<Authority>,
}

impl Around {
    /// Takes the request's headers along: what reads them gets them from here.
    pub fn of<B>(request: &mut Request<B>, peer: Peer, trail: Trail, test_mark: TestMark) -> Self {
        let headers = Arc::new(std::mem::take(request.headers_mut()));
        Self { peer, trail, test_mark, headers, authority: request.uri().authority().cloned() }
    }
}

/// What handlers see of a request.
pub(super) struct Call {
    pub method: Method,
    /// Whose request it is.
    pub client: IpAddr,
    pub trail: Trail,
    pub test_mark: TestMark,
    pub headers: Arc<HeaderMap>,
    pub body: BodyStream,
}

/// A body that has not been read yet.
pub(super) type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send + Sync>>;

/// Those first that are asked for most: a request is led past all that stand before its own.
pub(super) fn routes(api: &Arc<Api>) -> BoxedFilter<(Response,)> {
    verifications::routes(api)
        .or(all_but_verifications(api))
        .unify()
        .recover(async |_no_path_matched: Rejection| Ok::<_, Infallible>(Problem::not_found().into_response()))
        .unify()
        .boxed()
}

fn all_but_verifications(api: &Arc<Api>) -> BoxedFilter<(Response,)> {
    users::routes(api)
        .or(sign_ins::routes(api))
        .unify()
        .or(messages::routes(api))
        .unify()
        .or(health::routes(api))
        .unify()
        .or(dev_inbox::routes(api))
        .unify()
        .or(system::routes(api))
        .unify()
        .or(jwks::routes(api))
        .unify()
        .boxed()
}

/// The request behind a path that matched. It rejects nothing.
pub(super) fn call() -> impl Filter<Extract = (Call,), Error = Rejection> + Copy {
    let around = warp::ext::get::<Around>();
    warp::method().and(around).and(warp::body::stream()).map(|method, around, body| {
        let Around { peer, trail, test_mark, headers, .. } = around;
        Call { method, client: peer.client, trail, test_mark, headers, body: Box::pin(whole_chunks(body)) }
    })
}

fn whole_chunks(body: impl Stream<Item = Result<impl Buf, warp::Error>>) -> impl Stream<Item = Result<Bytes, warp::Error>> {
    body.map(|chunk| chunk.map(|mut bytes| bytes.copy_to_bytes(bytes.remaining())))
}

/// A handler's result as a reply.
pub(super) fn answer(result: Result<Response, Problem>) -> Response {
    result.unwrap_or_else(Reply::into_response)
}

//! `GET /.well-known/jwks.json`, without a key: what assertions are verified with.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header::CACHE_CONTROL};
use serde_json::Value;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    problem::Problem,
    reply,
    routes::{Api, Call, answer, call},
};

/// The keys that are published now.
pub type PublishedKeys = Arc<dyn Fn() -> Value + Send + Sync>;

/// Longer than a verifier's burst, and short enough that a prepared key is known everywhere before it signs.
const CACHING: HeaderValue = HeaderValue::from_static("public, max-age=300");

pub(super) fn routes(api: &Arc<Api>) -> BoxedFilter<(Response,)> {
    let api = api.clone();
    let with_api = warp::any().map(move || api.clone());
    warp::path!(".well-known" / "jwks.json").and(with_api).and(call()).then(answer_keys).boxed()
}

async fn answer_keys(api: Arc<Api>, call: Call) -> Response {
    answer(match call.method {
        Method::GET | Method::HEAD => Ok(keys(&api)),
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

fn keys(api: &Api) -> Response {
    let mut response = reply::json(StatusCode::OK, &(api.asks.published_keys)());
    response.headers_mut().insert(CACHE_CONTROL, CACHING);
    response
}

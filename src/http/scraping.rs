//! `GET /metrics`, on a listener of its own, without a key.

use std::{convert::Infallible, sync::Arc};

use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, header::CONTENT_TYPE};
use warp::{Filter, Rejection, Reply, filters::BoxedFilter, reply::Response};

use super::{
    problem::Problem,
    routes::{Call, answer, call},
};

/// What was measured so far, in the text format of Prometheus.
pub type Scrape = Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;

pub(super) fn routes(scrape: Scrape) -> BoxedFilter<(Response,)> {
    let with_scrape = warp::any().map(move || scrape.clone());
    let metrics = warp::path!("metrics").and(with_scrape).and(call()).then(answer_metrics);
    metrics.recover(async |_no_path_matched: Rejection| Ok::<_, Infallible>(Problem::not_found().into_response())).unify().boxed()
}

async fn answer_metrics(scrape: Scrape, call: Call) -> Response {
    answer(match call.method {
        Method::GET | Method::HEAD => Ok(text(scrape().await)),
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

fn text(metrics: String) -> Response {
    let mut response = Response::new(metrics.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response
}

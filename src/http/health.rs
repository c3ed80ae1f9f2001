//! `/health/live` and `/health/ready`, without a key. Live: no new process is needed. Ready: what is needed is up.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    problem::Problem,
    reply,
    routes::{Api, Call, answer, call},
};
use crate::messages::{AskReadiness, NotReady};

/// How soon to ask again.
const SOON: Duration = Duration::from_secs(1);

pub(super) fn routes(api: &Arc<Api>) -> BoxedFilter<(Response,)> {
    let api = api.clone();
    let with_api = warp::any().map(move || api.clone());
    let live = warp::path!("health" / "live").and(with_api.clone()).and(call()).then(answer_live);
    let ready = warp::path!("health" / "ready").and(with_api).and(call()).then(answer_ready);
    live.or(ready).unify().boxed()
}

async fn answer_live(api: Arc<Api>, call: Call) -> Response {
    answer(match call.method {
        Method::GET | Method::HEAD if (api.asks.is_live)().await => Ok(reply::json(StatusCode::OK, &json!({ "status": "live" }))),
        Method::GET | Method::HEAD => Err(Problem::unavailable("The daemon is ending", SOON)),
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

async fn answer_ready(api: Arc<Api>, call: Call) -> Response {
    answer(match call.method {
        Method::GET | Method::HEAD => readiness(&api).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

async fn readiness(api: &Api) -> Result<Response, Problem> {
    let missing = api.asks.readiness.ask(AskReadiness, api.limits.ask_time).await;
    let missing =
        missing.unwrap_or_else(|error| vec![NotReady { part: "gateway", reason: error.reason().to_owned(), is_covered: false }]);
    let parts: Vec<Value> = missing.iter().map(|part| json!({ "part": part.part, "reason": part.reason })).collect();
    if missing.iter().any(|part| !part.is_covered) {
        return Err(Problem::unavailable("See parts", SOON).with("parts", parts));
    }
    let body = if parts.is_empty() { json!({ "status": "ready" }) } else { json!({ "status": "ready", "alarms": parts }) };
    Ok(reply::json(StatusCode::OK, &body))
}

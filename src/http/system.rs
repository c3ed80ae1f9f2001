//! `GET /v1/system`: how the daemon's parts are, for keys with the scope `admin`.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    caller::authenticate,
    problem::Problem,
    reply,
    routes::{Api, Call, answer, call},
    trail::Action,
};
use crate::domain::MailCounts;

/// Looks at all parts.
pub type LookAtSystem = Arc<dyn Fn() -> BoxFuture<'static, SystemView> + Send + Sync>;

/// How the daemon's parts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemView {
    /// All actors.
    pub actors: Vec<ActorView>,
    /// The mails in the store; none when it does not answer.
    pub mails: Option<MailCounts>,
}

/// How an actor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorView {
    /// `gateway` for example.
    pub actor: &'static str,
    /// On which thread it runs, `cell 1` for example.
    pub place: String,
    /// `up`, `restarting` or `dead`.
    pub state: &'static str,
    /// How often it was made anew.
    pub restarts: u64,
    /// Why it fell last, without what a panic said.
    pub last_cause: Option<String>,
    /// Asks that are on their way to it.
    pub permits_in_use: u32,
    /// How many may be.
    pub permits: u32,
}

pub(super) fn routes(api: &Arc<Api>) -> BoxedFilter<(Response,)> {
    let api = api.clone();
    let with_api = warp::any().map(move || api.clone());
    warp::path!("v1" / "system").and(with_api).and(call()).then(answer_system).boxed()
}

async fn answer_system(api: Arc<Api>, call: Call) -> Response {
    answer(match call.method {
        Method::GET | Method::HEAD => look(&api, &call).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

async fn look(api: &Api, call: &Call) -> Result<Response, Problem> {
    authenticate(api, call, Action::LookAtSystem)?;
    let SystemView { actors, mails } = (api.asks.system)().await;
    let actors: Vec<Value> = actors.iter().map(body_of).collect();
    let mails = mails.map(|MailCounts { due, later, failed }| json!({ "due": due, "later": later, "failed": failed }));
    let view = json!({ "version": env!("CARGO_PKG_VERSION"), "actors": actors, "mails": mails });
    Ok(reply::json(StatusCode::OK, &call.test_mark.on(view)))
}

fn body_of(actor: &ActorView) -> Value {
    json!({
        "actor": actor.actor,
        "place": actor.place,
        "state": actor.state,
        "restarts": actor.restarts,
        "last_cause": actor.last_cause,
        "permits_in_use": actor.permits_in_use,
        "permits": actor.permits,
    })
}

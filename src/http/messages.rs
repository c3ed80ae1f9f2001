//! `/v1/messages`: the mails that wait or failed, for keys with the scope `messages`. Never a body, a number or a whole address.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Serialize;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    body,
    caller::{authenticate, operation_of},
    members::Members,
    problem::Problem,
    query::{Parameters, Query, query},
    reply::{Rfc3339, json},
    routes::{Api, Call, answer, call},
    trail::Action,
    verifications::DeliveryBody,
};
use crate::{
    domain::{MailPage, MailView},
    messages::{ListMails, ReadMail, RetryMail},
};

pub(super) fn routes(api: &Arc<Api>) -> BoxedFilter<(Response,)> {
    let api = api.clone();
    let with_api = warp::any().map(move || api.clone());
    let all = warp::path!("v1" / "messages").and(with_api.clone()).and(call()).and(query()).then(answer_all);
    let one = warp::path!("v1" / "messages" / String).and(with_api.clone()).and(call()).then(answer_one);
    let retries = warp::path!("v1" / "messages" / String / "retry").and(with_api).and(call()).then(answer_retries);
    all.or(one).unify().or(retries).unify().boxed()
}

async fn answer_all(api: Arc<Api>, call: Call, query: Option<Query>) -> Response {
    answer(match call.method {
        Method::GET | Method::HEAD => list(&api, &call, query).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

async fn answer_one(id: String, api: Arc<Api>, call: Call) -> Response {
    answer(match call.method {
        Method::GET | Method::HEAD => read(&api, &call, id).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

async fn answer_retries(id: String, api: Arc<Api>, call: Call) -> Response {
    answer(match call.method {
        Method::POST => retry(&api, call, id).await,
        _ => Err(Problem::method_not_allowed("POST")),
    })
}

async fn list(api: &Api, call: &Call, query: Option<Query>) -> Result<Response, Problem> {
    let application = authenticate(api, call, Action::ListMails)?;
    let mut parameters = Parameters::of(query)?;
    let list = ListMails {
        application,
        status: parameters.take("status")?,
        // what is no number is outside of every range, for the rules to refuse
        limit: parameters.take("limit")?.map(|text| text.parse().unwrap_or(u64::MAX)),
        cursor: parameters.take("cursor")?,
    };
    parameters.finish("status, limit and cursor")?;
    let page = api.asks.list_mails.ask(list, api.limits.ask_time).await?;
    Ok(json(StatusCode::OK, &call.test_mark.on(PageBody::from(&page))))
}

async fn read(api: &Api, call: &Call, id: String) -> Result<Response, Problem> {
    let application = authenticate(api, call, Action::ReadMail)?;
    let read = ReadMail { application, id };
    let mail = api.asks.read_mail.ask(read, api.limits.ask_time).await?;
    call.trail.mail(&mail);
    Ok(json(StatusCode::OK, &call.test_mark.on(MessageBody::from(&mail))))
}

/// It takes no body, or an empty object.
async fn retry(api: &Api, call: Call, id: String) -> Result<Response, Problem> {
    let application = authenticate(api, &call, Action::RetryMail)?;
    if body::is_declared(&call.headers) {
        let body = body::read(&call.headers, call.body, api.limits.body_time).await?;
        Members::of_body(&body)?.finish()?;
    }
    let operation = operation_of(&call.headers)?;
    let retry = RetryMail { application, id, operation };
    let mail = api.asks.retry_mail.ask(retry, api.limits.ask_time).await?;
    call.trail.mail(&mail);
    Ok(json(StatusCode::ACCEPTED, &call.test_mark.on(MessageBody::from(&mail))))
}

#[derive(Serialize)]
struct PageBody<'a> {
    messages: Vec<MessageBody<'a>>,
    next_cursor: Option<&'a str>,
}

impl<'a> From<&'a MailPage> for PageBody<'a> {
    fn from(page: &'a MailPage) -> Self {
        Self { messages: page.mails.iter().map(MessageBody::from).collect(), next_cursor: page.next_cursor.as_deref() }
    }
}

#[derive(Serialize)]
struct MessageBody<'a> {
    id: &'a str,
    #[serde(flatten)]
    delivery: DeliveryBody<'a>,
    purpose: &'a str,
    /// Masked; null a minute after the end of its verification.
    email: Option<&'a str>,
    created_at: Rfc3339,
    expires_at: Rfc3339,
}

impl<'a> From<&'a MailView> for MessageBody<'a> {
    fn from(view: &'a MailView) -> Self {
        Self {
            id: view.id.as_str(),
            delivery: DeliveryBody::from(&view.delivery),
            purpose: view.purpose.as_str(),
            email: view.masked_address.as_deref(),
            created_at: Rfc3339(view.created_at),
            expires_at: Rfc3339(view.expires_at),
        }
    }
}

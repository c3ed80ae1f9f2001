//! `/v1/verifications`: start, read, check, cancel.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header::LOCATION};
use serde::Serialize;
use serde_json::value::RawValue;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    body,
    caller::{authenticate, operation_of},
    members::Members,
    problem::Problem,
    reply::{Rfc3339, json},
    routes::{Api, Call, answer, call},
    trail::Action,
};
use crate::{
    domain::{ApplicationName, Approval, Delivery, EmailAddress, OperationId, Status, Token, VerificationView},
    messages::{CancelVerification, CheckByNumber, CheckNumber, ReadVerification, ResendVerification, StartVerification},
};

pub(super) fn routes(api: &Arc<Api>) -> BoxedFilter<(Response,)> {
    let api = api.clone();
    let with_api = warp::any().map(move || api.clone());
    let all = warp::path!("v1" / "verifications").and(with_api.clone()).and(call()).then(answer_all);
    let one = warp::path!("v1" / "verifications" / String).and(with_api.clone()).and(call()).then(answer_one);
    let by_number = warp::path!("v1" / "verifications" / "check").and(with_api.clone()).and(call()).then(answer_by_number);
    let checks = warp::path!("v1" / "verifications" / String / "check").and(with_api.clone()).and(call()).then(answer_checks);
    let resends = warp::path!("v1" / "verifications" / String / "resend").and(with_api).and(call()).then(answer_resends);
    // `check` is no id, so the path of checks by number goes before that of one verification
    let others = by_number.or(one).unify().or(resends).unify().boxed();
    all.or(checks.or(others).unify()).unify().boxed()
}

async fn answer_all(api: Arc<Api>, call: Call) -> Response {
    answer(match call.method {
        Method::POST => start(&api, call).await,
        _ => Err(Problem::method_not_allowed("POST")),
    })
}

async fn answer_one(id: String, api: Arc<Api>, call: Call) -> Response {
    answer(match call.method {
        Method::GET | Method::HEAD => read(&api, &call, id).await,
        Method::DELETE => cancel(&api, &call, id).await,
        _ => Err(Problem::method_not_allowed("DELETE, GET, HEAD")),
    })
}

async fn answer_checks(id: String, api: Arc<Api>, call: Call) -> Response {
    answer(match call.method {
        Method::POST => check(&api, call, id).await,
        _ => Err(Problem::method_not_allowed("POST")),
    })
}

async fn answer_by_number(api: Arc<Api>, call: Call) -> Response {
    answer(match call.method {
        Method::POST => check_by_number(&api, call).await,
        _ => Err(Problem::method_not_allowed("POST")),
    })
}

async fn answer_resends(id: String, api: Arc<Api>, call: Call) -> Response {
    answer(match call.method {
        Method::POST => resend(&api, call, id).await,
        _ => Err(Problem::method_not_allowed("POST")),
    })
}

async fn start(api: &Api, call: Call) -> Result<Response, Problem> {
    let application = authenticate(api, &call, Action::Start)?;
    let body = body::read(&call.headers, call.body, api.limits.body_time).await?;
    let operation = operation_of(&call.headers)?;
    let start = start_in(&body, application, operation)?;
    call.trail.email(&start.email);
    let verification = api.asks.start_verification.ask(start, api.limits.ask_time).await?;
    call.trail.view(&verification);
    let mut response = json(StatusCode::ACCEPTED, &call.test_mark.on(VerificationBody::from(&verification)));
    response.headers_mut().insert(LOCATION, location(&verification));
    Ok(response)
}

/// What a body asks for.
pub(super) fn start_in(body: &[u8], application: ApplicationName, operation: OperationId) -> Result<StartVerification, Problem> {
    let mut members = Members::of_body(body)?;
    let start = StartVerification {
        application,
        email: members.required_string("email")?,
        token: members.optional_token("token")?,
        purpose: members.optional_string("purpose")?,
        locale: members.optional_string("locale")?,
        ttl_seconds: members.optional_whole_number("ttl_seconds")?,
        context_ip: context_ip(&mut members)?,
        operation,
    };
    members.finish()?;
    Ok(start)
}

pub(super) fn context_ip(members: &mut Members<'_>) -> Result<Option<String>, Problem> {
    let Some(mut context) = members.optional_object("context", "context.")? else { return Ok(None) };
    let ip = context.optional_string("ip")?;
    context.finish()?;
    Ok(ip)
}

pub(super) fn location(verification: &VerificationView) -> HeaderValue {
    let path = ["/v1/verifications/", verification.id.as_str()].concat();
    HeaderValue::try_from(path).expect("an id is base64url")
}

async fn read(api: &Api, call: &Call, id: String) -> Result<Response, Problem> {
    call.trail.verification(&id);
    let application = authenticate(api, call, Action::Read)?;
    let read = ReadVerification { application, id };
    let verification = api.asks.read_verification.ask(read, api.limits.ask_time).await?;
    call.trail.view(&verification);
    Ok(json(StatusCode::OK, &call.test_mark.on(VerificationBody::from(&verification))))
}

async fn check(api: &Api, call: Call, id: String) -> Result<Response, Problem> {
    call.trail.verification(&id);
    let application = authenticate(api, &call, Action::Check)?;
    let body = body::read(&call.headers, call.body, api.limits.body_time).await?;
    let operation = operation_of(&call.headers)?;
    let number = Members::only_secret(&body, "number")?;
    let check = CheckNumber { application, id, number, operation };
    let approval = api.asks.check_number.ask(check, api.limits.ask_time).await?;
    call.trail.approval(&approval);
    Ok(json(StatusCode::OK, &call.test_mark.on(ApprovalBody::from(&approval))))
}

async fn check_by_number(api: &Api, call: Call) -> Result<Response, Problem> {
    let application = authenticate(api, &call, Action::Check)?;
    let body = body::read(&call.headers, call.body, api.limits.body_time).await?;
    let operation = operation_of(&call.headers)?;
    let number = Members::only_secret(&body, "number")?;
    let check = CheckByNumber { application, number, operation };
    let approval = api.asks.check_by_number.ask(check, api.limits.ask_time).await?;
    call.trail.approval(&approval);
    Ok(json(StatusCode::OK, &call.test_mark.on(ApprovalBody::from(&approval))))
}

/// It takes no body, or an empty object.
async fn resend(api: &Api, call: Call, id: String) -> Result<Response, Problem> {
    call.trail.verification(&id);
    let application = authenticate(api, &call, Action::Resend)?;
    if body::is_declared(&call.headers) {
        let body = body::read(&call.headers, call.body, api.limits.body_time).await?;
        Members::of_body(&body)?.finish()?;
    }
    let operation = operation_of(&call.headers)?;
    let resend = ResendVerification { application, id, operation };
    let verification = api.asks.resend_verification.ask(resend, api.limits.ask_time).await?;
    call.trail.view(&verification);
    Ok(json(StatusCode::ACCEPTED, &call.test_mark.on(VerificationBody::from(&verification))))
}

async fn cancel(api: &Api, call: &Call, id: String) -> Result<Response, Problem> {
    call.trail.verification(&id);
    let application = authenticate(api, call, Action::Cancel)?;
    let cancel = CancelVerification { application, id };
    api.asks.cancel_verification.ask(cancel, api.limits.ask_time).await?;
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// Once only the tombstone is left, without `email` and `delivery`.
#[derive(Serialize)]
pub(super) struct VerificationBody<'a> {
    id: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    purpose: &'a str,
    expires_at: Rfc3339,
    #[serde(skip_serializing_if = "Option::is_none")]
    approved_at: Option<Rfc3339>,
    attempts_remaining: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<DeliveryBody<'a>>,
}

impl<'a> From<&'a VerificationView> for VerificationBody<'a> {
    fn from(view: &'a VerificationView) -> Self {
        Self {
            id: view.id.as_str(),
            status: status_word(view.status),
            email: view.email.as_ref().map(EmailAddress::as_str),
            purpose: view.purpose.as_str(),
            expires_at: Rfc3339(view.expires_at),
            approved_at: view.approved_at.map(Rfc3339),
            attempts_remaining: view.attempts_remaining,
            delivery: view.delivery.as_ref().map(DeliveryBody::from),
        }
    }
}

#[derive(Serialize)]
pub(super) struct DeliveryBody<'a> {
    status: &'static str,
    attempts: u32,
    last_reply: Option<&'a str>,
    next_attempt_at: Option<Rfc3339>,
    message_id: &'a str,
}

impl<'a> From<&'a Delivery> for DeliveryBody<'a> {
    fn from(delivery: &'a Delivery) -> Self {
        Self {
            status: delivery.status.as_str(),
            attempts: delivery.attempts,
            last_reply: delivery.last_reply.as_deref(),
            next_attempt_at: delivery.next_attempt_at.map(Rfc3339),
            message_id: &delivery.message_id,
        }
    }
}

#[derive(Serialize)]
struct ApprovalBody<'a> {
    id: &'a str,
    status: &'static str,
    email: &'a str,
    purpose: &'a str,
    approved_at: Rfc3339,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<TokenBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assertion: Option<&'a str>,
}

impl<'a> From<&'a Approval> for ApprovalBody<'a> {
    fn from(approval: &'a Approval) -> Self {
        Self {
            id: approval.id.as_str(),
            status: status_word(Status::Approved),
            email: approval.email.as_str(),
            purpose: approval.purpose.as_str(),
            approved_at: Rfc3339(approval.approved_at),
            token: approval.token.as_ref().map(TokenBody::from),
            assertion: approval.assertion.as_deref(),
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum TokenBody<'a> {
    Text(&'a str),
    Json(&'a RawValue),
}

impl<'a> From<&'a Token> for TokenBody<'a> {
    fn from(token: &'a Token) -> Self {
        match token {
            Token::Text(text) => Self::Text(text),
            // Only in process can text that is no JSON have been deposited as such; it is better given back as a
            // string than lost.
            Token::Json(text) => serde_json::from_str(text).map_or(Self::Text(text), Self::Json),
        }
    }
}

pub(super) fn status_word(status: Status) -> &'static str {
    match status {
        Status::Pending => "pending",
        Status::Approved => "approved",
        Status::Canceled => "canceled",
        Status::Exhausted => "exhausted",
        Status::Expired => "expired",
    }
}

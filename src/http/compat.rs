//! The old contract, on a listener of its own: a client of the old system works unchanged. Statuses and texts are that
//! system's; what it got wrong is not. It has no keys, so whoever reaches the listener may use it.

use std::sync::Arc;

use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde::Serialize;
use warp::{Filter, Rejection, Reply, filters::BoxedFilter, reply::Response};

use super::{
    Limits, body,
    caller::random_operation,
    members::Members,
    problem::Problem,
    rate_limit::SpentBudget,
    reply::json,
    routes::{Call, answer, call},
    trail::Action,
};
use crate::{
    domain::{ApplicationName, Refusal, Token},
    messages::{CheckByNumber, Failure, StartVerification},
    supervision::{Ask, AskError},
};

/// How long the old system's numbers held.
const TTL_SECONDS: u64 = 300;
const REGISTERED: &str = "correo y token registrados";
const WRONG_FORMAT: &str = "wrong Json format";
const NO_TOKEN: &str = "no hay token";
const TOO_MANY: &str = "demasiados intentos";
const UNAVAILABLE: &str = "servicio no disponible";
const SOON_SECONDS: u64 = 1;

/// Whom the old contract's routes ask, and for which application.
pub struct CompatAsks {
    /// The application, one with lookup `number`.
    pub application: ApplicationName,
    /// `POST /registrar`
    pub start_verification: Ask<StartVerification>,
    /// `POST /validar`
    pub check_by_number: Ask<CheckByNumber>,
}

struct Compat {
    asks: CompatAsks,
    limits: Limits,
}

pub(super) fn routes(asks: CompatAsks, limits: Limits) -> BoxedFilter<(Response,)> {
    let compat = Arc::new(Compat { asks, limits });
    let with_compat = warp::any().map(move || compat.clone());
    let register = warp::path!("registrar").and(with_compat.clone()).and(call()).then(answer_registrar);
    let validate = warp::path!("validar").and(with_compat).and(call()).then(answer_validar);
    register
        .or(validate)
        .unify()
        .recover(async |_no_path_matched: Rejection| Ok::<_, std::convert::Infallible>(Problem::not_found().into_response()))
        .unify()
        .boxed()
}

async fn answer_registrar(compat: Arc<Compat>, call: Call) -> Response {
    match call.method {
        Method::POST => register(&compat, call).await.unwrap_or_else(Refused::into_response),
        _ => answer(Err(Problem::method_not_allowed("POST"))),
    }
}

async fn answer_validar(compat: Arc<Compat>, call: Call) -> Response {
    match call.method {
        Method::POST => validate(&compat, call).await.unwrap_or_else(Refused::into_response),
        _ => answer(Err(Problem::method_not_allowed("POST"))),
    }
}

/// `{"correo", "token"}`, both strings and nothing else. Each registration is mailed anew and replaces the one before.
async fn register(compat: &Compat, call: Call) -> Result<Response, Refused> {
    call.trail.action(Action::Start);
    call.trail.application(&compat.asks.application);
    let body = body::read(&call.headers, call.body, compat.limits.body_time).await?;
    let start = registration_in(&body, compat.asks.application.clone())?;
    call.trail.email(&start.email);
    let verification = compat.asks.start_verification.ask(start, compat.limits.ask_time).await?;
    call.trail.view(&verification);
    Ok(text(StatusCode::OK, REGISTERED))
}

/// What a body registers.
pub(super) fn registration_in(body: &[u8], application: ApplicationName) -> Result<StartVerification, Problem> {
    let mut members = Members::of_body(body)?;
    let start = StartVerification {
        application,
        email: members.required_string("correo")?,
        token: Some(Token::Text(members.required_string("token")?)),
        purpose: None,
        locale: None,
        ttl_seconds: Some(TTL_SECONDS),
        context_ip: None,
        operation: random_operation(),
    };
    members.finish()?;
    Ok(start)
}

/// `{"numero"}`, a string and nothing else. Whatever is no live number has no token, digits or not.
async fn validate(compat: &Compat, call: Call) -> Result<Response, Refused> {
    call.trail.action(Action::Check);
    call.trail.application(&compat.asks.application);
    let body = body::read(&call.headers, call.body, compat.limits.body_time).await?;
    let number = Members::only_secret(&body, "numero")?;
    let check = CheckByNumber { application: compat.asks.application.clone(), number, operation: random_operation() };
    let approval = match compat.asks.check_by_number.ask(check, compat.limits.ask_time).await {
        Err(AskError::Refused(Failure::Refused(Refusal::FieldInvalid { .. }))) => return Err(Refused::NoToken),
        answered => answered?,
    };
    call.trail.approval(&approval);
    let token = approval.token.as_ref().map_or("", Token::as_str);
    Ok(json(StatusCode::OK, &Released { token }))
}

#[derive(Serialize)]
struct Released<'a> {
    token: &'a str,
}

/// What the old system's clients are told.
enum Refused {
    WrongFormat,
    NoToken,
    TooMany(SpentBudget),
    Unavailable,
}

impl From<Problem> for Refused {
    /// Every body that is not the one that is taken got the same answer.
    fn from(_: Problem) -> Self {
        Self::WrongFormat
    }
}

impl From<AskError<Failure>> for Refused {
    fn from(error: AskError<Failure>) -> Self {
        match error {
            AskError::Refused(Failure::Refused(refusal)) => refusal.into(),
            AskError::Refused(Failure::Unavailable | Failure::Overloaded)
            | AskError::Overloaded
            | AskError::Unavailable(_)
            | AskError::TimedOut
            | AskError::Crashed => Self::Unavailable,
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::FieldInvalid { .. } => Self::WrongFormat,
            Refusal::BudgetSpent { budget, quota, retry_after_seconds } => {
                Self::TooMany(SpentBudget { budget, quota, retry_after_seconds })
            }
            Refusal::NotFound
            | Refusal::NumberUnknown
            | Refusal::IdempotencyMismatch
            | Refusal::NumberIncorrect { .. }
            | Refusal::AlreadyApproved
            | Refusal::AlreadySent
            | Refusal::UserExists
            | Refusal::CredentialsInvalid
            | Refusal::NotProven
            | Refusal::Expired
            | Refusal::Exhausted
            | Refusal::Canceled => Self::NoToken,
        }
    }
}

impl Refused {
    fn into_response(self) -> Response {
        match self {
            Self::WrongFormat => text(StatusCode::BAD_REQUEST, WRONG_FORMAT),
            Self::NoToken => text(StatusCode::BAD_REQUEST, NO_TOKEN),
            Self::TooMany(spent) => with_headers(text(StatusCode::TOO_MANY_REQUESTS, TOO_MANY), |headers| spent.write(headers)),
            Self::Unavailable => with_headers(text(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE), |headers| {
                headers.insert(RETRY_AFTER, SOON_SECONDS.into());
            }),
        }
    }
}

fn text(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn with_headers(mut response: Response, write: impl FnOnce(&mut HeaderMap)) -> Response {
    write(response.headers_mut());
    response
}

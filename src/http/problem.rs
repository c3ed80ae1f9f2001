//! The only place that knows the statuses of refusals: every error becomes a [`Problem`] here (RFC 9457).
//!
//! A handler's problem travels in its reply's extensions; the front, which owns the request's id, writes it out.

use std::{borrow::Cow, time::Duration};

use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;
use serde_json::{Map, Value};
use strum::VariantArray;
use warp::{Reply, reply::Response};

use super::{rate_limit::SpentBudget, test_mark::TestMark};
use crate::{
    domain::{Denied, Refusal},
    messages::Failure,
    supervision::AskError,
};

/// What went wrong, as the API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub(super) enum Code {
    MalformedBody,
    MalformedHeader,
    FieldMissing,
    FieldUnknown,
    FieldType,
    FieldDuplicate,
    Unauthorized,
    ScopeMissing,
    NotFound,
    NumberUnknown,
    MethodNotAllowed,
    RequestTimeout,
    AlreadyApproved,
    AlreadySent,
    UserExists,
    CredentialsInvalid,
    NotProven,
    Expired,
    Exhausted,
    Canceled,
    TooLarge,
    UnsupportedMediaType,
    FieldInvalid,
    NumberIncorrect,
    IdempotencyMismatch,
    BudgetSpent,
    Internal,
    Overloaded,
    Unavailable,
}

impl Code {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        self.facts().1
    }

    #[rustfmt::skip]
    const fn facts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::MalformedBody => (StatusCode::BAD_REQUEST, "malformed-body", "The body is not what this call takes"),
            Self::MalformedHeader => (StatusCode::BAD_REQUEST, "malformed-header", "A header is not what this call takes"),
            Self::FieldMissing => (StatusCode::BAD_REQUEST, "field-missing", "A member of the body is missing"),
            Self::FieldUnknown => (StatusCode::BAD_REQUEST, "field-unknown", "A member of the body is unknown"),
            Self::FieldType => (StatusCode::BAD_REQUEST, "field-type", "A member of the body has the wrong type"),
            Self::FieldDuplicate => (StatusCode::BAD_REQUEST, "field-duplicate", "A member of the body stands there twice"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "A valid API key is needed"),
            Self::ScopeMissing => (StatusCode::FORBIDDEN, "scope-missing", "The API key is not meant for this"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is nothing of that name"),
            Self::NumberUnknown => (StatusCode::NOT_FOUND, "number-unknown", "No live number of this application"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed here"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request-timeout", "The body took too long"),
            Self::AlreadyApproved => (StatusCode::CONFLICT, "already-approved", "The verification was approved before"),
            Self::AlreadySent => (StatusCode::CONFLICT, "already-sent", "The mail was taken by the mail server"),
            Self::UserExists => (StatusCode::CONFLICT, "user-exists", "There is a user with this address"),
            Self::CredentialsInvalid => (StatusCode::UNAUTHORIZED, "credentials-invalid", "Address or password is not right"),
            Self::NotProven => (StatusCode::CONFLICT, "not-proven", "The verification does not let a password be set"),
            Self::Expired => (StatusCode::GONE, "expired", "The verification has expired"),
            Self::Exhausted => (StatusCode::GONE, "exhausted", "All wrong checks of the verification are used up"),
            Self::Canceled => (StatusCode::GONE, "canceled", "The verification was canceled"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large"),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body must be JSON"),
            Self::FieldInvalid => (StatusCode::UNPROCESSABLE_ENTITY, "field-invalid", "A value is not allowed"),
            Self::NumberIncorrect => (StatusCode::UNPROCESSABLE_ENTITY, "number-incorrect", "The number is not the one that was mailed"),
            Self::IdempotencyMismatch => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency-mismatch", "The Idempotency-Key was used with another body"),
            Self::BudgetSpent => (StatusCode::TOO_MANY_REQUESTS, "budget-spent", "A budget is spent"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong here"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Too much at once"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Something that is needed is down"),
        }
    }
}

/// A refusal as the client sees it. It never holds anything that the client sent but the names of members.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    members: Map<String, Value>,
    allow: Option<&'static str>,
    retry_after_seconds: Option<u64>,
    spent: Option<Box<SpentBudget>>,
}

/// How soon to ask again when nobody knows.
const SOON: Duration = Duration::from_secs(1);

impl Problem {
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), members: Map::new(), allow: None, retry_after_seconds: None, spent: None }
    }

    /// What went wrong, as the API names it.
    pub fn code(&self) -> &'static str {
        self.code.as_str()
    }

    /// One more member beside those of RFC 9457.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Says after how many seconds, rounded up, the same request can succeed, in the header and in the body.
    fn retry_after(mut self, wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1_000).max(1);
        self.retry_after_seconds = Some(u64::try_from(seconds).unwrap_or(u64::MAX));
        self
    }

    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "Look at the path and at the id in it")
    }

    /// `allow` lists the methods, as the header of that name does.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        Self { allow: Some(allow), ..Self::new(Code::MethodNotAllowed, format!("Allowed: {allow}")) }
    }

    pub fn unauthorized() -> Self {
        Self::new(Code::Unauthorized, "Send the header Authorization: Bearer with an API key of this server")
    }

    pub fn internal() -> Self {
        Self::new(Code::Internal, "The log has more, under this request's id")
    }

    pub fn overloaded() -> Self {
        Self::new(Code::Overloaded, "Nothing was done; ask again later").retry_after(SOON)
    }

    pub fn unavailable(detail: &'static str, back_in: Duration) -> Self {
        Self::new(Code::Unavailable, detail).retry_after(back_in)
    }

    fn budget_spent(spent: SpentBudget) -> Self {
        let detail = "Nothing was done or charged; ask again after retry_after_seconds";
        let problem = Self::new(Code::BudgetSpent, detail).with("budget", spent.budget.as_str());
        Self { retry_after_seconds: Some(spent.retry_after_seconds), spent: Some(Box::new(spent)), ..problem }
    }

    fn of_unknown_outcome() -> Self {
        Self::unavailable("It may have been done; ask again with the same Idempotency-Key", SOON)
    }

    /// The problem as an answer to the request of that id, with that mark.
    pub fn render(&self, request_id: &str, test_mark: &TestMark) -> Response {
        let mut response = Response::new(self.written(request_id, test_mark).into());
        *response.status_mut() = self.code.facts().0;
        self.write_headers(&mut response);
        response
    }

    /// The JSON object that the client reads.
    pub fn written(&self, request_id: &str, test_mark: &TestMark) -> Vec<u8> {
        let (status, code, title) = self.code.facts();
        let body = Body {
            r#type: format!("/problems/{code}"),
            title,
            status: status.as_u16(),
            code,
            detail: &self.detail,
            request_id,
            retry_after_seconds: self.retry_after_seconds,
            members: &self.members,
        };
        serde_json::to_vec(&test_mark.on(body)).expect("its keys are strings, its values JSON")
    }

    fn write_headers(&self, response: &mut Response) {
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(spent) = &self.spent {
            spent.write(headers);
        }
        if self.code.facts().0 == StatusCode::UNAUTHORIZED {
            // also where credentials are not right: RFC 9110, 15.5.2, has a challenge in every 401
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let leaves_the_body_unread = matches!(self.code, Code::TooLarge | Code::RequestTimeout);
        if leaves_the_body_unread {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

impl Reply for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        *response.status_mut() = self.code.facts().0;
        response.extensions_mut().insert(self);
        response
    }
}

impl<E> From<AskError<E>> for Problem
where
    Self: From<E>,
{
    fn from(error: AskError<E>) -> Self {
        match error {
            AskError::Overloaded => Self::overloaded(),
            AskError::Unavailable(back_in) => Self::unavailable("Nothing was done; ask again later", back_in),
            AskError::TimedOut | AskError::Crashed => Self::of_unknown_outcome(),
            AskError::Refused(refusal) => refusal.into(),
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unknown | Denied::Expired(_) | Denied::NotFromThere(_) => Self::unauthorized(),
            Denied::ScopeMissing(_, scope) => {
                Self::new(Code::ScopeMissing, "Its application must be given a key with that scope").with("scope", scope.as_str())
            }
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal.into(),
            Failure::Unavailable => Self::of_unknown_outcome(),
            Failure::Overloaded => Self::overloaded(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::FieldInvalid { field, mend } => {
                Self::new(Code::FieldInvalid, format!("{field} {mend}")).with("field", field)
            }
            Refusal::NotFound => Self::not_found(),
            Refusal::NumberUnknown => Self::new(Code::NumberUnknown, "Ask the person to read the newest mail again"),
            Refusal::IdempotencyMismatch => {
                Self::new(Code::IdempotencyMismatch, "Nothing was done; send another key for another request")
            }
            Refusal::NumberIncorrect { attempts_remaining } => {
                Self::new(Code::NumberIncorrect, "Ask the person to read the newest mail again")
                    .with("attempts_remaining", attempts_remaining)
            }
            Refusal::AlreadyApproved => Self::new(Code::AlreadyApproved, "Its token has been given back; start a new one"),
            Refusal::AlreadySent => Self::new(Code::AlreadySent, "It has it, or may have it as often as is allowed; resend it"),
            Refusal::UserExists => Self::new(Code::UserExists, "Look it up with GET /v1/users?email="),
            Refusal::CredentialsInvalid => {
                Self::new(Code::CredentialsInvalid, "Ask the person to try again later, or to sign in by number")
            }
            Refusal::NotProven => Self::new(
                Code::NotProven,
                "It must be approved within the last ten minutes, of purpose reset-password, of this user's address, and not used before",
            ),
            Refusal::Expired => Self::new(Code::Expired, "Start a new one"),
            Refusal::Exhausted => Self::new(Code::Exhausted, "Start a new one"),
            Refusal::Canceled => Self::new(Code::Canceled, "Start a new one"),
            Refusal::BudgetSpent { budget, quota, retry_after_seconds } => {
                Self::budget_spent(SpentBudget { budget, quota, retry_after_seconds })
            }
        }
    }
}

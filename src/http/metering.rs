//! What requests come to, measured. Routes are named by template: a path holds ids.

use std::{cell::RefCell, collections::BTreeMap};

use http::{Method, Request, StatusCode};
use metrics::{Counter, Histogram, counter, histogram};
use strum::VariantArray;
use tokio::time::Instant;
use warp::reply::Response;

use super::problem::Code;

/// A request that is being answered.
pub(super) struct Metering {
    route: &'static str,
    method: &'static str,
    since: Instant,
}

impl Metering {
    pub fn begin<B>(request: &Request<B>) -> Self {
        Self { route: template(request.uri().path()), method: word(request.method()), since: Instant::now() }
    }

    /// Counts the answer, and the problem's code when it is one.
    pub fn end(self, response: &Response, code: Option<&'static str>) {
        let Self { route, method, since } = self;
        METERS.with_borrow_mut(|meters| {
            let of_kind = meters.entry((route, method, response.status())).or_insert_with_key(Meters::of);
            of_kind.requests.increment(1);
            of_kind.seconds.record(since.elapsed());
        });
        if let Some(code) = code {
            refusals(code).increment(1);
        }
    }
}

/// Has all refusals told, none of each so far: the first one is to be an increase.
pub fn count_refusals_from_zero() {
    for code in Code::VARIANTS {
        refusals(code.as_str()).increment(0);
    }
}

fn refusals(code: &'static str) -> Counter {
    counter!("fiador_refusals_total", "code" => code)
}

thread_local! {
    /// One entry for each kind of answer that this cell gave: to look a metric up by its labels costs more than to count.
    static METERS: RefCell<BTreeMap<(&'static str, &'static str, StatusCode), Meters>> = RefCell::default();
}

struct Meters {
    requests: Counter,
    seconds: Histogram,
}

impl Meters {
    fn of((route, method, status): &(&'static str, &'static str, StatusCode)) -> Self {
        let status = status.as_str().to_owned();
        Self {
            requests: counter!("fiador_requests_total", "route" => *route, "method" => *method, "status" => status),
            seconds: histogram!("fiador_request_seconds", "route" => *route),
        }
    }
}

/// Of a path; ours have fewer.
const MOST_SEGMENTS: usize = 5;

/// The template of a path; `other` for all that lead nowhere.
fn template(path: &str) -> &'static str {
    let mut segments = [""; MOST_SEGMENTS];
    let mut count = 0;
    for (place, segment) in segments.iter_mut().zip(path.trim_start_matches('/').split('/')) {
        *place = segment;
        count += 1;
    }
    match segments[..count] {
        ["v1", "verifications"] => "/v1/verifications",
        ["v1", "verifications", "check"] => "/v1/verifications/check",
        ["v1", "verifications", _] => "/v1/verifications/{id}",
        ["v1", "verifications", _, "check"] => "/v1/verifications/{id}/check",
        ["v1", "verifications", _, "resend"] => "/v1/verifications/{id}/resend",
        ["v1", "messages"] => "/v1/messages",
        ["v1", "messages", _] => "/v1/messages/{id}",
        ["v1", "messages", _, "retry"] => "/v1/messages/{id}/retry",
        ["v1", "users"] => "/v1/users",
        ["v1", "users", _] => "/v1/users/{id}",
        ["v1", "users", _, "export"] => "/v1/users/{id}/export",
        ["v1", "users", _, "password"] => "/v1/users/{id}/password",
        ["v1", "sign-ins"] => "/v1/sign-ins",
        ["v1", "sign-ins", "number"] => "/v1/sign-ins/number",
        ["v1", "system"] => "/v1/system",
        [".well-known", "jwks.json"] => "/.well-known/jwks.json",
        ["health", "live"] => "/health/live",
        ["health", "ready"] => "/health/ready",
        ["dev", "inbox"] => "/dev/inbox",
        ["dev", "inbox", "messages"] => "/dev/inbox/messages",
        ["registrar"] => "/registrar",
        ["validar"] => "/validar",
        ["metrics"] => "/metrics",
        _ => "other",
    }
}

fn word(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_client_asks_for_is_counted_under_one_of_our_own_words() {
        for (path, route) in [
            ("/v1/verifications/vrf_canary", "/v1/verifications/{id}"),
            ("/v1/verifications/check", "/v1/verifications/check"),
            ("/v1/users", "/v1/users"),
            ("/v1/users/usr_canary/password", "/v1/users/{id}/password"),
            ("/v1/users/usr_canary/export", "/v1/users/{id}/export"),
            ("/v1/users/usr_canary", "/v1/users/{id}"),
            ("/v1/sign-ins", "/v1/sign-ins"),
            ("/v1/sign-ins/number", "/v1/sign-ins/number"),
            ("/v1/verifications/vrf_canary/check", "/v1/verifications/{id}/check"),
            ("/v1/verifications/vrf_canary/check/more", "other"),
            ("/canary@example.org", "other"),
            ("*", "other"),
            ("", "other"),
        ] {
            assert_eq!(template(path), route, "{path}");
        }
        assert_eq!(word(&Method::PATCH), "PATCH");
        assert_eq!(word(&Method::from_bytes(b"CANARY").unwrap()), "other");
    }
}

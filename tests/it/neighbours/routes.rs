//! All routes there are. A new one has to be written down here, and what needs a key is then tried by [`super::player`].

use std::collections::BTreeSet;

use reqwest::Method;

use crate::kit::http::{Reply, TestFront};

/// A path, `{}` for an id, and a method of it.
pub type Route = (&'static str, Method);

pub const START: Route = (ALL, Method::POST);
pub const CREATE: Route = (USERS, Method::POST);
pub const SIGN_IN: Route = (SIGN_INS, Method::POST);

pub const ALL: &str = "/v1/verifications";
pub const BY_NUMBER: &str = "/v1/verifications/check";
pub const ONE: &str = "/v1/verifications/{}";
pub const CHECKS: &str = "/v1/verifications/{}/check";
pub const RESENDS: &str = "/v1/verifications/{}/resend";
pub const MAILS: &str = "/v1/messages";
pub const MAIL: &str = "/v1/messages/{}";
pub const RETRIES: &str = "/v1/messages/{}/retry";
pub const USERS: &str = "/v1/users";
pub const USER: &str = "/v1/users/{}";
pub const EXPORTS: &str = "/v1/users/{}/export";
pub const PASSWORDS: &str = "/v1/users/{}/password";
pub const SIGN_INS: &str = "/v1/sign-ins";
pub const NUMBER_SIGN_INS: &str = "/v1/sign-ins/number";
pub const SYSTEM: &str = "/v1/system";

/// What applications call with their keys.
pub const KEYED: &[Route] = &[
    START,
    (BY_NUMBER, Method::POST),
    (ONE, Method::GET),
    (ONE, Method::HEAD),
    (ONE, Method::DELETE),
    (CHECKS, Method::POST),
    (RESENDS, Method::POST),
    (MAILS, Method::GET),
    (MAILS, Method::HEAD),
    (MAIL, Method::GET),
    (MAIL, Method::HEAD),
    (RETRIES, Method::POST),
    CREATE,
    (USERS, Method::GET),
    (USERS, Method::HEAD),
    (USER, Method::GET),
    (USER, Method::HEAD),
    (USER, Method::PATCH),
    (USER, Method::DELETE),
    (EXPORTS, Method::GET),
    (EXPORTS, Method::HEAD),
    (PASSWORDS, Method::POST),
    SIGN_IN,
    (NUMBER_SIGN_INS, Method::POST),
    (SYSTEM, Method::GET),
    (SYSTEM, Method::HEAD),
];

/// What knows no applications: health, metrics, published keys, the operator's own inbox, and the old contract, whose listener is of
/// one alone.
const KEYLESS: &[&str] = &[
    "/health/live",
    "/health/ready",
    "/metrics",
    "/.well-known/jwks.json",
    "/dev/inbox",
    "/dev/inbox/messages",
    "/registrar",
    "/validar",
];

const SOURCES: &[&str] = &[
    include_str!("../../../src/http/verifications.rs"),
    include_str!("../../../src/http/health.rs"),
    include_str!("../../../src/http/dev_inbox.rs"),
    include_str!("../../../src/http/compat.rs"),
    include_str!("../../../src/http/scraping.rs"),
    include_str!("../../../src/http/system.rs"),
    include_str!("../../../src/http/messages.rs"),
    include_str!("../../../src/http/users.rs"),
    include_str!("../../../src/http/sign_ins.rs"),
    include_str!("../../../src/http/jwks.rs"),
];

/// What warp's macro writes as `"v1" / "verifications" / String`.
fn path_of(arguments: &str) -> String {
    let parts = arguments.split(" / ").map(|part| part.strip_prefix('"').map_or("{}", |part| part.trim_end_matches('"')));
    parts.fold(String::new(), |path, part| format!("{path}/{part}"))
}

#[test]
fn every_route_is_written_down_here() {
    let files = std::fs::read_dir("src/http").unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()));
    let with_routes = files.filter(|text| text.as_ref().is_ok_and(|text| text.contains("path!(")));
    assert_eq!(with_routes.count(), SOURCES.len(), "a file with routes is not read here");

    let declarations = SOURCES.iter().flat_map(|text| text.split("path!(").skip(1));
    let declared: BTreeSet<String> = declarations.map(|rest| path_of(rest.split(')').next().unwrap())).collect();
    let written: BTreeSet<String> = KEYED.iter().map(|(path, _)| path).chain(KEYLESS).map(ToString::to_string).collect();
    assert_eq!(written, declared);
}

#[actix::test]
async fn every_method_of_a_route_is_written_down_here() {
    let front = TestFront::start().await;

    for (path, _) in KEYED {
        let reply = Reply::to(front.request(Method::PUT, &path.replace("{}", "vrf_any"))).await;
        let allowed: BTreeSet<&str> = reply.header("allow").unwrap().split(", ").collect();
        let written: BTreeSet<&str> = KEYED.iter().filter(|(of, _)| of == path).map(|(_, method)| method.as_str()).collect();
        assert_eq!(written, allowed, "{path}");
    }
}

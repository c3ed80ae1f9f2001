//! What an API key opens: by scope, until its time, from its networks.

use fiador::api_key::ApiKey;
use serde_json::json;

use crate::kit::{
    caller::Caller,
    daemon::{Home, application_whose_key},
    http::Reply,
};

const DEV: &str = "[dev]\ninbox = true\n";

/// A daemon's directory, and the key of its application, of which `more` is said.
fn home_whose_key(more: &str) -> (Home, String) {
    let (home, key) = (Home::new(), ApiKey::draw().as_str().to_owned());
    home.write("config.toml", &format!("{DEV}{}", application_whose_key("shop", &key, more)));
    (home, key)
}

/// The status of each call with this key, and the scope that it is said to lack.
async fn answers(caller: &Caller, id: &str) -> Vec<(u16, Option<String>)> {
    let path = format!("/v1/verifications/{id}");
    let calls = [
        caller.post("/v1/verifications", json!({"email": "not an address"}).to_string()),
        caller.post(&format!("{path}/resend"), ""),
        caller.checking(id, "12345678"),
        caller.post("/v1/verifications/check", json!({"number": "12345678"}).to_string()),
        caller.request(reqwest::Method::GET, &path),
        caller.request(reqwest::Method::DELETE, &path),
    ];
    let mut answers = Vec::new();
    for call in calls {
        let reply = Reply::to(call).await;
        let scope = (reply.status == 403).then(|| reply.json()["scope"].as_str().unwrap().to_owned());
        answers.push((reply.status, scope));
    }
    answers
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_and_is_told_which_one_it_lacks() {
    let id = format!("vrf_{}", "A".repeat(43));
    let (start, check, read) = ("verifications:start", "verifications:check", "verifications:read");
    let [start_lacks, check_lacks, read_lacks] = [start, check, read].map(|scope| (403, Some(scope.to_owned())));
    for (scopes, expected) in [
        (start, [(422, None), (404, None), check_lacks.clone(), check_lacks, read_lacks.clone(), (404, None)]),
        (check, [start_lacks.clone(), start_lacks.clone(), (404, None), (404, None), read_lacks, start_lacks]),
    ] {
        let (home, key) = home_whose_key(&format!(", scopes = [\"{scopes}\"]"));
        let daemon = home.start().await;

        assert_eq!(answers(&Caller::of(&daemon, &key), &id).await, expected, "{scopes}");
    }
}

#[tokio::test]
async fn a_key_that_has_run_out_or_comes_from_elsewhere_is_as_unknown_as_any_other() {
    let id = format!("vrf_{}", "A".repeat(43));
    for (more, status) in [
        (", expires_at = 2020-01-31T12:00:00Z", 401),
        (", expires_at = 2120-01-31T12:00:00+01:00", 404),
        (", networks = [\"10.0.0.0/8\", \"fd00::/8\"]", 401),
        (", networks = [\"10.0.0.0/8\", \"127.0.0.1\"]", 404),
    ] {
        let (home, key) = home_whose_key(more);
        let daemon = home.start().await;
        let reply = Caller::of(&daemon, &key).read(&id).await;

        assert_eq!(reply.status, status, "{more}: {}", reply.text);
    }
}

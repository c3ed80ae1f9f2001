//! `GET /v1/system`: how all parts of a real daemon are.

use reqwest::Method;
use serde_json::{Value, json};

use crate::kit::{
    caller::Caller,
    daemon::{Home, application_whose_key},
    http::Reply,
};
use fiador::api_key::ApiKey;

/// A directory whose configuration has one application with a key for all and one for looking at the system alone; both keys.
fn home_with_admin() -> (Home, String, String) {
    let (home, key) = Home::with_application("[dev]\ninbox = true");
    let admin = ApiKey::draw().as_str().to_owned();
    let operator = application_whose_key("operator", &admin, ", scopes = [\"admin\"]");
    home.write("config.toml", &format!("{}\n{operator}", home.read("config.toml")));
    (home, key, admin)
}

fn actors<'a>(system: &'a Value, name: &str) -> Vec<&'a Value> {
    system["actors"].as_array().unwrap().iter().filter(|actor| actor["actor"] == name).collect()
}

#[tokio::test]
async fn every_actor_is_shown_with_its_place_and_permits_and_the_mails_with_their_states() {
    let (home, _, admin) = home_with_admin();
    let daemon = home.start().await;

    let system = Caller::of(&daemon, &admin).get("/v1/system").await.json();

    let cells = std::thread::available_parallelism().unwrap().get();
    assert_eq!(actors(&system, "gateway").len(), cells, "{system}");
    assert_eq!(actors(&system, "embedded-store").len(), cells + 1, "{system}");
    let [mailer] = actors(&system, "mailer")[..] else { panic!("{system}") };
    let expected = json!({"actor": "mailer", "place": "mailer", "state": "up", "restarts": 0, "last_cause": null,
                          "permits_in_use": 0, "permits": 512});
    assert_eq!(*mailer, expected);
    for cell in 1..=cells {
        let place = format!("cell {cell}");
        assert!(actors(&system, "gateway").iter().any(|gateway| gateway["place"] == *place && gateway["permits"] == 1024));
    }
    assert_eq!(system["mails"], json!({"due": 0, "later": 0, "failed": 0}));
    assert_eq!(system["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn a_fall_shows_by_its_place_and_never_by_what_was_said() {
    let (home, key, admin) = home_with_admin();
    let daemon = home.start_with(&[("FAILPOINTS", "gateway.ask=1*panic(canary)")]).await;
    Caller::of(&daemon, &key).read("vrf_any").await.problem(503, "unavailable");
    let caller = Caller::of(&daemon, &admin);

    let system = loop {
        let reply = caller.get("/v1/system").await;
        if reply.status == 200 {
            break reply;
        }
    };

    let gateways = system.json();
    let fallen: Vec<_> = actors(&gateways, "gateway").into_iter().filter(|gateway| gateway["restarts"] == 1).collect();
    let [fallen] = fallen[..] else { panic!("{gateways}") };
    let cause = fallen["last_cause"].as_str().unwrap();
    assert!(cause.starts_with("panicked at ") && cause.contains(".rs:"), "{cause}");
    assert!(!system.text.contains("canary"), "{}", system.text);
}

#[tokio::test]
async fn only_keys_for_it_see_it() {
    let (home, key, admin) = home_with_admin();
    let daemon = home.start().await;

    let refused = Caller::of(&daemon, &key).get("/v1/system").await;
    assert_eq!(refused.problem(403, "scope-missing")["scope"], "admin");
    Caller::of(&daemon, "fdr_unknown").get("/v1/system").await.problem(401, "unauthorized");
    let admin = Caller::of(&daemon, &admin);
    admin.read("vrf_any").await.problem(403, "scope-missing");
    Reply::to(admin.request(Method::POST, "/v1/system")).await.problem(405, "method-not-allowed");
}

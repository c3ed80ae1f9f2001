//! The keys that assertions are verified with: published, rotated with overlap, and enough for a library that is not ours.

use fiador::{
    assertions::{Assertions, Issuer},
    clock::Clock,
    domain::{Moment, SignInMethod, SignedIn},
    store::{RingPlace, Vault, open_or_make},
};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::kit::{
    caller::Caller,
    daemon::{Daemon, Home},
    http::Reply,
    pyjwt::{KEYS, verified},
    stores::until,
};

const DEV: &str = "[dev]\ninbox = true\n";
const TAKEN: &str = "another key signs from now on";
const RELOADED: &str = "configuration reloaded";

/// What signs with the ring in `home`, as its daemon does.
async fn assertions_of(home: &Home) -> Assertions {
    let place = RingPlace::new(&home.path("data"), None);
    let ring = open_or_make(&place, async |fingerprint, origin| Ok((fingerprint, origin))).await.unwrap();
    let issuer = Issuer { name: "fiador".to_owned(), ttl_seconds: 300 };
    Assertions::new(issuer, &Vault::new(ring).signing_keys())
}

fn signed_in(at: Moment) -> SignedIn {
    SignedIn {
        subject: "usr_1".to_owned(),
        audience: "shop".to_owned(),
        email: "ada@example.org".to_owned(),
        is_email_verified: true,
        methods: vec![SignInMethod::Number],
        at,
        jti: "jti-1".to_owned(),
    }
}

/// The one answer that may be kept.
async fn fetched(daemon: &Daemon) -> reqwest::Response {
    let client = Client::builder().no_proxy().build().unwrap();
    client.get(format!("http://{}{KEYS}", daemon.address)).send().await.unwrap()
}

async fn published(daemon: &Daemon) -> Vec<String> {
    let keys: Value = fetched(daemon).await.json().await.unwrap();
    let kid = |key: &Value| key["kid"].as_str().unwrap().to_owned();
    keys["keys"].as_array().unwrap().iter().map(kid).collect()
}

#[tokio::test]
async fn keys_are_published_to_everybody_for_five_minutes_and_only_read() {
    let (home, key) = Home::with_application(DEV);
    let daemon = home.start().await;

    let reply = fetched(&daemon).await;
    assert_eq!((reply.status().as_u16(), &reply.headers()["cache-control"]), (200, &"public, max-age=300".parse().unwrap()));
    let published: Value = reply.json().await.unwrap();
    let first = &published["keys"][0];
    assert_eq!((&first["kty"], &first["crv"], first.get("d")), (&json!("OKP"), &json!("Ed25519"), None));
    let refused = Reply::to(Caller::of(&daemon, &key).request(Method::POST, KEYS)).await;
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
}

#[tokio::test]
async fn pyjwt_verifies_an_assertion_with_the_published_keys_and_none_that_was_changed() {
    let (home, _) = Home::with_application(DEV);
    let daemon = home.start().await;
    let now = Clock::system().now();
    let assertion = assertions_of(&home).await.sign(&signed_in(now));

    let claims = verified(&daemon, &assertion).await.unwrap();

    let seconds = now.0 / 1000;
    let expected = json!({
        "iss": "fiador", "sub": "usr_1", "aud": "shop", "iat": seconds, "exp": seconds + 300, "auth_time": seconds,
        "amr": ["otp"], "email": "ada@example.org", "email_verified": true, "jti": "jti-1",
    });
    assert_eq!(claims, expected);
    let other = SignedIn { subject: "usr_2".to_owned(), ..signed_in(now) };
    let other = assertions_of(&home).await.sign(&other);
    let claims_of_other = other.split('.').nth(1).unwrap();
    let forged = assertion.replace(assertion.split('.').nth(1).unwrap(), claims_of_other);
    assert!(verified(&daemon, &forged).await.unwrap_err().contains("Signature verification failed"));
    let expired = assertions_of(&home).await.sign(&signed_in(Moment(now.0 - 301_000)));
    assert!(verified(&daemon, &expired).await.unwrap_err().contains("Signature has expired"));
}

#[tokio::test]
async fn a_rotation_overlaps_what_was_signed_before_verifies_after_and_the_next_key_is_known_before_it_signs() {
    let (home, _) = Home::with_application(DEV);
    let daemon = home.start().await;
    let [first] = &published(&daemon).await[..] else { panic!("one key signs") };
    let before = assertions_of(&home).await.sign(&signed_in(Clock::system().now()));

    let said = home.run(&["key", "rotate", "--signing", "--prepare"]).await;
    assert!(said.contains("is published from now on, and does not sign yet.\nNext: send the daemon SIGHUP."), "{said}");
    daemon.hang_up().await;
    daemon.until_logged(RELOADED).await;
    let [signing, second] = &published(&daemon).await[..] else { panic!("the prepared key is published") };
    assert_eq!(signing, first);

    let said = home.run(&["key", "rotate", "--signing"]).await;
    assert!(said.contains(&format!("key {second} signs; the one before it stays published")), "{said}");
    let after = assertions_of(&home).await.sign(&signed_in(Clock::system().now()));
    assert!(verified(&daemon, &after).await.is_ok(), "it was published before it signed");
    daemon.hang_up().await;
    daemon.until_logged(TAKEN).await;

    assert_eq!(published(&daemon).await, [second.clone(), first.clone()]);
    for assertion in [&before, &after] {
        assert!(verified(&daemon, assertion).await.is_ok());
    }
    home.run(&["key", "rotate", "--signing"]).await;
    daemon.hang_up().await;
    daemon.until_logged_times(2, TAKEN).await;
    assert!(verified(&daemon, &before).await.is_err());
    assert!(verified(&daemon, &after).await.is_ok());
}

#[tokio::test]
async fn daemons_with_a_ring_of_the_first_form_publish_the_same_key_and_write_nothing() {
    let (home, _) = Home::with_application(DEV);
    home.start().await.kill().await;
    let ring = home.read("data/keyring.toml");
    let first_form = ring.split("[[signing]]").next().unwrap().to_owned();
    assert!(first_form.len() < ring.len());
    home.write("data/keyring.toml", &first_form);
    let (other_home, _) = Home::with_application(DEV);
    other_home.write("data/keyring.toml", &first_form);

    let (daemon, other) = (home.start().await, other_home.start().await);

    assert_eq!(published(&daemon).await, published(&other).await);
    assert_eq!(home.read("data/keyring.toml"), first_form);
    let before = published(&daemon).await;
    home.run(&["key", "rotate"]).await;
    daemon.hang_up().await;
    daemon.until_logged(RELOADED).await;
    assert_eq!(published(&daemon).await, before);
}

#[tokio::test]
async fn the_issuer_and_how_long_assertions_hold_change_while_the_daemon_runs() {
    let (home, key) = Home::with_application(DEV);
    let config = format!("{DEV}[audit]\nto = \"./audit.log\"\n");
    home.declare_application(&config, &key);
    let daemon = home.start().await;

    home.declare_application(&format!("{config}[assertions]\nissuer = \"https://id.example.org\"\nttl_seconds = 60\n"), &key);
    daemon.hang_up().await;
    daemon.until_logged(RELOADED).await;

    until(async || home.read("audit.log").contains("assertions changed")).await;
}

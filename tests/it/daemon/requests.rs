//! What is asked of the daemon and what it refuses, from the socket to the store.

use reqwest::Method;
use serde_json::json;

use crate::kit::{
    caller::{Caller, other_than},
    daemon::Home,
    http::Reply,
};

#[tokio::test]
async fn bad_input_is_refused_and_nothing_is_stored_or_burned() {
    let home = Home::new();
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &home.demo_key());
    let id = caller.start_for("ada@example.org").await;

    let deep = "[".repeat(16) + &"]".repeat(16);
    let large = "a".repeat(64 * 1024);
    for (body, status, code) in [
        ("", 400, "malformed-body"),
        ("{\"email\":\"canary@example.org\"", 400, "malformed-body"),
        (&format!(r#"{{"email":"canary@example.org","token":{deep}}}"#), 400, "malformed-body"),
        ("{}", 400, "field-missing"),
        (r#"{"email":"canary@example.org","Email":1}"#, 400, "field-unknown"),
        (r#"{"email":["canary@example.org"]}"#, 400, "field-type"),
        (r#"{"email":"canary@example.org","email":"canary@example.org"}"#, 400, "field-duplicate"),
        (&format!(r#"{{"email":"canary@example.org","token":"{large}"}}"#), 413, "too-large"),
        (r#"{"email":""}"#, 422, "field-invalid"),
        (r#"{"email":"Canary <canary@example.org>"}"#, 422, "field-invalid"),
        (r#"{"email":"canary@example.org\r\nBcc: canary@example.org"}"#, 422, "field-invalid"),
        (r#"{"email":"can\u0000ary@example.org"}"#, 422, "field-invalid"),
        (&format!(r#"{{"email":"canary@{}.org"}}"#, "a".repeat(250)), 422, "field-invalid"),
        (r#"{"email":"canary@example.org","ttl_seconds":59}"#, 422, "field-invalid"),
    ] {
        Reply::to(caller.post("/v1/verifications", body.to_owned())).await.problem(status, code);
    }
    for number in ["canary", "1357913a", "1357", "1357913579135791"] {
        caller.check(&id, number).await.problem(422, "field-invalid");
    }
    let text = caller.request(Method::POST, "/v1/verifications").header("Content-Type", "text/plain").body("canary");
    Reply::to(text).await.problem(415, "unsupported-media-type");

    assert_eq!(caller.attempts_remaining(&id).await, 5);
    assert_eq!(caller.start(&json!({"email": "canary@example.org"})).await.status, 202, "an earlier start was charged");
    let logged = daemon.logged().join("\n").to_lowercase();
    assert!(!logged.contains("canary") && !logged.contains("panic") && !logged.contains("13579"), "{logged}");
}

#[tokio::test]
async fn what_is_not_there_is_404_and_a_wrong_method_says_which_are_right() {
    let home = Home::new();
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &home.demo_key());

    caller.get("/v2/verifications").await.problem(404, "not-found");
    caller.read("vrf_AAAA").await.problem(404, "not-found");
    caller.check("vrf_AAAA", "13579135").await.problem(404, "not-found");
    let reply = Reply::to(caller.request(Method::PUT, "/v1/verifications")).await;
    reply.problem(405, "method-not-allowed");
    assert_eq!(reply.header("allow"), Some("POST"));
    Caller::of(&daemon, "fdr_canary").read("vrf_AAAA").await.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_start_repeated_with_its_idempotency_key_finds_its_own_verification() {
    let home = Home::new();
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &home.demo_key());
    let start = |operation: &'static str, token: &'static str| {
        let body = json!({"email": "ada@example.org", "token": token}).to_string();
        Reply::to(caller.post("/v1/verifications", body).header("Idempotency-Key", operation))
    };

    let first = start("once", "tok-1").await;
    let again = start("once", "tok-1").await;

    assert_eq!((first.status, again.status), (202, 202), "{}", again.text);
    assert_eq!(again.id(), first.id());
    assert_eq!(again.json()["expires_at"], first.json()["expires_at"]);
    start("once", "tok-2").await.problem(422, "idempotency-mismatch");
    // the second verification of an address waits: the repetitions were no starts
    assert_eq!(start("twice", "tok-1").await.problem(429, "budget-spent")["budget"], "address-sends");
}

#[tokio::test]
async fn a_check_repeated_with_its_idempotency_key_gets_its_token_again_and_no_other_does() {
    let home = Home::new();
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &home.demo_key());
    let id = caller.start_for("ada@example.org").await;
    let number = caller.mailed_number("ada@example.org").await;
    let check =
        |operation: &'static str, number: String| Reply::to(caller.checking(&id, &number).header("Idempotency-Key", operation));

    for _ in 0..2 {
        let wrong = check("wrong", other_than(&number)).await;
        assert_eq!(wrong.problem(422, "number-incorrect")["attempts_remaining"], 4);
    }
    let approval = check("right", number.clone()).await;

    assert_eq!(approval.json()["token"], "tok-1", "{}", approval.text);
    assert_eq!(check("right", number.clone()).await.text, approval.text);
    check("right", other_than(&number)).await.problem(422, "idempotency-mismatch");
    check("other", number.clone()).await.problem(409, "already-approved");
    caller.check(&id, &number).await.problem(409, "already-approved");
}

#[tokio::test]
async fn another_applications_verification_can_neither_be_seen_nor_used_nor_burned() {
    let (home, key) = Home::with_application("[dev]\ninbox = true");
    let other_key = home.declare_another_application();
    let daemon = home.start().await;
    let (caller, other) = (Caller::of(&daemon, &key), Caller::of(&daemon, &other_key));
    let id = caller.start_for("ada@example.org").await;
    let number = caller.mailed_number("ada@example.org").await;

    other.read(&id).await.problem(404, "not-found");
    other.check(&id, &number).await.problem(404, "not-found");
    other.check(&id, &other_than(&number)).await.problem(404, "not-found");
    Reply::to(other.request(Method::DELETE, &format!("/v1/verifications/{id}"))).await.problem(404, "not-found");

    assert_eq!(caller.attempts_remaining(&id).await, 5);
    assert_eq!(caller.check(&id, &number).await.json()["token"], "tok-1");
}

#[tokio::test]
async fn a_canceled_verification_is_over() {
    let home = Home::new();
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &home.demo_key());
    let id = caller.start_for("ada@example.org").await;
    let number = caller.mailed_number("ada@example.org").await;

    for _ in 0..2 {
        let path = format!("/v1/verifications/{id}");
        assert_eq!(Reply::to(caller.request(Method::DELETE, &path)).await.status, 204);
    }

    caller.check(&id, &number).await.problem(410, "canceled");
    assert_eq!(caller.read(&id).await.json()["status"], "canceled");
}

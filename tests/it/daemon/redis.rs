//! Daemons on a Redis server: when it is gone, and when there are two of them.

use std::{
    fs,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::json;

use crate::kit::{caller::Caller, daemon::Home, http::Reply, redis::TestRedis};

fn on(server: &TestRedis) -> String {
    format!("[store]\nredis_url = \"{}\"\n[dev]\ninbox = true", server.url())
}

#[tokio::test]
async fn while_redis_is_gone_requests_are_503_and_when_it_is_back_all_is_there() {
    let mut server = TestRedis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let (home, key) = Home::with_application(&on(&server));
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    let id = caller.start_for("ada@example.org").await;
    let number = caller.mailed_number("ada@example.org").await;

    server.kill();

    for request in [
        caller.request(Method::GET, &format!("/v1/verifications/{id}")),
        caller.post("/v1/verifications", json!({"email": "bob@example.org"}).to_string()),
        caller.checking(&id, &number),
    ] {
        let asked_at = Instant::now();
        let reply = Reply::to(request).await;
        assert!(asked_at.elapsed() < Duration::from_secs(2));
        reply.problem(503, "unavailable");
        assert!(reply.header("retry-after").is_some());
    }
    let ready = caller.get("/health/ready").await;
    assert_eq!(ready.problem(503, "unavailable")["parts"][0]["part"], "store");
    assert_eq!(caller.get("/health/live").await.status, 200);

    server.start_again();

    while caller.get("/health/ready").await.status != 200 {}
    let approval = caller.check(&id, &number).await;
    assert_eq!((approval.status, approval.json()["token"].take()), (200, json!("tok-1")));
}

#[tokio::test]
async fn readiness_tells_of_a_redis_that_is_gone_before_anybody_needs_it() {
    let mut server = TestRedis::start();
    let (home, key) = Home::with_application(&on(&server));
    let daemon = home.start().await;

    server.kill();

    for _ in 0..4 {
        let on_a_cell_of_its_own = Caller::of(&daemon, &key);
        let ready = on_a_cell_of_its_own.get("/health/ready").await;
        assert_eq!(ready.problem(503, "unavailable")["parts"][0]["part"], "store");
    }
}

#[tokio::test]
async fn a_redis_that_says_nothing_is_503_within_two_seconds_too() {
    let server = TestRedis::start();
    let (home, key) = Home::with_application(&on(&server));
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    let id = caller.start_for("ada@example.org").await;

    redis::cmd("CLIENT").arg("PAUSE").arg(3_000).exec(&mut server.connection()).unwrap();
    let asked_at = Instant::now();
    let reply = caller.read(&id).await;

    reply.problem(503, "unavailable");
    assert!(asked_at.elapsed() < Duration::from_secs(2));
    while caller.read(&id).await.status != 200 {}
}

#[tokio::test]
async fn two_daemons_with_one_key_ring_are_one_service() {
    let server = TestRedis::start();
    let (home, key) = Home::with_application(&on(&server));
    let daemon = home.start().await;
    let other_home = home.beside();
    let other = other_home.start().await;
    let (caller, other_caller) = (Caller::of(&daemon, &key), Caller::of(&other, &key));

    let id = caller.start_for("ada@example.org").await;
    let number = caller.mailed_number("ada@example.org").await;

    assert_eq!(other_caller.read(&id).await.json()["status"], "pending");
    assert_eq!(other_caller.check(&id, &number).await.json()["token"], "tok-1");
    caller.check(&id, &number).await.problem(409, "already-approved");
}

#[tokio::test]
async fn a_second_daemon_with_a_key_ring_of_its_own_is_refused_and_told_where_the_right_one_is() {
    let server = TestRedis::start();
    let (home, key) = Home::with_application(&on(&server));
    let _daemon = home.start().await;
    let other_home = Home::new();
    other_home.declare_application(&on(&server), &key);

    let refusal = other_home.refusal(&[("FIADOR__LOG__LEVEL", "error")]).await;

    let right = fs::canonicalize(home.path("data/keyring.toml")).unwrap();
    assert!(refusal.contains(&format!("copy the right one from {}", right.display())), "{refusal}");
}

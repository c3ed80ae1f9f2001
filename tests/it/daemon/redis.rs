//! Daemons on a Redis server: when it is gone, and when there are two of them.

use std::{
    fs,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::json;

use crate::kit::{
    caller::Caller,
    daemon::{Daemon, Home},
    http::Reply,
    proxy::Proxy,
    redis::{TestRedis, command},
};

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

/// A daemon whose Redis is about to do something.
struct Served {
    server: TestRedis,
    daemon: Daemon,
    caller: Caller,
    id: String,
    number: String,
    _home: Home,
}

impl Served {
    async fn start() -> Self {
        let server = TestRedis::start();
        let (home, key) = Home::with_application(&on(&server));
        let daemon = home.start().await;
        let caller = Caller::of(&daemon, &key);
        let id = caller.start_for("ada@example.org").await;
        let number = caller.mailed_number("ada@example.org").await;
        Self { server, daemon, caller, id, number, _home: home }
    }

    /// Writes are 503 in time, liveness is not concerned, readiness names the store.
    async fn is_out_of_service(&self) {
        let started = json!({"email": "bob@example.org"}).to_string();
        for request in [self.caller.post("/v1/verifications", started), self.caller.checking(&self.id, &self.number)] {
            let asked_at = Instant::now();
            let reply = Reply::to(request).await;
            assert!(asked_at.elapsed() < Duration::from_secs(2));
            reply.problem(503, "unavailable");
            assert!(reply.header("retry-after").is_some());
        }
        assert_eq!(self.caller.get("/health/live").await.status, 200);
        let ready = self.caller.get("/health/ready").await.problem(503, "unavailable");
        assert_eq!(ready["parts"][0]["part"], "store", "{ready}");
    }

    /// By itself: the same process, and the number that it mailed before gives its token once.
    async fn recovers(&self) {
        while self.caller.get("/health/ready").await.status != 200 {}
        let mut approval = self.caller.check(&self.id, &self.number).await;
        while approval.status == 503 {
            approval = self.caller.check(&self.id, &self.number).await; // on a cell that has not connected again
        }
        match approval.status {
            200 => assert_eq!(approval.json()["token"], "tok-1"),
            // the check whose reply was lost reached the server all the same, and had another operation
            _ => drop(approval.problem(409, "already-approved")),
        }
        self.caller.check(&self.id, &self.number).await.problem(409, "already-approved");
        self.caller.start_for("eve@example.org").await;
    }
}

#[tokio::test]
async fn a_redis_that_is_stopped_in_its_tracks_is_503_in_time_and_used_again_when_it_goes_on() {
    let served = Served::start().await;
    served.server.freeze();
    served.is_out_of_service().await;
    served.server.thaw();
    served.recovers().await;
}

#[tokio::test]
async fn a_redis_that_became_a_replica_is_503_in_time_and_used_again_when_it_is_a_master() {
    let served = Served::start().await;
    served.server.tell(&["REPLICAOF", "127.0.0.1", "1"]);
    served.is_out_of_service().await;
    served.server.tell(&["REPLICAOF", "NO", "ONE"]);
    served.recovers().await;
}

#[tokio::test]
async fn a_redis_that_asks_for_another_password_is_503_in_time_and_used_again_when_it_does_not() {
    let served = Served::start().await;
    let mut admin = served.server.connection();
    command(&["CONFIG", "SET", "requirepass", "changed"]).exec(&mut admin).unwrap();
    command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).exec(&mut admin).unwrap();
    served.is_out_of_service().await;
    command(&["CONFIG", "SET", "requirepass", ""]).exec(&mut admin).unwrap();
    served.recovers().await;
}

#[tokio::test]
async fn a_redis_that_is_full_is_503_in_time_told_by_readiness_and_used_again_when_there_is_room() {
    let served = Served::start().await;
    served.server.tell(&["CONFIG", "SET", "maxmemory", "1"]);
    served.is_out_of_service().await;
    served.server.tell(&["CONFIG", "SET", "maxmemory", "0"]);
    served.recovers().await;
}

#[tokio::test]
async fn a_redis_that_was_started_anew_without_our_script_is_given_it_again() {
    let served = Served::start().await;
    served.server.tell(&["SCRIPT", "FLUSH"]);
    served.server.cut_connections();
    served.recovers().await;
    assert_eq!(served.daemon.times_logged("daemon started"), 1);
}

#[tokio::test]
async fn replies_that_are_cut_off_or_stall_are_503_in_time_and_start_nothing_twice() {
    let server = TestRedis::start();
    let proxy = Proxy::before(&server).await;
    let (home, key) = Home::with_application(&format!("[store]\nredis_url = \"{}\"\n[dev]\ninbox = true", proxy.url()));
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    let settled = caller.start_for("ada@example.org").await;
    while caller.read(&settled).await.json()["delivery"]["status"] != "captured" {} // from here on only starts say EVALSHA
    let start = |operation| {
        let body = json!({"email": "bob@example.org"}).to_string();
        Reply::to(caller.post("/v1/verifications", body).header("Idempotency-Key", operation))
    };

    proxy.cut_reply("EVALSHA", |length| length / 2);
    start("once").await.problem(503, "unavailable");
    while caller.get("/health/ready").await.status != 200 {}
    let held = proxy.stall_reply("EVALSHA", |length| length / 2);
    let asked_at = Instant::now();
    start("once").await.problem(503, "unavailable");
    assert!(asked_at.elapsed() < Duration::from_secs(2));
    held.release();
    while caller.get("/health/ready").await.status != 200 {}

    let (first, second) = (start("once").await, start("once").await);
    assert_eq!((first.status, second.status, first.id()), (202, 202, second.id()), "{}", first.text);
    start("twice").await.problem(429, "budget-spent"); // the pause after one mail: one was started
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

//! An actor that keeps falling: the daemon puts up with it as long as its restart budget lasts, then gives up.

use reqwest::Method;

use crate::kit::{caller::Caller, daemon::Home, http::Reply};

/// Makes the Gateway fall upon whatever it is asked.
const FALLS: (&str, &str) = ("FAILPOINTS", "gateway.ask=panic");

#[tokio::test]
async fn a_spent_restart_budget_drains_the_daemon_and_ends_it_with_70() {
    let home = Home::new();
    let mut daemon = home.start_with(&[FALLS]).await;
    let caller = Caller::of(&daemon, &home.demo_key());

    // a connection that is open stays with its cell, and so with the Gateway that falls
    let mut answers = 0;
    while let Ok(response) = caller.request(Method::GET, "/v1/verifications/vrf_any").send().await {
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key("retry-after"));
        answers += 1;
    }

    assert_eq!(daemon.ended().await, Some(70));
    let logged = daemon.logged();
    let falls = logged.iter().filter(|line| line.contains("panicked panic.place"));
    assert_eq!(falls.count(), 6, "{logged:#?}");
    let told = logged.iter().any(|line| line.contains("failpoint"));
    assert!(!told, "what a panic says may hold anything: {logged:#?}");
    let escalations = logged.iter().filter(|line| line.contains("an actor fell too often"));
    assert_eq!(escalations.count(), 1, "{logged:#?}");
    assert!(answers >= 6, "{answers}: the request that fell last is answered, too");
}

#[tokio::test]
async fn a_daemon_that_gives_up_still_answers_what_is_in_flight() {
    let home = Home::new();
    let mut daemon = home.start_with(&[FALLS]).await;
    let caller = Caller::of(&daemon, &home.demo_key());
    let in_flight = tokio::spawn(Reply::to(caller.request(Method::GET, "/dev/inbox/messages?wait_seconds=5")));

    while caller.request(Method::GET, "/v1/verifications/vrf_any").send().await.is_ok() {}

    assert_eq!(in_flight.await.unwrap().status, 200);
    assert_eq!(daemon.ended().await, Some(70));
}

#[tokio::test]
async fn a_daemon_whose_gateway_is_down_for_a_moment_is_alive_and_soon_ready() {
    let home = Home::new();
    let daemon = home.start_with(&[FALLS]).await;
    let caller = Caller::of(&daemon, &home.demo_key());

    caller.read("vrf_any").await.problem(503, "unavailable");

    assert_eq!(caller.get("/health/live").await.status, 200);
    while caller.get("/health/ready").await.status != 200 {}
}

#[tokio::test]
async fn a_gateway_that_fell_once_answers_again_within_a_second() {
    let home = Home::new();
    let daemon = home.start_with(&[("FAILPOINTS", "gateway.ask=1*panic")]).await;
    let caller = Caller::of(&daemon, &home.demo_key());
    caller.read("vrf_any").await.problem(503, "unavailable");

    let fell_at = std::time::Instant::now();
    while Reply::to(caller.request(Method::GET, "/v1/verifications/vrf_any")).await.status != 404 {}

    assert!(fell_at.elapsed().as_millis() < 1_000);
}

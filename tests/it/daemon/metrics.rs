//! `GET /metrics`: what is measured, and that nothing in it is a secret.

use reqwest::{Client, Method};
use serde_json::json;

use crate::kit::{
    caller::{Caller, other_than},
    daemon::Home,
    http::Reply,
    redis::TestRedis,
    scrape::{MEASURED, Scrape, address},
};

#[tokio::test]
async fn what_happens_is_counted_and_nothing_secret_is_told() {
    let home = Home::new();
    let daemon = home.start_with(&[MEASURED]).await;
    let caller = Caller::of(&daemon, &home.demo_key());
    let id = caller.start_for("canary@example.org").await;
    let number = caller.mailed_number("canary@example.org").await;
    caller.check(&id, &other_than(&number)).await.problem(422, "number-incorrect");
    caller.start(&json!({"email": "canary@example.org"})).await.problem(429, "budget-spent");
    caller.get("/canary?canary").await.problem(404, "not-found");
    Reply::to(caller.request(Method::from_bytes(b"CANARY").unwrap(), "/v1/verifications"))
        .await
        .problem(405, "method-not-allowed");

    let scrape = Scrape::of(&daemon).await;

    let starts = [("route", "/v1/verifications"), ("method", "POST")];
    assert_eq!(scrape.count("fiador_requests_total", &[starts[0], starts[1], ("status", "202")]), 1);
    assert_eq!(scrape.count("fiador_requests_total", &[starts[0], starts[1], ("status", "429")]), 1);
    assert_eq!(scrape.count("fiador_requests_total", &[("route", "/v1/verifications/{id}/check"), ("status", "422")]), 1);
    assert_eq!(scrape.count("fiador_requests_total", &[("route", "other"), ("status", "404")]), 1);
    assert_eq!(scrape.count("fiador_requests_total", &[starts[0], ("method", "other"), ("status", "405")]), 1);
    for code in ["number-incorrect", "budget-spent", "not-found", "method-not-allowed"] {
        assert_eq!(scrape.count("fiador_refusals_total", &[("code", code)]), 1, "{code}");
    }
    assert_eq!(scrape.count("fiador_request_seconds_count", &[starts[0]]), 3);
    assert_eq!(scrape.count("fiador_budgets_spent_total", &[("budget", "address-sends")]), 1);
    let asks = [("actor", "gateway"), ("message", "StartVerification")];
    assert_eq!(scrape.count("fiador_asks_total", &[asks[0], asks[1], ("outcome", "answered")]), 1);
    assert_eq!(scrape.count("fiador_asks_total", &[asks[0], asks[1], ("outcome", "refused")]), 1);
    assert_eq!(scrape.count("fiador_asks_total", &[("actor", "mailer"), ("message", "MailQueued"), ("outcome", "told")]), 1);
    assert_eq!(scrape.count("fiador_store_seconds_count", &[("message", "OpenVerification")]), 2);
    assert_eq!(scrape.count("fiador_mails_total", &[("outcome", "captured")]), 1);
    assert_eq!(scrape.count("fiador_mail_delivery_seconds_count", &[]), 1);
    let secrets = ["canary", &home.demo_key(), &id, &number, "demo"];
    assert!(!secrets.iter().any(|secret| scrape.0.to_lowercase().contains(&secret.to_lowercase())), "{}", scrape.0);
}

#[tokio::test]
async fn what_has_not_happened_yet_is_told_as_none() {
    let home = Home::new();
    let daemon = home.start_with(&[MEASURED]).await;

    let scrape = Scrape::of(&daemon).await;

    let is_none = |metric: &str, labels: &[(&str, &str)]| {
        assert_eq!(scrape.sum(metric, labels), Some(0.0), "{metric} {labels:?}: {}", scrape.0);
    };
    for actor in ["gateway", "embedded-store", "mailer"] {
        for cause in ["panic", "stopped"] {
            is_none("fiador_actor_restarts_total", &[("actor", actor), ("cause", cause)]);
        }
    }
    is_none("fiador_cell_restarts_total", &[]);
    for code in ["internal", "overloaded", "unavailable", "budget-spent", "number-incorrect", "unauthorized"] {
        is_none("fiador_refusals_total", &[("code", code)]);
    }
    for budget in ["address-sends", "verification-sends", "address-pending", "address-checks", "ip-starts"] {
        is_none("fiador_budgets_spent_total", &[("budget", budget)]);
    }
    for budget in ["application-starts", "number-misses"] {
        is_none("fiador_budgets_spent_total", &[("budget", budget)]);
    }
    for outcome in ["sent", "captured", "deferred", "refused", "held", "returned"] {
        is_none("fiador_mails_total", &[("outcome", outcome)]);
    }
    assert_eq!(scrape.lines("fiador_mails_total"), 6, "{}", scrape.0);
}

#[tokio::test]
async fn every_metric_is_described() {
    let home = Home::new();
    let daemon = home.start_with(&[MEASURED, ("FAILPOINTS", "gateway.ask=1*panic")]).await;
    let caller = Caller::of(&daemon, &home.demo_key());
    caller.read("vrf_any").await.problem(503, "unavailable");
    while Reply::to(caller.request(Method::GET, "/v1/verifications/vrf_any")).await.status != 404 {}
    caller.start_for("ada@example.org").await;
    caller.start(&json!({"email": "ada@example.org"})).await.problem(429, "budget-spent");
    caller.mailed_number("ada@example.org").await;

    let scrape = Scrape::of(&daemon).await;

    let words = |start: &str| -> Vec<String> {
        let lines = scrape.0.lines().filter_map(|line| line.strip_prefix(start));
        lines.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    let (typed, helped) = (words("# TYPE "), words("# HELP "));
    assert_eq!(typed, helped, "{}", scrape.0);
    assert!(typed.len() >= 10, "{typed:?}");
    assert_eq!(scrape.count("fiador_actor_restarts_total", &[("actor", "gateway"), ("cause", "panic")]), 1);
}

#[tokio::test]
async fn the_mail_queue_is_counted_and_unknown_while_the_store_is_gone() {
    let mut server = TestRedis::start();
    let config = format!("[store]\nredis_url = \"{}\"\n[[smtp]]\nhost = \"localhost\"\nport = 1\ntls = \"none\"", server.url());
    let (home, key) = Home::with_application(&format!("{config}\nfrom = \"no-reply@example.org\""));
    let daemon = home.start_with(&[MEASURED]).await;
    Caller::of(&daemon, &key).start_for("ada@example.org").await;

    let scrape = Scrape::of(&daemon).await;
    let waiting =
        scrape.count("fiador_mail_queue", &[("state", "due")]) + scrape.count("fiador_mail_queue", &[("state", "later")]);
    assert_eq!(waiting, 1, "{}", scrape.0);

    server.kill();
    let scrape = Scrape::of(&daemon).await;
    assert!(scrape.sum("fiador_mail_queue", &[("state", "later")]).unwrap().is_nan(), "{}", scrape.0);
}

#[tokio::test]
async fn metrics_are_for_reading_and_nothing_else_is_there() {
    let home = Home::new();
    let daemon = home.start_with(&[MEASURED]).await;
    let (client, address) = (Client::builder().no_proxy().build().unwrap(), address(&daemon).await);

    let reply = Reply::to(client.post(format!("http://{address}/metrics"))).await;
    reply.problem(405, "method-not-allowed");
    assert_eq!(reply.header("allow"), Some("GET, HEAD"));
    Reply::to(client.get(format!("http://{address}/v1/system"))).await.problem(404, "not-found");
    Caller::of(&daemon, &home.demo_key()).get("/metrics").await.problem(404, "not-found");
}

#[tokio::test]
async fn a_port_that_is_taken_is_refused_by_its_key() {
    let (home, other_home) = (Home::new(), Home::new());
    let daemon = home.start_with(&[MEASURED]).await;
    let taken = address(&daemon).await;

    let refusal = other_home.refusal(&[("FIADOR__METRICS__LISTEN", &taken)]).await;

    assert!(refusal.contains(&format!("metrics.listen: cannot listen on {taken}: the port is taken")), "{refusal}");
}

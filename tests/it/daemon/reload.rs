//! SIGHUP: the configuration is read anew, and taken whole or not at all.

use std::time::{Duration, Instant};

use fiador::api_key::ApiKey;
use serde_json::json;

use crate::kit::{
    caller::Caller,
    daemon::{Home, application_whose_key},
};

const DEV: &str = "[dev]\ninbox = true\n";

#[tokio::test]
async fn a_key_that_was_taken_out_is_refused_within_five_seconds_also_on_an_open_connection() {
    let (home, old_key) = Home::with_application(DEV);
    let daemon = home.start().await;
    let (old, new_key) = (Caller::of(&daemon, &old_key), ApiKey::draw());
    let id = old.start_for("ada@example.org").await;

    home.declare_application(DEV, new_key.as_str());
    let taken_out_at = Instant::now();
    daemon.hang_up().await;
    while old.read(&id).await.status != 401 {}

    assert!(taken_out_at.elapsed() < Duration::from_secs(5));
    assert_eq!(Caller::of(&daemon, new_key.as_str()).read(&id).await.status, 200);
}

#[tokio::test]
async fn a_configuration_that_is_wrong_changes_nothing_and_is_told_by_line() {
    let (home, key) = Home::with_application(DEV);
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    let id = caller.start_for("ada@example.org").await;

    home.declare_application("[dev]\ninbox = perhaps\n", ApiKey::draw().as_str());
    daemon.hang_up().await;
    daemon.until_logged("configuration not reloaded").await;

    assert!(daemon.logged().iter().any(|line| line.contains("config.toml:2")), "{:#?}", daemon.logged());
    assert_eq!(caller.read(&id).await.status, 200);
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_nothing_else_changes_either() {
    let (home, key) = Home::with_application(DEV);
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    let id = caller.start_for("ada@example.org").await;

    let config = format!("{DEV}[store]\nredis_url = \"redis://localhost:1/0\"\n[shutdown]\ngrace_seconds = 7\n");
    home.declare_application(&config, ApiKey::draw().as_str());
    daemon.hang_up().await;
    daemon.until_logged("store, shutdown: cannot change while the daemon runs").await;

    assert_eq!(caller.read(&id).await.status, 200);
}

#[tokio::test]
async fn an_applications_budget_of_starts_is_that_of_the_newest_configuration() {
    let (home, key) = Home::with_application(DEV);
    let declare = |limits: &str| {
        home.write("config.toml", &format!("{DEV}{}limits = {{ {limits} }}\n", application_whose_key("shop", &key, "")));
    };
    declare("starts_at_once = 1, starts_per_hour = 1");
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    let start = async |email: &str| caller.start(&json!({ "email": email })).await;
    assert_eq!(start("ada@example.org").await.status, 202);
    let refused = start("bob@example.org").await;
    assert_eq!(refused.problem(429, "budget-spent")["budget"], "application-starts");
    assert_eq!(refused.header("ratelimit-policy"), Some(r#""application-starts";q=1;w=3600"#));

    declare("starts_at_once = 2, starts_per_hour = 1");
    daemon.hang_up().await;
    daemon.until_logged("configuration reloaded").await;
    assert_eq!(start("bob@example.org").await.status, 202);
    assert_eq!(start("eve@example.org").await.status, 429);
    declare("");
    daemon.hang_up().await;
    while start("eve@example.org").await.status == 429 {} // until the daemon has read it
}

#[tokio::test]
async fn mails_are_written_by_the_templates_of_the_newest_configuration() {
    let (home, key) = Home::with_application(DEV);
    let daemon = home.start().await;

    for part in ["subject", "txt", "html"] {
        home.write(&format!("words/en/default.{part}"), if part == "subject" { "Neu" } else { "Neu:\n{{ number }}\n" });
    }
    home.declare_application(&format!("{DEV}[mail]\ntemplates_dir = \"words\"\n"), &key);
    daemon.hang_up().await;
    daemon.until_logged("configuration reloaded").await;
    let caller = Caller::of(&daemon, &key);
    caller.start_for("ada@example.org").await;

    let mails = caller.get("/dev/inbox/messages?to=ada@example.org&wait_seconds=30").await.json();
    assert_eq!(mails[0]["subject"], "Neu");
}

//! No address, number, token, id or key is logged, not even by a daemon that traces everything.

use serde_json::json;

use crate::kit::{
    caller::{Caller, other_than},
    daemon::{Daemon, Home},
    redis::TestRedis,
};

const TRACE_ALL: (&str, &str) = ("RUST_LOG", "trace");
const ADDRESS: &str = "canary.ada@example.org";
const TOKEN: &str = "canary-tok-1";

/// Starts, looks, checks wrong and right, repeats, and is refused; what must not be in the logs.
async fn leave_traces(daemon: &Daemon, key: &str) -> Vec<String> {
    let caller = Caller::of(daemon, key);
    let started = caller.start(&json!({"email": ADDRESS, "token": TOKEN})).await;
    let number = caller.mailed_number(ADDRESS).await;
    caller.read(&started.id()).await;
    caller.check(&started.id(), &other_than(&number)).await;
    caller.check(&started.id(), &number).await;
    caller.check(&started.id(), &number).await;
    caller.start(&json!({"email": format!("{ADDRESS}\r\nBcc: x"), "token": TOKEN})).await;
    vec!["canary".to_owned(), key.to_owned(), started.id(), number]
}

fn assert_none_in(logged: &[String], secrets: &[String]) {
    assert!(logged.iter().any(|line| line.contains("a mail is done with")), "it logs at all: {logged:#?}");
    for line in logged {
        assert!(!secrets.iter().any(|secret| line.contains(secret)), "{line}");
    }
}

#[tokio::test]
async fn a_daemon_that_traces_everything_logs_no_secret() {
    let home = Home::new();
    let mut daemon = home.start_with(&[TRACE_ALL]).await;
    let secrets = leave_traces(&daemon, &home.demo_key()).await;
    daemon.interrupt().await;
    assert_eq!(daemon.ended().await, Some(0));

    assert_none_in(&daemon.logged(), &secrets);
}

#[tokio::test]
async fn nor_does_one_on_redis_which_keeps_none_in_clear_either() {
    let server = TestRedis::start();
    let (home, key) = Home::with_application(&format!("[store]\nredis_url = \"{}\"\n[dev]\ninbox = true", server.url()));
    let mut daemon = home.start_with(&[TRACE_ALL]).await;
    let secrets = leave_traces(&daemon, &key).await;
    let kept = format!("{:?}", server.dump());
    daemon.interrupt().await;
    assert_eq!(daemon.ended().await, Some(0));

    assert_none_in(&daemon.logged(), &secrets);
    assert!(!secrets.iter().any(|secret| kept.contains(secret.as_str())), "{kept}");
}

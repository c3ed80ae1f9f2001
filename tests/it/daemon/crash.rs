//! `kill -9`: what was acknowledged is there at the next start.

use futures_util::{StreamExt, stream::FuturesUnordered};
use serde_json::json;

use crate::kit::{
    caller::{Caller, number_in, other_than},
    daemon::Home,
    http::Reply,
    redis::TestRedis,
    smtp_sink::SmtpSink,
};
use fiador::mail::smtp::SmtpTls;

/// Longer than the lease of the mail that the crash cut off.
const A_LEASE_LATER: (&str, &str) = ("FIADOR_TESTING_CLOCK_AHEAD_SECONDS", "61");

#[tokio::test]
async fn a_pending_verification_outlives_a_crash_and_its_number_still_works() {
    let home = Home::new();
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &home.demo_key());
    let id = caller.start_for("ada@example.org").await;
    let number = caller.mailed_number("ada@example.org").await;
    daemon.kill().await;

    let daemon = home.start().await;

    let approval = Caller::of(&daemon, &home.demo_key()).check(&id, &number).await;
    assert_eq!((approval.status, approval.json()["token"].take()), (200, json!("tok-1")));
}

#[tokio::test]
async fn a_wrong_check_stays_charged_over_a_crash() {
    let home = Home::new();
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &home.demo_key());
    let id = caller.start_for("ada@example.org").await;
    let wrong = other_than(&caller.mailed_number("ada@example.org").await);
    assert_eq!(caller.check(&id, &wrong).await.problem(422, "number-incorrect")["attempts_remaining"], 4);
    daemon.kill().await;

    let daemon = home.start().await;

    let caller = Caller::of(&daemon, &home.demo_key());
    assert_eq!(caller.check(&id, &wrong).await.problem(422, "number-incorrect")["attempts_remaining"], 3);
}

#[tokio::test]
async fn what_was_approved_stays_so_over_a_crash_and_gives_its_token_only_to_the_same_operation() {
    let home = Home::new();
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &home.demo_key());
    let id = caller.start_for("ada@example.org").await;
    let number = caller.mailed_number("ada@example.org").await;
    let check = |caller: &Caller, operation| Reply::to(caller.checking(&id, &number).header("Idempotency-Key", operation));
    let approval = check(&caller, "once").await;
    assert_eq!(approval.status, 200, "{}", approval.text);
    daemon.kill().await;

    let daemon = home.start().await;

    let caller = Caller::of(&daemon, &home.demo_key());
    assert_eq!(check(&caller, "once").await.text, approval.text);
    check(&caller, "twice").await.problem(409, "already-approved");
}

#[tokio::test]
async fn every_start_that_was_acknowledged_in_the_middle_of_many_outlives_a_crash() {
    let home = Home::new();
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &home.demo_key());
    let start = |i: usize| caller.post("/v1/verifications", json!({"email": format!("ada{i}@example.org")}).to_string()).send();
    let mut starts: FuturesUnordered<_> = (0..64).map(start).collect();
    let mut acknowledged = Vec::new();
    while acknowledged.len() < 16 {
        acknowledged.push(starts.next().await.unwrap().unwrap());
    }
    daemon.kill().await;
    // some answers had left before the crash
    acknowledged.extend(starts.filter_map(async |outcome| outcome.ok()).collect::<Vec<_>>().await);

    let daemon = home.start().await;

    let caller = Caller::of(&daemon, &home.demo_key());
    for response in acknowledged {
        assert_eq!(response.status(), 202);
        let location = response.headers()["location"].to_str().unwrap();
        assert_eq!(caller.get(location).await.json()["status"], "pending");
    }
}

/// A daemon with an SMTP server takes a start, is killed while the server keeps its mail waiting, and started again with
/// a server that takes mails.
async fn the_mail_comes_after_a_crash(store: &str) {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut sink = SmtpSink::start(SmtpTls::None).await;
    let config =
        |port| format!("{store}\n[[smtp]]\nhost = \"localhost\"\nport = {port}\ntls = \"none\"\nfrom = \"fiador@example.org\"");
    let (home, key) = Home::with_application(&config(silent.local_addr().unwrap().port()));
    let daemon = home.start().await;
    let id = Caller::of(&daemon, &key).start_for("ada@example.org").await;
    daemon.kill().await;

    home.declare_application(&config(sink.settings().port), &key);
    let daemon = home.start_with(&[A_LEASE_LATER]).await;

    let mail = sink.next_mail().await;
    assert_eq!(mail.recipient, " TO:<ada@example.org>");
    let approval = Caller::of(&daemon, &key).check(&id, &number_in(&mail.content)).await;
    assert_eq!((approval.status, approval.json()["token"].take()), (200, json!("tok-1")));
    assert_eq!(sink.mails_left(), 0);
}

#[tokio::test]
async fn a_mail_cut_off_by_a_crash_is_sent_by_the_next_start() {
    the_mail_comes_after_a_crash("").await;
}

#[tokio::test]
async fn a_mail_cut_off_by_a_crash_is_sent_by_the_next_start_on_redis() {
    let server = TestRedis::start();
    the_mail_comes_after_a_crash(&format!("[store]\nredis_url = \"{}\"", server.url())).await;
}

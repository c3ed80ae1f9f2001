//! Whether an address is known here, or refused by the mail server, makes no difference to the answer.

use fiador::mail::smtp::SmtpTls;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::kit::{
    caller::{Caller, number_in},
    daemon::Home,
    http::Reply,
    smtp_sink::{SmtpSink, Step},
};

/// All of an answer but what each has of its own.
fn without_its_own(reply: &Reply) -> (u16, Vec<(String, String)>, Value) {
    let mut headers = headers(&reply.headers);
    headers.retain(|(name, _)| !["date", "location", "x-request-id"].contains(&name.as_str()));
    let mut body = reply.json();
    assert!(body["delivery"]["message_id"].take().is_string());
    for own in ["id", "email", "expires_at"] {
        assert!(body[own].take().is_string(), "{body}");
    }
    (reply.status, headers, body)
}

fn headers(headers: &HeaderMap) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
}

#[tokio::test]
async fn a_start_for_a_known_an_unknown_and_a_refused_address_is_answered_alike() {
    let mut sink = SmtpSink::start(SmtpTls::None).await;
    let (home, key) = Home::with_application(&format!(
        "[[smtp]]\nhost = \"localhost\"\nport = {}\ntls = \"none\"\nfrom = \"no-reply@shop.example\"",
        sink.settings().port
    ));
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    let known = caller.start_for("known@example.org").await;
    let number = number_in(&sink.next_mail().await.content);
    assert_eq!(caller.check(&known, &number).await.status, 200);
    sink.says(Step::Rcpt, "550 5.1.1 no such user");
    let blocked = caller.start_for("block@example.org").await;
    while caller.read(&blocked).await.json()["delivery"]["status"] != "failed" {}
    daemon.kill().await;

    let daemon = home.start_with(&[("FIADOR_TESTING_CLOCK_AHEAD_SECONDS", "60")]).await;
    let caller = Caller::of(&daemon, &key);
    let mut answers = Vec::new();
    for address in ["known@example.org", "newer@example.org", "block@example.org"] {
        answers.push(without_its_own(&caller.start(&json!({"email": address})).await));
    }

    assert_eq!(answers[0].0, 202, "{:?}", answers[0]);
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[1], answers[2]);
}

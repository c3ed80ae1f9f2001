//! Mails that waited while no SMTP server was there, and how they go out once there is one.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use fiador::mail::smtp::SmtpTls;
use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::time::interval;

use crate::kit::{
    caller::Caller,
    daemon::Home,
    redis::TestRedis,
    smtp_sink::{Answer, SmtpSink, Step},
};

const LIVE: usize = 2_000;
const SHORT: usize = 40;
const REFUSED: usize = 3;
const HANGING: usize = 1;
/// A number that holds for a minute needs 45 s of it when its mail is claimed.
const TOO_LATE: (&str, &str) = ("FIADOR_TESTING_CLOCK_AHEAD_SECONDS", "16");

/// Starts `count` verifications; their ids by address.
async fn queue(caller: &Caller, name: &str, count: usize, ttl_seconds: u32) -> HashMap<String, String> {
    let starts = (0..count).map(async |n| {
        let email = format!("{name}{n}@example.org");
        let reply = caller.start(&json!({"email": email, "ttl_seconds": ttl_seconds})).await;
        assert_eq!(reply.status, 202, "{}", reply.text);
        (email, reply.id())
    });
    stream::iter(starts).buffer_unordered(32).collect().await
}

async fn until(caller: &Caller, id: &str, status: &str) {
    let mut looks = interval(Duration::from_millis(100));
    while caller.read(id).await.json()["delivery"]["status"] != status {
        looks.tick().await;
    }
}

/// Poison among them, behind the first mail: one whose connection hangs, some that are refused, some that break off.
fn poison(sink: &SmtpSink) {
    sink.says(Step::Rcpt, "250 ok");
    sink.script(Step::Rcpt, Answer::Stall);
    for _ in 0..REFUSED {
        sink.says(Step::Rcpt, "550 5.1.1 no such user");
        sink.says(Step::Rcpt, "250 ok");
        sink.script(Step::Rcpt, Answer::HangUp);
        sink.says(Step::Rcpt, "250 ok");
    }
}

async fn what_waited_goes_out_once(store: &str) {
    let mut sink = SmtpSink::start(SmtpTls::None).await;
    let port = sink.settings().port;
    sink.stop_listening();
    let smtp = format!("[[smtp]]\nhost = \"localhost\"\nport = {port}\ntls = \"none\"\nfrom = \"fiador@example.org\"");
    let (home, key) = Home::with_application(&format!("{store}\n{smtp}"));
    let mut daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    let short = queue(&caller, "short", SHORT, 60).await;
    let live = queue(&caller, "live", LIVE, 600).await;
    daemon.terminate().await;
    assert_eq!(daemon.ended().await, Some(0));

    poison(&sink);
    sink.listen_again().await;
    let daemon = home.start_with(&[TOO_LATE]).await;

    let mut sent = HashSet::new();
    while sent.len() < LIVE - REFUSED - HANGING {
        let recipient = sink.next_mail().await.recipient;
        let email = recipient.trim_start_matches(" TO:<").trim_end_matches('>').to_owned();
        assert!(live.contains_key(&email), "{email} is too late");
        assert!(sent.insert(email), "one is sent twice");
    }
    let caller = Caller::of(&daemon, &key);
    for id in short.values() {
        until(&caller, id, "expired").await;
    }
    let mut failed = 0;
    for (_, id) in live.iter().filter(|(email, _)| !sent.contains(*email)) {
        failed += usize::from(caller.read(id).await.json()["delivery"]["status"] == "failed");
    }
    assert_eq!(failed, REFUSED);
    assert!(sink.mails_left() <= HANGING, "one is sent twice");
}

#[tokio::test]
async fn what_waited_while_smtp_was_down_goes_out_once_and_what_expired_says_so() {
    what_waited_goes_out_once("").await;
}

#[tokio::test]
async fn what_waited_while_smtp_was_down_goes_out_once_and_what_expired_says_so_on_redis() {
    let server = TestRedis::start();
    what_waited_goes_out_once(&format!("[store]\nredis_url = \"{}\"", server.url())).await;
}

//! A file that may not grow: never an acknowledgement of what is not there later.

use std::{
    fs,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;

use crate::kit::{
    caller::Caller,
    daemon::{Daemon, Home},
    http::Reply,
};

const AT_ONCE: usize = 16;
/// So many starts have the file grow, and leave some room in it.
const GROWTH: usize = 20 * AT_ONCE;

/// From now on its files may not grow beyond this; none: they may.
fn limit_files(daemon: &Daemon, bytes: Option<u64>) {
    let process = Pid::from_raw(i32::try_from(daemon.id()).unwrap());
    prlimit(process, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

/// Lets the file grow, and then no more; who was started meanwhile.
async fn start_and_limit(home: &Home, daemon: &Daemon, caller: &Caller) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < GROWTH {
        let replies = join_all((0..AT_ONCE).map(|_| start_in_time(caller))).await;
        ids.extend(replies.iter().map(Reply::id));
    }
    limit_files(daemon, Some(stored_bytes(home)));
    ids
}

fn stored_bytes(home: &Home) -> u64 {
    fs::metadata(home.path("data/fiador.redb")).unwrap().len()
}

/// Starts until one is refused, each answered within two seconds; the ids of those that were acknowledged.
async fn start_until_full(caller: &Caller) -> Vec<String> {
    let mut acknowledged = Vec::new();
    loop {
        let replies = join_all((0..AT_ONCE).map(|_| start_in_time(caller))).await;
        let (started, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 202);
        acknowledged.extend(started.iter().map(Reply::id));
        if let Some(refusal) = refused.first() {
            refusal.problem(503, "unavailable");
            assert!(refusal.header("retry-after").is_some());
            return acknowledged;
        }
    }
}

/// With a token that takes room.
async fn start_in_time(caller: &Caller) -> Reply {
    let email = format!("{}@example.org", uuid::Uuid::new_v4().simple());
    let asked_at = Instant::now();
    let reply = caller.start(&json!({"email": email, "token": "x".repeat(8_000)})).await;
    assert!(asked_at.elapsed() < Duration::from_secs(2), "{:?}", asked_at.elapsed());
    reply
}

async fn assert_all_pending(caller: &Caller, ids: &[String]) {
    for id in ids {
        assert_eq!(caller.read(id).await.json()["status"], "pending");
    }
}

#[tokio::test]
async fn a_file_that_may_not_grow_is_503_in_time_and_written_again_once_it_may() {
    let home = Home::new();
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &home.demo_key());
    let mut acknowledged = start_and_limit(&home, &daemon, &caller).await;

    acknowledged.extend(start_until_full(&caller).await);

    daemon.until_logged("raise the limit of file sizes").await;
    assert_eq!(caller.get("/health/live").await.status, 200);
    let read = caller.read(&acknowledged[0]).await;
    assert!([200, 503].contains(&read.status), "{}", read.text);
    limit_files(&daemon, None);
    while caller.get("/health/ready").await.status != 200 {}
    assert_eq!(start_in_time(&caller).await.status, 202);
    assert_all_pending(&caller, &acknowledged).await;
    daemon.until_logged("embedded store writes again").await;
}

#[tokio::test]
async fn what_was_acknowledged_before_the_file_could_not_grow_outlives_a_crash() {
    let home = Home::new();
    let mut acknowledged = Vec::new();
    for _ in 0..3 {
        let daemon = home.start().await;
        let caller = Caller::of(&daemon, &home.demo_key());
        assert_all_pending(&caller, &acknowledged).await;
        acknowledged.extend(start_and_limit(&home, &daemon, &caller).await);
        acknowledged.extend(start_until_full(&caller).await);
        daemon.kill().await;
    }

    let daemon = home.start().await;

    assert_all_pending(&Caller::of(&daemon, &home.demo_key()), &acknowledged).await;
}

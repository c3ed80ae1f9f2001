//! A real daemon whose Redis wants all of its memory, or to write its log.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::kit::{
    caller::Caller,
    daemon::{Daemon, Home},
    http::Reply,
    liar::{Liar, Said},
    redis::TestRedis,
};

/// Memory beyond what a daemon had before, in KiB. The system may give its allocator pages of 2 MiB: 27 MiB were seen, and without
/// these 15; what floods it never ends.
const MOST_GROWTH_KIB: u64 = 48 * 1024;

/// What never ends: the beginning, and what follows again and again.
const FLOODS: [(&str, &str); 10] = [
    ("", "a"),
    ("+", "a"),
    ("-ERR ", "a"),
    ("$2147483647\r\n", "a"),
    ("$9223372036854775807\r\n", "a"),
    ("*2147483647\r\n", ":1\r\n"),
    ("", "*1\r\n"),
    ("", "*4096\r\n"),
    ("", ":1\r\n"),
    ("", ">2\r\n$7\r\nmessage\r\n:1\r\n"),
];

fn on(liar: &Liar) -> String {
    format!("[store]\nredis_url = \"{}\"\n[dev]\ninbox = true\n[log]\nlevel = \"trace\"", liar.url())
}

async fn is_ready(caller: &Caller) -> bool {
    caller.get("/health/ready").await.status == 200
}

fn assert_it_never_fell(daemon: &Daemon) {
    let fell = |line: &&String| line.contains("panicked") || line.contains("an actor fell");
    assert_eq!(daemon.logged().iter().find(fell), None);
}

#[tokio::test]
async fn floods_of_a_redis_cost_a_daemon_no_memory_and_are_503_in_time() {
    let server = TestRedis::start();
    let liar = Liar::before(&server).await;
    let (home, key) = Home::with_application(&on(&liar));
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    let id = caller.start_for("ada@example.org").await;
    let number = caller.mailed_number("ada@example.org").await;
    let before = daemon.peak_kib();

    for (first, again) in FLOODS {
        liar.lies(|_, _| Said::Forever(first.as_bytes().to_vec(), again.as_bytes().to_vec()));
        let asked_at = Instant::now();
        let asks = (0..8).map(|_| async { Reply::to(caller.checking(&id, &number)).await.problem(503, "unavailable") });
        join_all(asks).await;
        assert!(asked_at.elapsed() < Duration::from_secs(2), "{again:?} after {first:?}: {:?}", asked_at.elapsed());
        liar.behaves();
        while !is_ready(&caller).await {}
    }

    let growth = daemon.peak_kib() - before;
    assert!(growth < MOST_GROWTH_KIB, "{growth} KiB more");
    assert_it_never_fell(&daemon);
    assert_eq!(caller.check(&id, &number).await.json()["token"], "tok-1");
}

#[tokio::test]
async fn what_a_redis_says_neither_adds_a_line_to_the_log_nor_repeats_our_password() {
    let server = TestRedis::start();
    let liar = Liar::before(&server).await;
    let (home, key) = Home::with_application(&on(&liar).replace("redis://", "redis://:canary-password@"));
    server.tell(&["CONFIG", "SET", "requirepass", "canary-password"]);
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    while !is_ready(&caller).await {}

    let forged = "\u{1b}[31m\n2026-01-01T00:00:00.000000Z ERROR fiador: forged \u{9b}2J canary-password";
    for said in [
        format!("-ERR {forged}\r\n"),
        format!("-OOM {forged}\r\n"),
        format!("-{forged}\r\n"),
        format!("+{forged}\r\n"),
        format!("${}\r\nredis_version:{forged}\r\n", "redis_version:".len() + forged.len()),
    ] {
        let bytes = said.clone().into_bytes();
        liar.lies(move |_, _| Said::Bytes(bytes.clone()));
        caller.read("vrf_AAAA").await;
        let ready = caller.get("/health/ready").await;
        assert!(!ready.text.contains("canary"), "{}", ready.text);
        liar.behaves();
        while !is_ready(&caller).await {}
    }

    let logged = daemon.logged();
    assert!(logged.iter().any(|line| line.contains("redis connection")), "it tells of it at all");
    for line in &logged {
        assert!(line.starts_with("20") && !line.starts_with("2026-01-01T00:00:00.000000Z"), "{line}");
        assert!(!line.contains(['\u{1b}', '\u{9b}']) && !line.contains("canary"), "{line}");
    }
    assert_it_never_fell(&daemon);
}

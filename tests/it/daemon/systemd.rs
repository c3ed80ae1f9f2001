//! What systemd is told, and the unit that is made for it.

use std::{fs, process::Command, time::Duration};

use reqwest::Method;
use serde_json::json;

use crate::kit::{
    caller::Caller,
    daemon::{Daemon, Home},
    notify_socket::NotifySocket,
    redis::TestRedis,
};

const UNIT: &str = include_str!("../../../packaging/fiador.service");
/// The watchdog's time in these tests.
const WATCHDOG: Duration = Duration::from_secs(2);

async fn start_under(socket: &NotifySocket, home: &Home, failpoints: &str) -> Daemon {
    let watchdog = WATCHDOG.as_micros().to_string();
    home.start_with(&[("NOTIFY_SOCKET", socket.name()), ("WATCHDOG_USEC", &watchdog), ("FAILPOINTS", failpoints)]).await
}

#[tokio::test]
async fn systemd_is_told_of_the_start_once_it_listens_of_reloads_and_of_the_stop() {
    let (home, _) = Home::with_application("[dev]\ninbox = true\n");
    let mut socket = NotifySocket::bind();
    let mut daemon = start_under(&socket, &home, "").await;

    assert_eq!(socket.next_but_watchdog().await, "READY=1\n");
    assert_eq!(Caller::of(&daemon, "").get("/health/live").await.status, 200);

    for allowed in [true, false] {
        if !allowed {
            home.write("config.toml", "nonsense");
        }
        daemon.hang_up().await;
        let told = socket.next_but_watchdog().await;
        let since_boot = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{told}"));
        assert!(since_boot.trim_end().parse::<u64>().unwrap() > 0);
        assert_eq!(socket.next_but_watchdog().await, "READY=1\n");
    }

    daemon.terminate().await;
    assert_eq!(socket.next_but_watchdog().await, "STOPPING=1\n");
    assert_eq!(daemon.ended().await, Some(0));
}

#[tokio::test]
async fn a_socket_in_the_abstract_namespace_is_told_of_start_life_and_stop() {
    let home = Home::new();
    let mut socket = NotifySocket::bind_abstract();
    let mut daemon = start_under(&socket, &home, "").await;

    assert_eq!(socket.next_but_watchdog().await, "READY=1\n");
    assert!(socket.is_fed_within(WATCHDOG).await);

    daemon.terminate().await;
    assert_eq!(socket.next_but_watchdog().await, "STOPPING=1\n");
    assert_eq!(daemon.ended().await, Some(0));
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_told_in_the_log_and_stops_nothing() {
    let home = Home::new();
    for name in ["/nowhere/notify", "@fiador-nowhere", "nowhere", "vsock:2:1"] {
        let daemon = home.start_with(&[("NOTIFY_SOCKET", name)]).await;

        daemon.until_logged("systemd could not be told how the daemon is").await;
        assert_eq!(Caller::of(&daemon, "").get("/health/live").await.status, 200, "{name}");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn the_watchdog_is_fed_twice_in_its_time() {
    let home = Home::new();
    let mut socket = NotifySocket::bind();
    let _daemon = start_under(&socket, &home, "").await;
    assert_eq!(socket.next_but_watchdog().await, "READY=1\n");

    let times = socket.next_times(5).await;

    let spent = *times.last().unwrap() - times[0];
    assert!(spent < WATCHDOG * 4, "{spent:?} for four times");
}

#[tokio::test]
async fn an_actor_that_is_stuck_leaves_the_watchdog_hungry() {
    let home = Home::new();
    let mut socket = NotifySocket::bind();
    let daemon = start_under(&socket, &home, "gateway.ask=1*pause").await;
    assert_eq!(socket.next_but_watchdog().await, "READY=1\n");
    assert!(socket.is_fed_within(WATCHDOG).await);

    let caller = Caller::of(&daemon, &home.demo_key());
    tokio::spawn(caller.request(Method::GET, "/v1/verifications/vrf_any").send());
    daemon.until_logged("an actor does not answer").await;
    socket.forget();

    assert!(!socket.is_fed_within(WATCHDOG * 2).await);
    while Caller::of(&daemon, "").request(Method::GET, "/health/live").send().await.is_ok_and(|live| live.status() != 503) {}
}

#[tokio::test]
async fn an_actor_that_falls_again_and_again_and_a_redis_that_stands_still_keep_it_fed() {
    let server = TestRedis::start();
    let (home, key) = Home::with_application(&format!("[store]\nredis_url = \"{}\"\n[dev]\ninbox = true", server.url()));
    let mut socket = NotifySocket::bind();
    let daemon = start_under(&socket, &home, "gateway.ask=4*panic").await;
    let caller = Caller::of(&daemon, &key);
    for _ in 0..4 {
        caller.read("vrf_any").await.problem(503, "unavailable");
    }
    server.freeze();
    let starting = caller.post("/v1/verifications", json!({"email": "ada@example.org"}).to_string());

    let (reply, _fed) = tokio::join!(starting.send(), socket.next_times(6));

    assert_eq!(reply.unwrap().status(), 503);
    assert!(!daemon.logged().iter().any(|line| line.contains("an actor does not answer")), "{:#?}", daemon.logged());
    server.thaw();
}

#[test]
fn systemd_accepts_the_unit_and_finds_little_exposed() {
    let directory = tempfile::tempdir().unwrap();
    let unit = directory.path().join("fiador.service");
    let ours = UNIT.replace("/usr/local/bin/fiador", env!("CARGO_BIN_EXE_fiador"));
    assert_ne!(ours, UNIT);
    fs::write(&unit, ours).unwrap();

    for arguments in [&["verify"][..], &["security", "--offline=true", "--threshold=15"]] {
        let judged = Command::new("systemd-analyze").args(arguments).arg(&unit).output().unwrap();
        let said = String::from_utf8_lossy(&judged.stderr);
        assert!(judged.status.success() && said.is_empty(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&judged.stdout));
    }
}

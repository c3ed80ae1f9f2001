//! More than the daemon can do: it says so at once, and goes on with what it can.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Client;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::kit::{
    caller::Caller,
    daemon::{Daemon, Home},
    redis::TestRedis,
    scrape::{MEASURED, Scrape},
};

/// Lets this process, and daemons that it starts, have as many connections as the machine allows.
fn raise_the_limit_of_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

/// Connections that have sent the beginning of a request and go no further.
async fn slow_connections(daemon: &Daemon, count: usize) -> Vec<TcpStream> {
    let connect = async || {
        let mut connection = TcpStream::connect(&daemon.address).await.unwrap();
        connection.write_all(b"GET /health/live HTTP/1.1\r\nHost: loc").await.unwrap();
        connection
    };
    let mut connections = Vec::with_capacity(count);
    while connections.len() < count {
        connections.extend(join_all((0..100.min(count - connections.len())).map(|_| connect())).await);
    }
    connections
}

#[tokio::test]
async fn thousands_of_slow_connections_leave_the_others_in_peace_and_are_cut_off() {
    raise_the_limit_of_open_files();
    let home = Home::new();
    let daemon = home.start_with(&[MEASURED]).await;
    let caller = Caller::of(&daemon, &home.demo_key());
    let id = caller.start_for("ada@example.org").await;

    let mut slow = slow_connections(&daemon, 3_000).await;
    assert!(Scrape::of(&daemon).await.count("fiador_connections", &[]) > 2_500, "the rest waits for the slow ones");
    for _ in 0..50 {
        let asked_at = Instant::now();
        let on_a_connection_of_its_own = Caller::of(&daemon, &home.demo_key());
        assert_eq!(on_a_connection_of_its_own.read(&id).await.status, 200);
        assert!(asked_at.elapsed() < Duration::from_secs(3), "{:?}", asked_at.elapsed());
    }

    let mut rest = Vec::new();
    let cut_off = slow.last_mut().unwrap().read_to_end(&mut rest);
    tokio::time::timeout(Duration::from_secs(20), cut_off).await.expect("it is cut off").unwrap();
    assert_eq!(rest, b"", "it was never answered");
}

#[tokio::test]
async fn what_is_too_much_is_refused_with_503_and_a_time_and_then_all_is_as_before() {
    raise_the_limit_of_open_files();
    let server = TestRedis::start();
    let (home, key) = Home::with_application(&format!("[store]\nredis_url = \"{}\"\n[dev]\ninbox = true", server.url()));
    let daemon = home.start_with(&[("FIADOR_TESTING_PERMITS", "16")]).await;
    let caller = Caller::of(&daemon, &key);
    caller.start_for("ada@example.org").await;
    let before = daemon.resident_kib();

    server.freeze(); // so that what was asked for stays in hand
    let client = Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    let flood = join_all((0..600).map(|number| {
        let body = json!({"email": format!("user-{number}@example.org")}).to_string();
        let request = client.post(format!("http://{}/v1/verifications", daemon.address)).bearer_auth(&key);
        request.header("Content-Type", "application/json").body(body).send()
    }));
    let live = async {
        daemon.until_logged("redis connection given up").await;
        caller.get("/health/live").await
    };
    let (replies, live) = tokio::join!(flood, live);
    server.thaw();

    let mut overloaded = 0;
    for reply in replies {
        let reply = reply.unwrap();
        assert_eq!(reply.status(), 503);
        assert!(reply.headers().contains_key("retry-after"));
        overloaded += usize::from(reply.text().await.unwrap().contains("\"overloaded\""));
    }
    assert!(overloaded > 0, "the flood fitted into the permits");
    assert_eq!(live.status, 200, "a flood needs no new process");
    let flooded_until = Instant::now();
    while caller.start(&json!({"email": "bob@example.org"})).await.status != 202 {}
    assert!(flooded_until.elapsed() < Duration::from_secs(5));
    let grown = daemon.resident_kib().saturating_sub(before);
    assert!(grown < 100 * 1024, "{grown} KiB more than before");
}

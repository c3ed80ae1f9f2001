//! Which servers are refused, at the start and at each connection.

use std::io::{BufRead, BufReader, Write};

use crate::kit::{
    redis::TestRedis,
    stores::{
        TestStore, redis_ring, settings, try_redis_ring, unavailable, unconnected_redis_store, until, until_ready, why_not_ready,
    },
};
use fiador::clock::Hand;
use tempfile::TempDir;

/// What a start on this server is refused with; no key ring is left behind but one that waits to be accepted.
async fn refusal(url: &str, directory: &TempDir) -> String {
    let refused = try_redis_ring(&settings(url), directory.path()).await.err().unwrap().to_string();
    assert!(!directory.path().join("keyring.toml").exists());
    assert_eq!(refused.lines().count(), 1, "{refused}");
    refused
}

#[actix::test]
async fn a_server_that_may_evict_is_refused_until_it_is_told_not_to() {
    let server = TestRedis::start_with(&["--maxmemory-policy", "allkeys-lru"]);
    let directory = tempfile::tempdir().unwrap();
    let refused = refusal(&server.url(), &directory).await;
    assert!(refused.contains("allkeys-lru") && refused.contains("set `maxmemory-policy noeviction`"), "{refused}");

    server.tell(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    let store = TestStore::on(&server.url(), directory.path()).await;
    store.start("ada@example.org").await;
}

#[actix::test]
async fn a_server_that_began_to_evict_is_refused_at_the_next_connection() {
    let (server, directory) = (TestRedis::start(), tempfile::tempdir().unwrap());
    let store = TestStore::on(&server.url(), directory.path()).await;
    server.tell(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]);
    server.cut_connections();

    let evicts = async || why_not_ready(&store.asks).await.is_some_and(|reason| reason.contains("volatile-ttl"));
    until(evicts).await;
    assert!(unavailable(&store).await);
    server.tell(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    until_ready(&store.asks).await;
    store.start("ada@example.org").await;
}

#[actix::test]
async fn a_server_older_than_seven_is_refused() {
    let refused = refusal(&old_server(), &tempfile::tempdir().unwrap()).await;
    assert!(refused.contains("Redis 6.2.14 is too old: 7.0 or later is needed"), "{refused}");
}

/// Answers INFO as Redis 6.2 does, and all else with OK, to the first connection.
fn old_server() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let info = "# Server\r\nredis_version:6.2.14\r\nmaxmemory_policy:noeviction\r\n";
        for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
            match line.as_str() {
                "INFO" => stream.write_all(format!("${}\r\n{info}\r\n", info.len()).as_bytes()).unwrap(),
                "CLIENT" => stream.write_all(b"+OK\r\n").unwrap(),
                _ => {} // lengths, and the words after the first
            }
        }
    });
    url
}

#[actix::test]
async fn another_key_ring_than_the_stores_is_refused_with_the_place_of_the_right_one() {
    let (server, ours, theirs) = (TestRedis::start(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    redis_ring(&settings(&server.url()), ours.path()).await;

    let refused = refusal(&server.url(), &theirs).await;
    let origin = ours.path().join("keyring.toml").display().to_string();
    assert!(refused.contains(&format!("copy the right one from {origin}")), "{refused}");
    let left: Vec<_> = std::fs::read_dir(theirs.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, ["keyring.toml.lock"]);
}

#[actix::test]
async fn a_server_that_lost_everything_takes_our_ring_again() {
    let (mut server, directory) = (TestRedis::start(), tempfile::tempdir().unwrap());
    let store = TestStore::on(&server.url(), directory.path()).await;
    server.kill();
    server.start_again();

    until_ready(&store.asks).await;
    store.start("ada@example.org").await;
    let refused = refusal(&server.url(), &tempfile::tempdir().unwrap()).await;
    assert!(refused.contains("another key ring"), "{refused}");
}

#[actix::test]
async fn a_server_that_another_ring_took_meanwhile_is_refused_at_the_next_connection() {
    let (server, ours, theirs) = (TestRedis::start(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = TestStore::on(&server.url(), ours.path()).await;
    server.tell(&["FLUSHALL"]);
    redis_ring(&settings(&server.url()), theirs.path()).await;
    server.cut_connections();

    let is_foreign = async || why_not_ready(&store.asks).await.is_some_and(|reason| reason.contains("another key ring"));
    until(is_foreign).await;
    assert!(unavailable(&store).await);
}

#[actix::test]
async fn with_its_ring_on_disk_a_store_starts_without_its_server_and_heals() {
    let (mut server, directory) = (TestRedis::start(), tempfile::tempdir().unwrap());
    let settings = settings(&server.url());
    redis_ring(&settings, directory.path()).await;
    server.kill();

    let ring = redis_ring(&settings, directory.path()).await;
    let hand = Hand::default();
    let asks = unconnected_redis_store(settings, ring, &hand);
    let store = TestStore::of(asks, hand);
    assert!(unavailable(&store).await);
    server.start_again();
    until_ready(&store.asks).await;
    store.start("ada@example.org").await;
}

#[actix::test]
async fn without_a_ring_on_disk_no_store_starts_without_its_server() {
    let (mut server, directory) = (TestRedis::start(), tempfile::tempdir().unwrap());
    server.kill();

    let refused = refusal(&server.url(), &directory).await;
    assert!(refused.contains(&format!("127.0.0.1:{}", server.port())), "{refused}");
}

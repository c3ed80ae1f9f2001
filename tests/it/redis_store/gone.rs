//! Redis gone, cut off, stuck, closed or full: a clear answer within two seconds, and back by itself.

use std::time::{Duration, Instant};

use fiador::{
    domain::{OperationId, Refusal},
    messages::Failure,
};
use futures_util::future::join_all;
use redis::Connection;
use tempfile::TempDir;
use tokio::time::interval;

use crate::kit::{
    proxy::Proxy,
    redis::TestRedis,
    stores::{TestStore, in_time, new_operation, other_than, unavailable, until, until_ready, why_not_ready},
};

/// One attempt, repeated until it has an answer.
const OPERATION: OperationId = OperationId([7; 32]);

async fn store() -> (TestRedis, TempDir, TestStore) {
    let (server, directory) = (TestRedis::start(), tempfile::tempdir().unwrap());
    let store = TestStore::on(&server.url(), directory.path()).await;
    (server, directory, store)
}

/// Whether starts are answered.
async fn answers(store: &TestStore) -> bool {
    let address = format!("{}@example.org", uuid::Uuid::new_v4().simple());
    store.open(TestStore::opening(&address)).await.is_ok()
}

#[actix::test]
async fn a_killed_server_is_unavailable_at_once_and_served_again_when_it_is_back() {
    let (mut server, _directory, store) = store().await;
    server.kill();

    assert!(unavailable(&store).await);
    let asked_at = Instant::now();
    assert!(unavailable(&store).await);
    assert!(asked_at.elapsed().as_millis() < 100, "while there is no connection nothing is waited for");
    server.start_again();
    until_ready(&store.asks).await;
    assert!(answers(&store).await);
}

#[actix::test]
async fn a_stuck_server_is_unavailable_within_two_seconds_and_served_again_when_it_goes_on() {
    let (server, _directory, store) = store().await;
    server.freeze();

    assert!(unavailable(&store).await);
    assert!(unavailable(&store).await);
    server.thaw();
    until(async || answers(&store).await).await;
}

#[actix::test]
async fn a_server_that_pauses_for_1_5_or_30_seconds_is_a_503_in_time_meanwhile_and_then_served_again() {
    join_all([1, 5, 30].map(async |seconds| {
        let (server, _directory, store) = store().await;
        let (verification, mail) = store.start("ada@example.org").await;
        let wrong = other_than(mail.digits().unwrap());
        server.freeze();
        let (frozen_at, mut next_ask) = (Instant::now(), interval(Duration::from_millis(100)));

        while frozen_at.elapsed().as_secs() < seconds {
            let answer = in_time(store.check_as(OPERATION, &verification.id, &wrong)).await;
            assert_eq!(answer, Err(Failure::Unavailable), "{seconds}");
            next_ask.tick().await;
        }
        server.thaw();

        until_ready(&store.asks).await;
        let charged_once = Failure::Refused(Refusal::NumberIncorrect { attempts_remaining: 4 });
        assert_eq!(store.check_as(OPERATION, &verification.id, &wrong).await, Err(charged_once), "{seconds}");
        assert!(store.check(&verification.id, mail.digits().unwrap()).await.is_ok(), "{seconds}");
    }))
    .await;
}

#[actix::test]
async fn a_server_that_became_a_replica_is_unavailable_to_writes_until_it_is_a_master_again() {
    let (server, _directory, store) = store().await;
    let (verification, mail) = store.start("ada@example.org").await;
    server.tell(&["REPLICAOF", "127.0.0.1", "1"]);

    assert_eq!(in_time(store.open(TestStore::opening("bob@example.org"))).await, Err(Failure::Unavailable));
    until(async || store.check(&verification.id, mail.digits().unwrap()).await == Err(Failure::Unavailable)).await;
    let told = "Redis refuses writes, as it is a read-only replica; point store.redis_url at the master";
    until(async || why_not_ready(&store.asks).await.is_some_and(|reason| reason.starts_with(told))).await;
    server.tell(&["REPLICAOF", "NO", "ONE"]);
    until_ready(&store.asks).await;
    assert!(store.check(&verification.id, mail.digits().unwrap()).await.is_ok());
}

#[actix::test]
async fn a_server_that_is_loading_is_unavailable_in_time_and_has_all_when_it_has_loaded() {
    let (mut server, _directory, store) = store().await;
    let (verification, mail) = store.start("ada@example.org").await;
    let filler: Vec<String> = (0..2_000).flat_map(|n| [format!("filler-{n}"), "x".repeat(64)]).collect();
    redis::cmd("MSET").arg(&filler).exec(&mut server.connection()).unwrap();
    server.snapshot();
    server.kill();
    server.start_again_loading(1_000);

    let mut refused_while_loading = 0;
    until(async || {
        let answer = in_time(store.look_up(&verification.id)).await;
        refused_while_loading += usize::from(answer == Err(Failure::Unavailable));
        answer.is_ok()
    })
    .await;
    assert!(refused_while_loading > 0);
    assert!(store.check(&verification.id, mail.digits().unwrap()).await.is_ok());
}

#[actix::test]
async fn a_server_that_wants_a_replica_refuses_writes_until_it_does_not() {
    let (server, _directory, store) = store().await;
    let (verification, mail) = store.start("ada@example.org").await;
    server.tell(&["CONFIG", "SET", "min-replicas-to-write", "1"]);

    assert_eq!(in_time(store.check(&verification.id, mail.digits().unwrap())).await, Err(Failure::Unavailable));
    let told = "Redis refuses writes, as it has fewer replicas than min-replicas-to-write asks for";
    assert!(why_not_ready(&store.asks).await.is_some_and(|reason| reason.starts_with(told)));
    assert!(store.look_up(&verification.id).await.is_ok());
    server.tell(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    assert!(store.check(&verification.id, mail.digits().unwrap()).await.is_ok());
}

#[actix::test]
async fn a_cut_connection_is_made_anew() {
    let (server, _directory, store) = store().await;
    for _ in 0..3 {
        server.cut_connections();
        until(async || answers(&store).await).await;
    }
}

#[actix::test]
async fn a_server_that_came_back_while_nobody_asked_is_connected_by_then() {
    let (mut server, _directory, store) = store().await;
    server.kill();
    server.start_again();
    let mut admin = server.connection();

    until(async || client_list(&mut admin).lines().count() > 1).await;
    until(async || answers(&store).await).await;
}

fn client_list(admin: &mut Connection) -> String {
    redis::cmd("CLIENT").arg("LIST").query(admin).unwrap()
}

#[actix::test]
async fn a_server_that_asks_for_another_password_is_unavailable_until_it_does_not() {
    let (server, _directory, store) = store().await;
    let mut admin = server.connection();
    redis::cmd("CONFIG").arg(&["SET", "requirepass", "changed"]).exec(&mut admin).unwrap();
    redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"]).exec(&mut admin).unwrap();

    until(async || !answers(&store).await).await;
    assert!(unavailable(&store).await);
    redis::cmd("CONFIG").arg(&["SET", "requirepass", ""]).exec(&mut admin).unwrap();
    until_ready(&store.asks).await;
    assert!(answers(&store).await);
}

#[actix::test]
async fn a_full_server_takes_nothing_new_but_is_read_and_written_again_once_there_is_room() {
    let (server, _directory, store) = store().await;
    let (verification, mail) = store.start("ada@example.org").await;
    server.tell(&["CONFIG", "SET", "maxmemory", "1"]);

    assert_eq!(store.open(TestStore::opening("bob@example.org")).await, Err(Failure::Unavailable));
    assert_eq!(store.check(&verification.id, mail.digits().unwrap()).await, Err(Failure::Unavailable));
    assert!(store.look_up(&verification.id).await.is_ok());
    server.tell(&["CONFIG", "SET", "maxmemory", "0"]);
    assert!(store.check(&verification.id, mail.digits().unwrap()).await.is_ok());
}

#[actix::test]
async fn a_check_whose_answer_was_lost_is_charged_once_with_its_repetition() {
    let (server, directory) = (TestRedis::start(), tempfile::tempdir().unwrap());
    let proxy = Proxy::before(&server).await;
    let store = TestStore::on(&proxy.url(), directory.path()).await;
    let (verification, mail) = store.start("ada@example.org").await;
    let (operation, wrong) = (new_operation(), other_than(mail.digits().unwrap()));

    let held = proxy.hold("EVALSHA");
    let lost = in_time(store.check_as(operation, &verification.id, &wrong)).await;
    assert_eq!(lost, Err(Failure::Unavailable));
    held.release(); // it reaches the server all the same, before its repetition or after
    until_ready(&store.asks).await;
    let incorrect = Failure::Refused(Refusal::NumberIncorrect { attempts_remaining: 4 });
    for _ in 0..2 {
        assert_eq!(store.check_as(operation, &verification.id, &wrong).await, Err(incorrect.clone()));
    }
}

//! The key ring while the daemon runs: rotated under load, taken at SIGHUP whole or not at all.

mod files;
mod load;

use std::fs;

use serde_json::json;

use self::load::Load;
use crate::kit::{
    caller::Caller,
    daemon::{Daemon, Home},
    redis::TestRedis,
    sealed::{SealedBy, newest_key},
};

const DEV: &str = "[dev]\ninbox = true\n";
const TAKEN: &str = "another key seals from now on";
const RELOADED: &str = "configuration reloaded";
const NOT_RELOADED: &str = "configuration not reloaded";
const LACKS: &str = "sealed by a key that this ring lacks";

fn on(server: &TestRedis) -> String {
    format!("[store]\nredis_url = \"{}\"\n{DEV}", server.url())
}

/// A daemon of its own in another directory, with the first one's ring and application.
async fn second_daemon(server: &TestRedis, home: &Home, key: &str) -> (Home, Daemon) {
    let other_home = Home::new();
    other_home.declare_application(&on(server), key);
    copy_ring(home, &other_home);
    let other = other_home.start().await;
    (other_home, other)
}

fn copy_ring(from: &Home, to: &Home) {
    to.write("data/keyring.toml", &from.read("data/keyring.toml"));
}

/// Clients start and check without a pause while the key is rotated four times, and not one of them is refused anything.
/// What was sealed before opens after. Returns once a verification was started under the newest key.
async fn rotates_under_load(home: &Home, key: &str) -> Daemon {
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, key);
    let mut started_before = Vec::new();
    let mut load = Load::start(|| (Caller::of(&daemon, key), Caller::of(&daemon, key)));
    for rotation in 1..=4 {
        let address = format!("before-{rotation}@example.org");
        started_before.push((caller.start_for(&address).await, caller.mailed_number(&address).await));
        load.go_on_for_a_while().await;
        home.run(&["key", "rotate"]).await;
        load.go_on_for_a_while().await;
        daemon.hang_up().await;
        daemon.until_logged_times(rotation, TAKEN).await;
    }
    load.go_on_for_a_while().await;
    load.stop().await;

    for (id, number) in started_before {
        let approval = caller.check(&id, &number).await;
        assert_eq!((approval.status, approval.json()["token"].take()), (200, json!("tok-1")));
    }
    daemon
}

#[tokio::test]
async fn the_key_is_rotated_under_load_without_an_error_and_the_newest_seals() {
    let (home, key) = Home::with_application(DEV);
    let daemon = rotates_under_load(&home, &key).await;
    Caller::of(&daemon, &key).start_for("newest@example.org").await;
    daemon.kill().await;
    let before = SealedBy::of_file(&home.path("data/fiador.redb"));

    let daemon = home.start().await;
    Caller::of(&daemon, &key).start_for("newer@example.org").await;
    daemon.kill().await;

    let fresh = SealedBy::of_file(&home.path("data/fiador.redb")).without(&before);
    assert_eq!(fresh.keys(), [newest_key(&home.read("data/keyring.toml"))]);
    assert!(before.keys().len() > 1, "older keys sealed what is still there");
}

#[tokio::test]
async fn the_key_is_rotated_under_load_without_an_error_on_redis_too() {
    let server = TestRedis::start();
    let (home, key) = Home::with_application(&on(&server));
    let daemon = rotates_under_load(&home, &key).await;
    let before = SealedBy::of_redis(&server);

    Caller::of(&daemon, &key).start_for("newest@example.org").await;

    let fresh = SealedBy::of_redis(&server).without(&before);
    assert_eq!(fresh.keys(), [newest_key(&home.read("data/keyring.toml"))]);
    assert_eq!(fresh.len(), 2, "a record and a token");
    assert!(before.keys().len() > 1, "older keys sealed what is still there");
}

#[tokio::test]
async fn two_daemons_on_one_redis_rotate_in_two_phases_without_an_error() {
    let server = TestRedis::start();
    let (home, key) = Home::with_application(&on(&server));
    let daemon = home.start().await;
    let (other_home, other) = second_daemon(&server, &home, &key).await;
    let mut load = Load::start(|| (Caller::of(&daemon, &key), Caller::of(&other, &key)));
    let mut other_load = Load::start(|| (Caller::of(&other, &key), Caller::of(&daemon, &key)));

    for rotation in 1..=3 {
        for (phase, arguments) in [&["key", "rotate", "--prepare"][..], &["key", "rotate"]].into_iter().enumerate() {
            home.run(arguments).await;
            copy_ring(&home, &other_home);
            for one in [&daemon, &other] {
                one.hang_up().await;
                one.until_logged_times(2 * rotation - 1 + phase, RELOADED).await;
                load.go_on_for_a_while().await;
                other_load.go_on_for_a_while().await;
            }
        }
        daemon.until_logged_times(rotation, TAKEN).await;
        other.until_logged_times(rotation, TAKEN).await;
    }
    load.stop().await;
    other_load.stop().await;

    assert_eq!(daemon.times_logged(LACKS) + other.times_logged(LACKS), 0);
    assert!(SealedBy::of_redis(&server).keys().contains(&newest_key(&home.read("data/keyring.toml"))));
}

#[tokio::test]
async fn a_daemon_that_lacks_the_key_answers_503_tells_it_once_and_is_mended_by_a_copy_and_sighup() {
    let server = TestRedis::start();
    let (home, key) = Home::with_application(&on(&server));
    let daemon = home.start().await;
    let (other_home, other) = second_daemon(&server, &home, &key).await;
    let (caller, other_caller) = (Caller::of(&daemon, &key), Caller::of(&other, &key));
    home.run(&["key", "rotate"]).await;
    daemon.hang_up().await;
    daemon.until_logged(TAKEN).await;
    let id = caller.start_for("ada@example.org").await;
    let number = caller.mailed_number("ada@example.org").await;

    for _ in 0..3 {
        other_caller.read(&id).await.problem(503, "unavailable");
        other_caller.check(&id, &number).await.problem(503, "unavailable");
        other_caller.start(&json!({"email": "ada@example.org"})).await.problem(503, "unavailable");
    }
    assert_eq!(other_caller.start(&json!({"email": "eve@example.org"})).await.status, 202, "all else is as before");
    assert_eq!(other.times_logged(LACKS), 1, "{:#?}", other.logged());

    copy_ring(&home, &other_home);
    other.hang_up().await;
    other.until_logged(TAKEN).await;
    assert_eq!(other_caller.check(&id, &number).await.json()["token"], "tok-1");
}

#[tokio::test]
async fn a_ring_that_is_broken_open_to_others_foreign_or_older_is_not_taken_and_the_one_in_use_goes_on() {
    let (home, key) = Home::with_application(DEV);
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    let first = home.read("data/keyring.toml");
    home.run(&["key", "rotate"]).await;
    let right = home.read("data/keyring.toml");
    daemon.hang_up().await;
    daemon.until_logged(TAKEN).await;
    let naming = right.lines().find(|line| line.starts_with("naming")).unwrap();
    let foreign = right.replace(naming, &format!("naming = \"{}\"", "A".repeat(43)));

    for (refusals, (text, mode, why)) in [
        (right[..right.len() / 2].to_owned(), 0o600, "is not readable"),
        (right.clone(), 0o644, "can be read or written by others than its owner; chmod 600"),
        (foreign, 0o600, "has another naming key than the one in use"),
        (first, 0o600, "lacks a sealing key that is in use"),
    ]
    .into_iter()
    .enumerate()
    {
        home.write_with_mode("data/keyring.toml", &text, mode);
        daemon.hang_up().await;
        daemon.until_logged_times(refusals + 1, NOT_RELOADED).await;
        assert_eq!(daemon.times_logged(why), 1, "{:#?}", daemon.logged());

        let address = format!("ada{refusals}@example.org");
        let id = caller.start_for(&address).await;
        let number = caller.mailed_number(&address).await;
        assert_eq!(caller.check(&id, &number).await.json()["token"], "tok-1");
    }

    fs::remove_file(home.path("data/keyring.toml")).unwrap();
    daemon.hang_up().await;
    daemon.until_logged("is not there").await;
    home.write("data/keyring.toml", &right);
    daemon.hang_up().await;
    daemon.until_logged_times(2, RELOADED).await;
}

#[tokio::test]
async fn a_ring_that_is_refused_leaves_the_applications_as_they_were_too() {
    let (home, key) = Home::with_application(DEV);
    let daemon = home.start().await;

    let added = home.declare_another_application();
    home.write("data/keyring.toml", "");
    daemon.hang_up().await;
    daemon.until_logged(NOT_RELOADED).await;

    Caller::of(&daemon, &key).start_for("ada@example.org").await;
    Caller::of(&daemon, &added).start(&json!({"email": "ada@example.org"})).await.problem(401, "unauthorized");
}

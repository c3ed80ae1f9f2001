//! What holds of the program that users get. It is run by `cargo test --release --test release`, without the feature
//! `testing`: other builds have what this one must not have.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

use std::{fs, path::Path};

use aho_corasick::AhoCorasick;
use tokio::process::Command;

#[path = "../it/kit/daemon.rs"]
#[expect(dead_code, reason = "the other binary needs all of it")]
mod daemon;

#[path = "../it/kit/fail_points.rs"]
mod fail_points;

use daemon::Home;
use fail_points::fail_points;

const COMMIT: &str = include_str!("../../src/store/redis/commit.lua");

fn program() -> Vec<u8> {
    fs::read(env!("CARGO_BIN_EXE_fiador")).unwrap()
}

fn contains(program: &[u8], text: &str) -> bool {
    program.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_panic_unwinds_to_the_guard() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();

    assert_eq!(manifest["profile"]["release"]["panic"].as_str(), Some("unwind"));
}

#[test]
fn the_commit_script_takes_its_time_from_redis_alone() {
    let program = program();

    assert!(contains(&program, COMMIT), "the script is not in the program as it stands in its file");
    assert!(!contains(&program, "table.remove"), "the script has the argument with which tests move the time");
}

#[test]
fn no_variable_moves_the_clock_or_makes_the_daemon_fall_or_die() {
    let program = program();

    assert!(contains(&program, "FIADOR__"), "no variable is found in the program at all");
    let variables = ["FIADOR_TESTING", "CLOCK_AHEAD", "FAILPOINTS", "planted."].map(str::to_owned);
    let names: Vec<String> = fail_points().into_iter().chain(variables).collect();
    let found = AhoCorasick::new(&names).unwrap().find(&program).map(|found| &names[found.pattern()]);
    assert_eq!(found, None, "it is in the program");
}

#[tokio::test]
async fn the_lines_it_prints_work_as_pasted() {
    let home = Home::new();
    let mut daemon = home.start_with(&[("FAILPOINTS", "gateway.ask=panic")]).await;

    let lines = daemon.lines_to_paste().await;
    let pasted = Command::new("bash").args(["-c", &lines]).env("NO_PROXY", "*").output().await.unwrap();

    let answers = String::from_utf8(pasted.stdout).unwrap();
    assert!(answers.contains("\"status\":\"approved\""), "{answers}");
    daemon.interrupt().await;
    assert_eq!(daemon.ended().await, Some(0));
}

//! Secrets that are planted with a daemon are nowhere but where they belong: in the mail, with the caller they are for, in the
//! files that are theirs. Daemons that trace everything, through all routes, good requests and bad, falls and restarts.

mod life;
mod witness;

use std::collections::BTreeSet;

use fiador::http::Limits;
use reqwest::Method;
use tokio::time::Duration;

use self::{
    life::{Setting, live},
    witness::Witness,
};
use crate::kit::{
    http::{Reply, TestFront, Wishes},
    monitor::Monitor,
    redis::TestRedis,
    scripted_gateway::{ID, KEY},
};

/// Codes that only a scripted Gateway or a handler that panics brings about.
const AT_THE_FRONT: [&str; 3] = ["internal", "overloaded", "request-timeout"];
/// That of a retry that comes too late, of which `tests/it/http/messages.rs` holds the body.
const OF_A_LATE_RETRY: &str = "already-sent";

/// All codes there are, from the table that has them.
fn all_codes() -> BTreeSet<String> {
    let table =
        include_str!("../../src/http/problem.rs").split("const fn facts").nth(1).unwrap().split("}\n    }").next().unwrap();
    let codes = table.lines().filter_map(|line| line.split("(StatusCode::").nth(1)?.split('"').nth(1));
    codes.map(str::to_owned).collect()
}

fn assert_every_code_was_met(witness: &Witness) {
    let expected: BTreeSet<String> =
        all_codes().into_iter().filter(|code| !AT_THE_FRONT.contains(&code.as_str()) && code != OF_A_LATE_RETRY).collect();
    assert!(expected.len() > 20, "the table was not found: {expected:?}");
    let missing: Vec<_> = expected.difference(&witness.codes).collect();
    assert!(missing.is_empty(), "not provoked: {missing:?}");
}

#[tokio::test]
async fn with_the_embedded_store_no_secret_is_anywhere_but_where_it_belongs() {
    let witness = live(Setting { store: String::new(), redis: None, log_format: "text" }).await;

    assert_every_code_was_met(&witness);
}

#[tokio::test]
async fn with_redis_no_secret_is_in_its_files_its_slowlog_or_its_monitor_either() {
    let log_all = ["--slowlog-log-slower-than", "0", "--slowlog-max-len", "1000000"];
    let server = TestRedis::start_with(&[&["--appendonly", "yes"], log_all.as_slice()].concat());
    let password = "canary/redis+password";
    server.tell(&["ACL", "SETUSER", "fiador", "on", &format!(">{password}"), "~*", "+@all"]);
    server.tell(&["SLOWLOG", "RESET"]);
    let mut monitor = Monitor::of(&server);
    let store = format!(
        "[store]\nredis_url = \"redis://fiador@127.0.0.1:{}/\"\nredis_password_file = \"redis-password\"\n",
        server.port()
    );

    let setting = Setting { store, redis: Some((&server, password)), log_format: "json" };
    let witness = live(setting).await;

    assert_every_code_was_met(&witness);
    let scanner = witness.canaries.scanner();
    let told: Vec<u8> = monitor.take().into_iter().flat_map(|seen| seen.words.join(&b' ')).collect();
    assert!(told.len() > 10_000, "the monitor saw it");
    scanner.assert_none_in("MONITOR", &told, NOWHERE);
    let slow: redis::Value = redis::cmd("SLOWLOG").arg("GET").arg(-1).query(&mut server.connection()).unwrap();
    scanner.assert_none_in("SLOWLOG", &flat(&slow), NOWHERE);
    server.tell(&["SAVE"]);
    scanner.assert_none_under(server.directory(), &[]);
    for (key, value) in server.dump() {
        scanner.assert_none_in("a key", key.as_bytes(), NOWHERE);
        scanner.assert_none_in("a value", value.as_bytes(), NOWHERE);
    }
}

const NOWHERE: &[&str] = &[];

/// All texts in a reply.
fn flat(value: &redis::Value) -> Vec<u8> {
    match value {
        redis::Value::Array(values) => values.iter().flat_map(flat).collect(),
        redis::Value::BulkString(bytes) => [bytes.as_slice(), b" "].concat(),
        _ => Vec::new(),
    }
}

#[actix::test]
async fn a_front_whose_gateway_falls_stalls_or_is_flooded_repeats_no_secret() {
    let mut witness = Witness::default();
    for (name, secret) in [("address", "canary.ada@example.org"), ("key", "canary-operation"), ("panic", "canary-panic")] {
        witness.canaries.plant(name, secret);
    }
    let limits = Limits { ask_time: Duration::from_millis(50), ..Limits::default() };
    let wishes = Wishes { limits, permits: 1, is_live: || panic!("canary-panic"), ..Wishes::default() };
    let front = TestFront::start_with(wishes).await;
    front.script.hold_starts();
    let start =
        || front.start_verification(r#"{"email":"canary.ada@example.org"}"#).header("Idempotency-Key", "canary-operation");

    witness.note("a Gateway that stalls", Reply::to(start()).await, &[]);
    witness.note("a Gateway that is busy", Reply::to(start()).await, &[]);
    witness.note("a handler that panics", Reply::to(front.anonymous(Method::GET, "/health/live")).await, &[]);
    let head = format!(
        "POST /v1/verifications/{ID}/check HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{\"number\":\"canary.ada@example.org"
    );
    let limits = Limits { body_time: Duration::from_millis(50), ..Limits::default() };
    let front = TestFront::start_with(Wishes { limits, ..Wishes::default() }).await;
    witness.note("a body that does not end", front.raw(head).await, &[]);

    witness.scan();
    assert!(AT_THE_FRONT.iter().all(|code| witness.codes.contains(*code)), "{:?}", witness.codes);
}

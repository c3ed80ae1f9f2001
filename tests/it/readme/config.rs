//! "Your Redis, your SMTP", on real ones: the lines of the configuration, the Redis user, the key's lines.

use std::{collections::HashMap, fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path, process::Command};

use base64::{Engine, engine::general_purpose::STANDARD};
use tempfile::TempDir;

use super::{daemon::Daemon, shown};
use crate::kit::{redis::TestRedis, smtp_server::SmtpServer};

#[actix::test]
async fn the_six_lines_and_a_new_key_are_enough_for_a_redis_and_an_smtp_server() {
    let redis = TestRedis::start();
    let mut smtp = SmtpServer::start().await;
    let directory = tempfile::tempdir().unwrap();
    make_redis_user(&redis, "open sesame");
    let key = write_config(&directory, &redis, &smtp);
    let root = trusted_root(&directory, &smtp);
    let daemon = Daemon::start_in(directory, &arguments_after("serve"), &[("SSL_CERT_FILE", &root)]);

    let call = format!("curl -s http://{}/v1/verifications -H 'Authorization: Bearer {key}'", daemon.address);
    let call = format!("{call} -H 'Content-Type: application/json'");
    let started = daemon.shell(&format!(r#"{call} -d '{{"email":"ada@example.org","token":"t-1"}}'"#));
    let started: serde_json::Value = serde_json::from_str(&started).unwrap();
    let mail = smtp.next_report().await;
    let is_number = |line: &&str| line.len() == 8 && line.bytes().all(|b| b.is_ascii_digit());
    let number = mail["content"].as_str().unwrap().lines().find(is_number).unwrap();
    let check = call.replace("/v1/verifications", &format!("/v1/verifications/{}/check", started["id"].as_str().unwrap()));
    let approved = daemon.shell(&format!(r#"{check} -d '{{"number":"{number}"}}'"#));

    let approved: serde_json::Value = serde_json::from_str(&approved).unwrap();
    assert_eq!(approved["token"], "t-1", "{approved}");
    assert_eq!((&mail["tls"], &mail["user"]), (&true.into(), &"fiador".into()));
    assert_eq!(denied_commands(&redis), [""; 0], "the README's user lacks what was needed");
    drop(daemon);
    smtp.stop().await;
}

/// The README's line, sent to the server.
fn make_redis_user(redis: &TestRedis, password: &str) {
    let line = shown("", "ACL SETUSER").trim();
    let words: Vec<String> = line.split(' ').skip(1).map(|word| word.replace("PASSWORD", password)).collect();
    redis::cmd("ACL").arg(&words).exec(&mut redis.connection()).unwrap();
}

/// What the user was denied but asked for, the client's name apart, which servers from 7.2 on deny and nobody misses.
fn denied_commands(redis: &TestRedis) -> Vec<String> {
    let log: Vec<HashMap<String, redis::Value>> = redis::cmd("ACL").arg("LOG").query(&mut redis.connection()).unwrap();
    let objects = log.iter().map(|entry| redis::from_redis_value(entry["object"].clone()).unwrap());
    objects.filter(|object: &String| object != "client|setinfo").collect()
}

/// The README's lines with these servers in them, and those of a new key, which is returned.
fn write_config(directory: &TempDir, redis: &TestRedis, smtp: &SmtpServer) -> String {
    let path = |name: &str| directory.path().join(name).display().to_string();
    for name in ["redis-password", "smtp-password"] {
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path(name));
        file.unwrap().write_all(b"open sesame\n").unwrap();
    }
    let lines = shown("toml", "[[smtp]]");
    assert_eq!(lines.lines().count(), 6);
    let lines = lines
        .replace("redis.example.org:6379", &format!("127.0.0.1:{}", redis.port()))
        .replace("\"smtp.example.org\"", &format!("\"localhost\"\nport = {}", smtp.settings().port))
        .replace("/etc/fiador/redis-password", &path("redis-password"))
        .replace("/etc/fiador/smtp-password", &path("smtp-password"));
    let (key, declaration) = new_key();
    fs::write(path("fiador.toml"), lines + &declaration).unwrap();
    key
}

/// `command` and its arguments, as the README shows them behind `cargo run`.
fn arguments_after(command: &str) -> Vec<&'static str> {
    let part = format!("-- {command}");
    let line = shown("sh", &part).lines().find(|line| line.contains(&part)).unwrap();
    line.split(' ').skip_while(|word| *word != command).collect()
}

/// What the README's command prints: a key, and its three lines.
fn new_key() -> (String, String) {
    let printed = Command::new(env!("CARGO_BIN_EXE_fiador")).args(arguments_after("key")).output().unwrap().stdout;
    let printed = String::from_utf8(printed).unwrap();
    let key = printed.lines().find(|line| line.starts_with("fdr_")).unwrap().to_owned();
    let declaration = printed[printed.find("[[applications]]").unwrap()..].to_owned();
    let without_hash = |text: &str| text.split("sha256:").next().unwrap().to_owned();
    assert_eq!(without_hash(&declaration), without_hash(shown("toml", "[[applications]]")));
    (key, declaration)
}

/// The server's certificate as a file that `SSL_CERT_FILE` can name.
fn trusted_root(directory: &TempDir, smtp: &SmtpServer) -> Box<Path> {
    let base64 = STANDARD.encode(&smtp.settings().extra_roots[0]);
    let path = directory.path().join("roots.pem");
    fs::write(&path, format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")).unwrap();
    path.into()
}

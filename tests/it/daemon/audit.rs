//! The audit log of a real daemon: every line is one JSON object, and none says more than it may.

use std::fs;

use fiador::api_key::ApiKey;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::Command};

use super::stop::start_in_flight;
use crate::kit::{
    caller::{Caller, other_than},
    daemon::{Daemon, Home, application_whose_key},
    http::Reply,
    redis::TestRedis,
    tls::TestCertificate,
};

const CONFIG: &str = "[dev]\ninbox = true\n[audit]\nto = \"./audit.jsonl\"\n";

/// What has been written, once the daemon has stopped.
async fn lines(home: &Home, mut daemon: Daemon) -> Vec<Value> {
    daemon.terminate().await;
    assert_eq!(daemon.ended().await, Some(0));
    lines_in(home, "audit.jsonl")
}

fn lines_in(home: &Home, name: &str) -> Vec<Value> {
    home.read(name).lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
}

/// The members of a line that tell what came of what.
fn told(line: &Value) -> (&str, Option<u64>, Option<&str>) {
    (line["event"].as_str().unwrap(), line["status"].as_u64(), line["code"].as_str().or(line["reason"].as_str()))
}

#[tokio::test]
async fn starts_checks_refusals_and_approvals_are_written_down_with_who_asked() {
    let (home, key) = Home::with_application(CONFIG);
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    let id = caller.start_for("ada@example.org").await;
    let number = caller.mailed_number("ada@example.org").await;
    caller.check(&id, &other_than(&number)).await;
    let approval = caller.check(&id, &number).await;
    caller.read(&id).await;
    caller.start(&json!({"email": "eve\u{1b}[31m\r\n@example.org"})).await;
    Caller::of(&daemon, ApiKey::draw().as_str()).read(&id).await;
    caller.get("/health/ready").await;

    let lines = lines(&home, daemon).await;

    let expected = [
        ("daemon.started", None, None),
        ("verification.start", Some(202), None),
        ("verification.check", Some(422), Some("number-incorrect")),
        ("verification.check", Some(200), None),
        ("verification.read", Some(200), None),
        ("verification.start", Some(422), Some("field-invalid")),
        ("verification.read", Some(401), Some("unauthorized")),
        ("daemon.stopped", None, None),
    ];
    assert_eq!(lines.iter().map(told).collect::<Vec<_>>(), expected);
    let approved = &lines[3];
    let members = ["application", "address", "purpose", "client"].map(|member| approved[member].as_str().unwrap());
    assert_eq!(members, ["shop", "a***@example.org", "sign-in", "127.0.0.1"]);
    assert_eq!(approved["request_id"].as_str(), approval.header("x-request-id"));
    assert_eq!(approved["verification"], lines[1]["verification"]);
    assert_eq!(lines[6]["reason"], "key-unknown");
    assert_eq!((lines[6].get("application"), lines[6].get("key")), (None, None));
    let text = home.read("audit.jsonl");
    for secret in [id.as_str(), &number, &key, "ada@", "tok-1", "\u{1b}", "31m"] {
        assert!(!text.contains(secret), "{secret:?} in {text}");
    }
}

#[tokio::test]
async fn a_key_used_beyond_its_scope_is_written_down_with_whose_it_is() {
    let (home, key) = (Home::new(), ApiKey::draw());
    let block = application_whose_key("shop", key.as_str(), ", scopes = [\"verifications:check\"]");
    home.write("config.toml", &format!("{CONFIG}{block}"));
    let daemon = home.start().await;
    Caller::of(&daemon, key.as_str()).start(&json!({"email": "ada@example.org"})).await;

    let lines = lines(&home, daemon).await;

    assert_eq!(told(&lines[1]), ("verification.start", Some(403), Some("scope-missing")));
    assert_eq!((&lines[1]["application"], &lines[1]["reason"]), (&json!("shop"), &json!("scope-missing")));
    assert_eq!(lines[1]["key"].as_str().map(str::len), Some(8));
}

#[tokio::test]
async fn what_a_client_asked_for_that_is_gone_is_done_and_written_down() {
    let (home, key) = Home::with_application(CONFIG);
    let daemon = home.start().await;
    let body = json!({"email": "ada@example.org"}).to_string();
    let mut connection = start_in_flight(&daemon, &key, &body).await;
    connection.write_all(body.as_bytes()).await.unwrap();
    drop(connection);
    until_written(&home, "verification.start").await;
    let lines = lines(&home, daemon).await;

    assert_eq!(told(&lines[1]), ("verification.start", Some(202), None));
    assert_eq!(lines[1]["client"], "127.0.0.1");
}

#[tokio::test]
async fn a_request_that_is_given_up_over_http2_leaves_a_line_without_a_status() {
    let (server, certificate) = (TestRedis::start(), TestCertificate::new());
    let tls = "[http.tls]\ncertificate_file = \"certificate.pem\"\nkey_file = \"key.pem\"\n";
    let (home, key) = Home::with_application(&format!("{CONFIG}{tls}[store]\nredis_url = \"{}\"\n", server.url()));
    home.write("certificate.pem", &certificate.pem);
    home.write("key.pem", &certificate.key_pem);
    let daemon = home.start().await;
    server.freeze(); // so that nothing is answered before the client is gone
    let (_, port) = daemon.address.rsplit_once(':').unwrap();
    let gives_up = Command::new("curl")
        .args(["--silent", "--http2", "--max-time", "0.5", "--noproxy", "*", "--cacert"])
        .arg(home.path("certificate.pem"))
        .args(["--header", &format!("Authorization: Bearer {key}"), "--json", r#"{"email": "ada@example.org"}"#])
        .arg(format!("https://localhost:{port}/v1/verifications"))
        .status();
    assert!(!gives_up.await.unwrap().success());
    until_written(&home, "verification.start").await;
    server.thaw();
    let lines = lines(&home, daemon).await;

    assert_eq!(told(&lines[1]), ("verification.start", None, Some("client-gone")));
}

async fn until_written(home: &Home, event: &str) {
    while !home.read("audit.jsonl").contains(event) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_changed_configuration_is_told_by_names_and_labels_and_a_refused_one_by_its_mend() {
    let (home, old_key) = Home::with_application(CONFIG);
    let daemon = home.start().await;
    let new_key = ApiKey::draw();

    let with_proxy = format!("{CONFIG}[http]\ntrusted_proxies = [\"10.0.0.0/8\"]\n");
    home.declare_application(&with_proxy, new_key.as_str());
    home.declare_another_application();
    daemon.hang_up().await;
    daemon.until_logged("configuration reloaded").await;
    home.declare_application(&format!("{CONFIG}[shutdown]\ngrace_seconds = 0\n"), new_key.as_str());
    daemon.hang_up().await;
    daemon.until_logged("configuration not reloaded").await;
    let lines = lines(&home, daemon).await;

    let label = |key: &ApiKey| key.hash()[..4].iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let old_label = label(&ApiKey::parse(&old_key).unwrap());
    let expected = [
        format!("application shop: key {old_label} removed"),
        format!("application shop: key {} added", label(&new_key)),
        "application forum added".to_owned(),
        "trusted proxies changed".to_owned(),
    ];
    assert_eq!((&lines[1]["event"], &lines[1]["changes"]), (&json!("configuration.reloaded"), &json!(expected)));
    assert_eq!(lines[2]["event"], "configuration.refused");
    assert!(lines[2]["changes"][0].as_str().unwrap().ends_with("shutdown.grace_seconds must be 1 to 300"), "{}", lines[2]);
}

#[tokio::test]
async fn a_client_is_named_by_the_word_of_a_trusted_proxy() {
    let (home, key) = Home::with_application(&format!("{CONFIG}[http]\ntrusted_proxies = [\"127.0.0.0/8\"]\n"));
    let daemon = home.start().await;

    let start = Caller::of(&daemon, &key).post("/v1/verifications", json!({"email": "ada@example.org"}).to_string());
    assert_eq!(Reply::to(start.header("X-Forwarded-For", "10.9.9.9, 203.0.113.9")).await.status, 202);

    assert_eq!(lines(&home, daemon).await[1]["client"], "203.0.113.9");
}

#[tokio::test]
async fn a_log_that_was_moved_away_goes_on_in_a_new_file_after_a_reload() {
    let (home, key) = Home::with_application(CONFIG);
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    caller.start_for("ada@example.org").await;

    fs::rename(home.path("audit.jsonl"), home.path("audit.jsonl.1")).unwrap();
    caller.start_for("eve@example.org").await;
    daemon.hang_up().await;
    daemon.until_logged("configuration reloaded").await;
    caller.start_for("bob@example.org").await;
    let lines = lines(&home, daemon).await;

    let events = |lines: &[Value]| lines.iter().map(|line| told(line).0.to_owned()).collect::<Vec<_>>();
    let old = lines_in(&home, "audit.jsonl.1");
    assert_eq!(events(&old), ["daemon.started", "verification.start", "verification.start"]);
    assert_eq!(events(&lines), ["configuration.reloaded", "verification.start", "daemon.stopped"]);
}

#[tokio::test]
async fn a_log_that_others_may_write_is_refused_at_the_start_and_at_a_reload() {
    let (home, _) = Home::with_application(CONFIG);
    home.write_with_mode("audit.jsonl", "", 0o620);
    assert!(home.refusal(&[]).await.contains("audit.to: ./audit.jsonl: can be written by others than its owner"));

    home.set_mode("audit.jsonl", 0o640);
    let daemon = home.start().await;
    home.set_mode("audit.jsonl", 0o602);
    daemon.hang_up().await;

    daemon.until_logged("configuration not reloaded").await;
}

#[tokio::test]
async fn a_full_disk_loses_lines_that_are_counted_and_no_request() {
    let (home, key) = Home::with_application(&CONFIG.replace("./audit.jsonl", "/dev/full"));
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);

    caller.start_for("ada@example.org").await;
    daemon.until_logged("audit log cannot be written").await;
    caller.start_for("bob@example.org").await;

    let failures = daemon.logged().iter().filter(|line| line.contains("audit log cannot be written")).count();
    assert_eq!(failures, 1);
}

#[tokio::test]
async fn the_old_contract_is_written_down_too() {
    let compat = "[compat]\nlisten = \"127.0.0.1:0\"\napplication = \"legacy\"\n";
    let application = "[[applications]]\nname = \"legacy\"\nlookup = \"number\"\n";
    let home = Home::new();
    home.write("config.toml", &format!("{CONFIG}{compat}{application}"));
    let daemon = home.start().await;
    daemon.until_logged("old contract is served").await;
    let address = daemon.logged().iter().find_map(|line| Some(line.split_once("compat.listen=")?.1.to_owned())).unwrap();

    let call = |path: &str, body: Value| {
        let request = reqwest::Client::new().post(format!("http://{address}{path}")).header("Content-Type", "application/json");
        request.body(body.to_string()).send()
    };
    call("/registrar", json!({"correo": "ada@example.org", "token": "tok-1"})).await.unwrap();
    call("/validar", json!({"numero": "ada@example.org"})).await.unwrap();
    let lines = lines(&home, daemon).await;

    assert_eq!(told(&lines[1]), ("verification.start", Some(200), None));
    assert_eq!(told(&lines[2]), ("verification.check", Some(400), None));
    assert_eq!(lines[1]["address"], "a***@example.org");
    assert_eq!(lines[2]["application"], "legacy");
}

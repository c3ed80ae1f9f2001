//! The first steps and the clients.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::{daemon::Daemon, lossy_road::LossyRoad, shown};

const SHOWN_ADDRESS: &str = "127.0.0.1:8420";

#[test]
fn the_curl_lines_are_those_that_the_daemon_prints_and_work_as_pasted() {
    let daemon = Daemon::start();
    let shown = shown("sh", "NUMBER=").replace(SHOWN_ADDRESS, &daemon.address);
    let key_file = daemon.directory().join("data/demo.key");
    assert_eq!(daemon.try_lines.replace(key_file.to_str().unwrap(), "data/demo.key"), shown);

    for lines in [&shown, &daemon.try_lines] {
        let printed = daemon.shell(lines);
        let [id, number, answer] = printed.lines().collect::<Vec<_>>().try_into().unwrap();
        let answer: Value = serde_json::from_str(answer).unwrap();
        assert_eq!((answer["id"].as_str(), &answer["status"]), (Some(id), &Value::from("approved")));
        assert_eq!(number.len(), 8);
    }
}

#[test]
fn the_python_client_gets_its_token_although_every_other_reply_is_lost() {
    let source = shown("python", "urllib");
    assert_eq!(source, include_str!("../../../examples/client.py"));

    run_client("python3", "client.py", source);
}

#[test]
fn the_node_client_gets_its_token_although_every_other_reply_is_lost() {
    let source = shown("js", "fetch");
    assert_eq!(source, include_str!("../../../examples/client.mjs"));

    run_client("node", "client.mjs", source);
}

fn run_client(interpreter: &str, file: &str, source: &str) {
    let daemon = Daemon::start();
    let road = LossyRoad::to(&daemon.address);
    fs::write(daemon.directory().join(file), source).unwrap();
    let mut client = Command::new(interpreter)
        .args([file, "ada@example.org"])
        .current_dir(daemon.directory())
        .env("FIADOR_URL", &road.url)
        .env("FIADOR_KEY", daemon.demo_key())
        .env("NO_PROXY", "*")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();

    let number_line = daemon.try_lines.lines().nth(1).unwrap();
    let number = daemon.shell(number_line);
    client.stdin.take().unwrap().write_all(number.as_bytes()).unwrap();
    let ended = client.wait_with_output().unwrap();

    assert!(ended.status.success());
    assert!(ended.stdout.ends_with(b"session-1\n"), "{}", String::from_utf8_lossy(&ended.stdout));
    assert_eq!(road.replies(), 4, "a lost and a heard one, for start and check each");
    let mails: Value =
        serde_json::from_str(&daemon.shell(&format!("curl -s http://{}/dev/inbox/messages", daemon.address))).unwrap();
    assert_eq!(mails.as_array().unwrap().len(), 1);
}

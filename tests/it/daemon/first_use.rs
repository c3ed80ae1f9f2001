//! A fresh clone: nothing is configured and nothing is there.

use std::{
    fs::{self, File},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
};

use crate::kit::{
    caller::Caller,
    daemon::{Daemon, Home},
    notify_socket::NotifySocket,
};

async fn paste(daemon: &Daemon) -> String {
    let output = Command::new("bash").args(["-c", &daemon.lines_to_paste().await]).env("NO_PROXY", "*").output().await.unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_three_lines_it_prints_work_as_pasted() {
    let home = Home::new();
    let daemon = home.start().await;

    let answers = paste(&daemon).await;

    let answers: Vec<&str> = answers.lines().collect();
    let [id, number, approval] = answers[..] else { panic!("{answers:?}") };
    assert!(id.starts_with("vrf_"));
    assert!(number.len() == 8 && number.bytes().all(|byte| byte.is_ascii_digit()));
    assert!(approval.contains("\"status\":\"approved\""), "{approval}");
}

#[tokio::test]
async fn they_work_in_a_directory_with_spaces_and_a_quote_in_its_name() {
    let home = Home::new();
    let data_dir = home.path("Ada's data $HOME").display().to_string();
    let daemon = home.start_with(&[("FIADOR__DATA_DIR", &data_dir)]).await;

    assert!(paste(&daemon).await.contains("\"status\":\"approved\""));
}

#[tokio::test]
async fn the_demo_key_is_its_owners_and_is_used_again() {
    let home = Home::new();
    home.start().await.kill().await;
    let key = home.demo_key();
    let mode = |name: &str| fs::metadata(home.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("data"), mode("data/demo.key")), (0o700, 0o600));

    let daemon = home.start().await;

    assert_eq!(home.demo_key(), key);
    assert_eq!(Caller::of(&daemon, &key).read("vrf_unknown").await.status, 404);
}

#[tokio::test]
async fn there_is_no_demo_where_an_application_is_declared() {
    let (home, key) = Home::with_application("[dev]\ninbox = true");
    let daemon = home.start().await;

    daemon.until_logged("daemon started").await;
    assert!(!home.path("data/demo.key").exists());
    assert!(!daemon.printed().iter().any(|line| line.contains("curl")));
    assert_eq!(Caller::of(&daemon, &key).read("vrf_unknown").await.status, 404);
}

#[tokio::test]
async fn a_second_daemon_on_the_port_is_refused_in_one_line() {
    let (home, other_home) = (Home::new(), Home::new());
    let daemon = home.start().await;

    let refusal = other_home.refusal(&[("FIADOR__HTTP__LISTEN", &daemon.address)]).await;

    assert!(refusal.contains(&format!("{}: the port is taken", daemon.address)), "{refusal}");
    assert!(!other_home.path("data").exists(), "it left something behind");
    assert_eq!(Caller::of(&daemon, &home.demo_key()).get("/health/live").await.status, 200);
}

#[tokio::test]
async fn a_second_daemon_on_the_data_directory_is_refused_in_one_line() {
    let home = Home::new();
    let daemon = home.start().await;

    let refusal = home.refusal(&[]).await;

    assert!(refusal.contains("fiador.redb is in use by another daemon"), "{refusal}");
    assert_eq!(Caller::of(&daemon, &home.demo_key()).get("/health/ready").await.status, 200);
}

#[tokio::test]
async fn a_daemon_whose_output_nobody_reads_goes_on() {
    let home = Home::new();
    let mut daemon = home.start_unheard().await;

    assert_eq!(Caller::of(&daemon, &home.demo_key()).get("/health/ready").await.status, 200);
    daemon.terminate().await;
    assert_eq!(daemon.ended().await, Some(0));
}

#[tokio::test]
async fn what_is_asked_before_the_store_is_open_waits_for_it_and_systemd_is_told_nothing_before() {
    let home = Home::new();
    home.write("data/keyring.toml.lock", "");
    let lock = File::open(home.path("data/keyring.toml.lock")).unwrap();
    lock.lock().unwrap(); // a first start waits for it, before it opens the store
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut socket = NotifySocket::bind();
    let environment = [("FIADOR__HTTP__LISTEN", address.as_str()), ("NOTIFY_SOCKET", socket.name())];
    let _daemon = home.begin(&[], &environment);
    let mut connection = loop {
        match TcpStream::connect(&address).await {
            Ok(connection) => break connection,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    connection.write_all(b"GET /health/ready HTTP/1.1\r\nHost: fiador\r\nConnection: close\r\n\r\n").await.unwrap();

    assert!(!socket.tells_within(Duration::from_millis(300)).await);
    assert!(!home.path("data/fiador.redb").exists());
    lock.unlock().unwrap();

    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert_eq!(socket.next().await, "READY=1\n");
}

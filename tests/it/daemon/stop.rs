//! Ctrl-C and the process supervisor's SIGTERM.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::kit::{
    caller::Caller,
    daemon::{Daemon, Home},
    http::read_reply,
};

/// A start of which the daemon has read the header and awaits the body.
pub async fn start_in_flight(daemon: &Daemon, key: &str, body: &str) -> TcpStream {
    let mut connection = TcpStream::connect(&daemon.address).await.unwrap();
    let head = format!(
        "POST /v1/verifications HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut continues = *b"HTTP/1.1 100 Continue\r\n\r\n";
    connection.read_exact(&mut continues).await.unwrap();
    assert_eq!(&continues, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection
}

#[tokio::test]
async fn a_daemon_told_to_stop_finishes_what_is_in_flight_and_ends_with_0() {
    for interrupts in [true, false] {
        let home = Home::new();
        let mut daemon = home.start().await;
        let body = json!({"email": "ada@example.org"}).to_string();
        let mut in_flight = start_in_flight(&daemon, &home.demo_key(), &body).await;

        if interrupts {
            daemon.interrupt().await;
        } else {
            daemon.terminate().await;
        }
        daemon.until_logged("daemon stops").await;
        while TcpStream::connect(&daemon.address).await.is_ok() {} // it stops listening first of all
        in_flight.write_all(body.as_bytes()).await.unwrap();
        let reply = read_reply(&mut in_flight).await;

        assert_eq!(reply.status, 202, "{}", reply.text);
        assert_eq!(daemon.ended().await, Some(0));
        let daemon = home.start().await;
        let caller = Caller::of(&daemon, &home.demo_key());
        let mut read = caller.read(&reply.id()).await.json();
        while read["delivery"]["status"] == "queued" || read["delivery"]["status"] == "sending" {
            read = caller.read(&reply.id()).await.json(); // the stop gave the mail back, and this start sends it
        }
        assert_eq!((&read["status"], &read["delivery"]["status"]), (&json!("pending"), &json!("captured")));
    }
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_a_stop() {
    let home = Home::new();
    let mut daemon = home.start().await;
    let caller = Caller::of(&daemon, &home.demo_key());
    assert_eq!(caller.get("/health/live").await.status, 200);
    let _silent = TcpStream::connect(&daemon.address).await.unwrap();

    daemon.interrupt().await;

    assert_eq!(daemon.ended().await, Some(0));
    let logged = daemon.logged();
    assert!(!logged.iter().any(|line| line.contains("WARN")), "{logged:#?}");
    drop(caller);
}

#[tokio::test]
async fn a_second_ctrl_c_ends_it_at_once() {
    let home = Home::new();
    let mut daemon = home.start().await;
    let _in_flight = start_in_flight(&daemon, &home.demo_key(), "{}").await;

    daemon.interrupt().await;
    daemon.until_logged("daemon stops").await;
    daemon.interrupt().await;

    assert_eq!(daemon.ended().await, Some(130));
}

#[tokio::test]
async fn a_stop_gives_up_what_takes_longer_than_its_grace() {
    let home = Home::new();
    let mut daemon = home.start_with(&[("FIADOR__SHUTDOWN__GRACE_SECONDS", "1")]).await;
    let _in_flight = start_in_flight(&daemon, &home.demo_key(), "{}").await;

    daemon.terminate().await;

    assert_eq!(daemon.ended().await, Some(0));
    assert!(daemon.logged().iter().any(|line| line.contains("stopped before all in hand was finished")));
}

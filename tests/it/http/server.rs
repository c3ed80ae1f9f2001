//! The accept loop: one port, connections shared out, slow clients cut, a stop that finishes what is in flight.

use std::{net::SocketAddr, time::Duration};

use actix::Arbiter;
use fiador::{
    audit::AuditLog,
    http::{Acceptor, CellPort, Front, Limits, ListenError, PeerRules, cell},
    messages::CapturedMail,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::spawn_local,
    time::timeout,
};

use crate::kit::{
    http::{LOOPBACK, Reply, TestFront, Wishes, read_reply},
    scripted_gateway::{KEY, NOW, Script},
};

const PATIENCE: Duration = Duration::from_secs(5);

/// A cell on a thread of its own, as the daemon has it.
fn cell_on_its_own_thread(is_healthy: fn() -> bool) -> (CellPort, Script, Arbiter) {
    let (port, connections) = cell(is_healthy);
    let (script, arbiter) = (Script::new(), Arbiter::new());
    let played = script.clone();
    arbiter.spawn(async move {
        let front = Front::new(played.asks(64, || true), Limits::default(), AuditLog::off());
        connections.serve(front, Limits::default()).await;
    });
    (port, script, arbiter)
}

async fn accept_for(cells: Vec<CellPort>) -> (SocketAddr, oneshot::Sender<()>) {
    let acceptor = Acceptor::bind(LOOPBACK.parse().unwrap(), Limits::default()).await.unwrap();
    let address = acceptor.local_address();
    let (stop, stopped) = oneshot::channel();
    spawn_local(acceptor.run(cells, async { drop(stopped.await) }));
    (address, stop)
}

async fn ask_on(connection: &mut TcpStream) -> Reply {
    let request = format!("GET /v1/verifications/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    read_reply(connection).await
}

/// That many connections, all open and each with one request answered.
async fn connections(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut connections = Vec::new();
    for _ in 0..count {
        let mut connection = TcpStream::connect(address).await.unwrap();
        assert_eq!(ask_on(&mut connection).await.status, 200);
        connections.push(connection);
    }
    connections
}

#[actix::test]
async fn connections_are_shared_out_evenly_and_stay_with_their_cell() {
    let (first_port, first, first_arbiter) = cell_on_its_own_thread(|| true);
    let (second_port, second, second_arbiter) = cell_on_its_own_thread(|| true);
    let (address, _stop) = accept_for(vec![first_port, second_port]).await;

    let mut open = connections(address, 8).await;
    assert_eq!((first.authentications(), second.authentications()), (4, 4));

    for _ in 0..3 {
        assert_eq!(ask_on(&mut open[0]).await.status, 200);
    }
    assert_eq!(first.authentications().abs_diff(second.authentications()), 3);
    first_arbiter.stop();
    second_arbiter.stop();
}

#[actix::test]
async fn an_unhealthy_cell_gets_no_connection_while_another_is_healthy() {
    let (sick_port, sick, sick_arbiter) = cell_on_its_own_thread(|| false);
    let (port, healthy, arbiter) = cell_on_its_own_thread(|| true);
    let (address, _stop) = accept_for(vec![sick_port, port]).await;

    connections(address, 3).await;

    assert_eq!((sick.authentications(), healthy.authentications()), (0, 3));
    sick_arbiter.stop();
    arbiter.stop();
}

#[actix::test]
async fn an_unhealthy_cell_is_better_than_none_and_an_ended_one_is_skipped() {
    let (ended_port, ended) = cell(|| true);
    drop(ended);
    let (sick_port, sick, arbiter) = cell_on_its_own_thread(|| false);
    let (address, _stop) = accept_for(vec![ended_port, sick_port]).await;

    connections(address, 2).await;

    assert_eq!(sick.authentications(), 2);
    arbiter.stop();
}

#[actix::test]
async fn a_port_that_is_taken_is_refused_by_name() {
    let front = TestFront::start().await;

    let Err(error) = Acceptor::bind(front.address, Limits::default()).await else { panic!("bound twice") };

    assert!(matches!(error, ListenError::Taken(address) if address == front.address));
    assert!(error.to_string().contains(&front.address.to_string()));
}

#[actix::test]
async fn connections_over_the_cap_wait_until_one_ends() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let front = TestFront::start_with(Wishes { limits, ..Wishes::default() }).await;
    let mut first = front.connect().await;
    assert_eq!(ask_on(&mut first).await.status, 200);

    let mut second = front.connect().await;
    let waiting = spawn_local(async move { ask_on(&mut second).await.status });
    assert_eq!(ask_on(&mut first).await.status, 200);
    assert_eq!(front.script.authentications(), 2, "the second connection is not served yet");

    drop(first);
    assert_eq!(waiting.await.unwrap(), 200);
}

#[actix::test]
async fn connections_over_a_peers_share_are_closed_and_one_that_ends_makes_room() {
    let limits = Limits { connections_per_peer: 2, ..Limits::default() };
    let front = TestFront::start_with(Wishes { limits, ..Wishes::default() }).await;
    let mut open = connections(front.address, 2).await;

    let mut third = front.connect().await;
    assert_eq!(timeout(PATIENCE, third.read(&mut [0])).await.unwrap().unwrap(), 0);
    assert_eq!(ask_on(&mut open[0]).await.status, 200, "the others go on");

    drop(open.pop());
    let has_room = async {
        loop {
            let mut next = front.connect().await;
            let _ = next.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            if next.read(&mut [0]).await.is_ok_and(|length| length > 0) {
                return;
            }
        }
    };
    timeout(PATIENCE, has_room).await.unwrap();
}

#[actix::test]
async fn a_proxy_and_who_else_is_exempt_have_as_many_as_there_are() {
    let loopback = || vec!["127.0.0.0/8".parse().unwrap()];
    for rules in [
        PeerRules { trusted_proxies: loopback(), ..PeerRules::default() },
        PeerRules { uncapped: loopback(), ..PeerRules::default() },
    ] {
        let limits = Limits { connections_per_peer: 1, ..Limits::default() };
        let front = TestFront::start_with(Wishes { limits, rules, ..Wishes::default() }).await;

        connections(front.address, 4).await;
    }
}

#[actix::test]
async fn who_does_not_take_its_answer_gives_up_its_place() {
    let short = Duration::from_millis(500);
    let limits = Limits { connections: 1, header_time: short, idle_time: short, ..Limits::default() };
    let front = TestFront::start_with(Wishes { limits, ..Wishes::default() }).await;
    let text = "x".repeat(12 << 20);
    let mail = CapturedMail {
        id: String::new(),
        to: String::new(),
        subject: String::new(),
        text,
        html: String::new(),
        received_at: NOW,
    };
    front.script.answers().inbox = vec![mail];

    let mut greedy = front.connect().await;
    greedy.write_all(b"GET /dev/inbox/messages HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut next = front.connect().await;

    assert_eq!(timeout(10 * PATIENCE, ask_on(&mut next)).await.unwrap().status, 200);
}

#[actix::test]
async fn a_header_that_comes_too_slowly_is_cut_off() {
    let limits = Limits { header_time: Duration::from_millis(50), ..Limits::default() };
    let front = TestFront::start_with(Wishes { limits, ..Wishes::default() }).await;

    for sent in ["", "GET /health/live HTTP/1.1\r\nHost: loc"] {
        let mut connection = front.connect().await;
        connection.write_all(sent.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        timeout(PATIENCE, connection.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert!(!rest.starts_with(b"HTTP/1.1 2"));
    }
}

#[actix::test]
async fn what_is_no_http_and_headers_without_end_are_refused() {
    let front = TestFront::start().await;
    let many = "X-Canary: canary\r\n".repeat(65);
    let long = format!("X-Long: {}\r\n", "canary".repeat(10_000));

    for sent in ["\u{0}canary\r\n\r\n", &format!("GET / HTTP/1.1\r\n{many}\r\n"), &format!("GET / HTTP/1.1\r\n{long}\r\n")] {
        let mut connection = front.connect().await;
        // The answer may come before all is written.
        let _ = connection.write_all(sent.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, connection.read_to_end(&mut answer)).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert!(!answer.to_lowercase().contains("canary"));
    }
    assert_eq!(Reply::to(front.get("/health/live")).await.status, 200);
}

#[actix::test]
async fn a_stop_finishes_what_is_in_flight_and_closes_what_is_idle() {
    let slow = Duration::from_secs(60);
    let limits = Limits { header_time: slow, grace: slow, ask_time: slow, ..Limits::default() };
    let front = TestFront::start_with(Wishes { limits, ..Wishes::default() }).await;
    let (address, script) = (front.address, front.script.clone());
    let (mut fresh, mut idle) = (front.connect().await, front.connect().await);
    assert_eq!(ask_on(&mut idle).await.status, 200);
    script.asked().await;
    script.hold_starts();
    let in_flight = spawn_local(Reply::to(front.start_verification(r#"{"email":"ada@example.org"}"#)));
    script.asked().await;

    let served = front.stop();
    for connection in [&mut fresh, &mut idle] {
        assert_eq!(timeout(PATIENCE, connection.read(&mut [0])).await.unwrap().unwrap(), 0);
    }
    assert!(TcpStream::connect(address).await.is_err(), "it still accepts");
    assert!(!served.is_finished());

    script.let_go();
    assert_eq!(in_flight.await.unwrap().status, 202);
    assert!(timeout(PATIENCE, served).await.unwrap().unwrap());
}

#[actix::test]
async fn a_stop_waits_no_longer_than_its_grace() {
    let limits = Limits { grace: Duration::from_millis(50), ..Limits::default() };
    let front = TestFront::start_with(Wishes { limits, ..Wishes::default() }).await;
    front.script.hold_starts();
    let script = front.script.clone();
    spawn_local(Reply::to(front.start_verification(r#"{"email":"ada@example.org"}"#)));
    script.asked().await;

    assert!(!timeout(PATIENCE, front.stop()).await.unwrap().unwrap());
}

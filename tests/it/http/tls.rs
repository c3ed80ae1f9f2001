//! HTTPS: what is spoken, what is refused, and who takes too long.

use std::time::Duration;

use fiador::http::Limits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::spawn_local,
    time::timeout,
};

use crate::kit::{
    h2::H2Client,
    http::{Reply, TestFront, Wishes, read_reply},
    scripted_gateway::KEY,
    tls::TestCertificate,
};

const PATIENCE: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(60);

/// A front that speaks TLS, and the certificate that it shows.
pub async fn encrypted_front(limits: Limits) -> (TestFront, TestCertificate) {
    let certificate = TestCertificate::new();
    let wishes = Wishes { limits, certificate: Some(certificate.clone()), ..Wishes::default() };
    (TestFront::start_with(wishes).await, certificate)
}

/// All that comes until the other end closes.
pub async fn rest_of(mut connection: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, connection.read_to_end(&mut rest)).await.expect("it is closed");
    rest
}

async fn ask(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) -> Reply {
    let request = format!("GET /v1/verifications/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    read_reply(stream).await
}

#[actix::test]
async fn both_ends_choose_http_2_or_1_over_tls_1_3_or_1_2() {
    let (front, certificate) = encrypted_front(Limits::default()).await;
    let either = ["h2", "http/1.1"];

    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let stream = certificate.connect_by(front.address, &either, &[version]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        assert_eq!(H2Client::new(stream).await.get("/v1/verifications/a").await.status, 200);
        for protocols in [&either[1..], &[]] {
            let mut stream = certificate.connect_by(front.address, protocols, &[version]).await.unwrap();
            assert_eq!((ask(&mut stream).await.status, ask(&mut stream).await.status), (200, 200));
        }
    }
    assert!(certificate.connect(front.address, &["spdy/3"]).await.is_err(), "neither is spoken");
}

/// A greeting of that version of TLS, as little as one can say: a suite, a group and a scheme of signatures.
fn greeting(version: u8) -> Vec<u8> {
    let mut body = vec![3, version];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]);
    body.extend([0, 16, 0, 10, 0, 4, 0, 2, 0, 23, 0, 13, 0, 4, 0, 2, 4, 3]);
    let length = u8::try_from(body.len()).unwrap();
    [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat()
}

#[actix::test]
async fn older_tls_is_refused_by_an_alert_and_http_in_clear_without_a_word_of_http() {
    let (front, certificate) = encrypted_front(Limits::default()).await;
    let (alert, fatal, protocol_version, handshake) = (21, 2, 70, 22);

    for older in [0, 1, 2] {
        let mut connection = front.connect().await;
        connection.write_all(&greeting(older)).await.unwrap();
        let answer = rest_of(connection).await;
        assert_eq!((answer[0], &answer[5..]), (alert, &[fatal, protocol_version][..]), "TLS 1.{}", i32::from(older) - 1);
    }
    let mut connection = front.connect().await;
    connection.write_all(&greeting(3)).await.unwrap();
    assert_eq!(connection.read_u8().await.unwrap(), handshake, "the same greeting of TLS 1.2 is answered");
    let mut connection = front.connect().await;
    connection.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let answer = rest_of(connection).await;
    assert!(answer.first().is_none_or(|first| *first == alert), "{answer:?}");
    assert_eq!(ask(&mut certificate.connect(front.address, &[]).await.unwrap()).await.status, 200);
}

#[actix::test]
async fn a_handshake_that_stalls_is_cut_off_and_takes_a_place_until_then() {
    let limits = Limits { connections: 1, handshake_time: Duration::from_millis(300), header_time: LONG, ..Limits::default() };
    let (front, certificate) = encrypted_front(limits).await;

    for sent in [&[][..], &greeting(3)[..20]] {
        let mut stalled = front.connect().await;
        stalled.write_all(sent).await.unwrap();
        let mut next = timeout(PATIENCE, certificate.connect(front.address, &[])).await.unwrap().unwrap();
        assert_eq!(ask(&mut next).await.status, 200);
        let closed = stalled.try_read(&mut [0; 64]);
        assert!(closed.is_ok_and(|length| length == 0), "the next was served while it had the only place");
    }
}

#[actix::test]
async fn over_tls_too_a_header_that_comes_too_slowly_is_cut_off() {
    let limits = Limits { header_time: Duration::from_millis(50), handshake_time: LONG, ..Limits::default() };
    let (front, certificate) = encrypted_front(limits).await;

    for protocol in ["http/1.1", "h2"] {
        let mut stream = certificate.connect(front.address, &[protocol]).await.unwrap();
        stream.write_all(if protocol == "h2" { b"PRI * HT" } else { b"GET / HT" }).await.unwrap();
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it is closed");
        assert!(!rest.starts_with(b"HTTP/1.1 2"), "{protocol}");
    }
}

#[actix::test]
async fn a_stop_finishes_what_is_in_flight_over_http_2_and_closes_the_rest() {
    let limits =
        Limits { header_time: LONG, handshake_time: LONG, idle_time: LONG, grace: LONG, ask_time: LONG, ..Limits::default() };
    let (front, certificate) = encrypted_front(limits).await;
    let script = front.script.clone();
    let greeted = front.connect().await;
    let connect = || certificate.connect(front.address, &["h2"]);
    let (silent, busy) = (H2Client::new(connect().await.unwrap()).await, H2Client::new(connect().await.unwrap()).await);
    assert_eq!(silent.get("/health/live").await.status, 200);
    script.hold_starts();
    let in_flight = spawn_local(async move {
        let reply = busy.reply(crate::kit::h2::start(), Some(r#"{"email":"ada@example.org"}"#)).await;
        (reply.status, busy.connection.await.unwrap())
    });
    script.asked().await;

    let served = front.stop();
    assert!(rest_of(greeted).await.is_empty());
    timeout(PATIENCE, silent.connection).await.unwrap().unwrap().unwrap();
    assert!(!served.is_finished());

    script.let_go();
    let (status, ended) = in_flight.await.unwrap();
    assert_eq!(status, 202);
    ended.unwrap();
    assert!(timeout(PATIENCE, served).await.unwrap().unwrap());
}

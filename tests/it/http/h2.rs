//! HTTP/2: the same answers and bounds as over HTTP/1.1, and what only it can be attacked with.

use std::time::Duration;

use fiador::http::Limits;
use http::Request;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::client::TlsStream;

use super::tls::encrypted_front;
use crate::kit::{
    h2::{ENHANCE_YOUR_CALM, H2Client, RawH2, start},
    http::{TestFront, Wishes},
    tls::TestCertificate,
};

const PATIENCE: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(60);

async fn raw((front, certificate): &(TestFront, TestCertificate)) -> RawH2<TlsStream<TcpStream>> {
    RawH2::new(certificate.connect(front.address, &["h2"]).await.unwrap()).await
}

async fn client((front, certificate): &(TestFront, TestCertificate)) -> H2Client {
    H2Client::new(certificate.connect(front.address, &["h2"]).await.unwrap()).await
}

#[actix::test]
async fn many_requests_at_once_get_their_own_answers() {
    let front = encrypted_front(Limits::default()).await;
    let client = client(&front).await;

    let replies =
        futures_util::future::join_all((0..50).map(|_| client.reply(start(), Some(r#"{"email":"ada@example.org"}"#)))).await;
    assert!(replies.iter().all(|reply| reply.status == 202));
    assert_eq!(client.most_requests(), 128);
    client.reply(start(), Some("{")).await.problem(400, "malformed-body");
    client.get("/nowhere").await.problem(404, "not-found");
    assert_eq!(client.get("/dev/inbox").await.status, 200, "the authority is the host");
    client.reply(Request::get("https://evil.example/dev/inbox"), Some("")).await.problem(404, "not-found");
}

#[actix::test]
async fn a_body_that_comes_too_slowly_is_a_408_and_one_that_is_too_long_a_413() {
    let front = encrypted_front(Limits { body_time: Duration::from_millis(50), ..Limits::default() }).await;
    let client = client(&front).await;

    client.reply(start(), None).await.problem(408, "request-timeout");
    client.reply(start().header("content-length", "65537"), None).await.problem(413, "too-large");
    assert_eq!(client.get("/v1/verifications/a").await.status, 200, "the connection goes on");
}

#[actix::test]
async fn too_many_and_too_long_headers_are_a_431() {
    let front = encrypted_front(Limits::default()).await;
    let client = client(&front).await;
    let many = (0..65).fold(start(), |request, n| request.header(format!("x-{n}"), "canary"));
    let long = (0..40).fold(start(), |request, n| request.header(format!("x-{n}"), "c".repeat(1024)));

    for request in [many, long] {
        let (status, _, text) = client.send(request, Some("")).await;
        assert_eq!((status.as_u16(), text.as_str()), (431, ""));
    }
    assert_eq!(front.0.script.authentications(), 0);
    assert_eq!(client.get("/v1/verifications/a").await.status, 200, "the connection goes on");
}

#[actix::test]
async fn headers_of_a_connection_and_line_ends_do_not_pass_over_http_2() {
    let front = encrypted_front(Limits::default()).await;
    for (name, value) in [
        ("connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("x-a", "b\r\nx-forwarded-for: 10.0.0.1"),
        ("x-a", "b\nc"),
        ("x-a", "b\rc"),
        ("x-a", "b\0c"),
        ("x-a\r\nx-b", "c"),
        ("X-A", "b"),
    ] {
        let mut client = raw(&front).await;
        let request = client.request_with(name, value);
        client.write(&request).await;
        assert!(timeout(PATIENCE, client.refuses()).await.unwrap(), "{name:?}: {value:?}");
    }
    let mut client = raw(&front).await;
    let request = client.request_with("x-a", "b c");
    client.write(&request).await;
    assert!(!timeout(PATIENCE, client.refuses()).await.unwrap());
}

#[actix::test]
async fn streams_that_are_opened_and_reset_at_once_end_their_connection() {
    let front = encrypted_front(Limits::default()).await;
    let (other, mut attacker) = (client(&front).await, raw(&front).await);

    let flood: Vec<u8> = (0..5_000)
        .flat_map(|_| {
            let (start, reset) = attacker.start_and_reset();
            [start, reset].concat()
        })
        .collect();
    let attack = async {
        attacker.write(&flood).await;
        attacker.goodbye().await
    };
    assert_eq!(timeout(PATIENCE, attack).await.unwrap(), Some(ENHANCE_YOUR_CALM));

    assert!(front.0.script.authentications() < 200, "little work was made of it");
    assert_eq!(other.get("/v1/verifications/a").await.status, 200);
}

#[actix::test]
async fn so_do_requests_that_are_given_up_one_by_one_while_they_are_worked_on() {
    let certificate = TestCertificate::new();
    let wishes = Wishes { permits: 1_000, certificate: Some(certificate.clone()), ..Wishes::default() };
    let front = (TestFront::start_with(wishes).await, certificate);
    front.0.script.hold_starts();
    let (other, mut attacker) = (client(&front).await, raw(&front).await);

    let mut rounds = 0;
    loop {
        let (start, reset) = attacker.start_and_reset();
        attacker.write(&start).await;
        if !timeout(PATIENCE, attacker.is_read()).await.unwrap() {
            break;
        }
        attacker.write(&reset).await;
        rounds += 1;
        assert!(rounds < 200, "it goes on for ever");
    }

    assert!(rounds > 50, "who gives up a few is let be");
    assert_eq!(other.get("/v1/verifications/a").await.status, 200);
}

#[actix::test]
async fn an_idle_connection_is_told_and_closed() {
    let short = Duration::from_millis(500);
    let front = encrypted_front(Limits { header_time: short, idle_time: short, ..Limits::default() }).await;
    let client = client(&front).await;
    assert_eq!(client.get("/v1/verifications/a").await.status, 200);

    let ended = timeout(PATIENCE, client.connection).await.expect("it is closed").unwrap();
    assert!(ended.is_ok(), "{ended:?}");
}

#[actix::test]
async fn a_later_header_that_does_not_end_is_cut_off_too() {
    let limits = Limits { header_time: Duration::from_millis(500), idle_time: LONG, ..Limits::default() };
    let front = encrypted_front(limits).await;
    let mut slow = raw(&front).await;

    let sent = [slow.request(), slow.endless_header()].concat();
    slow.write(&sent).await;

    timeout(PATIENCE, slow.goodbye()).await.expect("it is closed");
}

//! Where a message ends is never in doubt: nothing can be smuggled behind another request.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::kit::{http::TestFront, scripted_gateway::KEY};

/// What the front answers to these bytes, until it closes the connection, which it does by itself.
async fn all_answers(front: &TestFront, bytes: &str) -> String {
    let mut connection = front.connect().await;
    connection.write_all(bytes.as_bytes()).await.unwrap();
    let mut answers = Vec::new();
    let _ = connection.read_to_end(&mut answers).await; // a reset is an end, too
    String::from_utf8(answers).unwrap()
}

/// A start with these headers, whose body ends in a request of its own for whoever reads it otherwise.
fn smuggling(headers: &str, body: &str) -> String {
    format!(
        "POST /v1/verifications HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Type: application/json\r\n{headers}\r\n{body}DELETE /v1/verifications/vrf_smuggled HTTP/1.1\r\n\
         Host: localhost\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\r\n"
    )
}

#[actix::test]
async fn a_request_of_two_lengths_is_refused_and_nothing_behind_it_is_read() {
    let front = TestFront::start().await;
    for (headers, body) in [
        ("Content-Length: 4\r\nContent-Length: 5\r\n", "{}\r\n"),
        ("Content-Length: 4, 5\r\n", "{}\r\n"),
        ("Content-Length: +4\r\n", "{}\r\n"),
        ("Content-Length: 0x4\r\n", "{}\r\n"),
        ("Content-Length: 4\r\nTransfer-Encoding: identity\r\n", "{}\r\n"),
        ("Transfer-Encoding: gzip\r\n", "{}\r\n"),
        ("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "-1\r\n{}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "FFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n"),
        ("X: y\r\n Content-Length: 4\r\nContent-Length : 4\r\n", "{}\r\n"),
    ] {
        let answers = all_answers(&front, &smuggling(headers, body)).await;

        assert!(answers.starts_with("HTTP/1.1 4"), "{headers:?}: {answers}");
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{headers:?}: {answers}");
    }
    assert!(front.script.take_seen().is_empty());
}

#[actix::test]
async fn chunks_go_before_a_length_and_what_follows_them_is_one_request_more_or_none() {
    let front = TestFront::start().await;
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";

    let answers = all_answers(&front, &smuggling(both, "2\r\n{}\r\n0\r\n\r\n")).await;

    assert!(answers.starts_with("HTTP/1.1 400"), "{answers}");
    assert!(front.script.take_seen().is_empty(), "what was behind it was carried out");
}

#[actix::test]
async fn a_request_of_no_host_or_of_two_is_refused() {
    let front = TestFront::start().await;
    for (version, hosts, status) in [
        ("1.1", "", "400"),
        ("1.1", "Host: localhost\r\nHost: localhost\r\n", "400"),
        ("1.0", "Host: a\r\nHost: b\r\n", "400"),
        ("1.1", "Host: localhost\r\n", "200"),
        ("1.0", "", "200"),
    ] {
        let answers = all_answers(&front, &format!("GET /health/live HTTP/{version}\r\n{hosts}Connection: close\r\n\r\n")).await;

        assert!(answers.split(' ').nth(1) == Some(status), "{version} {hosts:?}: {answers}");
        assert_eq!(answers.contains("\"field\":\"Host\""), status == "400", "{answers}");
    }
}

#[actix::test]
async fn no_answer_tells_what_it_was_made_with() {
    let front = TestFront::start().await;
    let request = |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    for asked in
        [request("GET", "/health/live"), request("GET", "/nothing"), request("TRACE", "/v1/verifications"), "?\r\n\r\n".into()]
    {
        let answers = all_answers(&front, &asked).await.to_lowercase();

        let version = env!("CARGO_PKG_VERSION");
        for told in ["server:", "via:", "hyper", "warp", "fiador/", version, "x-powered-by"] {
            assert!(!answers.contains(told), "{told}: {answers}");
        }
    }
}

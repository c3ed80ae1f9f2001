//! Bad input: each a clear refusal, in the order 404/405, 401, 415/413, 400; nothing reaches the Gateway.

use fiador::http::Limits;
use reqwest::Method;
use tokio::{io::AsyncWriteExt, time::Duration};

use crate::kit::{
    http::{Reply, TestFront, Wishes, read_reply},
    scripted_gateway::{ID, KEY},
};

const START_HEAD: &str = "POST /v1/verifications HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

fn authorization() -> String {
    format!("Authorization: Bearer {KEY}\r\n")
}

/// Sends the body to a start and to a check; both are to be refused with that code and field, and nothing is asked.
async fn assert_both_refuse(front: &TestFront, body: &str, status: u16, code: &str, field: Option<&str>) {
    for request in [front.start_verification(body.to_owned()), front.check(body.to_owned())] {
        let problem = Reply::to(request).await.problem(status, code);
        assert_eq!(problem["field"].as_str(), field, "{body}");
    }
    assert!(front.script.take_seen().is_empty(), "{body}");
}

async fn assert_start_refuses(front: &TestFront, body: &str, code: &str, field: &str) {
    let problem = Reply::to(front.start_verification(body.to_owned())).await.problem(400, code);
    assert_eq!(problem["field"], field, "{body}");
    assert!(front.script.take_seen().is_empty(), "{body}");
}

#[actix::test]
async fn a_body_that_is_no_json_object_is_malformed() {
    let front = TestFront::start().await;

    for body in [
        "",
        "canary",
        "{",
        r#"{"email":"canary@example.org""#,
        r#"{"email":"canary@example.org"} {}"#,
        r#"{"email":"canary@example.org",}"#,
        r"{'email':'canary@example.org'}",
        r#"[{"email":"canary@example.org"}]"#,
        r#""canary@example.org""#,
        "null",
        "13579135",
        "\u{feff}{}",
        r#"{"email":"canary@example.org","token":tru}"#,
        r#"{"email":"\ud800 canary"}"#,
        "{\"email\":\"canary\n\"}",
        r#"{"email":"canary@example.org","token":"\ud800"}"#,
    ] {
        let problem = Reply::to(front.start_verification(body)).await.problem(400, "malformed-body");
        assert!(problem.get("field").is_none());
    }
    Reply::to(front.start_verification(b"{\"email\":\"canary\xff\"}".as_slice())).await.problem(400, "malformed-body");
    assert!(front.script.take_seen().is_empty());
}

#[actix::test]
async fn missing_unknown_and_wrongly_typed_members_are_named() {
    let front = TestFront::start().await;

    for (body, code, field) in [
        ("{}", "field-missing", "email"),
        (r#"{"token":"canary"}"#, "field-missing", "email"),
        (r#"{"Email":"canary@example.org"}"#, "field-missing", "email"),
        (r#"{"email":"canary@example.org","emial":"canary"}"#, "field-unknown", "emial"),
        (r#"{"email":"canary@example.org","context":{"IP":"canary"}}"#, "field-unknown", "context.IP"),
        (r#"{"email":13579}"#, "field-type", "email"),
        (r#"{"email":null}"#, "field-type", "email"),
        (r#"{"email":["canary@example.org"]}"#, "field-type", "email"),
        (r#"{"email":"canary@example.org","purpose":{"a":"canary"}}"#, "field-type", "purpose"),
        (r#"{"email":"canary@example.org","locale":true}"#, "field-type", "locale"),
        (r#"{"email":"canary@example.org","ttl_seconds":"13579"}"#, "field-type", "ttl_seconds"),
        (r#"{"email":"canary@example.org","ttl_seconds":600.5}"#, "field-type", "ttl_seconds"),
        (r#"{"email":"canary@example.org","ttl_seconds":6e2}"#, "field-type", "ttl_seconds"),
        (r#"{"email":"canary@example.org","ttl_seconds":{}}"#, "field-type", "ttl_seconds"),
        (r#"{"email":"canary@example.org","context":"canary"}"#, "field-type", "context"),
        (r#"{"email":"canary@example.org","context":{"ip":13579}}"#, "field-type", "context.ip"),
    ] {
        assert_start_refuses(&front, body, code, field).await;
    }
    for (body, code, field) in [
        ("{}", "field-missing", "number"),
        (r#"{"number":13579135}"#, "field-type", "number"),
        (r#"{"number":"13579135","email":"canary@example.org"}"#, "field-unknown", "email"),
    ] {
        let problem = Reply::to(front.check(body)).await.problem(400, code);
        assert_eq!(problem["field"], field);
        assert!(front.script.take_seen().is_empty());
    }
}

#[actix::test]
async fn duplicate_members_are_refused_however_they_are_spelled_but_not_inside_of_a_token() {
    let front = TestFront::start().await;

    for (body, field) in [
        (r#"{"email":"canary@example.org","email":"canary@example.org"}"#, "email"),
        (r#"{"email":"canary@example.org","em\u0061il":"canary@example.net"}"#, "email"),
        (r#"{"email":"canary@example.org","context":{"ip":"canary","ip":"canary"}}"#, "context.ip"),
        (r#"{"email":"canary@example.org","token":1,"token":null}"#, "token"),
    ] {
        assert_start_refuses(&front, body, "field-duplicate", field).await;
    }
    let opaque = r#"{"email":"ada@example.org","token":{"a":1,"a":2}}"#;
    assert_eq!(Reply::to(front.start_verification(opaque)).await.status, 202);
}

#[actix::test]
async fn a_member_name_that_is_no_name_is_not_repeated() {
    let front = TestFront::start().await;

    for name in ["canary@example.org", "13579135", "CANARY-is-a-name-but-one-that-is-far-too-long", "", "a\\n"] {
        let request = front.check(format!(r#"{{"number":"13579135","{name}":1}}"#));
        assert!(Reply::to(request).await.problem(400, "field-unknown").get("field").is_none());
    }
    let body = r#"{"13579135":"canary","13579135":1}"#;
    assert_both_refuse(&front, body, 400, "field-duplicate", None).await;
}

#[actix::test]
async fn depth_sixteen_is_taken_and_seventeen_refused_in_a_token_too() {
    let front = TestFront::start().await;
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        format!(r#"{{"email":"ada@example.org","token":{open}{close}}}"#)
    };

    assert_eq!(Reply::to(front.start_verification(nested(16))).await.status, 202);
    front.script.take_seen();
    for body in [nested(17), "[".repeat(60_000), r#"{"a":"#.repeat(10_000)] {
        assert_both_refuse(&front, &body, 400, "malformed-body", None).await;
    }
}

#[actix::test]
async fn only_json_is_taken() {
    let front = TestFront::start().await;
    let body = r#"{"email":"canary@example.org"}"#;
    let with_type =
        |content_type: &str| front.request(Method::POST, "/v1/verifications").header("Content-Type", content_type).body(body);

    for wrong in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "application/problem+json", ""] {
        Reply::to(with_type(wrong)).await.problem(415, "unsupported-media-type");
    }
    let twice = with_type("application/json").header("Content-Type", "application/json");
    Reply::to(twice).await.problem(415, "unsupported-media-type");
    Reply::to(front.request(Method::POST, "/v1/verifications").body(body)).await.problem(415, "unsupported-media-type");
    let encoded = with_type("application/json").header("Content-Encoding", "gzip");
    Reply::to(encoded).await.problem(415, "unsupported-media-type");
    assert!(front.script.take_seen().is_empty());

    for right in ["application/json; charset=utf-8", "Application/JSON ;charset=\"UTF-8\""] {
        assert_eq!(Reply::to(with_type(right)).await.status, 202, "{right}");
    }
}

#[actix::test]
async fn exactly_64_kib_are_taken_and_one_byte_more_is_too_large() {
    let front = TestFront::start().await;
    let empty = r#"{"email":"canary@example.org","token":""}"#.len();
    let of_length = |length: usize| format!(r#"{{"email":"canary@example.org","token":"{}"}}"#, "x".repeat(length - empty));

    assert_eq!(Reply::to(front.start_verification(of_length(65_536))).await.status, 202);
    front.script.take_seen();
    assert_both_refuse(&front, &of_length(65_537), 413, "too-large", None).await;
}

#[actix::test]
async fn a_declared_or_chunked_body_that_is_too_large_is_not_read_to_its_end() {
    let front = TestFront::start().await;
    let key = authorization();

    let declared = front.raw(format!("{START_HEAD}{key}Content-Length: 1000000000\r\n\r\n")).await;
    declared.problem(413, "too-large");

    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    let endless = format!("{START_HEAD}{key}Transfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(5));
    let reply = front.raw(endless).await;
    reply.problem(413, "too-large");
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(front.script.take_seen().is_empty());
}

#[actix::test]
async fn a_chunked_body_is_taken() {
    let front = TestFront::start().await;
    let key = authorization();

    let chunks = "f\r\n{\"email\":\"ada@e\r\ne\r\nxample.org\"} \n\r\n0\r\n\r\n";
    let reply = front.raw(format!("{START_HEAD}{key}Transfer-Encoding: chunked\r\n\r\n{chunks}")).await;

    assert_eq!(reply.status, 202, "{}", reply.text);
}

#[actix::test]
async fn a_body_that_comes_too_slowly_is_408() {
    let limits = Limits { body_time: Duration::from_millis(50), ..Limits::default() };
    let front = TestFront::start_with(Wishes { limits, ..Wishes::default() }).await;

    let reply = front.raw(format!("{START_HEAD}{}Content-Length: 100\r\n\r\n{{\"canary", authorization())).await;

    reply.problem(408, "request-timeout");
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(front.script.take_seen().is_empty());
}

#[actix::test]
async fn an_absent_a_malformed_and_an_unknown_key_get_the_same_answer() {
    let front = TestFront::start().await;
    let unknown = format!("Bearer fdr_{}", "canary0".repeat(7).split_at(43).0);
    let mut answers = Vec::new();

    for authorization in [
        None,
        Some(unknown.as_str()),
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer canary"),
        Some("Basic Y2FuYXJ5OmNhbmFyeQ=="),
        Some(KEY),
        Some(&format!("Bearer {KEY}canary")),
        Some(&format!("Bearer {KEY} canary")),
        Some(&format!("Bearer {}", KEY.to_lowercase())),
    ] {
        for path in ["/v1/verifications".to_owned(), format!("/v1/verifications/{ID}/check")] {
            let mut request = front.anonymous(Method::POST, &path).body("canary");
            if let Some(authorization) = authorization {
                request = request.header("Authorization", authorization);
            }
            let reply = Reply::to(request).await;
            reply.problem(401, "unauthorized");
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
            let mut problem = reply.json();
            problem["request_id"].take();
            answers.push(problem);
        }
    }

    answers.dedup();
    assert_eq!(answers.len(), 1);
    for method in [Method::GET, Method::DELETE] {
        Reply::to(front.anonymous(method, &format!("/v1/verifications/{ID}"))).await.problem(401, "unauthorized");
    }
    let two_keys = format!("{START_HEAD}{0}{0}Content-Length: 2\r\n\r\n{{}}", authorization());
    front.raw(two_keys).await.problem(401, "unauthorized");
    assert!(front.script.take_seen().is_empty());
}

#[actix::test]
async fn an_idempotency_key_of_another_form_is_400() {
    let front = TestFront::start().await;
    let too_long = "x".repeat(256);

    for key in ["", "with space", "tab\there", "caf\u{e9}", &too_long] {
        let request = front.check(r#"{"number":"13579135"}"#).header("Idempotency-Key", key);
        let problem = Reply::to(request).await.problem(400, "malformed-header");
        assert_eq!(problem["field"], "Idempotency-Key");
    }
    let twice = front.check(r#"{"number":"13579135"}"#).header("Idempotency-Key", "a").header("Idempotency-Key", "a");
    Reply::to(twice).await.problem(400, "malformed-header");
    assert!(front.script.take_seen().is_empty());

    let longest = front.check(r#"{"number":"13579135"}"#).header("Idempotency-Key", "~".repeat(255));
    assert_eq!(Reply::to(longest).await.status, 200);
}

#[actix::test]
async fn unknown_routes_are_404_before_anything_else_is_looked_at() {
    let front = TestFront::start().await;

    for path in [
        "/",
        "/v1",
        "/v2/verifications",
        "/v1/verifications/a/b",
        "/v1/verifications/a/check/b",
        "/v1//verifications",
        "/V1/verifications",
        "/health",
        "/dev",
        "/dev/inbox/canary",
        "/canary",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            Reply::to(front.anonymous(method, path)).await.problem(404, "not-found");
        }
    }
    assert_eq!(front.script.authentications(), 0);
}

#[actix::test]
async fn a_wrong_method_is_405_and_says_which_are_right() {
    let front = TestFront::start().await;
    let one = format!("/v1/verifications/{ID}");
    let (check, resend) = (format!("{one}/check"), format!("{one}/resend"));

    for (method, path, allow) in [
        ("GET", "/v1/verifications", "POST"),
        ("HEAD", "/v1/verifications", "POST"),
        ("PUT", "/v1/verifications", "POST"),
        ("OPTIONS", "/v1/verifications", "POST"),
        ("TRACE", "/v1/verifications", "POST"),
        ("CANARY", "/v1/verifications", "POST"),
        ("POST", one.as_str(), "DELETE, GET, HEAD"),
        ("PATCH", one.as_str(), "DELETE, GET, HEAD"),
        ("GET", check.as_str(), "POST"),
        ("GET", resend.as_str(), "POST"),
        ("GET", "/v1/verifications/check", "POST"),
        ("POST", "/health/live", "GET, HEAD"),
        ("DELETE", "/health/ready", "GET, HEAD"),
        ("POST", "/dev/inbox", "GET, HEAD"),
        ("DELETE", "/dev/inbox/messages", "GET, HEAD"),
    ] {
        let reply = Reply::to(front.anonymous(method.parse().unwrap(), path)).await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some(allow)), "{method} {path}");
        if method != "HEAD" {
            reply.problem(405, "method-not-allowed");
        }
    }
    assert_eq!(front.script.authentications(), 0);
}

#[actix::test]
async fn connect_is_405_and_leaves_the_front_alive() {
    let front = TestFront::start().await;

    for target in ["example.org:443", "localhost:1"] {
        let reply = front.raw(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")).await;
        reply.problem(405, "method-not-allowed");
        assert_eq!(reply.header("allow"), Some("DELETE, GET, HEAD, POST"));
    }
    assert_eq!(Reply::to(front.get("/health/live")).await.status, 200);
}

#[actix::test]
async fn targets_that_are_no_path_are_answered() {
    let front = TestFront::start().await;

    front.raw("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n").await.problem(404, "not-found");
    front.raw("GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n").await.problem(404, "not-found");
    front.raw("GET http://localhost?a HTTP/1.1\r\nHost: localhost\r\n\r\n").await.problem(404, "not-found");
    front.raw("GET /v1/%00%ff HTTP/1.1\r\nHost: localhost\r\n\r\n").await.problem(404, "not-found");
    let live = front.raw("GET http://localhost/health/live?canary=1 HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(live.status, 200);
}

#[actix::test]
async fn refusals_come_in_their_order() {
    let front = TestFront::start().await;
    let post = |path: &str| front.anonymous(Method::POST, path).header("Idempotency-Key", "").body("x".repeat(65_537));

    Reply::to(post("/v1/canary")).await.problem(404, "not-found");
    Reply::to(post(&format!("/v1/verifications/{ID}"))).await.problem(405, "method-not-allowed");
    Reply::to(post("/v1/verifications")).await.problem(401, "unauthorized");
    let with_key = || post("/v1/verifications").bearer_auth(KEY);
    Reply::to(with_key()).await.problem(415, "unsupported-media-type");
    Reply::to(with_key().header("Content-Type", "application/json")).await.problem(413, "too-large");
    let short = with_key().header("Content-Type", "application/json").body("canary");
    Reply::to(short).await.problem(400, "malformed-header");
}

#[actix::test]
async fn a_connection_goes_on_after_a_refusal() {
    let front = TestFront::start().await;
    let mut connection = front.connect().await;

    for _ in 0..3 {
        let request = format!("{START_HEAD}{}Content-Length: 6\r\n\r\ncanary", authorization());
        connection.write_all(request.as_bytes()).await.unwrap();
        read_reply(&mut connection).await.problem(400, "malformed-body");
    }
}

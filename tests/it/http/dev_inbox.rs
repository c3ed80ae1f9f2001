//! The dev inbox: what it shows, and to whom.

use fiador::messages::CapturedMail;
use reqwest::Method;
use serde_json::json;

use crate::kit::{
    http::{Reply, TestFront, Wishes},
    scripted_gateway::{NOW, Seen},
};

fn mail() -> CapturedMail {
    CapturedMail {
        id: "<1@example.org>".to_owned(),
        to: "ada+x@example.org".to_owned(),
        subject: "Your <code>".to_owned(),
        text: "Hello,\n\n01234567\n\n</pre><script>alert(1)</script>".to_owned(),
        html: "<p style=\"color:red\">0123 4567</p>".to_owned(),
        received_at: NOW,
    }
}

#[actix::test]
async fn messages_are_json_of_the_recipient_that_is_asked_for() {
    let front = TestFront::start().await;
    front.script.answers().inbox = vec![mail()];

    let reply = Reply::to(front.anonymous(Method::GET, "/dev/inbox/messages?to=ada%2Bx@example.org&wait_seconds=30&x=y")).await;

    assert_eq!(
        (reply.status, reply.json()),
        (
            200,
            json!([{"id": "<1@example.org>", "to": "ada+x@example.org", "subject": "Your <code>",
                    "text": mail().text, "html": mail().html, "received_at": "2026-11-22T22:59:54.007Z"}])
        )
    );
    let seen = front.script.take_seen();
    let [Seen::Inbox(read)] = seen.as_slice() else { panic!("one question") };
    assert_eq!((read.to.as_deref(), read.wait_seconds), (Some("ada+x@example.org"), 30));
}

#[actix::test]
async fn an_unescaped_plus_still_finds_its_recipient_and_no_recipient_means_all() {
    let front = TestFront::start().await;

    for (path, to) in [("/dev/inbox/messages?to=ada+x@example.org", Some("ada+x@example.org")), ("/dev/inbox/messages", None)] {
        let reply = Reply::to(front.anonymous(Method::GET, path)).await;
        assert_eq!((reply.status, reply.text.as_str()), (200, "[]"));
        let seen = front.script.take_seen();
        assert!(matches!(seen.as_slice(), [Seen::Inbox(read)] if read.to.as_deref() == to && read.wait_seconds == 0));
    }
}

#[actix::test]
async fn a_wait_that_is_not_allowed_is_refused() {
    let front = TestFront::start().await;

    for wait in ["31", "-1", "soon", ""] {
        let path = format!("/dev/inbox/messages?wait_seconds={wait}");
        let problem = Reply::to(front.anonymous(Method::GET, &path)).await.problem(422, "field-invalid");
        assert_eq!(problem["field"], "wait_seconds");
    }
    assert!(front.script.take_seen().is_empty());
}

#[actix::test]
async fn the_page_shows_the_number_escapes_the_mail_and_lets_nothing_else_run() {
    let front = TestFront::start().await;
    front.script.answers().inbox = vec![mail()];

    let reply = Reply::to(front.anonymous(Method::GET, "/dev/inbox")).await;

    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let page = &reply.text;
    assert!(page.contains("<code>01234567</code>"), "{page}");
    assert!(page.contains("Your &lt;code&gt;"), "{page}");
    assert!(page.contains(r#"sandbox="""#) && page.contains("srcdoc=\"&lt;p style=&quot;color:red&quot;&gt;"), "{page}");
    assert!(!page.contains("alert(1)</script>"), "{page}");
    assert!(!page.contains("http://") && !page.contains("https://"), "nothing comes from elsewhere");
    let policy = reply.header("content-security-policy").unwrap();
    let nonce = policy.split_once("'nonce-").unwrap().1.split_once('\'').unwrap().0;
    assert!(policy.contains("default-src 'none'") && page.contains(&format!(r#"<script nonce="{nonce}">"#)), "{policy}");
}

#[actix::test]
async fn an_empty_inbox_says_so() {
    let front = TestFront::start().await;

    assert!(Reply::to(front.anonymous(Method::GET, "/dev/inbox")).await.text.contains("No mail yet"));
}

#[actix::test]
async fn it_is_unknown_to_whoever_does_not_come_straight_from_this_machine() {
    let front = TestFront::start().await;

    for path in ["/dev/inbox", "/dev/inbox/messages?to=canary@example.org"] {
        for headers in [
            "Host: evil.example",
            "Host: localhost.evil.example:8420",
            "Host: 192.168.1.1",
            "Host:",
            "Host: localhost\r\nForwarded: for=127.0.0.1",
            "Host: localhost\r\nX-Forwarded-For: 127.0.0.1",
            "Host: localhost\r\nx-forwarded-host: localhost",
            "Host: localhost\r\nX-Real-IP: 127.0.0.1",
            "Host: localhost\r\nVia: 1.1 proxy",
        ] {
            front.raw(format!("GET {path} HTTP/1.1\r\n{headers}\r\n\r\n")).await.problem(404, "not-found");
            front.raw(format!("POST {path} HTTP/1.1\r\n{headers}\r\n\r\n")).await.problem(404, "not-found");
        }
        front.raw(format!("GET {path} HTTP/1.0\r\n\r\n")).await.problem(404, "not-found");
        let two_hosts = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n");
        front.raw(two_hosts).await.problem(400, "malformed-header");
        for (target, host) in
            [("evil.example", "localhost"), ("localhost", "evil.example"), ("localhost", ""), ("localhost", "\u{e4}")]
        {
            let two_minds = format!("GET http://{target}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            front.raw(two_minds).await.problem(404, "not-found");
        }
        let two_names_of_it = format!("GET http://localhost:1{path} HTTP/1.1\r\nHost: 127.0.0.1:2\r\n\r\n");
        assert_eq!(front.raw(two_names_of_it).await.status, 200);
        for host in ["localhost", "LOCALHOST:8420", "127.0.0.1:1", "[::1]:8420"] {
            assert_eq!(front.raw(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await.status, 200, "{host}");
        }
        front.script.take_seen();
    }
}

#[actix::test]
async fn it_is_unknown_when_mails_are_sent() {
    let front = TestFront::start_with(Wishes { has_inbox: false, ..Wishes::default() }).await;

    for path in ["/dev/inbox", "/dev/inbox/messages"] {
        Reply::to(front.anonymous(Method::GET, path)).await.problem(404, "not-found");
        Reply::to(front.anonymous(Method::POST, path)).await.problem(404, "not-found");
    }
}

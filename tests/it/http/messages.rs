//! `/v1/messages`, as the client sees it.

use fiador::domain::{Refusal, Scope};
use reqwest::Method;
use serde_json::json;

use crate::kit::{
    http::{Reply, TestFront},
    scripted_gateway::{Seen, deferred_mail, refused},
};

fn shown() -> serde_json::Value {
    json!({"id": deferred_mail().id.as_str(), "status": "deferred", "attempts": 1, "last_reply": "451 later",
           "next_attempt_at": "2026-11-22T22:59:54.007Z", "message_id": "<1@example.org>", "purpose": "sign-in",
           "email": "a***@example.org", "created_at": "2026-11-22T22:59:54.007Z", "expires_at": "2026-11-22T22:59:54.007Z"})
}

#[actix::test]
async fn a_page_of_mails_is_translated_and_answered() {
    let front = TestFront::start().await;

    let reply = Reply::to(front.get("/v1/messages?status=deferred&limit=7&cursor=a-b_c")).await;
    assert_eq!((reply.status, reply.json()), (200, json!({"messages": [shown()], "next_cursor": "further"})));
    let plain = Reply::to(front.get("/v1/messages")).await;
    assert_eq!(plain.status, 200);

    let seen = front.script.take_seen();
    let [Seen::ListMails(list), Seen::ListMails(all)] = seen.as_slice() else { panic!("two lists") };
    assert_eq!(list.application.as_str(), "shop");
    assert_eq!((list.status.as_deref(), list.limit, list.cursor.as_deref()), (Some("deferred"), Some(7), Some("a-b_c")));
    assert_eq!((all.status.as_deref(), all.limit, all.cursor.as_deref()), (None, None, None));
}

#[actix::test]
async fn a_query_that_is_none_is_refused_without_repeating_it() {
    let front = TestFront::start().await;

    for (query, status, code) in [("canary=1", 400, "field-unknown"), ("status=failed&status=canary", 400, "field-duplicate")] {
        let problem = Reply::to(front.get(&format!("/v1/messages?{query}"))).await.problem(status, code);
        assert!(!problem.to_string().contains("canary"), "{problem}");
    }
    assert!(front.script.take_seen().is_empty());
    Reply::to(front.get("/v1/messages?limit=canary")).await;
    let seen = front.script.take_seen();
    assert!(matches!(seen.as_slice(), [Seen::ListMails(list)] if list.limit == Some(u64::MAX)));
}

#[actix::test]
async fn one_mail_is_looked_at_and_retried_by_its_id() {
    let front = TestFront::start().await;
    let path = format!("/v1/messages/{}", deferred_mail().id.as_str());

    let looked_at = Reply::to(front.get(&path)).await;
    assert_eq!((looked_at.status, looked_at.json()), (200, shown()));
    for body in ["", "{}"] {
        let retried = Reply::to(front.post(&format!("{path}/retry"), body).header("Idempotency-Key", "once")).await;
        assert_eq!((retried.status, retried.json()), (202, shown()));
    }

    let seen = front.script.take_seen();
    let [Seen::ReadMail(read), Seen::RetryMail(first), Seen::RetryMail(second)] = seen.as_slice() else { panic!("one and two") };
    assert_eq!((&read.id, &first.id), (&deferred_mail().id.as_str().to_owned(), &read.id));
    assert!(first.operation == second.operation);
}

#[actix::test]
async fn a_mail_that_was_sent_is_a_conflict_and_an_unknown_one_is_not_found() {
    let front = TestFront::start().await;
    let retry = || Reply::to(front.post("/v1/messages/msg_a/retry", ""));

    front.script.answers().mail = refused(Refusal::AlreadySent);
    retry().await.problem(409, "already-sent");
    front.script.answers().mail = refused(Refusal::NotFound);
    retry().await.problem(404, "not-found");
    Reply::to(front.post("/v1/messages/msg_a/retry", r#"{"more":1}"#)).await.problem(400, "field-unknown");
    Reply::to(front.request(Method::DELETE, "/v1/messages/msg_a")).await.problem(405, "method-not-allowed");
}

#[actix::test]
async fn mails_are_for_keys_with_their_scope() {
    let front = TestFront::start().await;
    front.script.answers().lacked_scope = Some(Scope::Messages);

    for request in [
        front.get("/v1/messages"),
        front.get("/v1/messages/msg_a"),
        front.post("/v1/messages/msg_a/retry", ""),
        front.get("/v1/messages?canary=1"),
    ] {
        assert_eq!(Reply::to(request).await.problem(403, "scope-missing")["scope"], "messages");
    }
    for path in ["/v1/messages", "/v1/messages/msg_a"] {
        Reply::to(front.anonymous(Method::GET, path)).await.problem(401, "unauthorized");
    }
    assert!(front.script.take_seen().is_empty());
}

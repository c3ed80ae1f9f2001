//! `/v1/sign-ins` and the published keys, as the client sees them.

use fiador::messages::SignInAnswer;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::kit::{
    http::{Reply, TestFront},
    scripted_gateway::{ID, Seen, pending},
    scripted_users::{ASSERTION, USER_ID},
};

const SIGN_INS: &str = "/v1/sign-ins";
const BY_NUMBER: &str = "/v1/sign-ins/number";
const SECRET: &str = "CANARY horse battery staple";

#[actix::test]
async fn a_sign_in_is_answered_with_200_and_its_assertion_or_with_202_and_the_number_that_follows() {
    let front = TestFront::start().await;
    let body = json!({"email": "ada@example.org", "password": SECRET, "context": {"ip": "203.0.113.9"}}).to_string();

    let signed_in = Reply::to(front.post(SIGN_INS, body.clone())).await;
    let expected = json!({"user": USER_ID, "email": "ada@example.org", "signed_in_at": "2026-11-22T22:59:54.007Z",
                          "assertion": ASSERTION});
    assert_eq!((signed_in.status, signed_in.json()), (200, expected));
    front.script.answers().sign_in = Ok(SignInAnswer::NumberSent(pending()));
    let by_number = json!({"email": "ada@example.org", "context": {"ip": "203.0.113.9"}}).to_string();
    for request in [front.post(SIGN_INS, body), front.post(BY_NUMBER, by_number)] {
        let sent = Reply::to(request).await;
        assert_eq!((sent.status, sent.header("location")), (202, Some(format!("/v1/verifications/{ID}").as_str())));
        assert_eq!((&sent.json()["id"], &sent.json()["status"]), (&json!(ID), &json!("pending")));
    }

    let seen = front.script.take_seen();
    let [Seen::SignIn(ask), Seen::SignIn(_), Seen::SignInByNumber(by_number)] = seen.as_slice() else { panic!("two and one") };
    assert_eq!((ask.application.as_str(), ask.email.as_str(), ask.password.as_str()), ("shop", "ada@example.org", SECRET));
    assert_eq!(ask.context_ip.as_deref(), Some("203.0.113.9"));
    assert_eq!((by_number.application.as_str(), by_number.email.as_str()), ("shop", "ada@example.org"));
    assert_eq!(by_number.context_ip.as_deref(), Some("203.0.113.9"));
}

#[actix::test]
async fn the_published_keys_are_for_everybody_and_may_be_kept() {
    let front = TestFront::start().await;
    let path = "/.well-known/jwks.json";

    for method in [Method::GET, Method::HEAD] {
        let reply = front.anonymous(method.clone(), path).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK);
        assert_eq!(reply.headers()["content-type"], "application/json");
        assert_eq!(reply.headers()["cache-control"], "public, max-age=300");
        let text = reply.text().await.unwrap();
        assert_eq!(text, if method == Method::GET { r#"{"keys":[]}"# } else { "" });
    }
    let refused = Reply::to(front.anonymous(Method::PUT, path)).await;
    refused.problem(405, "method-not-allowed");
    assert_eq!((refused.header("allow"), front.script.authentications()), (Some("GET, HEAD"), 0));
}

//! All that a test application is answered says so, and nothing that another is.

use fiador::{
    domain::{Refusal, Scope, Token},
    messages::Failure,
};
use reqwest::{Method, RequestBuilder};

use crate::kit::{
    http::{Reply, TestFront},
    scripted_gateway::{Answers, ID, approval, refused},
    scripted_users::USER_ID,
};

/// One of each call that needs a key, its body as it should be.
fn calls(front: &TestFront) -> Vec<RequestBuilder> {
    let (one, user) = (format!("/v1/verifications/{ID}"), format!("/v1/users/{USER_ID}"));
    vec![
        front.start_verification(r#"{"email":"ada@example.org"}"#),
        front.get(&one),
        front.request(Method::HEAD, &one),
        front.check(r#"{"number":"00000000"}"#),
        front.post("/v1/verifications/check", r#"{"number":"000000000000"}"#),
        front.request(Method::POST, &format!("{one}/resend")),
        front.request(Method::DELETE, &one),
        front.get("/v1/system"),
        front.post("/v1/users", r#"{"email":"ada@example.org"}"#),
        front.get("/v1/users?email=ada%40example.org"),
        front.get(&user),
        front.get(&format!("{user}/export")),
        front.request(Method::DELETE, &user),
        front.post(&format!("{user}/password"), r#"{"password":"any","old_password":"any"}"#),
        front.post("/v1/sign-ins", r#"{"email":"ada@example.org","password":"any"}"#),
        front.post("/v1/sign-ins/number", r#"{"email":"ada@example.org"}"#),
    ]
}

async fn assert_each_is_marked(front: &TestFront, is_marked: bool) {
    for call in calls(front) {
        let reply = Reply::to(call).await;
        assert_eq!(reply.header("fiador-test"), is_marked.then_some("true"), "{} {}", reply.status, reply.text);
        if !reply.text.is_empty() {
            assert_eq!(reply.json().get("test"), is_marked.then_some(&true.into()), "{}", reply.text);
        }
    }
}

#[actix::test]
async fn its_successes_and_refusals_are_marked_and_no_others() {
    let front = TestFront::start().await;
    for is_test in [false, true] {
        front.script.answers().is_test = is_test;
        assert_each_is_marked(&front, is_test).await;
        front.script.answers().start = refused(Refusal::NotFound);
        front.script.answers().read = Err(Failure::Unavailable);
        front.script.answers().check = refused(Refusal::Expired);
        front.script.answers().cancel = Err(Failure::Overloaded);
        front.script.answers().user = refused(Refusal::UserExists);
        front.script.answers().sign_in = refused(Refusal::CredentialsInvalid);
        assert_each_is_marked(&front, is_test).await;
        for scope in Scope::ALL {
            front.script.answers().lacked_scope = Some(scope);
            assert_each_is_marked(&front, is_test).await;
        }
        *front.script.answers() = Answers::default();
    }
}

#[actix::test]
async fn what_is_refused_before_anything_is_asked_is_marked_too_as_soon_as_its_key_is_known() {
    let front = TestFront::start().await;
    front.script.answers().is_test = true;
    let without_type = front.request(Method::POST, "/v1/verifications").body("{}");

    for (call, status) in [(front.start_verification("{"), 400), (without_type, 415), (front.check("x".repeat(70_000)), 413)] {
        let reply = Reply::to(call).await;
        assert_eq!((reply.status, reply.header("fiador-test")), (status, Some("true")));
        assert_eq!(reply.json()["test"], true);
    }
    for (call, status) in [
        (front.anonymous(Method::GET, &format!("/v1/verifications/{ID}")), 401),
        (front.request(Method::PUT, "/v1/verifications"), 405),
        (front.get("/v1/nothing"), 404),
        (front.get("/health/ready"), 200),
    ] {
        let reply = Reply::to(call).await;
        assert_eq!((reply.status, reply.header("fiador-test")), (status, None));
    }
}

#[actix::test]
async fn a_marked_approval_gives_its_token_byte_for_byte() {
    let front = TestFront::start().await;
    front.script.answers().is_test = true;
    front.script.answers().check = Ok(approval(Some(Token::Json(r#"{ "a":1.0, "a" :[] }"#.to_owned()))));

    let reply = Reply::to(front.check(r#"{"number":"00000000"}"#)).await;
    assert!(reply.text.contains(r#""token":{ "a":1.0, "a" :[] },"test":true}"#), "{}", reply.text);
}

//! `/v1/users` as the client sees it, and what all calls about users share.

use fiador::{
    domain::{Attributes, Refusal, Scope, UserView},
    messages::{Failure, PresentedProof},
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::kit::{
    http::{Reply, TestFront},
    scripted_gateway::{ID, Seen, refused},
    scripted_users::{USER_ID, ada},
};

const USERS: &str = "/v1/users";
const SIGN_INS: &str = "/v1/sign-ins";
const BY_NUMBER: &str = "/v1/sign-ins/number";
const SECRET: &str = "CANARY horse battery staple";

fn user_path() -> String {
    format!("{USERS}/{USER_ID}")
}

fn password_path() -> String {
    format!("{USERS}/{USER_ID}/password")
}

fn shown() -> Value {
    json!({"id": USER_ID, "email": "ada@example.org", "attributes": {"plan": "a"}, "locale": null,
           "created_at": "2026-11-22T22:59:54.007Z", "updated_at": "2026-11-22T22:59:54.007Z", "verified_at": null,
           "password_changed_at": "2026-11-22T22:59:54.007Z"})
}

fn patch(front: &TestFront, body: impl Into<reqwest::Body>) -> RequestBuilder {
    front.request(Method::PATCH, &user_path()).header("Content-Type", "application/json").body(body)
}

/// One of each call, its body as it should be.
fn calls(front: &TestFront) -> Vec<RequestBuilder> {
    vec![
        front.post(USERS, r#"{"email":"ada@example.org"}"#),
        front.get("/v1/users?email=ada%40example.org"),
        front.get(&user_path()),
        patch(front, "{}"),
        front.request(Method::DELETE, &user_path()),
        front.get(&format!("{}/export", user_path())),
        front.post(&password_path(), json!({"password": SECRET, "old_password": SECRET}).to_string()),
        front.post(SIGN_INS, json!({"email": "ada@example.org", "password": SECRET}).to_string()),
        front.post(BY_NUMBER, r#"{"email":"ada@example.org"}"#),
    ]
}

/// Whatever is called, a body is refused so, its field named, and nothing is asked.
async fn assert_refuses(front: &TestFront, request: RequestBuilder, status: u16, code: &str, field: Option<&str>) {
    let problem = Reply::to(request).await.problem(status, code);
    assert_eq!(problem["field"].as_str(), field, "{problem}");
    assert!(front.script.take_seen().is_empty(), "{problem}");
}

#[actix::test]
async fn a_user_is_created_with_201_its_location_and_the_verification_that_was_started() {
    let front = TestFront::start().await;
    let attributes = r#"{ "b": 1.0 ,"a":[1e3, "\u00e9"]}"#;
    let body =
        format!(r#"{{"email":"ada@example.org","password":"{SECRET}","attributes": {attributes} ,"locale":"es","verify":true}}"#);

    let reply = Reply::to(front.post(USERS, body)).await;

    assert_eq!((reply.status, reply.header("location")), (201, Some(user_path().as_str())));
    let mut created = reply.json();
    let verification = created.as_object_mut().unwrap().remove("verification").unwrap();
    assert_eq!((created, &verification["id"], &verification["status"]), (shown(), &json!(ID), &json!("pending")));
    let seen = front.script.take_seen();
    let [Seen::CreateUser(create)] = seen.as_slice() else { panic!("one user") };
    assert_eq!(
        (create.application.as_str(), create.email.as_str(), create.locale.as_deref()),
        ("shop", "ada@example.org", Some("es"))
    );
    assert_eq!(create.password.as_deref().map(String::as_str), Some(SECRET));
    assert_eq!((create.attributes.as_deref(), create.is_verified), (Some(attributes), true));
}

#[actix::test]
async fn only_the_address_of_a_user_is_needed_and_it_may_be_left_unverified() {
    let front = TestFront::start().await;

    for (body, is_verified) in [(json!({"email": ""}), true), (json!({"email": "", "verify": false}), false)] {
        assert_eq!(Reply::to(front.post(USERS, body.to_string())).await.status, 201);
        let seen = front.script.take_seen();
        let [Seen::CreateUser(create)] = seen.as_slice() else { panic!("one user") };
        assert_eq!((create.email.as_str(), create.is_verified), ("", is_verified));
        assert!(create.password.is_none() && create.attributes.is_none() && create.locale.is_none());
    }
}

#[actix::test]
async fn an_idempotency_key_names_the_same_operation_of_each_call_that_has_one() {
    let front = TestFront::start().await;
    let operation = |seen: &Seen| match seen {
        Seen::CreateUser(ask) => ask.operation,
        Seen::SetPassword(ask) => ask.operation,
        Seen::SignIn(ask) => ask.operation,
        Seen::SignInByNumber(ask) => ask.operation,
        _ => panic!("a call without an operation"),
    };

    for at in [0, 6, 7, 8] {
        let mut operations = Vec::new();
        for key in ["once", "once", "twice"] {
            let call = calls(&front).remove(at).header("Idempotency-Key", key);
            assert!(Reply::to(call).await.status < 300);
            operations.push(operation(&front.script.take_seen()[0]));
        }
        assert!(operations[0] == operations[1] && operations[1] != operations[2]);
    }
}

#[actix::test]
async fn a_user_is_looked_at_by_its_id_and_by_its_address() {
    let front = TestFront::start().await;

    for path in [user_path(), "/v1/users?email=ada%2Bx%40example.org".to_owned()] {
        let reply = Reply::to(front.get(&path)).await;
        assert_eq!((reply.status, reply.json()), (200, shown()));
        let head = Reply::to(front.request(Method::HEAD, &path)).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""));
        assert_eq!(head.header("content-length"), Some(reply.text.len().to_string().as_str()));
    }

    let seen = front.script.take_seen();
    let [Seen::ReadUser(read), Seen::ReadUser(_), Seen::FindUser(find), Seen::FindUser(_)] = seen.as_slice() else {
        panic!("two of each")
    };
    assert_eq!((read.application.as_str(), read.id.as_str()), ("shop", USER_ID));
    assert_eq!((find.application.as_str(), find.email.as_str()), ("shop", "ada+x@example.org"));
}

#[actix::test]
async fn attributes_come_back_byte_for_byte_wherever_a_user_is_shown() {
    let front = TestFront::start().await;
    let attributes = r#"{ "b": 1.0 ,"a":[1e3], "b ":"é\u00e9"}"#;
    let user = Attributes::new(attributes.to_owned()).unwrap();
    front.script.answers().user = Ok(UserView { attributes: user, ..ada() });

    for is_test in [false, true] {
        front.script.answers().is_test = is_test;
        for at in [0, 1, 2, 3, 5] {
            let reply = Reply::to(calls(&front).remove(at)).await;
            assert!(reply.text.contains(&format!(r#""attributes":{attributes},"#)), "{}", reply.text);
        }
    }
}

#[actix::test]
async fn what_is_given_of_a_user_is_changed_and_null_takes_its_language_away() {
    let front = TestFront::start().await;

    for (body, attributes, locale) in [
        (r#"{"attributes":{"a" : 1}}"#, Some(r#"{"a" : 1}"#), None),
        (r#"{"locale":"es"}"#, None, Some(Some("es"))),
        (r#"{"locale":null}"#, None, Some(None)),
        ("{}", None, None),
    ] {
        let reply = Reply::to(patch(&front, body)).await;
        assert_eq!((reply.status, reply.json()), (200, shown()));
        let seen = front.script.take_seen();
        let [Seen::UpdateUser(update)] = seen.as_slice() else { panic!("one change") };
        assert_eq!((update.application.as_str(), update.id.as_str()), ("shop", USER_ID));
        assert_eq!((update.attributes.as_deref(), update.locale.as_ref().map(Option::as_deref)), (attributes, locale));
    }
}

#[actix::test]
async fn an_address_cannot_be_changed_and_the_refusal_says_what_to_do() {
    let front = TestFront::start().await;

    for email in [json!("canary@example.org"), json!(null), json!(13579)] {
        let problem = Reply::to(patch(&front, json!({ "email": email }).to_string())).await.problem(422, "field-invalid");
        assert_eq!(problem["field"], "email");
        assert!(problem["detail"].as_str().unwrap().contains("a user with another address is another user"), "{problem}");
    }
    assert!(front.script.take_seen().is_empty());
}

#[actix::test]
async fn a_user_is_deleted_with_204_and_exported_without_a_hash() {
    let front = TestFront::start().await;

    let deleted = Reply::to(front.request(Method::DELETE, &user_path())).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    let exported = Reply::to(front.get(&format!("{}/export", user_path()))).await;
    let expected = json!({"user": shown(), "verifications": [], "notices": [], "mails_asked_at": ["2026-11-22T22:59:54.007Z"],
                          "wrong_checks_left": 10, "failed_sign_ins_left": 9});
    assert_eq!((exported.status, exported.json()), (200, expected));

    let seen = front.script.take_seen();
    let [Seen::DeleteUser(delete), Seen::ExportUser(export)] = seen.as_slice() else { panic!("one of each") };
    assert_eq!((delete.application.as_str(), delete.id.as_str()), ("shop", USER_ID));
    assert_eq!((export.application.as_str(), export.id.as_str()), ("shop", USER_ID));
}

#[actix::test]
async fn a_password_is_set_with_one_proof_and_204() {
    let front = TestFront::start().await;
    let set = |proof: Value| {
        let mut body = json!({ "password": SECRET });
        body.as_object_mut().unwrap().extend(proof.as_object().unwrap().clone());
        front.post(&password_path(), body.to_string())
    };

    for (proof, expected) in [
        (json!({"old_password": "CANARY old"}), PresentedProof::OldPassword("CANARY old".to_owned().into())),
        (json!({"verification": ID}), PresentedProof::Verification(ID.to_owned())),
    ] {
        let reply = Reply::to(set(proof)).await;
        assert_eq!((reply.status, reply.text.as_str()), (204, ""));
        let seen = front.script.take_seen();
        let [Seen::SetPassword(ask)] = seen.as_slice() else { panic!("one password") };
        assert_eq!((ask.application.as_str(), ask.id.as_str(), ask.password.as_str()), ("shop", USER_ID, SECRET));
        let is_it = match (&ask.proof, &expected) {
            (PresentedProof::OldPassword(one), PresentedProof::OldPassword(other)) => one == other,
            (PresentedProof::Verification(one), PresentedProof::Verification(other)) => one == other,
            _ => false,
        };
        assert!(is_it);
    }
    for proof in [json!({}), json!({"old_password": "CANARY old", "verification": ID})] {
        assert_refuses(&front, set(proof), 400, "field-missing", Some("old_password")).await;
    }
}

#[actix::test]
async fn members_that_are_missing_unknown_twice_there_or_of_another_type_are_named() {
    let front = TestFront::start().await;

    for (body, code, field) in [
        ("{}", "field-missing", "email"),
        (r#"{"email":13579}"#, "field-type", "email"),
        (r#"{"email":"CANARY","password":13579}"#, "field-type", "password"),
        (r#"{"email":"CANARY","password":null}"#, "field-type", "password"),
        (r#"{"email":"CANARY","attributes":"CANARY"}"#, "field-type", "attributes"),
        (r#"{"email":"CANARY","attributes":["CANARY"]}"#, "field-type", "attributes"),
        (r#"{"email":"CANARY","attributes":null}"#, "field-type", "attributes"),
        (r#"{"email":"CANARY","attributes":{"a":1,"a":2}}"#, "field-duplicate", "a"),
        (r#"{"email":"CANARY","locale":null}"#, "field-type", "locale"),
        (r#"{"email":"CANARY","verify":"CANARY"}"#, "field-type", "verify"),
        (r#"{"email":"CANARY","verify":1}"#, "field-type", "verify"),
        (r#"{"email":"CANARY","email":"CANARY"}"#, "field-duplicate", "email"),
        (r#"{"email":"CANARY","token":"CANARY"}"#, "field-unknown", "token"),
    ] {
        assert_refuses(&front, front.post(USERS, body), 400, code, Some(field)).await;
    }
    for (body, code, field) in [
        (r#"{"attributes":13579}"#, "field-type", "attributes"),
        (r#"{"locale":13579}"#, "field-type", "locale"),
        (r#"{"locale":null,"locale":null}"#, "field-duplicate", "locale"),
        (r#"{"password":"CANARY"}"#, "field-unknown", "password"),
        (r#"{"verified_at":"CANARY"}"#, "field-unknown", "verified_at"),
    ] {
        assert_refuses(&front, patch(&front, body), 400, code, Some(field)).await;
    }
    for (path, body, code, field) in [
        (password_path().as_str(), r#"{"old_password":"CANARY"}"#, "field-missing", "password"),
        (&password_path(), r#"{"password":"CANARY","old_password":13579}"#, "field-type", "old_password"),
        (&password_path(), r#"{"password":"CANARY","verification":13579}"#, "field-type", "verification"),
        (&password_path(), r#"{"password":"CANARY","old_password":"CANARY","email":"CANARY"}"#, "field-unknown", "email"),
        (SIGN_INS, r#"{"email":"CANARY"}"#, "field-missing", "password"),
        (SIGN_INS, r#"{"password":"CANARY"}"#, "field-missing", "email"),
        (SIGN_INS, r#"{"email":"CANARY","password":["CANARY"]}"#, "field-type", "password"),
        (SIGN_INS, r#"{"email":"CANARY","password":"CANARY","password":"CANARY"}"#, "field-duplicate", "password"),
        (SIGN_INS, r#"{"email":"CANARY","password":"CANARY","context":"CANARY"}"#, "field-type", "context"),
        (SIGN_INS, r#"{"email":"CANARY","password":"CANARY","purpose":"CANARY"}"#, "field-unknown", "purpose"),
        (BY_NUMBER, "{}", "field-missing", "email"),
        (BY_NUMBER, r#"{"email":"CANARY","password":"CANARY"}"#, "field-unknown", "password"),
        (BY_NUMBER, r#"{"email":"CANARY","context":{"ip":13579}}"#, "field-type", "context.ip"),
    ] {
        assert_refuses(&front, front.post(path, body), 400, code, Some(field)).await;
    }
    for path in [USERS, SIGN_INS, BY_NUMBER, &password_path()] {
        assert_refuses(&front, front.post(path, "CANARY"), 400, "malformed-body", None).await;
        assert_refuses(&front, front.request(Method::POST, path).body("{}"), 415, "unsupported-media-type", None).await;
    }
}

#[actix::test]
async fn a_query_for_a_user_has_its_address_once_and_nothing_else() {
    let front = TestFront::start().await;

    for (query, code, field) in [
        ("", "field-missing", Some("email")),
        ("?", "field-missing", Some("email")),
        ("?email=canary&email=canary", "field-duplicate", Some("email")),
        ("?email=canary&id=canary", "field-unknown", None),
        ("?Email=canary", "field-missing", Some("email")),
    ] {
        assert_refuses(&front, front.get(&format!("{USERS}{query}")), 400, code, field).await;
    }
}

#[actix::test]
async fn another_method_is_told_which_there_are() {
    let front = TestFront::start().await;
    let export = format!("{}/export", user_path());

    for (path, method, allow) in [
        (USERS, Method::PATCH, "GET, HEAD, POST"),
        (user_path().as_str(), Method::POST, "DELETE, GET, HEAD, PATCH"),
        (&export, Method::POST, "GET, HEAD"),
        (&password_path(), Method::GET, "POST"),
        (SIGN_INS, Method::GET, "POST"),
        (BY_NUMBER, Method::DELETE, "POST"),
    ] {
        for request in [front.request(method.clone(), path), front.anonymous(method.clone(), path)] {
            let reply = Reply::to(request).await;
            reply.problem(405, "method-not-allowed");
            assert_eq!(reply.header("allow"), Some(allow), "{path}");
        }
    }
    assert_eq!((front.script.authentications(), front.script.take_seen().len()), (0, 0));
}

#[actix::test]
async fn users_are_for_keys_with_their_scope() {
    let front = TestFront::start().await;
    front.script.answers().lacked_scope = Some(Scope::Users);

    for call in calls(&front) {
        assert_eq!(Reply::to(call).await.problem(403, "scope-missing")["scope"], "users");
    }
    for (method, path) in [(Method::POST, USERS), (Method::GET, USERS), (Method::DELETE, &user_path()), (Method::POST, SIGN_INS)]
    {
        let reply = Reply::to(front.anonymous(method, path)).await;
        reply.problem(401, "unauthorized");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    }
    assert!(front.script.take_seen().is_empty());
    front.script.answers().lacked_scope = None;
    for scope in Scope::ALL.into_iter().filter(|scope| *scope != Scope::Users) {
        front.script.answers().lacked_scope = Some(scope);
        for call in calls(&front) {
            assert!(Reply::to(call).await.status < 300, "{scope:?}");
        }
    }
}

#[actix::test]
async fn refusals_have_a_status_and_a_code_of_their_own() {
    let front = TestFront::start().await;

    front.script.answers().user = refused(Refusal::UserExists);
    Reply::to(calls(&front).remove(0)).await.problem(409, "user-exists");
    front.script.answers().user = refused(Refusal::NotProven);
    Reply::to(calls(&front).remove(6)).await.problem(409, "not-proven");
    front.script.answers().user = refused(Refusal::FieldInvalid { field: "password", mend: "must be longer".to_owned() });
    assert_eq!(Reply::to(calls(&front).remove(0)).await.problem(422, "field-invalid")["field"], "password");
    front.script.answers().user = Err(Failure::Overloaded);
    Reply::to(calls(&front).remove(6)).await.problem(503, "overloaded");
    front.script.answers().user = refused(Refusal::NotFound);
    for at in 1..7 {
        Reply::to(calls(&front).remove(at)).await.problem(404, "not-found");
    }
}

/// RFC 9110, 15.5.2: a 401 has a challenge, whatever is wrong.
#[actix::test]
async fn credentials_that_are_not_right_are_a_401_which_tells_nothing_more() {
    let front = TestFront::start().await;
    front.script.answers().sign_in = refused(Refusal::CredentialsInvalid);
    front.script.answers().user = refused(Refusal::CredentialsInvalid);

    for at in [6, 7] {
        let reply = Reply::to(calls(&front).remove(at)).await;
        let mut problem = reply.problem(401, "credentials-invalid");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        problem.as_object_mut().unwrap().remove("request_id");
        let members: Vec<_> = problem.as_object().unwrap().keys().cloned().collect();
        assert_eq!(members, ["code", "detail", "status", "title", "type"]);
    }
}

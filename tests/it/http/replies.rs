//! What the Gateway answers, as the client sees it.

use fiador::{
    domain::{Budget, Moment, Refusal, Status, Token, VerificationView},
    http::Limits,
    messages::{Failure, NotReady},
};
use reqwest::Method;
use serde_json::json;
use tokio::time::Duration;

use crate::kit::{
    budgets::spent,
    http::{Reply, TestFront, Wishes},
    scripted_gateway::{ID, KEY, Seen, approval, pending, refused},
};

#[actix::test]
async fn a_start_is_translated_and_answered_with_202_and_its_location() {
    let front = TestFront::start().await;

    let body = r#"{"email":"ada@example.org", "token":{"session": "s-1" }, "purpose":"sign-in", "locale":"es", "ttl_seconds":600,
                   "context":{"ip":"203.0.113.9"}}"#;
    let reply = Reply::to(front.start_verification(body)).await;

    assert_eq!(reply.status, 202);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("location"), Some(format!("/v1/verifications/{ID}").as_str()));
    assert_eq!(
        reply.json(),
        json!({"id": ID, "status": "pending", "email": "ada@example.org", "purpose": "sign-in",
               "expires_at": "2026-11-22T22:59:54.007Z", "attempts_remaining": 5,
               "delivery": {"status": "queued", "attempts": 0, "last_reply": null, "next_attempt_at": null,
                            "message_id": "<1@example.org>"}})
    );
    let seen = front.script.take_seen();
    let [Seen::Start(start)] = seen.as_slice() else { panic!("one start") };
    assert_eq!(start.application.as_str(), "shop");
    assert_eq!(start.email, "ada@example.org");
    assert_eq!(start.token, Some(Token::Json(r#"{"session": "s-1" }"#.to_owned())));
    assert_eq!((start.purpose.as_deref(), start.locale.as_deref()), (Some("sign-in"), Some("es")));
    assert_eq!((start.ttl_seconds, start.context_ip.as_deref()), (Some(600), Some("203.0.113.9")));
}

#[actix::test]
async fn only_the_address_is_needed_and_null_counts_as_no_token() {
    let front = TestFront::start().await;

    for body in [r#"{"email":"ada@example.org"}"#, r#"{"email":"ada@example.org","token":null,"context":{}}"#] {
        assert_eq!(Reply::to(front.start_verification(body)).await.status, 202);
        let seen = front.script.take_seen();
        let [Seen::Start(start)] = seen.as_slice() else { panic!("one start") };
        assert!(start.token.is_none() && start.purpose.is_none() && start.locale.is_none());
        assert!(start.ttl_seconds.is_none() && start.context_ip.is_none());
    }
}

#[actix::test]
async fn addresses_and_numbers_reach_the_rules_as_the_person_typed_them() {
    let front = TestFront::start().await;

    for email in ["", "a\r\nBcc: b@c.de", "Ada <ada@example.org>", "\u{0}", &"a".repeat(300)] {
        Reply::to(front.start_verification(json!({ "email": email }).to_string())).await;
        let seen = front.script.take_seen();
        assert!(matches!(seen.as_slice(), [Seen::Start(start)] if start.email == email));
    }
    for number in ["1357 9135-7", "letters", ""] {
        Reply::to(front.check(json!({ "number": number }).to_string())).await;
        let seen = front.script.take_seen();
        assert!(matches!(seen.as_slice(), [Seen::Check(check)] if *check.number == *number && check.id == ID));
    }
}

#[actix::test]
async fn a_check_by_number_names_no_id() {
    let front = TestFront::start().await;

    let reply = Reply::to(front.post("/v1/verifications/check", json!({ "number": "1234 5678 9012" }).to_string())).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let seen = front.script.take_seen();
    assert!(matches!(seen.as_slice(), [Seen::CheckByNumber(check)] if *check.number == "1234 5678 9012"));
}

#[actix::test]
async fn a_resend_takes_no_body_or_an_empty_object() {
    let front = TestFront::start().await;
    let path = format!("/v1/verifications/{ID}/resend");

    for request in [front.request(Method::POST, &path), front.post(&path, "{}")] {
        let reply = Reply::to(request).await;
        assert_eq!(reply.status, 202, "{}", reply.text);
        let seen = front.script.take_seen();
        assert!(matches!(seen.as_slice(), [Seen::Resend(resend)] if resend.id == ID));
    }
    for body in ["[]", r#"{"number":"12345678"}"#, "x"] {
        assert_eq!(Reply::to(front.post(&path, body)).await.status, 400, "{body}");
    }
    assert!(front.script.take_seen().is_empty());
}

#[actix::test]
async fn a_token_comes_back_byte_for_byte_and_is_absent_when_there_was_none() {
    let front = TestFront::start().await;

    for (token, written) in [
        (Some(Token::Text("a \"b\" é\n".to_owned())), r#","token":"a \"b\" é\n"}"#),
        (Some(Token::Json(r#"{ "b": 1.0 ,"a":[1e3]}"#.to_owned())), r#","token":{ "b": 1.0 ,"a":[1e3]}}"#),
        (Some(Token::Json("not JSON".to_owned())), r#","token":"not JSON"}"#),
        (None, "}"),
    ] {
        front.script.answers().check = Ok(approval(token));
        let reply = Reply::to(front.check(r#"{"number":"12345678"}"#)).await;

        let without_token = format!(
            r#"{{"id":"{ID}","status":"approved","email":"ada@example.org","purpose":"sign-in","approved_at":"2026-11-22T22:59:54.007Z""#
        );
        assert_eq!((reply.status, reply.text), (200, without_token + written));
    }
}

#[actix::test]
async fn a_read_shows_the_verification_as_it_stands_and_a_tombstone_without_address() {
    let front = TestFront::start().await;

    let path = format!("/v1/verifications/{ID}");
    assert_eq!(Reply::to(front.get(&path)).await.json()["delivery"]["status"], "queued");
    assert!(matches!(front.script.take_seen().as_slice(), [Seen::Read(read)] if read.id == ID));

    let approved = VerificationView { status: Status::Approved, approved_at: Some(Moment(0)), ..pending() };
    front.script.answers().read = Ok(VerificationView { email: None, delivery: None, ..approved });
    let reply = Reply::to(front.get(&path)).await;
    let tombstone = json!({"id": ID, "status": "approved", "purpose": "sign-in", "expires_at": "2026-11-22T22:59:54.007Z",
                           "approved_at": "1970-01-01T00:00:00.000Z", "attempts_remaining": 5});
    assert_eq!((reply.status, reply.json()), (200, tombstone));

    let head = Reply::to(front.request(Method::HEAD, &path)).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

#[actix::test]
async fn a_cancellation_is_204_without_a_body() {
    let front = TestFront::start().await;

    let reply = Reply::to(front.request(Method::DELETE, &format!("/v1/verifications/{ID}"))).await;

    assert_eq!((reply.status, reply.text.as_str()), (204, ""));
    assert!(matches!(front.script.take_seen().as_slice(), [Seen::Cancel(cancel)] if cancel.id == ID));
}

#[actix::test]
async fn every_refusal_of_the_rules_has_its_status_and_code() {
    let front = TestFront::start().await;
    let field_invalid = Refusal::FieldInvalid { field: "number", mend: "must be 6 to 15 digits".to_owned() };
    let budget_spent = spent(Budget::AddressSends, 21);

    for (refusal, status, code, members) in [
        (field_invalid, 422, "field-invalid", json!({"field": "number", "detail": "number must be 6 to 15 digits"})),
        (Refusal::NotFound, 404, "not-found", json!({})),
        (Refusal::IdempotencyMismatch, 422, "idempotency-mismatch", json!({})),
        (
            Refusal::NumberIncorrect { attempts_remaining: 4 },
            422,
            "number-incorrect",
            json!({"attempts_remaining": 4, "detail": "Ask the person to read the newest mail again",
                   "title": "The number is not the one that was mailed"}),
        ),
        (Refusal::AlreadyApproved, 409, "already-approved", json!({})),
        (Refusal::Expired, 410, "expired", json!({})),
        (Refusal::Exhausted, 410, "exhausted", json!({})),
        (Refusal::Canceled, 410, "canceled", json!({})),
        (budget_spent, 429, "budget-spent", json!({"budget": "address-sends", "retry_after_seconds": 21})),
    ] {
        front.script.answers().check = refused(refusal);
        let reply = Reply::to(front.check(r#"{"number":"13579135"}"#)).await;

        let problem = reply.problem(status, code);
        for (name, value) in members.as_object().unwrap() {
            assert_eq!(&problem[name], value, "{code}");
        }
        assert_eq!(reply.header("retry-after"), (status == 429).then_some("21"));
    }
}

/// (RFC 9651 items: a string, then parameters that are integers.)
#[actix::test]
async fn every_spent_budget_says_what_it_holds_and_when_to_ask_again() {
    let front = TestFront::start().await;

    for (budget, policy) in [
        (Budget::AddressSends, r#""address-sends";q=5;w=18000"#),
        (Budget::VerificationSends, r#""verification-sends";q=5"#),
        (Budget::AddressPending, r#""address-pending";q=10"#),
        (Budget::AddressChecks, r#""address-checks";q=10;w=18000"#),
        (Budget::IpStarts, r#""ip-starts";q=20;w=600"#),
        (Budget::NumberMisses, r#""number-misses";q=1000;w=10000"#),
    ] {
        for seconds in [1, 21, 86_400] {
            front.script.answers().check = refused(spent(budget, seconds));
            let reply = Reply::to(front.check(r#"{"number":"13579135"}"#)).await;

            assert_eq!(reply.problem(429, "budget-spent")["retry_after_seconds"], seconds);
            assert_eq!(reply.header("retry-after"), Some(seconds.to_string().as_str()));
            assert_eq!(reply.header("ratelimit-policy"), Some(policy));
            assert_eq!(reply.header("ratelimit"), Some(format!("\"{}\";r=0;t={seconds}", budget.as_str()).as_str()));
        }
    }
    front.script.answers().check = Ok(approval(None));
    let approved = Reply::to(front.check(r#"{"number":"13579135"}"#)).await;
    assert_eq!((approved.header("ratelimit"), approved.header("ratelimit-policy")), (None, None));
}

#[actix::test]
async fn what_is_down_is_503_and_says_when_to_ask_again() {
    let front = TestFront::start().await;

    for (failure, code) in [(Failure::Unavailable, "unavailable"), (Failure::Overloaded, "overloaded")] {
        front.script.answers().read = Err(failure);
        let reply = Reply::to(front.get(&format!("/v1/verifications/{ID}"))).await;
        assert_eq!(reply.problem(503, code)["retry_after_seconds"], 1);
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
}

#[actix::test]
async fn a_gateway_that_falls_is_503_and_answers_again_after_its_restart() {
    let front = TestFront::start().await;
    let path = format!("/v1/verifications/{ID}");

    front.script.answers().falls = true;
    Reply::to(front.get(&path)).await.problem(503, "unavailable");
    front.script.answers().falls = false;
    Reply::to(front.get(&path)).await.problem(503, "unavailable");

    front.script.take_seen();
    while Reply::to(front.get(&path)).await.status != 200 {}
}

#[actix::test]
async fn a_gateway_that_does_not_answer_is_503_in_time_and_then_overloaded() {
    let limits = Limits { ask_time: Duration::from_millis(50), ..Limits::default() };
    let front = TestFront::start_with(Wishes { limits, permits: 1, ..Wishes::default() }).await;
    front.script.hold_starts();

    let start = || Reply::to(front.start_verification(r#"{"email":"canary@example.org"}"#));
    let late = start().await;
    assert_eq!(late.header("retry-after"), Some("1"));
    late.problem(503, "unavailable");
    start().await.problem(503, "overloaded");
}

#[actix::test]
async fn health_needs_no_key_and_names_what_is_not_ready() {
    let front = TestFront::start().await;
    let ask = |path| Reply::to(front.anonymous(Method::GET, path));

    let live = ask("/health/live").await;
    assert_eq!((live.status, live.json()), (200, json!({"status": "live"})));
    let ready = ask("/health/ready").await;
    assert_eq!((ready.status, ready.json()), (200, json!({"status": "ready"})));

    let not_ready = |part, is_covered| NotReady { part, reason: "connection refused".to_owned(), is_covered };
    front.script.answers().readiness = Ok(vec![not_ready("mail", true)]);
    let alarms = json!([{"part": "mail", "reason": "connection refused"}]);
    let covered = ask("/health/ready").await;
    assert_eq!((covered.status, covered.json()), (200, json!({"status": "ready", "alarms": alarms})));

    front.script.answers().readiness = Ok(vec![not_ready("store", false)]);
    let reply = ask("/health/ready").await;
    assert_eq!(reply.problem(503, "unavailable")["parts"], json!([{"part": "store", "reason": "connection refused"}]));
    assert!(reply.header("retry-after").is_some());

    front.script.answers().readiness = Err(Failure::Unavailable);
    assert_eq!(ask("/health/ready").await.problem(503, "unavailable")["parts"][0]["part"], "gateway");
}

#[actix::test]
async fn a_daemon_that_is_ending_is_not_live() {
    let front = TestFront::start_with(Wishes { is_live: || false, ..Wishes::default() }).await;

    Reply::to(front.anonymous(Method::GET, "/health/live")).await.problem(503, "unavailable");
}

#[actix::test]
async fn a_handler_that_panics_is_answered_for_and_the_next_request_too() {
    let front = TestFront::start_with(Wishes { is_live: || panic!("canary"), ..Wishes::default() }).await;

    Reply::to(front.anonymous(Method::GET, "/health/live")).await.problem(500, "internal");
    assert_eq!(Reply::to(front.anonymous(Method::GET, "/health/ready")).await.status, 200);
}

#[actix::test]
async fn the_same_idempotency_key_is_the_same_operation_and_none_is_a_new_one() {
    let front = TestFront::start().await;

    let mut operations = Vec::new();
    for idempotency_key in [Some("once"), Some("once"), Some("twice"), None, None] {
        let mut request = front.start_verification(r#"{"email":"ada@example.org"}"#);
        if let Some(key) = idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        Reply::to(request).await;
        let seen = front.script.take_seen();
        let [Seen::Start(start)] = seen.as_slice() else { panic!("one start") };
        operations.push(start.operation.0);
    }

    assert_eq!(operations[0], operations[1]);
    operations.remove(0);
    operations.sort_unstable();
    operations.dedup();
    assert_eq!(operations.len(), 4);
}

#[actix::test]
async fn the_scheme_of_the_authorization_is_read_in_any_case() {
    let front = TestFront::start().await;

    let get = front.anonymous(Method::GET, &format!("/v1/verifications/{ID}"));
    assert_eq!(Reply::to(get.header("Authorization", format!("bearer  {KEY}"))).await.status, 200);
}

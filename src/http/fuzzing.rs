//! Bodies that anybody may send, through what reads them: see [`crate::fuzzing`].

use std::collections::BTreeMap;

use serde_json::{Map, Value, value::RawValue};

use super::{
    compat::registration_in,
    members::Members,
    problem::Problem,
    test_mark::TestMark,
    verifications::{TokenBody, start_in},
};
use crate::{
    domain::{ApplicationName, OperationId, Token},
    messages::StartVerification,
};

/// A body of each call that has one. What is taken is what another JSON parser finds there, a token byte for byte; what is
/// refused is answered by a problem that repeats nothing of it but the name of a member.
///
/// # Panics
/// When that does not hold.
pub fn bodies(data: &[u8]) {
    let application = ApplicationName::parse("shop").expect("it is a word");
    match start_in(data, application.clone(), OperationId([7; 32])) {
        Ok(start) => is_as_sent(&start, "email", data),
        Err(problem) => tells_nothing(&problem),
    }
    match registration_in(data, application) {
        Ok(start) => is_as_sent(&start, "correo", data),
        Err(problem) => tells_nothing(&problem),
    }
    for member in ["number", "numero"] {
        match Members::only_secret(data, member) {
            Ok(number) => assert_eq!(object(data).get(member), Some(&Value::String(number.to_string()))),
            Err(problem) => tells_nothing(&problem),
        }
    }
    if let Err(problem) = Members::of_body(data).and_then(Members::finish) {
        tells_nothing(&problem);
    }
}

fn is_as_sent(start: &StartVerification, address: &str, data: &[u8]) {
    let sent = object(data);
    let text = |name: &str| sent.get(name).and_then(Value::as_str);
    assert_eq!(text(address), Some(start.email.as_str()));
    assert_eq!(text("purpose"), start.purpose.as_deref());
    assert_eq!(text("locale"), start.locale.as_deref());
    assert_eq!(sent.get("context").and_then(|context| context["ip"].as_str()), start.context_ip.as_deref());
    if let Some(seconds) = sent.get("ttl_seconds").filter(|_| address == "email").and_then(Value::as_u64) {
        assert_eq!(start.ttl_seconds, Some(seconds));
    }
    match &start.token {
        None => assert!(sent.get("token").is_none_or(Value::is_null)),
        Some(token) => is_given_back_as_deposited(token, data),
    }
}

/// Between the member's name and what follows it, the body has exactly the text that is given back.
fn is_given_back_as_deposited(token: &Token, data: &[u8]) {
    let given_back = serde_json::to_string(&TokenBody::from(token)).expect("a token is text or JSON");
    match token {
        Token::Text(text) => {
            assert_eq!(object(data).get("token").and_then(Value::as_str), Some(text.as_str()));
            assert_eq!(serde_json::from_str::<String>(&given_back).ok().as_ref(), Some(text));
        }
        Token::Json(json) => {
            assert_eq!(&given_back, json);
            assert!(data.windows(json.len()).any(|window| window == json.as_bytes()));
        }
    }
}

/// The members of a body that was taken, as another way of reading finds them; numbers that do not fit are null there.
fn object(data: &[u8]) -> Map<String, Value> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_slice(data).expect("what was taken is an object");
    members.into_iter().map(|(name, raw)| (name, serde_json::from_str(raw.get()).unwrap_or_default())).collect()
}

fn tells_nothing(problem: &Problem) {
    assert!(problem.render("req_1", &TestMark::default()).status().is_client_error());
    let told: Map<String, Value> =
        serde_json::from_slice(&problem.written("req_1", &TestMark::default())).expect("it is one JSON object");
    let longest_name = "context.".len() + 32;
    let field = told.get("field").and_then(Value::as_str).unwrap_or_default();
    assert!(field.len() <= longest_name && field.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)));
    let detail = told["detail"].as_str().expect("a problem has a detail");
    assert!(detail.len() <= longest_name + 80 && !detail.contains(char::is_control));
}

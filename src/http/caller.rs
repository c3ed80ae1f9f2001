//! Who calls: the API key, and the operation that it names.

use http::{HeaderMap, HeaderName, header::AUTHORIZATION};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    problem::{Code, Problem},
    routes::{Api, Call},
    trail::Action,
};
use crate::domain::{ApplicationName, Denied, OperationId, Presented, Principal};

const KEY_PREFIX: &str = "fdr_";
/// Base64url of 256 bits.
const KEY_BODY_LENGTH: usize = 43;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const LONGEST_IDEMPOTENCY_KEY: usize = 255;

/// Whose the request's API key is. An absent, a malformed and an unknown key get the same answer.
pub(super) fn authenticate(api: &Api, call: &Call, action: Action) -> Result<ApplicationName, Problem> {
    call.trail.action(action);
    let api_key = bearer_key(&call.headers).ok_or_else(Problem::unauthorized)?;
    let presented = Presented { api_key, from: call.client, scope: action.scope() };
    let Principal { application, is_test, .. } = (api.asks.authenticate)(&presented)
        .inspect(|principal| call.trail.principal(principal))
        .inspect_err(|denied| note_denied(call, denied))?;
    call.test_mark.set(is_test);
    Ok(application)
}

/// The operation that a request is, once it is authenticated: with an `Idempotency-Key` the same for the same API key, else a new
/// one. The store adds the address or the id.
pub(super) fn operation_of(headers: &HeaderMap) -> Result<OperationId, Problem> {
    let operation = match idempotency_key(headers)? {
        // a key was looked up, so it is there
        Some(idempotency_key) => derived_operation(bearer_key(headers).ok_or_else(Problem::unauthorized)?, idempotency_key),
        None => random_operation(),
    };
    Ok(operation)
}

fn note_denied(call: &Call, denied: &Denied) {
    call.trail.denied(denied);
    // of all who are refused, only who lacks a scope is told that the key is known
    call.test_mark.set(matches!(denied, Denied::ScopeMissing(Principal { is_test: true, .. }, _)));
}

/// The key in `Authorization: Bearer fdr_…`; none when there is not exactly one header of that form.
fn bearer_key(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = only(headers, &AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let body = key.trim_start_matches(' ').strip_prefix(KEY_PREFIX)?;
    let is_base64url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let is_key = body.len() == KEY_BODY_LENGTH && body.bytes().all(is_base64url);
    (scheme.eq_ignore_ascii_case("bearer") && is_key).then(|| key.trim_start_matches(' '))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    if !headers.contains_key(IDEMPOTENCY_KEY) {
        return Ok(None);
    }
    let malformed = || {
        let detail = format!("Idempotency-Key must stand once, with 1 to {LONGEST_IDEMPOTENCY_KEY} visible ASCII characters");
        Problem::new(Code::MalformedHeader, detail).with("field", "Idempotency-Key")
    };
    let key = only(headers, &IDEMPOTENCY_KEY).ok_or_else(malformed)?.as_bytes();
    let is_key = (1..=LONGEST_IDEMPOTENCY_KEY).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    if is_key { Ok(Some(key)) } else { Err(malformed()) }
}

/// The header's value when it stands there exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a http::HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// The lengths keep two pairs apart whose texts, written one after the other, are the same.
fn derived_operation(api_key: &str, idempotency_key: &[u8]) -> OperationId {
    let mut hash = Sha256::new();
    hash.update(b"fiador operation 1");
    for part in [api_key.as_bytes(), idempotency_key] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    OperationId(hash.finalize().into())
}

/// An operation that no other request is.
pub(super) fn random_operation() -> OperationId {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    bytes[16..].copy_from_slice(Uuid::new_v4().as_bytes());
    OperationId(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_named_by_api_key_and_idempotency_key_together() {
        let operation = derived_operation("key-1", b"once");

        assert_eq!(operation, derived_operation("key-1", b"once"));
        assert_ne!(operation, derived_operation("key-1", b"twice"));
        assert_ne!(operation, derived_operation("key-2", b"once"));
        assert_ne!(derived_operation("ab", b"c"), derived_operation("a", b"bc"));
        assert_ne!(random_operation(), random_operation());
    }
}

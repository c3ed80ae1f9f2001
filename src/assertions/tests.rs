use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use zeroize::Zeroizing;

use super::*;
use crate::domain::{Moment, SignInMethod};

/// The key of RFC 8037, appendix A: its private and its public part.
const RFC_SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const RFC_PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn issuer() -> Issuer {
    Issuer { name: "https://id.example.org".to_owned(), ttl_seconds: 300 }
}

fn key(id: &str, byte: u8) -> SigningKey {
    SigningKey { id: id.to_owned(), seed: Box::new(Zeroizing::new([byte; 32])) }
}

fn keys(newest: u8, others: &[u8]) -> SigningKeys {
    let named = |byte: u8| key(&format!("key-{byte}"), byte);
    SigningKeys { newest: named(newest), others: others.iter().copied().map(named).collect() }
}

fn signed_in() -> SignedIn {
    SignedIn {
        subject: "usr_1".to_owned(),
        audience: "shop".to_owned(),
        email: "zo\u{eb} \"a\"@example.org".to_owned(),
        is_email_verified: true,
        methods: vec![SignInMethod::Password, SignInMethod::Number],
        at: Moment(1_700_000_000_999),
        jti: "jti-1".to_owned(),
    }
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn kids(jwks: &Value) -> Vec<&str> {
    jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect()
}

/// Whether the key of `jwks` that the token names is the one that signed it.
fn verifies(token: &str, jwks: &Value) -> bool {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let kid = decoded(signed.split_once('.').unwrap().0)["kid"].take();
    let Some(key) = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid) else { return false };
    let public = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(&ED25519, public).verify(signed.as_bytes(), &signature).is_ok()
}

#[test]
fn an_assertion_says_who_signed_in_where_when_how_and_for_how_long() {
    let token = Assertions::new(issuer(), &keys(1, &[])).sign(&signed_in());
    let [header, claims, _] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };

    assert_eq!(decoded(header), json!({ "alg": "EdDSA", "typ": "JWT", "kid": "key-1" }));
    let expected = json!({
        "iss": "https://id.example.org", "sub": "usr_1", "aud": "shop", "iat": 1_700_000_000, "exp": 1_700_000_300,
        "auth_time": 1_700_000_000, "amr": ["pwd", "otp"], "email": "zo\u{eb} \"a\"@example.org", "email_verified": true,
        "jti": "jti-1",
    });
    assert_eq!(decoded(claims), expected);
}

#[test]
fn the_same_sign_in_is_the_same_assertion_and_any_other_is_another() {
    let assertions = Assertions::new(issuer(), &keys(1, &[]));
    let token = assertions.sign(&signed_in());

    assert_eq!(assertions.sign(&signed_in()), token);
    let other = SignedIn { jti: "jti-2".to_owned(), ..signed_in() };
    assert_ne!(assertions.sign(&other), token);
    assert!(verifies(&token, &assertions.jwks()));
    assert!(!verifies(&token, &Assertions::new(issuer(), &keys(2, &[])).jwks()));
    let (begin, signature) = token.rsplit_once('.').unwrap();
    let (_, forged) = begin.rsplit_once('.').unwrap();
    assert!(!verifies(&format!("{begin}{}.{signature}", &forged[..4]), &assertions.jwks()));
}

#[test]
fn a_key_is_published_as_rfc_8037_has_it_and_its_private_part_is_not() {
    let mut keys = keys(1, &[]);
    keys.newest.seed.copy_from_slice(&URL_SAFE_NO_PAD.decode(RFC_SEED).unwrap());

    let jwks = Assertions::new(issuer(), &keys).jwks();

    let key = json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "key-1", "x": RFC_PUBLIC });
    assert_eq!(jwks, json!({ "keys": [key] }));
}

#[test]
fn a_key_that_is_prepared_is_published_before_it_signs_and_the_one_before_still_verifies() {
    let assertions = Assertions::new(issuer(), &keys(1, &[2]));
    let clone = assertions.clone();
    let before = clone.sign(&signed_in());
    assert_eq!(kids(&assertions.jwks()), ["key-1", "key-2"]);
    let published_before = assertions.jwks();

    assertions.take_up(Issuer { ttl_seconds: 60, ..issuer() }, &keys(2, &[1]));
    let after = clone.sign(&signed_in());

    assert!(verifies(&after, &published_before) && verifies(&before, &clone.jwks()) && verifies(&after, &clone.jwks()));
    assert_eq!(kids(&clone.jwks()), ["key-2", "key-1"]);
    assert_eq!(decoded(after.split('.').nth(1).unwrap())["exp"], 1_700_000_060);
    assertions.take_up(issuer(), &keys(3, &[2]));
    assert!(!verifies(&before, &clone.jwks()) && verifies(&after, &clone.jwks()));
}

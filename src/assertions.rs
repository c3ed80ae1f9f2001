//! Assertions: who signed in, signed (JWT, RFC 7519; Ed25519, RFC 8037), and the keys to verify them with (JWKS).
//!
//! Written on aws-lc-rs, which TLS brings: jsonwebtoken brings a second generation of a crate with it, and would read the key
//! anew for each signature. What is left of a JWT that we only issue is base64 of two JSON objects.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    domain::SignedIn,
    live::Live,
    store::{SigningKey, SigningKeys},
};

/// What assertions say of who issued them, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// `iss`: 1 to 255 bytes, no control characters; default `fiador`.
    pub name: String,
    /// How long an assertion holds, in seconds: 60 to 600; default 300.
    pub ttl_seconds: u64,
}

/// Signs assertions. One for a daemon; clones share what [`Self::take_up`] puts there.
#[derive(Clone, Debug)]
pub struct Assertions(Live<Issuing>);

struct Issuing {
    issuer: Issuer,
    /// The header of all that the key signs, encoded.
    header: String,
    key: Ed25519KeyPair,
    jwks: Value,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    kid: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    auth_time: u64,
    amr: Vec<&'static str>,
    email: &'a str,
    email_verified: bool,
    jti: &'a str,
}

impl Assertions {
    /// Those that `issuer` signs with the newest of `keys`.
    pub fn new(issuer: Issuer, keys: &SigningKeys) -> Self {
        Self(Live::new(Issuing::of(issuer, keys)))
    }

    /// Signs as `issuer` with the newest of `keys` from now on, in all clones.
    pub fn take_up(&self, issuer: Issuer, keys: &SigningKeys) {
        self.0.replace(Issuing::of(issuer, keys));
    }

    /// The assertion of a sign-in; of the same one, with the same key, the same text.
    pub fn sign(&self, signed_in: &SignedIn) -> String {
        let issuing = self.0.now();
        let claims = encode(&issuing.claims(signed_in));
        let signed = format!("{}.{claims}", issuing.header);
        let signature = URL_SAFE_NO_PAD.encode(issuing.key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// The keys to verify with (RFC 7517): the one that signs, the one before it, and the one that is prepared to be next.
    pub fn jwks(&self) -> Value {
        self.0.now().jwks.clone()
    }
}

impl Issuing {
    fn of(issuer: Issuer, keys: &SigningKeys) -> Self {
        let jwks: Vec<Value> = std::iter::once(&keys.newest).chain(&keys.others).map(jwk_of).collect();
        Self {
            issuer,
            header: encode(&Header { alg: "EdDSA", typ: "JWT", kid: &keys.newest.id }),
            key: pair_of(&keys.newest),
            jwks: json!({ "keys": jwks }),
        }
    }

    fn claims<'a>(&'a self, signed_in: &'a SignedIn) -> Claims<'a> {
        let at_seconds = signed_in.at.0 / 1000;
        Claims {
            iss: &self.issuer.name,
            sub: &signed_in.subject,
            aud: &signed_in.audience,
            iat: at_seconds,
            exp: at_seconds + self.issuer.ttl_seconds,
            auth_time: at_seconds,
            amr: signed_in.methods.iter().map(|method| method.as_str()).collect(),
            email: &signed_in.email,
            email_verified: signed_in.is_email_verified,
            jti: &signed_in.jti,
        }
    }
}

fn jwk_of(key: &SigningKey) -> Value {
    let public = URL_SAFE_NO_PAD.encode(pair_of(key).public_key());
    json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.id, "x": public })
}

fn pair_of(key: &SigningKey) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(key.seed.as_slice()).expect("any 32 bytes are a seed")
}

fn encode(part: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).expect("texts and numbers cannot fail to serialize"))
}

#[cfg(test)]
mod tests;

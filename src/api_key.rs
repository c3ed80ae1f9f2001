//! API keys: how they are drawn and what is kept of them.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{TryRng, rngs::SysRng};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// What an application presents: `fdr_` and 43 characters of base64url, 32 bytes of the operating system's generator.
/// Its Debug shows the type's name only, and it is wiped when dropped.
pub struct ApiKey(String);

impl ApiKey {
    /// What every key begins with, so that a scanner recognises a leaked one.
    pub const PREFIX: &'static str = "fdr_";

    /// A new key.
    pub fn draw() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(&mut *bytes).expect("without the operating system's generator nothing here is safe");
        let body = Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes));
        Self(format!("{}{}", Self::PREFIX, *body))
    }

    /// The key in `text`; none when it is not of a key's form.
    pub fn parse(text: &str) -> Option<Self> {
        let body = text.strip_prefix(Self::PREFIX)?;
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(body).ok()?);
        (bytes.len() == 32).then(|| Self(text.to_owned()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is kept of it: SHA-256 of the whole text. 256 random bits need no slow hash.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey")
    }
}

impl Drop for ApiKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// How a key's hash is written in the configuration: `sha256:` and 64 hexadecimal digits.
pub fn key_hash_to_text(hash: &[u8; 32]) -> String {
    hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// The hash in `text`; none when it is not written as [`key_hash_to_text`] writes it, in either case.
pub fn key_hash_from_text(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("sha256:")?.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Some(hash)
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_fdr_and_43_characters_and_never_twice_the_same() {
        let (key, other) = (ApiKey::draw(), ApiKey::draw());

        assert_eq!(key.as_str().len(), 47);
        assert_ne!(key.as_str(), other.as_str());
        assert_eq!(ApiKey::parse(key.as_str()).unwrap().hash(), key.hash());
        assert_eq!(format!("{key:?}"), "ApiKey");
    }

    #[test]
    fn what_is_no_key_is_none() {
        let key = ApiKey::draw();
        for text in
            ["", "fdr_", &key.as_str()[4..], &key.as_str()[..46], &format!("{}A", key.as_str()), &format!("{} ", key.as_str())]
        {
            assert!(ApiKey::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_hash_is_the_known_sha_256_of_the_whole_text_and_reads_back() {
        let key = ApiKey::parse("fdr_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
        let text = key_hash_to_text(&key.hash());

        assert_eq!(text, "sha256:f3f7e0c822e2169f14e342f1085ef62b5d9acea0cf18a8e5361f627f90d4f7e6");
        assert_eq!(key_hash_from_text(&text), Some(key.hash()));
        assert_eq!(key_hash_from_text(&text.to_uppercase().replace("SHA256", "sha256")), Some(key.hash()));
        for wrong in ["sha256:", "sha512:00", &text[7..], &text[..70], &text.replace(&text[69..], "gg")] {
            assert_eq!(key_hash_from_text(wrong), None, "{wrong}");
        }
    }
}

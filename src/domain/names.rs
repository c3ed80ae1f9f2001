use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::KeyedHash;

/// Why a name is refused; the text says what is allowed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NameError {
    /// Not an application's name.
    #[error("must be 1 to 64 of a-z, 0-9 and -")]
    Application,
    /// Not a purpose.
    #[error("must be sign-in, confirm-address, reset-password, or a word of 1 to 32 of a-z, 0-9 and - (not {PASSWORD_CHANGED})")]
    Purpose,
}

fn is_word(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The name of an application: 1 to 64 of `a-z`, `0-9` and `-`, as `[[applications]] name` spells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ApplicationName(String);

impl ApplicationName {
    /// # Errors
    /// [`NameError::Application`], which says what is allowed.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if is_word(text, 64) { Ok(Self(text.to_owned())) } else { Err(NameError::Application) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ApplicationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a verification is asked for: `sign-in` (the default), `confirm-address`, `reset-password`, or the
/// application's own word of 1 to 32 of `a-z`, `0-9` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Purpose(String);

/// What mails that tell of a changed password are for. No verification is for that: such a mail carries no number.
const PASSWORD_CHANGED: &str = "password-changed";
const CONFIRM_ADDRESS: &str = "confirm-address";
const RESET_PASSWORD: &str = "reset-password";

impl Purpose {
    /// To confirm that somebody holds an address.
    pub fn confirm_address() -> Self {
        Self(CONFIRM_ADDRESS.to_owned())
    }

    /// To tell that a password was changed: of a mail, never of a verification.
    pub fn password_changed() -> Self {
        Self(PASSWORD_CHANGED.to_owned())
    }

    /// The purpose of a mail: also that of one that carries no number.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn of_mail(text: &str) -> Result<Self, NameError> {
        if text == PASSWORD_CHANGED { Ok(Self::password_changed()) } else { Self::parse(text) }
    }

    /// Whether an approved verification of it lets a password be set.
    pub fn is_reset(&self) -> bool {
        self.0 == RESET_PASSWORD
    }

    /// Whether it is that of a mail that carries no number.
    pub fn is_notice(&self) -> bool {
        self.0 == PASSWORD_CHANGED
    }

    /// # Errors
    /// [`NameError::Purpose`], which says what is allowed.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if is_word(text, 32) && text != PASSWORD_CHANGED { Ok(Self(text.to_owned())) } else { Err(NameError::Purpose) }
    }

    /// The purpose as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The longest time in seconds that a number of this purpose may hold.
    ///
    /// Source: NIST SP 800-63B-4, 3.1.3.2 (ten minutes) and 4.2.1.2 (confirmation codes: 24 hours by mail).
    pub fn longest_ttl_seconds(&self) -> u32 {
        if self.0 == CONFIRM_ADDRESS { 86_400 } else { 600 }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Default for Purpose {
    fn default() -> Self {
        Self("sign-in".to_owned())
    }
}

/// Names one attempt to do something, so that doing it again changes nothing: 32 bytes, random, or derived
/// from an API key and an `Idempotency-Key`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OperationId(pub [u8; 32]);

impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperationId")
    }
}

/// The public name of the mail of one verification, `msg_` and 64 characters of base64url. To another application it means
/// nothing, and nobody can do more with it than look at the mail's fate or have it tried again.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MailId(String);

impl MailId {
    /// What every id begins with.
    pub const PREFIX: &'static str = "msg_";

    /// The id in `text`; none when it is not of an id's form.
    pub fn parse(text: &str) -> Option<Self> {
        let body = text.strip_prefix(Self::PREFIX)?;
        (body.len() == 64 && body.bytes().all(is_base64url)).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for MailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailId")
    }
}

fn id_text(prefix: &str, bytes: [KeyedHash; 2]) -> String {
    let mut text = String::with_capacity(prefix.len() + 43);
    text.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(bytes.as_flattened(), &mut text);
    text
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// A mail's `Message-ID`, `<…@domain>`. What stands before the @ is 22 characters of base64url, and kept as the bytes that
/// they write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageId {
    /// A keyed hash.
    pub local: KeyedHash,
    /// That of its sender's address.
    pub domain: String,
}

impl MessageId {
    /// The header's value.
    pub fn written(&self) -> String {
        let mut text = String::with_capacity("<@>".len() + 22 + self.domain.len());
        text.push('<');
        URL_SAFE_NO_PAD.encode_string(self.local, &mut text);
        text.push('@');
        text.push_str(&self.domain);
        text.push('>');
        text
    }
}

/// The public name of one verification, `vrf_` and 43 characters of base64url. It is key material: whoever
/// has it can read and burn the verification, so it is never logged and nowhere stored in clear.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VerificationId(String);

impl VerificationId {
    /// What every id begins with.
    pub const PREFIX: &'static str = "vrf_";

    /// The id that these bytes write.
    pub fn of(bytes: [KeyedHash; 2]) -> Self {
        Self(id_text(Self::PREFIX, bytes))
    }

    /// The id in `text`; none when it is not of an id's form.
    pub fn parse(text: &str) -> Option<Self> {
        let body = text.strip_prefix(Self::PREFIX)?;
        (body.len() == 43 && body.bytes().all(is_base64url)).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for VerificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerificationId")
    }
}

/// The public name of one user, `usr_` and 43 characters of base64url. To another application it means nothing.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UserId(String);

impl UserId {
    /// What every id begins with.
    pub const PREFIX: &'static str = "usr_";

    /// The id that these bytes write.
    pub fn of(bytes: [KeyedHash; 2]) -> Self {
        Self(id_text(Self::PREFIX, bytes))
    }

    /// The id in `text`; none when it is not of an id's form.
    pub fn parse(text: &str) -> Option<Self> {
        let body = text.strip_prefix(Self::PREFIX)?;
        (body.len() == 43 && body.bytes().all(is_base64url)).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserId")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_is_22_characters_at_the_domain_of_its_sender() {
        let id = |local| MessageId { local, domain: "example.org".to_owned() }.written();
        assert_eq!(id([0; 16]), "<AAAAAAAAAAAAAAAAAAAAAA@example.org>");
        assert_eq!(id([0xff; 16]), "<_____________________w@example.org>");
    }
}

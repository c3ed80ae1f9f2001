use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroize;

use super::{EmailAddress, KeyedHash, Locale, Moment, UserId, UserView, VerificationId};

/// A kept user: one for each address of an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// What its id is made of, beside its address's handle.
    pub seed: KeyedHash,
    /// Keyed hash of the body that made it, its password apart.
    pub fingerprint: KeyedHash,
    /// The address as given.
    pub address: EmailAddress,
    /// What its application keeps of it.
    pub attributes: Attributes,
    /// The language of its mails; none: its application's.
    pub locale: Option<Locale>,
    /// When it was made.
    pub created_at: Moment,
    /// When its attributes or language last changed.
    pub updated_at: Moment,
    /// When a number that was mailed to it was first presented.
    pub verified_at: Option<Moment>,
    /// Its password; none: it signs in by number alone.
    pub password: Option<Password>,
}

/// A kept password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Password {
    /// Its hash.
    pub hash: PasswordHash,
    /// When it was set.
    pub changed_at: Moment,
    /// By which operation.
    pub set_by: KeyedHash,
}

/// The slow hash of a password in PHC form, parameters and salt included. It is shown to nobody.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

impl Drop for PasswordHash {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// What an application keeps of a user: a JSON object, byte for byte as sent, at most 4 KiB.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes(String);

/// Too long.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("must be at most {} bytes", Attributes::LONGEST)]
pub struct AttributesError;

impl Attributes {
    /// The longest, in bytes: they are read and written with each operation on their address.
    pub const LONGEST: usize = 4 * 1024;

    /// The object whose text this is.
    ///
    /// # Errors
    /// [`AttributesError`] when it is too long.
    pub fn new(text: String) -> Result<Self, AttributesError> {
        if text.len() <= Self::LONGEST { Ok(Self(text)) } else { Err(AttributesError) }
    }

    /// The object's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Attributes {
    fn default() -> Self {
        Self("{}".to_owned())
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attributes")
    }
}

impl User {
    /// As its application sees it, under its id.
    pub fn view(&self, id: UserId) -> UserView {
        UserView {
            id,
            email: self.address.clone(),
            attributes: self.attributes.clone(),
            locale: self.locale,
            created_at: self.created_at,
            updated_at: self.updated_at,
            verified_at: self.verified_at,
            password_changed_at: self.password.as_ref().map(|password| password.changed_at),
        }
    }

    /// Its password's hash.
    pub fn password_hash(&self) -> Option<&PasswordHash> {
        self.password.as_ref().map(|password| &password.hash)
    }

    /// The same, if this operation set it.
    pub fn password_set_by(&self, operation: &KeyedHash) -> Option<&PasswordHash> {
        self.password.as_ref().filter(|password| password.set_by == *operation).map(|password| &password.hash)
    }
}

/// How somebody has shown who he is, before he presented a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FirstStep {
    /// Not at all: the number is all there is.
    None,
    /// By his password.
    Password,
}

/// How a user is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserAt {
    /// By its id.
    Id(UserId),
    /// By its address.
    Address(EmailAddress),
}

/// Why a password may be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordProof {
    /// The password with this hash was presented.
    Old(PasswordHash),
    /// This verification was approved for it.
    Verification(VerificationId),
}

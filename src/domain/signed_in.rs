use std::fmt;

use super::Moment;

/// Somebody who signed in, as an assertion says it.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The user's id (`sub`).
    pub subject: String,
    /// The application (`aud`).
    pub audience: String,
    /// The address, as it is kept.
    pub email: String,
    /// Whether somebody has shown that they read its mails.
    pub is_email_verified: bool,
    /// What was shown, at least one, in turn (`amr`).
    pub methods: Vec<SignInMethod>,
    /// When (`auth_time` and `iat`).
    pub at: Moment,
    /// What tells this assertion from all others (`jti`).
    pub jti: String,
}

/// What somebody showed to sign in, in the words of RFC 8176.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInMethod {
    /// The password: `pwd`.
    Password,
    /// The number from a mail: `otp`.
    Number,
}

impl SignInMethod {
    /// As `amr` has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "pwd",
            Self::Number => "otp",
        }
    }
}

impl fmt::Debug for SignedIn {
    /// Nothing that tells who it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedIn").field("methods", &self.methods).field("at", &self.at).finish_non_exhaustive()
    }
}

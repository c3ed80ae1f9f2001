use std::{collections::BTreeMap, sync::Arc};

use thiserror::Error;

use super::{Allowance, ApiKeyGrant, ApplicationName, EmailAddress, Locale, Purpose};

/// An external server that calls the API, as `[[applications]]` declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Its name in configuration, keys and logs.
    pub name: ApplicationName,
    /// What its mails call it.
    pub display_name: String,
    /// Its API keys, at most two.
    pub keys: Vec<ApiKeyGrant>,
    /// The language of its mails when a start names none.
    pub locale: Locale,
    /// The sender of its mails.
    pub from: EmailAddress,
    /// Where replies to its mails go; none: to the sender.
    pub reply_to: Option<EmailAddress>,
    /// What identifies one of its verifications.
    pub lookup: Lookup,
    /// Whether the number may also stand in the subject.
    pub number_in_subject: bool,
    /// What follows the right password in a sign-in.
    pub second_step: SecondStep,
    /// Whether it is a test application, for its users' own tests: numbers are zeros and no mail is sent, so anyone passes.
    pub is_test: bool,
    /// Its own figures.
    pub limits: Limits,
    /// How long the numbers of single purposes hold; the others go by `limits`.
    pub purposes: BTreeMap<Purpose, TtlLimits>,
}

/// The applications that are declared.
pub type Applications = Vec<Arc<Application>>;

impl Application {
    /// How long a number of `purpose` holds.
    pub fn ttl_of(&self, purpose: &Purpose) -> TtlLimits {
        self.purposes.get(purpose).copied().unwrap_or_else(|| {
            let longest_seconds = purpose.longest_ttl_seconds();
            TtlLimits { default_seconds: self.limits.ttl_seconds.min(longest_seconds), longest_seconds }
        })
    }

    /// How long the number of a start that asks for `asked` seconds is to hold, in seconds.
    ///
    /// # Errors
    /// [`TtlError`], which says what its purpose allows.
    pub fn ttl_seconds(&self, asked: Option<u64>, purpose: &Purpose) -> Result<u32, TtlError> {
        let TtlLimits { default_seconds, longest_seconds } = self.ttl_of(purpose);
        let Some(asked) = asked else { return Ok(default_seconds) };
        let allowed =
            u32::try_from(asked).ok().filter(|seconds| (TtlLimits::SHORTEST_SECONDS..=longest_seconds).contains(seconds));
        allowed.ok_or_else(|| TtlError { longest_seconds, purpose: purpose.clone() })
    }
}

/// How long a number may hold and holds, in seconds: 60 to 600, to 86,400 for `confirm-address`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TtlLimits {
    /// When a start does not say.
    pub default_seconds: u32,
    /// At most.
    pub longest_seconds: u32,
}

impl TtlLimits {
    /// The shortest life of a number, in seconds: a mail takes its time.
    pub const SHORTEST_SECONDS: u32 = 60;
}

/// Why a start's `ttl_seconds` is refused; the text says what is allowed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("must be {} to {longest_seconds} for {purpose}", TtlLimits::SHORTEST_SECONDS)]
pub struct TtlError {
    longest_seconds: u32,
    purpose: Purpose,
}

/// What identifies a verification when its number is presented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lookup {
    /// Its id; the number is compared with its own verification only.
    #[default]
    Id,
    /// The number alone: unique among the application's live ones, and the newest start of an address replaces the earlier.
    Number,
}

/// What follows the right password in a sign-in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecondStep {
    /// A number, by mail.
    #[default]
    Number,
    /// Nothing.
    None,
}

impl Lookup {
    /// Digits of a number that identifies by itself: long enough that guessing any of many live ones fails.
    pub const NUMBER_DIGITS: u8 = 12;
}

/// What an application may set for its verifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Digits of a number: 6 to 12, default 8; with lookup `number` 10 to 15, default 12.
    pub digits: u8,
    /// How long a number holds when a start names no `ttl_seconds`: 60 to 600; default 600.
    pub ttl_seconds: u32,
    /// Wrong checks a verification: 1 to 10; default 5.
    pub wrong_checks: u8,
    /// Verifications that it may start; none: as many as it likes.
    pub starts: Option<Allowance>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { digits: 8, ttl_seconds: 600, wrong_checks: 5, starts: None }
    }
}

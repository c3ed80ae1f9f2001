use super::{ApplicationName, EmailAddress, Locale};

/// An external server that calls the API, as `[[applications]]` declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Its name in configuration, keys and logs.
    pub name: ApplicationName,
    /// What its mails call it.
    pub display_name: String,
    /// SHA-256 of each of its API keys.
    pub key_hashes: Vec<[u8; 32]>,
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
    /// Its own figures.
    pub limits: Limits,
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
}

impl Default for Limits {
    fn default() -> Self {
        Self { digits: 8, ttl_seconds: 600, wrong_checks: 5 }
    }
}

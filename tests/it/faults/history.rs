//! What was asked and answered, by whom and when: all that the checker knows.

use std::fmt;

/// Milliseconds since the Unix epoch, by the campaign's clock.
pub type Ms = u64;
/// Names an operation, and the `Idempotency-Key` that it was sent with; a verification is called by that of its start.
pub type Key = u32;

/// An operation that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    Start {
        key: Key,
        ttl_seconds: u32,
    },
    /// Presents the verification's own number, or another one.
    Check {
        verification: Key,
        key: Key,
        is_right: bool,
    },
    /// Presents the number of that verification, and no id.
    CheckByNumber {
        verification: Key,
        key: Key,
    },
    Resend {
        verification: Key,
        key: Key,
    },
    Cancel {
        verification: Key,
    },
    Read {
        verification: Key,
    },
}

impl Ask {
    /// Which verification it is about.
    pub fn verification(&self) -> Key {
        match *self {
            Self::Start { key, .. } => key,
            Self::Check { verification, .. }
            | Self::CheckByNumber { verification, .. }
            | Self::Resend { verification, .. }
            | Self::Cancel { verification }
            | Self::Read { verification } => verification,
        }
    }

    /// The operation's key, when it presents a number.
    pub fn check_key(&self) -> Option<Key> {
        match *self {
            Self::Check { key, .. } | Self::CheckByNumber { key, .. } => Some(key),
            _ => None,
        }
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Check { .. } => "check",
            Self::CheckByNumber { .. } => "check by number",
            Self::Resend { .. } => "resend",
            Self::Cancel { .. } => "cancel",
            Self::Read { .. } => "read",
        }
    }
}

/// How a verification ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    Approved,
    Canceled,
    Exhausted,
    Expired,
}

/// A verification as it was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub id: String,
    /// None: pending.
    pub end: Option<End>,
    pub remaining: u8,
    pub expires_at: Ms,
    /// None once only the tombstone is left.
    pub delivery: Option<Delivery>,
}

/// How far its newest mail is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub status: String,
    pub message_id: String,
}

impl Delivery {
    /// Whether nothing will change it any more.
    pub fn is_final(&self) -> bool {
        ["sent", "failed", "expired", "dropped"].contains(&self.status.as_str())
    }
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Viewed(View),
    Approved {
        id: String,
        token: String,
    },
    Incorrect {
        remaining: u8,
    },
    /// 409 and 410.
    Ended(End),
    /// 204.
    Canceled,
    NotFound,
    NumberUnknown,
    Spent(String),
    /// It never reached a daemon, or the answer says that nothing was done.
    NothingDone,
    /// No answer, half of one, or one that says so: it may have happened, or happen yet.
    Unknown(&'static str),
    /// What no rule allows.
    Odd(String),
}

impl Answer {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NothingDone => "not done",
            Self::Unknown(_) => "unknown",
            Self::Odd(_) => "odd",
            Self::Viewed(_) | Self::Approved { .. } | Self::Canceled => "done",
            _ => "refused",
        }
    }
}

/// An operation from when it was asked for until it was answered.
#[derive(Clone, Debug)]
pub struct Event {
    pub asked_at: Ms,
    pub answered_at: Ms,
    pub daemon: usize,
    pub ask: Ask,
    pub answer: Answer,
}

impl Event {
    pub fn is_unknown(&self) -> bool {
        matches!(self.answer, Answer::Unknown(_))
    }

    /// When it has surely happened, if it is known to.
    pub fn happened_by(&self) -> Ms {
        if self.is_unknown() { Ms::MAX } else { self.answered_at }
    }

    pub fn view(&self) -> Option<&View> {
        match &self.answer {
            Answer::Viewed(view) => Some(view),
            _ => None,
        }
    }
}

/// All that was asked about one address.
#[derive(Clone, Debug, Default)]
pub struct Story {
    pub address: String,
    /// Whether the number alone identifies.
    pub by_number: bool,
    pub events: Vec<Event>,
}

impl Story {
    /// What was asked about one of its verifications.
    pub fn of(&self, verification: Key) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.ask.verification() == verification)
    }

    /// The verifications that were asked for, acknowledged or not.
    pub fn verifications(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self.events.iter().map(|event| event.ask.verification()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The first acknowledgement of its start.
    pub fn acknowledgement(&self, verification: Key) -> Option<&Event> {
        let is_of_start = |event: &&Event| matches!(event.ask, Ask::Start { .. }) && event.view().is_some();
        self.of(verification).filter(is_of_start).min_by_key(|event| event.answered_at)
    }

    /// When its number stops to hold, as the first acknowledgement says.
    pub fn expires_at(&self, verification: Key) -> Option<Ms> {
        self.acknowledgement(verification)?.view().map(|view| view.expires_at)
    }

    /// What was deposited with it.
    pub fn token(&self, verification: Key) -> String {
        token_of(&self.address, verification)
    }
}

/// What is deposited with a verification.
pub fn token_of(address: &str, verification: Key) -> String {
    format!("token of {address} {verification}")
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut events: Vec<&Event> = self.events.iter().collect();
        events.sort_by_key(|event| event.asked_at);
        let begin = events.first().map_or(0, |event| event.asked_at);
        for event in events {
            let (from, to) = (event.asked_at - begin, event.answered_at.saturating_sub(begin));
            let answer = match &event.answer {
                Answer::Viewed(View { end, remaining, delivery, .. }) => {
                    let status = delivery.as_ref().map_or("-", |delivery| delivery.status.as_str());
                    format!("{} remaining {remaining} mail {status}", end.map_or("pending".to_owned(), |end| format!("{end:?}")))
                }
                Answer::Approved { .. } => "approved".to_owned(),
                other => format!("{other:?}"),
            };
            writeln!(f, "    {from:>7}..{to:<7} daemon {} {:?} -> {answer}", event.daemon, event.ask)?;
        }
        Ok(())
    }
}

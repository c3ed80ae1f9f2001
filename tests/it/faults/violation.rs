//! What must not happen.

use std::fmt;

/// Which promise, or rule of the API, was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Breach {
    /// A token was released to two operations.
    ReleasedTwice,
    /// It was released after the number's end, or after an acknowledged end of the verification.
    ReleasedTooLate,
    /// The token that came back is not the one that was deposited.
    OtherToken,
    /// A number opened what it does not belong to.
    WrongNumberOpens,
    /// The number that was mailed was called wrong.
    RightNumberRefused,
    /// More wrong checks were compared than are allowed.
    TooManyWrongChecks,
    /// What was acknowledged is not there.
    Lost,
    /// The same operation was answered differently.
    OtherAnswer,
    /// No order of the operations explains the answers.
    NoOrder,
    /// An answer that no rule allows.
    OddAnswer,
    /// One mail was, or may have been, accepted more than three times.
    TooManyTransmissions,
    /// A verification was mailed two numbers, or a message had two.
    OtherNumberMailed,
    /// A mail was accepted after its number's end.
    MailedTooLate,
    /// A mail has neither been accepted nor is its failure shown.
    MailLost,
    /// Its delivery says that it was sent, and it was not.
    SentUnsent,
    /// A daemon did not recover, or an actor in it fell.
    NoRecovery,
}

/// One breach, and what there is to know of it.
#[derive(Clone, Debug)]
pub struct Violation {
    pub breach: Breach,
    pub what: String,
}

impl Violation {
    pub fn new(breach: Breach, what: impl fmt::Display) -> Self {
        Self { breach, what: what.to_string() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.breach, self.what)
    }
}

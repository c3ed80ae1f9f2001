//! Bugs that tests plant in a daemon, to see that the campaign of faults finds each. A release build has none of them: there
//! [`is_planted`] is false whatever is asked.

/// A bug. `FAILPOINTS=planted.NAME=return` plants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The answer leaves, its commit is not made: of an approval, of a wrong check, of a cancel.
    ApprovalForgotten,
    WrongCheckForgotten,
    CancelForgotten,
    /// A number works two minutes longer.
    ExpiryIgnored,
    /// Whatever number is presented is the right one.
    AnyNumberOpens,
    /// A commit does not look whether its record has changed: the last one wins.
    #[cfg(feature = "testing")] // the script is made by hand there alone
    LastWriteWins,
    /// A commit that failed is answered as if it were made.
    AnsweredBeforeCommit,
    /// What may have been done is told to be undone.
    CalledUndone,
    /// Each try of a check, of a start, is an operation of its own.
    CheckKeyIgnored,
    StartKeyIgnored,
    /// A mail does not stand in the queue while somebody has its lease.
    NotQueued,
    /// A mail that may have been accepted is counted as refused.
    MaybeAcceptedForgotten,
    /// Each try of a mail has a `Message-ID` of its own.
    OtherMessageIds,
}

#[cfg(feature = "testing")]
impl Bug {
    const fn point(self) -> &'static str {
        match self {
            Self::ApprovalForgotten => "planted.approval-forgotten",
            Self::WrongCheckForgotten => "planted.wrong-check-forgotten",
            Self::CancelForgotten => "planted.cancel-forgotten",
            Self::ExpiryIgnored => "planted.expiry-ignored",
            Self::AnyNumberOpens => "planted.any-number-opens",
            Self::LastWriteWins => "planted.last-write-wins",
            Self::AnsweredBeforeCommit => "planted.answered-before-commit",
            Self::CalledUndone => "planted.called-undone",
            Self::CheckKeyIgnored => "planted.check-key-ignored",
            Self::StartKeyIgnored => "planted.start-key-ignored",
            Self::NotQueued => "planted.not-queued",
            Self::MaybeAcceptedForgotten => "planted.maybe-accepted-forgotten",
            Self::OtherMessageIds => "planted.other-message-ids",
        }
    }
}

/// Whether a test has planted it in this process.
#[cfg(feature = "testing")]
pub(crate) fn is_planted(bug: Bug) -> bool {
    fail::fail_point!(bug.point(), |_| true);
    false
}

/// None is, in a release build.
#[cfg(not(feature = "testing"))]
pub(crate) const fn is_planted(_: Bug) -> bool {
    false
}

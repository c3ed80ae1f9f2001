use std::time::Duration;

use super::{Budget, Quota};

/// Why an operation was refused by the rules. A refusal changes nothing but what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A well-typed field with a value that is not allowed; `mend` says what is.
    FieldInvalid {
        /// The field's name as the caller spells it, `context.ip` for example.
        field: &'static str,
        /// What is allowed.
        mend: String,
    },
    /// No such verification of this application.
    NotFound,
    /// The same operation was asked for with another body; nothing was compared or charged.
    IdempotencyMismatch,
    /// The number is not the one that was mailed.
    NumberIncorrect {
        /// How many wrong checks are left: the lesser of the verification's and the address's.
        attempts_remaining: u8,
    },
    /// No live number of this application; charged to its budget of misses.
    NumberUnknown,
    /// The verification was approved before, by another operation.
    AlreadyApproved,
    /// The application has a user with this address.
    UserExists,
    /// No such user, or not that password; or too many have failed lately.
    CredentialsInvalid,
    /// What was to prove that the password may be changed does not.
    NotProven,
    /// A server has taken the mail, or may have as often as is allowed.
    AlreadySent,
    /// The number no longer holds.
    Expired,
    /// All wrong checks of the verification are used up.
    Exhausted,
    /// The verification was canceled.
    Canceled,
    /// A budget is spent; nothing was charged.
    BudgetSpent {
        /// Which budget.
        budget: Budget,
        /// How much it holds.
        quota: Quota,
        /// After how many seconds the same request can succeed.
        retry_after_seconds: u64,
    },
}

impl Refusal {
    /// A spent budget, and how long until there is room.
    pub fn spent(budget: Budget, quota: impl Into<Quota>, wait: Duration) -> Self {
        let retry_after_seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self::BudgetSpent { budget, quota: quota.into(), retry_after_seconds: retry_after_seconds.max(1) }
    }
}

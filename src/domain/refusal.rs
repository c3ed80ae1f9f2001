use super::Budget;

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
    /// The verification was approved before, by another operation.
    AlreadyApproved,
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
        /// After how many seconds the same request can succeed.
        retry_after_seconds: u64,
    },
}

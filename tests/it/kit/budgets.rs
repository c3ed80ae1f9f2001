//! What the budgets hold, as the API tells it.

use std::time::Duration;

use fiador::domain::{Allowance, Budget, Quota, Refusal};

/// The refusal of a budget that has room again after so many seconds.
pub fn spent(budget: Budget, retry_after_seconds: u64) -> Refusal {
    Refusal::BudgetSpent { budget, quota: quota(budget), retry_after_seconds }
}

/// A budget of starts of an application: three at once, one back each half minute.
pub fn three_starts() -> Allowance {
    Allowance::hourly(3, 120)
}

fn quota(budget: Budget) -> Quota {
    let in_seconds = |most, seconds| Quota { most, window: Some(Duration::from_secs(seconds)) };
    let of_places = |most| Quota { most, window: None };
    match budget {
        Budget::AddressSends => in_seconds(5, 18_000),
        Budget::VerificationSends => of_places(5),
        Budget::AddressPending => of_places(10),
        Budget::AddressChecks => in_seconds(10, 18_000),
        Budget::IpStarts | Budget::IpSignIns => in_seconds(20, 600),
        Budget::ApplicationStarts => in_seconds(3, 90), // as the tests set it: `three_starts`
        Budget::NumberMisses => in_seconds(1_000, 10_000),
    }
}

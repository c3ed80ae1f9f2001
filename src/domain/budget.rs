use std::time::Duration;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

use super::{EndUserIp, Moment};

/// How much of something may be caused in a time; the names are those of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Budget {
    /// Mails to one address of one application.
    AddressSends,
    /// Mails of one verification.
    VerificationSends,
    /// Verifications of one address pending at once.
    AddressPending,
    /// Wrong checks of one address.
    AddressChecks,
    /// Verifications started for one end user's IP address, IPv6 by /64.
    IpStarts,
    /// Verifications started by one application, where it is given such a budget.
    ApplicationStarts,
    /// Numbers presented to one application that led nowhere.
    NumberMisses,
    /// Sign-ins that failed for one end user's IP address, IPv6 by /64.
    IpSignIns,
}

impl Budget {
    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Starts of one end user's IP address: twenty at once, one back each half minute.
const IP_STARTS: Allowance = Allowance { at_once: 20, one_back_each: Duration::from_secs(30) };
/// Sign-ins of one end user's IP address that fail: twenty at once, one back each half minute.
const IP_SIGN_INS: Allowance = Allowance { at_once: 20, one_back_each: Duration::from_secs(30) };
/// Misses of one application's look-up by number: a thousand at once, one back each ten seconds.
pub const NUMBER_MISSES: Allowance = Allowance { at_once: 1000, one_back_each: Duration::from_secs(10) };

/// What a token bucket allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How many at once.
    pub at_once: u32,
    /// One comes back after each of these.
    pub one_back_each: Duration,
}

impl Allowance {
    /// So many at once, and `per_hour` of them back within each hour, evenly: one after a whole number of milliseconds, so
    /// rather a few less.
    pub fn hourly(at_once: u32, per_hour: u32) -> Self {
        const HOUR_MS: u64 = 3_600_000;
        Self { at_once, one_back_each: Duration::from_millis(HOUR_MS.div_ceil(per_hour.max(1).into())) }
    }
}

/// One that is taken from a budget that spans addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// From which.
    pub budget: Budget,
    /// Whose budget it is within the application; empty: the application's own.
    pub subject: String,
    /// What that allows.
    pub allowance: Allowance,
}

impl Charge {
    /// A start for the end user at this address.
    pub fn of_ip(ip: EndUserIp) -> Self {
        Self { budget: Budget::IpStarts, subject: ip.subscriber(), allowance: IP_STARTS }
    }

    /// A sign-in for the end user at this address, until it is known to have succeeded.
    pub fn of_sign_in(ip: EndUserIp) -> Self {
        Self { budget: Budget::IpSignIns, subject: ip.subscriber(), allowance: IP_SIGN_INS }
    }

    /// A start by an application that is allowed so much.
    pub fn of_application(allowance: Allowance) -> Self {
        Self { budget: Budget::ApplicationStarts, subject: String::new(), allowance }
    }

    /// A number presented to an application that led nowhere.
    pub fn of_miss() -> Self {
        Self { budget: Budget::NumberMisses, subject: String::new(), allowance: NUMBER_MISSES }
    }
}

/// How much a budget holds, as the API tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many may be taken when nothing was.
    pub most: u32,
    /// The time in which as many come back; none where it is not time that brings them back.
    pub window: Option<Duration>,
}

impl Quota {
    /// So many at once, whatever the time.
    pub const fn of_places(most: u32) -> Self {
        Self { most, window: None }
    }
}

impl From<Allowance> for Quota {
    fn from(allowance: Allowance) -> Self {
        Self { most: allowance.at_once, window: Some(allowance.one_back_each * allowance.at_once) }
    }
}

/// A token bucket in eight bytes: the moment at which it is full again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenBucket {
    full_at: Moment,
}

impl TokenBucket {
    /// How many it holds.
    pub fn left(self, allowance: Allowance, now: Moment) -> u32 {
        let each = allowance.one_back_each.as_millis().max(1);
        let missing = self.full_at.since(now).as_millis().div_ceil(each);
        allowance.at_once.saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX))
    }

    /// How long until it holds one; nothing when it does.
    pub fn wait(self, allowance: Allowance, now: Moment) -> Duration {
        let latest = now + allowance.one_back_each * allowance.at_once;
        self.after_one_more(allowance, now).since(latest)
    }

    /// Takes one.
    ///
    /// # Errors
    /// How long until there is one, when there is none; then nothing is taken.
    pub fn take(&mut self, allowance: Allowance, now: Moment) -> Result<(), Duration> {
        let wait = self.wait(allowance, now);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.full_at = self.after_one_more(allowance, now);
        Ok(())
    }

    fn after_one_more(self, allowance: Allowance, now: Moment) -> Moment {
        self.full_at.max(now) + allowance.one_back_each
    }

    /// Gives one back that was taken within the last `one_back_each`, as if it had never been taken; `others_taken_at` are
    /// the moments, oldest first, when others were taken within that time.
    pub fn give_back(&mut self, allowance: Allowance, others_taken_at: &[Moment]) {
        let each = allowance.one_back_each;
        let used_by_others = others_taken_at.iter().fold(Moment::default(), |full_at, &at| full_at.max(at) + each);
        self.full_at = (self.full_at - each).max(used_by_others);
    }

    /// Whether it holds all it can, and so need not be kept.
    pub fn is_full(self, now: Moment) -> bool {
        self.full_at <= now
    }

    /// When it is full again.
    pub fn full_at(self) -> Moment {
        self.full_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOURLY: Allowance = Allowance { at_once: 5, one_back_each: Duration::from_secs(3600) };

    #[test]
    fn five_at_once_and_one_back_each_hour() {
        let start = Moment(1_000_000_000);
        let mut bucket = TokenBucket::default();
        for left in (0..5).rev() {
            bucket.take(HOURLY, start).unwrap();
            assert_eq!(bucket.left(HOURLY, start), left);
        }

        assert_eq!(bucket.take(HOURLY, start), Err(Duration::from_secs(3600)));
        assert_eq!(bucket.take(HOURLY, start + Duration::from_secs(600)), Err(Duration::from_secs(3000)));
        bucket.take(HOURLY, start + Duration::from_secs(3600)).unwrap();
        bucket.give_back(HOURLY, &[start]);
        assert_eq!(bucket.left(HOURLY, start + Duration::from_secs(3600)), 1);
    }

    #[test]
    fn an_hour_brings_back_what_it_says_or_a_few_less() {
        for per_hour in [1, 7, 120, 999, 70_000, 100_000] {
            let each = Allowance::hourly(1, per_hour).one_back_each;
            assert!(each * per_hour >= Duration::from_secs(3600), "{per_hour}");
            assert!(each * (per_hour - 1) <= Duration::from_secs(3600) + Duration::from_millis(1) * per_hour, "{per_hour}");
        }
        assert_eq!(Quota::from(Allowance::hourly(100, 1_000)), Quota { most: 100, window: Some(Duration::from_secs(360)) });
    }

    #[test]
    fn what_is_given_back_leaves_no_trace_in_what_was_taken_after_it() {
        let start = Moment(1_000_000_000);
        let later = start + Duration::from_secs(3599);
        let mut bucket = TokenBucket::default();
        bucket.take(HOURLY, start).unwrap();
        bucket.take(HOURLY, later).unwrap();
        bucket.give_back(HOURLY, &[later]);

        assert_eq!(bucket.full_at(), later + Duration::from_secs(3600));
    }
}

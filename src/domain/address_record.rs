use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Allowance, Budget, KeyedHash, Moment, Refusal, Status, TokenBucket, Tombstone, Verification,
    verification::{REMEMBERED, REPEATABLE},
};

/// Mails to one address: five at once, one back each hour, so at most 29 a day.
pub const SENDS: Allowance = Allowance { at_once: 5, one_back_each: Duration::from_secs(3600) };
/// Wrong checks of one address, over all its verifications: ten at once, one back each half hour.
pub const WRONG_CHECKS: Allowance = Allowance { at_once: 10, one_back_each: Duration::from_secs(1800) };
/// Verifications of one address pending at once.
pub const MOST_PENDING: usize = 10;
/// Ended verifications that are remembered.
pub const MOST_ENDED: usize = 16;

const HOUR: Duration = Duration::from_secs(3600);
/// How long after the first, the second, and each further mail of the last hour the next one may follow.
const PAUSES: [Duration; 3] = [Duration::from_secs(30), Duration::from_secs(60), Duration::from_secs(120)];

/// All that is known of one address of one application: its budgets, its pending and lately ended verifications.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressRecord {
    sends: TokenBucket,
    /// The mails of the last hour, oldest first.
    sent_at: Vec<Moment>,
    pub(super) wrong_checks: TokenBucket,
    /// Pending, or ended within the last minute.
    verifications: Vec<Verification>,
    /// Ended before that, within the last hour.
    tombstones: Vec<Tombstone>,
}

impl AddressRecord {
    /// Lets time pass: what ended over a minute ago shrinks to a tombstone, tombstones go after an hour.
    pub(super) fn age(&mut self, now: Moment) {
        let (ended_long_ago, kept) = std::mem::take(&mut self.verifications)
            .into_iter()
            .partition::<Vec<_>, _>(|verification| verification.ends_at() + REPEATABLE <= now);
        self.verifications = kept;
        self.tombstones.extend(ended_long_ago.iter().map(|verification| verification.tombstone(now)));
        self.tombstones.retain(|tombstone| tombstone.ended_at + REMEMBERED > now);
        self.sent_at.retain(|&at| at + HOUR > now);
        self.forget_the_oldest_ends(now);
    }

    /// Keeps the newest ends, however many there were within the hour, so that a record stays small.
    fn forget_the_oldest_ends(&mut self, now: Moment) {
        self.tombstones.sort_by_key(|tombstone| tombstone.ended_at);
        let ended = self.verifications.iter().filter(|v| v.status(now) != Status::Pending).count();
        for _ in MOST_ENDED..ended {
            let ended = self.verifications.iter().enumerate().filter(|(_, v)| v.status(now) != Status::Pending);
            if let Some((oldest, _)) = ended.min_by_key(|(_, v)| v.ends_at()) {
                self.verifications.remove(oldest);
            }
        }
        let surplus = (self.tombstones.len() + ended.min(MOST_ENDED)).saturating_sub(MOST_ENDED);
        self.tombstones.drain(..surplus);
    }

    /// The verification with this key, as long as it is not a tombstone.
    pub fn verification(&self, key: &KeyedHash) -> Option<&Verification> {
        self.verifications.iter().find(|verification| verification.key == *key)
    }

    pub(super) fn verification_mut(&mut self, key: &KeyedHash) -> Option<&mut Verification> {
        self.verifications.iter_mut().find(|verification| verification.key == *key)
    }

    /// The tombstone with this key.
    pub fn tombstone(&self, key: &KeyedHash) -> Option<&Tombstone> {
        self.tombstones.iter().find(|tombstone| tombstone.key == *key)
    }

    pub(super) fn add(&mut self, verification: Verification) {
        self.verifications.push(verification);
    }

    /// Wrong checks left to the address.
    pub fn wrong_checks_left(&self, now: Moment) -> u32 {
        self.wrong_checks.left(WRONG_CHECKS, now)
    }

    /// The budget of wrong checks as it is after one more, when there is one left.
    pub(super) fn one_wrong_check_more(&self, now: Moment) -> Result<TokenBucket, Refusal> {
        let mut budget = self.wrong_checks;
        budget.take(WRONG_CHECKS, now).map_err(|wait| spent(Budget::AddressChecks, wait))?;
        Ok(budget)
    }

    /// Charges a mail, when the budget and the pause since the last one allow it.
    pub(super) fn take_send(&mut self, now: Moment) -> Result<(), Refusal> {
        if let Some(wait) = self.pause_left(now) {
            return Err(spent(Budget::AddressSends, wait));
        }
        self.sends.take(SENDS, now).map_err(|wait| spent(Budget::AddressSends, wait))?;
        self.sent_at.push(now);
        Ok(())
    }

    /// Gives back the mail that was charged at `at`, pause included.
    pub(super) fn give_back_send(&mut self, at: Moment) {
        if let Some(index) = self.sent_at.iter().position(|&sent| sent == at) {
            self.sent_at.remove(index);
            self.sends.give_back(SENDS);
        }
    }

    fn pause_left(&self, now: Moment) -> Option<Duration> {
        let last = *self.sent_at.last()?;
        let pause = PAUSES[self.sent_at.len().min(PAUSES.len()) - 1];
        let wait = (last + pause).since(now);
        (!wait.is_zero()).then_some(wait)
    }

    /// Refuses when as many verifications are pending as may be.
    pub(super) fn room_for_one_more(&self, now: Moment) -> Result<(), Refusal> {
        let pending = || self.verifications.iter().filter(|v| v.status(now) == Status::Pending);
        if pending().count() < MOST_PENDING {
            return Ok(());
        }
        let first_to_end = pending().map(Verification::ends_at).min().unwrap_or(now);
        Err(spent(Budget::AddressPending, first_to_end.since(now)))
    }

    /// Until when something in it matters; not after `now` when nothing does.
    pub fn keep_until(&self) -> Moment {
        let ends = self.verifications.iter().map(|v| v.ends_at() + REMEMBERED);
        let tombstones = self.tombstones.iter().map(|tombstone| tombstone.ended_at + REMEMBERED);
        let sends = self.sent_at.iter().map(|&at| at + HOUR);
        let budgets = [self.sends.full_at(), self.wrong_checks.full_at()];
        ends.chain(tombstones).chain(sends).chain(budgets).max().unwrap_or_default()
    }
}

fn spent(budget: Budget, wait: Duration) -> Refusal {
    let retry_after_seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Refusal::BudgetSpent { budget, retry_after_seconds: retry_after_seconds.max(1) }
}

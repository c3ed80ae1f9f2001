use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Allowance, Budget, KeyedHash, LeasedMessage, Moment, Notice, QueuedMessage, Quota, Refusal, Status, TokenBucket, Tombstone,
    User, Verification,
    verification::{REMEMBERED, REPEATABLE},
};

/// Mails to one address: five at once, one back each hour, so at most 29 a day.
pub const SENDS: Allowance = Allowance { at_once: 5, one_back_each: Duration::from_secs(3600) };
/// Wrong checks of one address, over all its verifications: ten at once, one back each half hour.
pub const WRONG_CHECKS: Allowance = Allowance { at_once: 10, one_back_each: Duration::from_secs(1800) };
/// Sign-ins that fail for one address: ten at once, one back each ten minutes.
pub const FAILED_SIGN_INS: Allowance = Allowance { at_once: 10, one_back_each: Duration::from_secs(600) };
/// Notices that are on their way to one address; an older one gives way, as all say the same.
pub const MOST_NOTICES: usize = 4;
/// Verifications of one address pending at once: a place is free when one ends.
pub const MOST_PENDING: u8 = 10;
/// Mails of one verification in all its life.
pub const MOST_SENDS: u8 = 5;
/// Ended verifications that are remembered.
pub const MOST_ENDED: usize = 16;

const HOUR: Duration = Duration::from_secs(3600);
/// How long after the first, the second, and each further mail of the last hour the next one may follow.
const PAUSES: [Duration; 3] = [Duration::from_secs(30), Duration::from_secs(60), Duration::from_secs(120)];

/// All that is known of one address of one application: its budgets, its pending and lately ended verifications.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressRecord {
    sends: TokenBucket,
    /// The mails of the last hour that are charged, oldest first.
    sent_at: Vec<Moment>,
    pub(super) wrong_checks: TokenBucket,
    /// Pending, or ended within the last minute.
    verifications: Vec<Verification>,
    /// Ended before that, within the last hour.
    tombstones: Vec<Tombstone>,
    /// Who is kept under this address.
    pub(super) user: Option<User>,
    pub(super) failed_sign_ins: TokenBucket,
    /// Mails that carry no number, on their way.
    notices: Vec<Notice>,
}

/// What has a mail.
pub(super) trait Mailed {
    /// The mail.
    fn message_mut(&mut self) -> &mut QueuedMessage;
    /// Whether its mail says nothing that matters any more.
    fn is_over(&self) -> bool;
    /// Until when its mail says what holds.
    fn expires_at(&self) -> Moment;
    /// Leases its mail; none when nobody is to send it.
    fn lease(&mut self, handle: [u8; 16], now: Moment) -> Option<LeasedMessage>;
}

impl Mailed for Verification {
    fn message_mut(&mut self) -> &mut QueuedMessage {
        &mut self.message
    }

    fn is_over(&self) -> bool {
        self.end.is_some()
    }

    fn expires_at(&self) -> Moment {
        self.expires_at
    }

    fn lease(&mut self, handle: [u8; 16], now: Moment) -> Option<LeasedMessage> {
        self.lease_message(handle, now)
    }
}

impl Mailed for Notice {
    fn message_mut(&mut self) -> &mut QueuedMessage {
        &mut self.message
    }

    fn is_over(&self) -> bool {
        false
    }

    fn expires_at(&self) -> Moment {
        self.expires_at
    }

    fn lease(&mut self, handle: [u8; 16], now: Moment) -> Option<LeasedMessage> {
        self.lease_message(handle, now)
    }
}

impl AddressRecord {
    /// Lets time pass: what ended over a minute ago shrinks to a tombstone, tombstones go after an hour.
    pub(super) fn age(&mut self, now: Moment) {
        self.expire_waiting_mails(now);
        let ended_long_ago = self.verifications.extract_if(.., |verification| verification.ends_at() + REPEATABLE <= now);
        self.tombstones.extend(ended_long_ago.map(|verification| verification.tombstone(now)));
        self.tombstones.retain(|tombstone| tombstone.ended_at + REMEMBERED > now);
        self.sent_at.retain(|&at| at + HOUR > now);
        self.notices.retain(|notice| notice.matters(now));
        self.forget_the_oldest_ends(now);
    }

    fn expire_waiting_mails(&mut self, now: Moment) {
        let is_too_late = |v: &&mut Verification| v.status(now) == Status::Expired && v.message.waits();
        let expired = self.verifications.iter_mut().filter(is_too_late).map(|verification| {
            verification.message.expired();
            verification.key
        });
        for key in expired.collect::<Vec<_>>() {
            self.give_back_unused_send(&key);
        }
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

    /// Whoever has a mail of this key.
    pub(super) fn mailed_mut(&mut self, key: &KeyedHash) -> Option<&mut dyn Mailed> {
        if let Some(at) = self.verifications.iter().position(|verification| verification.key == *key) {
            return Some(&mut self.verifications[at]);
        }
        self.notice_mut(key).map(|notice| notice as &mut dyn Mailed)
    }

    /// The notice with this key.
    pub fn notice(&self, key: &KeyedHash) -> Option<&Notice> {
        self.notices.iter().find(|notice| notice.key == *key)
    }

    pub(super) fn notice_mut(&mut self, key: &KeyedHash) -> Option<&mut Notice> {
        self.notices.iter_mut().find(|notice| notice.key == *key)
    }

    /// One notice more; the oldest gives way where there are too many.
    pub(super) fn give_notice(&mut self, notice: Notice) {
        if self.notices.len() == MOST_NOTICES {
            self.notices.remove(0);
        }
        self.notices.push(notice);
    }

    /// The user with this seed.
    pub(super) fn user_with(&mut self, seed: &KeyedHash) -> Result<&mut User, Refusal> {
        self.user.as_mut().filter(|user| user.seed == *seed).ok_or(Refusal::NotFound)
    }

    /// Forgets whoever is kept here, and all that was asked of the address, its budgets excepted. What has to go with it.
    pub(super) fn forget_user(&mut self) -> (Vec<Verification>, Vec<Tombstone>, Vec<Notice>) {
        self.user = None;
        let Self { verifications, tombstones, notices, .. } = self;
        (std::mem::take(verifications), std::mem::take(tombstones), std::mem::take(notices))
    }

    /// All verifications that are known.
    pub(super) fn verifications(&self) -> &[Verification] {
        &self.verifications
    }

    pub(super) fn verifications_mut(&mut self) -> &mut [Verification] {
        &mut self.verifications
    }

    pub(super) fn tombstones(&self) -> &[Tombstone] {
        &self.tombstones
    }

    pub(super) fn tombstone_mut(&mut self, key: &KeyedHash) -> Option<&mut Tombstone> {
        self.tombstones.iter_mut().find(|tombstone| tombstone.key == *key)
    }

    pub(super) fn notices(&self) -> &[Notice] {
        &self.notices
    }

    pub(super) fn sent_at(&self) -> &[Moment] {
        &self.sent_at
    }

    /// The tombstone with this key.
    pub fn tombstone(&self, key: &KeyedHash) -> Option<&Tombstone> {
        self.tombstones.iter().find(|tombstone| tombstone.key == *key)
    }

    /// Those that wait for their number.
    pub(super) fn pending(&self, now: Moment) -> impl Iterator<Item = &Verification> {
        self.verifications.iter().filter(move |verification| verification.status(now) == Status::Pending)
    }

    pub(super) fn add(&mut self, verification: Verification) {
        self.verifications.reserve_exact(1); // most addresses have one
        self.verifications.push(verification);
    }

    /// Wrong checks left to the address.
    pub fn wrong_checks_left(&self, now: Moment) -> u32 {
        self.wrong_checks.left(WRONG_CHECKS, now)
    }

    /// The budget of wrong checks as it is after one more, when there is one left.
    pub(super) fn one_wrong_check_more(&self, now: Moment) -> Result<TokenBucket, Refusal> {
        let mut budget = self.wrong_checks;
        budget.take(WRONG_CHECKS, now).map_err(|wait| Refusal::spent(Budget::AddressChecks, WRONG_CHECKS, wait))?;
        Ok(budget)
    }

    /// Charges the mail of one verification more, or says which budget has room for it last.
    pub(super) fn take_first_send(&mut self, now: Moment) -> Result<(), Refusal> {
        self.take_send(Budget::AddressPending, MOST_PENDING, self.wait_for_room(now), now)
    }

    /// Charges no mail, for none is sent; only so many may be pending.
    pub(super) fn take_place(&self, now: Moment) -> Result<(), Refusal> {
        let wait = self.wait_for_room(now);
        let spent = || Refusal::spent(Budget::AddressPending, Quota::of_places(MOST_PENDING.into()), wait);
        if wait.is_zero() { Ok(()) } else { Err(spent()) }
    }

    /// Charges one mail more of a verification, or says which budget has room for it last.
    pub(super) fn take_further_send(&mut self, key: &KeyedHash, now: Moment) -> Result<(), Refusal> {
        let spent = self.verification(key).filter(|verification| verification.sends >= MOST_SENDS);
        let wait = spent.map_or(Duration::ZERO, |verification| verification.expires_at.since(now));
        self.take_send(Budget::VerificationSends, MOST_SENDS, wait, now)
    }

    /// The pause counts as one of the budget of sends: until it is over, none is left.
    fn take_send(&mut self, own_budget: Budget, own_places: u8, own_wait: Duration, now: Moment) -> Result<(), Refusal> {
        let address_wait = self.wait_for_pause(now).max(self.sends.wait(SENDS, now));
        let own = (own_budget, Quota::of_places(own_places.into()), own_wait);
        let waits = [own, (Budget::AddressSends, SENDS.into(), address_wait)];
        let longest = waits.into_iter().filter(|(_, _, wait)| !wait.is_zero()).max_by_key(|&(_, _, wait)| wait);
        if let Some((budget, quota, wait)) = longest {
            return Err(Refusal::spent(budget, quota, wait));
        }
        self.sends.take(SENDS, now).expect("its wait is over");
        self.sent_at.push(now);
        Ok(())
    }

    /// Gives back what a verification's mail was charged, pause included, once, if it was approved or nobody can have got the
    /// mail. A charge of over an hour ago has come back by itself.
    pub(super) fn give_back_unused_send(&mut self, key: &KeyedHash) {
        let gives_back = |v: &&mut Verification| v.approved_at().is_some() || v.message.was_never_sent();
        let charged_at = self.verification_mut(key).filter(gives_back).and_then(|verification| {
            let charged_at = verification.message.take_charge()?;
            verification.sends = verification.sends.saturating_sub(1);
            Some(charged_at)
        });
        if let Some(index) = self.sent_at.iter().position(|&at| Some(at) == charged_at) {
            self.sent_at.remove(index);
            self.sends.give_back(SENDS, &self.sent_at);
        }
    }

    fn wait_for_pause(&self, now: Moment) -> Duration {
        let Some(&last) = self.sent_at.iter().max() else { return Duration::ZERO };
        let pause = PAUSES[self.sent_at.len().min(PAUSES.len()) - 1];
        (last + pause).since(now)
    }

    fn wait_for_room(&self, now: Moment) -> Duration {
        let first_to_end = self.pending(now).map(Verification::ends_at).min();
        let first_to_end = first_to_end.filter(|_| self.pending(now).count() >= MOST_PENDING.into());
        first_to_end.map_or(Duration::ZERO, |ends_at| ends_at.since(now))
    }

    /// Until when something in it matters; not after `now` when nothing does.
    pub fn keep_until(&self) -> Moment {
        if self.user.is_some() {
            return Moment::NEVER;
        }
        let ends = self.verifications.iter().map(|v| v.ends_at() + REMEMBERED);
        let tombstones = self.tombstones.iter().map(|tombstone| tombstone.ended_at + REMEMBERED);
        let sends = self.sent_at.iter().map(|&at| at + HOUR);
        let budgets = [self.sends.full_at(), self.wrong_checks.full_at(), self.failed_sign_ins.full_at()];
        let notices = self.notices.iter().map(Notice::forgotten_at);
        ends.chain(tombstones).chain(sends).chain(budgets).chain(notices).max().unwrap_or_default()
    }
}

//! The reference state machine: what one address is to look like after each operation, in clear and without a store.

use std::collections::BTreeMap;

use super::history::{Answer, Ask, End, Event, Key, Ms, Story};

const WRONG_CHECKS_OF_A_VERIFICATION: u8 = 5;
const WRONG_CHECKS_OF_AN_ADDRESS: u8 = 10;
/// How long a repetition gets the same answer after the end.
const REPEATABLE_MS: Ms = 60_000;
/// How long an ended verification is remembered.
pub const REMEMBERED_MS: Ms = 3_600_000;
/// With less of its life left a number is not mailed again.
const LEAST_LIFE_MS: Ms = 45_000;
/// A daemon's clock may be a second off, and as much again while it learns the time over a slow road.
const ASKEW_MS: Ms = 2_000;

/// What is known of a story beforehand: it does not change with the order of its events.
pub struct Facts {
    by_number: bool,
    expires_at: BTreeMap<Key, Ms>,
}

impl Facts {
    pub fn of(story: &Story) -> Self {
        let expires_at = |key| Some((key, story.expires_at(key)?));
        Self { by_number: story.by_number, expires_at: story.verifications().into_iter().filter_map(expires_at).collect() }
    }
}

/// One address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Address {
    wrong: u8,
    verifications: BTreeMap<Key, Verification>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Verification {
    expires_at: Ms,
    /// How it ended, and the span in which that was asked and answered.
    end: Option<(End, Ms, Ms)>,
    wrong: u8,
    /// What the checks were answered, by their keys.
    notes: BTreeMap<Key, Note>,
    resends: Vec<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Note {
    Approved,
    Incorrect(u8),
}

/// How old a verification is, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Live,
    /// Expired, or ended otherwise, within the last minute.
    Over,
    /// Only its tombstone is left.
    Tombstone,
    /// Nothing is.
    Gone,
}

/// What the model says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Viewed(Option<End>, u8),
    Approved,
    Incorrect(u8),
    Ended(End),
    Canceled,
    NotFound,
    NumberUnknown,
    Spent,
}

impl Said {
    fn is(self, answer: &Answer) -> bool {
        match (self, answer) {
            (Self::Viewed(end, remaining), Answer::Viewed(view)) => (end, remaining) == (view.end, view.remaining),
            (Self::Incorrect(remaining), Answer::Incorrect { remaining: answered }) => remaining == *answered,
            (Self::Ended(end), Answer::Ended(answered)) => end == *answered,
            (_, Answer::Unknown(_))
            | (Self::Approved, Answer::Approved { .. })
            | (Self::Canceled, Answer::Canceled)
            | (Self::NotFound, Answer::NotFound)
            | (Self::NumberUnknown, Answer::NumberUnknown)
            | (Self::Spent, Answer::Spent(_)) => true,
            _ => false,
        }
    }
}

impl Address {
    /// What it can have become by this event, if it happened now; nothing when it cannot have been answered so.
    pub fn after(&self, event: &Event, facts: &Facts) -> Vec<Self> {
        let ages = self.ages(event);
        let outcomes = ages.into_iter().flat_map(|age| self.decide(event, age, facts));
        let mut next: Vec<Self> = outcomes.filter(|(_, said)| said.is(&event.answer)).map(|(next, _)| next).collect();
        next.dedup();
        next
    }

    fn ages(&self, event: &Event) -> Vec<Age> {
        let (from, to) = (event.asked_at, event.happened_by());
        // a start finds its own verification, or asks how old those before it are
        let own = self.verifications.get(&event.ask.verification());
        let Some(verification) = own.or_else(|| self.verifications.values().next_back()) else { return vec![Age::Live] };
        let expires_at = verification.expires_at;
        let (over_from, over_by) = verification.end.map_or((expires_at, expires_at), |(_, from, to)| (from, to));
        let is_pending = verification.end.is_none();
        let mut ages = Vec::new();
        if is_pending && from < expires_at.saturating_add(ASKEW_MS) {
            ages.push(Age::Live);
        }
        let may_be_over = !is_pending || to.saturating_add(ASKEW_MS) >= expires_at;
        if may_be_over && from < over_by.saturating_add(REPEATABLE_MS + ASKEW_MS) {
            ages.push(Age::Over);
        }
        let may_be_old = to.saturating_add(ASKEW_MS) >= over_from.saturating_add(REPEATABLE_MS);
        if may_be_old && from < over_by.saturating_add(REMEMBERED_MS + ASKEW_MS) {
            ages.push(Age::Tombstone);
        }
        if to.saturating_add(ASKEW_MS) >= over_from.saturating_add(REMEMBERED_MS) {
            ages.push(Age::Gone);
        }
        ages
    }

    fn decide(&self, event: &Event, age: Age, facts: &Facts) -> Vec<(Self, Said)> {
        let is_forgotten = age == Age::Gone && self.verifications.contains_key(&event.ask.verification());
        if is_forgotten {
            let said = if matches!(event.ask, Ask::CheckByNumber { .. }) { Said::NumberUnknown } else { Said::NotFound };
            return vec![(self.clone(), said)];
        }
        match event.ask {
            Ask::Start { key, .. } => self.start(key, event, age, facts),
            Ask::Check { verification, key, is_right } => vec![self.check(verification, key, is_right, event, age)],
            Ask::CheckByNumber { verification, key } => {
                let (next, said) = self.check(verification, key, true, event, age);
                vec![(next, if matches!(said, Said::Ended(_) | Said::NotFound) { Said::NumberUnknown } else { said })]
            }
            Ask::Resend { verification, key } => self.resend(verification, key, event, age),
            Ask::Cancel { verification } => vec![self.cancel(verification, event, age)],
            Ask::Read { verification } => vec![(self.clone(), self.seen(verification, age))],
        }
    }

    /// Where the number alone identifies, it takes the place of what is pending. Its budgets may refuse it.
    fn start(&self, key: Key, event: &Event, age: Age, facts: &Facts) -> Vec<(Self, Said)> {
        if self.verifications.contains_key(&key) {
            return vec![(self.clone(), self.seen(key, age))];
        }
        let mut next = self.clone();
        if facts.by_number && age == Age::Live {
            let pending = next.verifications.values_mut().filter(|verification| verification.may_be_pending(event));
            pending.for_each(|verification| verification.finish(End::Canceled, event));
        }
        // that of a start which nobody acknowledged nobody can ask about
        let expires_at = facts.expires_at.get(&key).copied().unwrap_or(Ms::MAX);
        next.verifications.insert(key, Verification { expires_at, ..Verification::default() });
        let said = next.seen(key, Age::Live);
        vec![(next, said), (self.clone(), Said::Spent)]
    }

    fn check(&self, of: Key, key: Key, is_right: bool, event: &Event, age: Age) -> (Self, Said) {
        let unchanged = |said| (self.clone(), said);
        let Some(verification) = self.verifications.get(&of) else { return unchanged(Said::NotFound) };
        if let Some(note) = verification.notes.get(&key).filter(|_| age != Age::Tombstone) {
            return unchanged(match *note {
                Note::Approved => Said::Approved,
                Note::Incorrect(remaining) => Said::Incorrect(remaining),
            });
        }
        if let Some(end) = verification.ended(age) {
            return unchanged(Said::Ended(end));
        }
        if self.wrong >= WRONG_CHECKS_OF_AN_ADDRESS {
            return unchanged(Said::Spent);
        }
        let mut next = self.clone();
        let said = if is_right { next.approve(of, key, event) } else { next.deny(of, key, event) };
        (next, said)
    }

    fn approve(&mut self, of: Key, key: Key, event: &Event) -> Said {
        let verification = self.verifications.get_mut(&of).unwrap();
        verification.finish(End::Approved, event);
        verification.notes.insert(key, Note::Approved);
        Said::Approved
    }

    fn deny(&mut self, of: Key, key: Key, event: &Event) -> Said {
        self.wrong += 1;
        let verification = self.verifications.get_mut(&of).unwrap();
        verification.wrong += 1;
        if verification.wrong == WRONG_CHECKS_OF_A_VERIFICATION {
            verification.finish(End::Exhausted, event);
        }
        let left = WRONG_CHECKS_OF_A_VERIFICATION - verification.wrong;
        let remaining = left.min(WRONG_CHECKS_OF_AN_ADDRESS - self.wrong);
        verification.notes.insert(key, Note::Incorrect(remaining));
        Said::Incorrect(remaining)
    }

    /// Budgets may refuse it, and it may come too late for another mail.
    fn resend(&self, of: Key, key: Key, event: &Event, age: Age) -> Vec<(Self, Said)> {
        let Some(verification) = self.verifications.get(&of) else { return vec![(self.clone(), Said::NotFound)] };
        if verification.resends.contains(&key) && age != Age::Tombstone {
            return vec![(self.clone(), self.seen(of, age))];
        }
        if let Some(end) = verification.ended(age) {
            return vec![(self.clone(), Said::Ended(end))];
        }
        let mut next = self.clone();
        next.verifications.get_mut(&of).unwrap().resends.push(key);
        let said = next.seen(of, age);
        let mut outcomes = vec![(next, said), (self.clone(), Said::Spent)];
        if event.happened_by().saturating_add(LEAST_LIFE_MS + ASKEW_MS) >= verification.expires_at {
            outcomes.push((self.clone(), Said::Ended(End::Expired)));
        }
        outcomes
    }

    fn cancel(&self, of: Key, event: &Event, age: Age) -> (Self, Said) {
        let mut next = self.clone();
        let Some(verification) = next.verifications.get_mut(&of) else { return (next, Said::NotFound) };
        if verification.ended(age).is_none() {
            verification.finish(End::Canceled, event);
        }
        (next, Said::Canceled)
    }

    fn seen(&self, of: Key, age: Age) -> Said {
        let Some(verification) = self.verifications.get(&of) else { return Said::NotFound };
        let left = (WRONG_CHECKS_OF_A_VERIFICATION - verification.wrong).min(WRONG_CHECKS_OF_AN_ADDRESS - self.wrong);
        let end = verification.ended(age);
        Said::Viewed(end, if end.is_none() { left } else { 0 })
    }
}

impl Verification {
    fn ended(&self, age: Age) -> Option<End> {
        self.end.map(|(end, ..)| end).or((age != Age::Live).then_some(End::Expired))
    }

    /// One that expired keeps no end: that it is over shows by the clock alone.
    fn may_be_pending(&self, event: &Event) -> bool {
        self.end.is_none() && event.asked_at < self.expires_at.saturating_add(ASKEW_MS)
    }

    fn finish(&mut self, end: End, event: &Event) {
        self.end = Some((end, event.asked_at, event.happened_by()));
    }
}

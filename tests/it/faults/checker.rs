//! Holds a story against the promises: first each by itself, so that a breach has a name, then all of it against the
//! reference state machine.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    history::{Answer, Ask, Event, Key, Ms, Story},
    model::REMEMBERED_MS,
    search::{Finding, find_order},
    violation::{Breach, Violation},
};

const MOST_WRONG_OF_A_VERIFICATION: usize = 5;
const MOST_WRONG_OF_AN_ADDRESS: usize = 10;
/// The store commits nothing for a daemon whose clock is further off.
const ASKEW_MS: Ms = 1_000;
/// How long a repetition gets the token again.
const REPEATABLE_MS: Ms = 60_000;

/// What a story breaks; whether it could be decided at all.
pub fn check(story: &Story) -> (Vec<Violation>, bool) {
    let mut breaches: Vec<(Breach, String)> = story.verifications().into_iter().flat_map(|key| of_one(story, key)).collect();
    breaches.extend(wrong_checks(story, None, MOST_WRONG_OF_AN_ADDRESS));
    breaches.extend(story.events.iter().filter_map(odd));
    let order = if breaches.is_empty() { find_order(story) } else { Finding::Ordered };
    if let Finding::Impossible(explained) = order {
        breaches.push((Breach::NoOrder, format!("no order explains more than {explained} of the answers")));
    }
    let told = |(breach, why)| Violation::new(breach, format!("{why}\n  {}\n{story}", story.address));
    (breaches.into_iter().map(told).collect(), order != Finding::Undecided)
}

fn of_one(story: &Story, verification: Key) -> Vec<(Breach, String)> {
    let mut breaches = released(story, verification);
    breaches.extend(wrong_checks(story, Some(verification), MOST_WRONG_OF_A_VERIFICATION));
    breaches.extend(story.of(verification).filter_map(|event| compared(story, event)));
    breaches.extend(story.of(verification).filter_map(|event| lost(story, event)));
    breaches.extend(other_answers(story, verification));
    breaches.into_iter().map(|(breach, why)| (breach, format!("verification {verification}: {why}"))).collect()
}

/// At most once over all operations, in time, and to the operation that was first for a minute.
fn released(story: &Story, verification: Key) -> Vec<(Breach, String)> {
    let releases: Vec<&Event> = story.of(verification).filter(|event| matches!(event.answer, Answer::Approved { .. })).collect();
    let keys: BTreeSet<Key> = releases.iter().filter_map(|event| event.ask.check_key()).collect();
    let mut breaches = Vec::new();
    if keys.len() > 1 {
        breaches.push((Breach::ReleasedTwice, format!("released to the operations {keys:?}")));
    }
    for key in keys {
        let tries = || story.of(verification).filter(move |event| event.ask.check_key() == Some(key));
        // the answer that came first bounds when it happened, and the first try how early that can have been
        let first_try = tries().map(|event| event.asked_at).min().unwrap();
        let happened_by = tries().filter(|event| releases.iter().any(|release| std::ptr::eq(*release, *event)));
        let happened_by = happened_by.map(|event| event.answered_at).min().unwrap();
        if let Some(end) = earliest_end(story, verification).filter(|end| first_try > *end) {
            breaches.push((Breach::ReleasedTooLate, format!("asked {} ms after its end", first_try - end)));
        }
        let last_asked = releases.iter().filter(|event| event.ask.check_key() == Some(key)).map(|event| event.asked_at).max();
        let too_late = last_asked.filter(|asked| *asked > happened_by + REPEATABLE_MS + ASKEW_MS);
        breaches.extend(too_late.map(|_| (Breach::ReleasedTwice, "released again after its minute".to_owned())));
    }
    breaches
}

/// When it had surely ended otherwise than by approval.
fn earliest_end(story: &Story, verification: Key) -> Option<Ms> {
    let ends_it = |event: &&Event| match event.answer {
        Answer::Canceled => true,
        Answer::Ended(end) => end != super::history::End::Approved,
        _ => false,
    };
    let ended =
        story.of(verification).filter(ends_it).filter(|event| !is_late_resend(event)).map(|event| event.answered_at).min();
    let expired = story.expires_at(verification).map(|at| at + ASKEW_MS);
    ended.into_iter().chain(expired).min()
}

/// A resend is told that it comes too late while the number still holds.
fn is_late_resend(event: &Event) -> bool {
    matches!(event.ask, Ask::Resend { .. })
}

/// Of one verification, or of all.
fn wrong_checks(story: &Story, verification: Option<Key>, most: usize) -> Option<(Breach, String)> {
    let is_wrong = |event: &&Event| matches!(event.answer, Answer::Incorrect { .. });
    let is_its = |event: &&Event| verification.is_none_or(|key| event.ask.verification() == key);
    let keys: BTreeSet<_> = story.events.iter().filter(is_wrong).filter(is_its).map(|event| event.ask.check_key()).collect();
    (keys.len() > most).then(|| (Breach::TooManyWrongChecks, format!("{} numbers were compared and found wrong", keys.len())))
}

fn compared(story: &Story, event: &Event) -> Option<(Breach, String)> {
    match (&event.ask, &event.answer) {
        (Ask::Check { is_right: false, .. }, Answer::Approved { .. }) => {
            Some((Breach::WrongNumberOpens, "a wrong number opened it".to_owned()))
        }
        (Ask::Check { is_right: true, .. }, Answer::Incorrect { .. }) => {
            Some((Breach::RightNumberRefused, "the number that was mailed was called wrong".to_owned()))
        }
        (ask, Answer::Approved { token, .. }) if *token != story.token(ask.verification()) => {
            Some((Breach::OtherToken, format!("{token} came back")))
        }
        _ => None,
    }
}

/// What was acknowledged is remembered for an hour at least.
fn lost(story: &Story, event: &Event) -> Option<(Breach, String)> {
    let acknowledged_at = story.acknowledgement(event.ask.verification())?.answered_at;
    let is_known = event.asked_at > acknowledged_at && event.answered_at < acknowledged_at + REMEMBERED_MS;
    (event.answer == Answer::NotFound && is_known).then(|| (Breach::Lost, "not found after its acknowledgement".to_owned()))
}

/// The same start has one id and one end of its number; the same check has one answer, until its minute is over.
fn other_answers(story: &Story, verification: Key) -> Vec<(Breach, String)> {
    let views = story.of(verification).filter_map(Event::view).map(|view| (view.id.clone(), view.expires_at));
    let names: BTreeSet<_> = views.collect();
    let mut breaches = Vec::new();
    if names.len() > 1 {
        breaches.push((Breach::OtherAnswer, format!("it is shown as {names:?}")));
    }
    let mut checks: BTreeMap<Key, BTreeSet<String>> = BTreeMap::new();
    for event in story.of(verification) {
        if let (Some(key), Answer::Approved { .. } | Answer::Incorrect { .. }) = (event.ask.check_key(), &event.answer) {
            checks.entry(key).or_default().insert(format!("{:?}", event.answer));
        }
    }
    let differing = checks.into_iter().filter(|(_, answers)| answers.len() > 1);
    breaches.extend(differing.map(|(key, answers)| (Breach::OtherAnswer, format!("operation {key} was answered {answers:?}"))));
    breaches
}

fn odd(event: &Event) -> Option<(Breach, String)> {
    let Answer::Odd(what) = &event.answer else { return None };
    Some((Breach::OddAnswer, format!("{:?} was answered {what}", event.ask)))
}

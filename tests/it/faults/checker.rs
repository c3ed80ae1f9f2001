//! Holds a story against the promises: first each by itself, so that a breach has a name, then all of it against the
//! reference state machine.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    history::{Answer, Ask, End, Event, Key, Ms, Story},
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
    let releases = story.of(verification).filter(|event| is_release(event));
    let keys: BTreeSet<Key> = releases.filter_map(|event| event.ask.check_key()).collect();
    let twice = (keys.len() > 1).then(|| (Breach::ReleasedTwice, format!("released to the operations {keys:?}")));
    twice.into_iter().chain(keys.iter().flat_map(|key| released_too_late(story, verification, *key))).collect()
}

/// The first try bounds how early it can have happened, the first answer how late.
fn released_too_late(story: &Story, verification: Key, key: Key) -> Vec<(Breach, String)> {
    let tries = || story.of(verification).filter(move |event| event.ask.check_key() == Some(key));
    let first_try = tries().map(|event| event.asked_at).min().unwrap_or_default();
    let happened_by = tries().filter(|event| is_release(event)).map(|event| event.answered_at).min().unwrap_or(Ms::MAX);
    let last_asked = tries().filter(|event| is_release(event)).map(|event| event.asked_at).max().unwrap_or_default();
    let mut breaches = Vec::new();
    if let Some(end) = earliest_end(story, verification).filter(|end| first_try > *end) {
        breaches.push((Breach::ReleasedTooLate, format!("asked {} ms after its end", first_try - end)));
    }
    if last_asked > happened_by.saturating_add(REPEATABLE_MS + ASKEW_MS) {
        breaches.push((Breach::ReleasedTwice, "released again after its minute".to_owned()));
    }
    breaches
}

fn is_release(event: &Event) -> bool {
    matches!(event.answer, Answer::Approved { .. })
}

/// By when it had surely ended, otherwise than by approval.
fn earliest_end(story: &Story, verification: Key) -> Option<Ms> {
    // a resend is told of the end when it comes too late for another mail
    let can_tell = |event: &&Event| !matches!(event.ask, Ask::Resend { .. });
    let tells = |event: &&Event| match event.answer {
        Answer::Canceled => true,
        Answer::Ended(end) => end != End::Approved,
        _ => false,
    };
    let told = story.of(verification).filter(can_tell).filter(tells).map(|event| event.answered_at);
    told.chain(story.expires_at(verification).map(|at| at + ASKEW_MS)).min()
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

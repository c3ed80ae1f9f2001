//! Holds the mails of a story against the promises.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use super::{
    history::{Ask, Event, Key, Ms, Story},
    post_office::Transmission,
    violation::{Breach, Violation},
};

const MOST_TRANSMISSIONS: usize = 3;
const ASKEW_MS: Ms = 1_000;

/// What the mails to the story's address break.
pub fn check(story: &Story, mails: &[Transmission]) -> Vec<Violation> {
    let mut breaches = Vec::new();
    let mut by_message: BTreeMap<&str, Vec<&Transmission>> = BTreeMap::new();
    for mail in mails {
        by_message.entry(&mail.message_id).or_default().push(mail);
    }
    for (message_id, transmissions) in &by_message {
        breaches.extend(of_a_message(message_id, transmissions));
    }
    for verification in story.verifications() {
        breaches.extend(of_a_verification(story, verification, mails));
    }
    let told = |(breach, why)| Violation::new(breach, format!("{why}\n  {}\n{story}{}", story.address, list(mails)));
    breaches.into_iter().map(told).collect()
}

fn of_a_message(message_id: &str, transmissions: &[&Transmission]) -> Vec<(Breach, String)> {
    let numbers: BTreeSet<&str> = transmissions.iter().map(|mail| mail.number.as_str()).collect();
    let maybe_accepted = transmissions.iter().filter(|mail| mail.accepted != Some(false)).count();
    let mut breaches = Vec::new();
    if maybe_accepted > MOST_TRANSMISSIONS {
        breaches.push((Breach::TooManyTransmissions, format!("{message_id} may have been accepted {maybe_accepted} times")));
    }
    if numbers.len() > 1 {
        breaches.push((Breach::OtherNumberMailed, format!("{message_id} had several numbers")));
    }
    breaches
}

fn of_a_verification(story: &Story, verification: Key, mails: &[Transmission]) -> Vec<(Breach, String)> {
    let deliveries = || story.of(verification).filter_map(Event::view).filter_map(|view| view.delivery.as_ref());
    let ids: BTreeSet<&str> = deliveries().map(|delivery| delivery.message_id.as_str()).collect();
    let own: Vec<&Transmission> = mails.iter().filter(|mail| ids.contains(mail.message_id.as_str())).collect();
    let mut breaches = numbers_mailed(story, verification, &own, mails);
    let expires_at = story.expires_at(verification).unwrap_or(Ms::MAX).saturating_add(ASKEW_MS);
    if own.iter().any(|mail| mail.accepted == Some(true) && mail.came_at > expires_at) {
        breaches.push((Breach::MailedTooLate, format!("verification {verification} was mailed after its number's end")));
    }
    let says_sent = |id: &str| deliveries().any(|delivery| delivery.message_id == id && delivery.status == "sent");
    let was_taken = |id: &str| own.iter().any(|mail| mail.message_id == id && mail.accepted == Some(true));
    for id in ids.iter().filter(|id| says_sent(id) && !was_taken(id)) {
        breaches.push((Breach::SentUnsent, format!("{id} is said to be sent and was not accepted")));
    }
    breaches
}

/// One number in all mails of a verification, and each mail with one id for all its tries: only who asks for another gets one.
fn numbers_mailed(story: &Story, verification: Key, own: &[&Transmission], all: &[Transmission]) -> Vec<(Breach, String)> {
    let numbers: BTreeSet<&str> = own.iter().map(|mail| mail.number.as_str()).collect();
    let with_them = all.iter().filter(|mail| numbers.contains(mail.number.as_str()));
    let messages: BTreeSet<&str> = with_them.map(|mail| mail.message_id.as_str()).collect();
    let asked_for = 1 + resends(story, verification);
    let mut breaches = Vec::new();
    if numbers.len() > 1 {
        breaches.push((Breach::OtherNumberMailed, format!("verification {verification} was mailed several numbers")));
    }
    if messages.len() > asked_for {
        let what = format!("verification {verification} had {} mails, {asked_for} were asked for", messages.len());
        breaches.push((Breach::TooManyTransmissions, what));
    }
    breaches
}

fn resends(story: &Story, verification: Key) -> usize {
    let key = |event: &Event| if let Ask::Resend { key, .. } = event.ask { Some(key) } else { None };
    story.of(verification).filter_map(key).collect::<BTreeSet<_>>().len()
}

fn list(mails: &[Transmission]) -> String {
    mails.iter().fold(String::new(), |mut list, mail| {
        let Transmission { came_at, message_id, accepted, .. } = mail;
        let _ = writeln!(list, "    {came_at}: {message_id}, accepted: {accepted:?}");
        list
    })
}

//! The checker on histories that were written by hand: it accepts what can have been, and names what cannot.

use super::{
    checker,
    history::{Answer, Ask, Delivery, End, Event, Key, Ms, Story, View, token_of},
    mails,
    post_office::Transmission,
    search::{Finding, find_order},
    violation::Breach,
};

const ADDRESS: &str = "ada@example.org";
const TTL_MS: Ms = 600_000;
const ONE: Key = 1;

fn story(events: Vec<Event>) -> Story {
    Story { address: ADDRESS.to_owned(), by_number: false, events }
}

fn event(span: (Ms, Ms), ask: Ask, answer: Answer) -> Event {
    Event { asked_at: span.0, answered_at: span.1, daemon: 0, ask, answer }
}

/// The first thing that happens, from 0 to 10.
fn started() -> Event {
    event((0, 10), Ask::Start { key: ONE, ttl_seconds: 600 }, viewed(None, 5))
}

fn viewed(end: Option<End>, remaining: u8) -> Answer {
    Answer::Viewed(view_of(end, remaining))
}

fn view_of(end: Option<End>, remaining: u8) -> View {
    let delivery = Some(Delivery { status: "sent".to_owned(), message_id: "<1>".to_owned() });
    View { id: "vrf_1".to_owned(), end, remaining, expires_at: TTL_MS, delivery }
}

fn right(span: (Ms, Ms), key: Key, answer: Answer) -> Event {
    event(span, Ask::Check { verification: ONE, key, is_right: true }, answer)
}

fn wrong(span: (Ms, Ms), key: Key, answer: Answer) -> Event {
    event(span, Ask::Check { verification: ONE, key, is_right: false }, answer)
}

fn canceled(span: (Ms, Ms)) -> Event {
    event(span, Ask::Cancel { verification: ONE }, Answer::Canceled)
}

fn read(span: (Ms, Ms), answer: Answer) -> Event {
    event(span, Ask::Read { verification: ONE }, answer)
}

fn approved() -> Answer {
    Answer::Approved { id: "vrf_1".to_owned(), token: token_of(ADDRESS, ONE) }
}

fn incorrect(remaining: u8) -> Answer {
    Answer::Incorrect { remaining }
}

const UNKNOWN: Answer = Answer::Unknown("no answer in time");

fn breaches(events: Vec<Event>) -> Vec<Breach> {
    let (violations, is_decided) = checker::check(&story(events));
    assert!(is_decided);
    violations.into_iter().map(|violation| violation.breach).collect()
}

#[test]
fn what_can_have_been_is_accepted() {
    let much_later = TTL_MS + 3_601_000;
    let possible: [Vec<Event>; 10] = [
        vec![started(), right((20, 30), 2, approved()), right((40, 50), 3, Answer::Ended(End::Approved))],
        // the first reply was lost: the same operation gets the token again, another does not
        vec![started(), right((20, 30), 2, UNKNOWN), right((40, 50), 2, approved()), right((60, 70), 2, approved())],
        // both at once: either may have been first
        vec![started(), canceled((20, 60)), right((30, 50), 2, approved())],
        vec![started(), canceled((20, 60)), right((30, 50), 2, Answer::Ended(End::Canceled))],
        // nobody knows of the first wrong check: it may have been charged, or not, or only later
        vec![started(), wrong((20, 30), 2, UNKNOWN), wrong((40, 50), 3, incorrect(3))],
        vec![started(), wrong((20, 30), 2, UNKNOWN), wrong((40, 50), 3, incorrect(4))],
        vec![started(), wrong((20, 30), 2, UNKNOWN), wrong((40, 50), 3, incorrect(4)), read((60, 70), viewed(None, 3))],
        // at the end of its number either answer is right
        vec![started(), right((TTL_MS - 500, TTL_MS + 500), 2, approved())],
        vec![started(), right((TTL_MS - 500, TTL_MS + 500), 2, Answer::Ended(End::Expired))],
        // forgotten an hour after its end
        vec![started(), read((much_later, much_later + 10), Answer::NotFound)],
    ];
    for events in possible {
        let told = story(events.clone()).to_string();
        assert_eq!(breaches(events), [], "{told}");
    }
}

#[test]
fn what_cannot_have_been_is_named() {
    let late = TTL_MS + 5_000;
    let impossible: [(Vec<Event>, Breach); 14] = [
        (vec![started(), right((20, 30), 2, approved()), right((40, 50), 3, approved())], Breach::ReleasedTwice),
        (vec![started(), right((20, 30), 2, approved()), right((62_000, 62_010), 2, approved())], Breach::ReleasedTwice),
        (vec![started(), canceled((20, 30)), right((40, 50), 2, approved())], Breach::ReleasedTooLate),
        (vec![started(), right((late, late + 10), 2, approved())], Breach::ReleasedTooLate),
        (vec![started(), wrong((20, 30), 2, approved())], Breach::WrongNumberOpens),
        (vec![started(), right((20, 30), 2, incorrect(4))], Breach::RightNumberRefused),
        (vec![started(), read((20, 30), Answer::NotFound)], Breach::Lost),
        (vec![started(), wrong((20, 30), 2, incorrect(4)), wrong((40, 50), 2, incorrect(3))], Breach::OtherAnswer),
        // two wrong checks, one charge
        (vec![started(), wrong((20, 30), 2, incorrect(4)), wrong((40, 50), 3, incorrect(4))], Breach::NoOrder),
        // it was approved, and is pending again
        (vec![started(), right((20, 30), 2, approved()), read((40, 50), viewed(None, 5))], Breach::NoOrder),
        (vec![started(), canceled((20, 30)), read((40, 50), viewed(None, 5))], Breach::NoOrder),
        // ended before its time, by nobody
        (vec![started(), read((20, 30), viewed(Some(End::Expired), 0))], Breach::NoOrder),
        (vec![started(), wrong((20, 30), 2, Answer::Ended(End::Exhausted))], Breach::NoOrder),
        (vec![started(), read((20, 30), Answer::Odd("500".to_owned()))], Breach::OddAnswer),
    ];
    for (events, breach) in impossible {
        let told = story(events.clone()).to_string();
        let found = breaches(events);
        assert!(found.contains(&breach), "{breach:?} is not among {found:?}\n{told}");
    }
}

#[test]
fn more_wrong_checks_than_five_are_named_however_they_were_answered() {
    let checks = (0..6).map(|at| wrong((20, 90), 2 + at, incorrect(4)));
    assert!(breaches([vec![started()], checks.collect()].concat()).contains(&Breach::TooManyWrongChecks));
}

#[test]
fn many_checks_at_once_without_an_answer_are_decided() {
    let unknown = (0..40).map(|at| wrong((20 + Ms::from(at), 90), 2 + at, UNKNOWN));
    let events = [vec![started()], unknown.collect(), vec![right((100, 110), 90, Answer::Ended(End::Exhausted))]].concat();

    assert_eq!(find_order(&story(events)), Finding::Ordered);
}

#[test]
fn where_the_number_identifies_a_start_takes_the_place_of_the_one_before() {
    let second = event((20, 30), Ask::Start { key: 2, ttl_seconds: 600 }, viewed(None, 5));
    let by_number = |ask_at: Ms, answer| event((ask_at, ask_at + 5), Ask::CheckByNumber { verification: ONE, key: 3 }, answer);
    let history = |answer| Story { by_number: true, ..story(vec![started(), second.clone(), by_number(40, answer)]) };

    assert_eq!(find_order(&history(Answer::NumberUnknown)), Finding::Ordered);
    assert_eq!(find_order(&history(approved())), Finding::Impossible(2));
}

/// Told apart from one that was pending, although nothing ends it but the clock.
#[test]
fn what_has_expired_stays_so_when_the_number_identifies_and_others_start_after_it() {
    let later = |at: Ms, key| {
        let view = View { expires_at: at + TTL_MS, ..view_of(None, 5) };
        event((at, at + 10), Ask::Start { key, ttl_seconds: 600 }, Answer::Viewed(view))
    };
    let (second, third) = (later(TTL_MS + 70_000, 2), later(TTL_MS + 80_000, 3));
    let first = |end| read((TTL_MS + 90_000, TTL_MS + 90_010), viewed(Some(end), 0));
    let history = |end| Story { by_number: true, ..story(vec![started(), second.clone(), third.clone(), first(end)]) };

    assert_eq!(find_order(&history(End::Expired)), Finding::Ordered);
    assert_eq!(find_order(&history(End::Canceled)), Finding::Impossible(3));
}

fn mail(message_id: &str, number: &str, accepted: Option<bool>) -> Transmission {
    let (recipient, message_id, number) = (ADDRESS.to_owned(), message_id.to_owned(), number.to_owned());
    Transmission { came_at: 15, recipient, message_id, number, accepted }
}

fn mail_breaches(transmissions: &[Transmission]) -> Vec<Breach> {
    mails::check(&story(vec![started()]), transmissions).into_iter().map(|violation| violation.breach).collect()
}

#[test]
fn mails_are_held_against_what_was_promised() {
    let number = "12345678";
    let (taken, refused, maybe) = (mail("<1>", number, Some(true)), mail("<1>", number, Some(false)), mail("<1>", number, None));
    let late = Transmission { came_at: TTL_MS + 2_000, ..taken.clone() };
    let is_named = |mails: &[Transmission], breach| mail_breaches(mails).contains(&breach);

    assert_eq!(mail_breaches(&[refused.clone(), refused.clone(), maybe.clone(), maybe.clone(), taken.clone()]), []);
    assert!(is_named(&[maybe.clone(), maybe.clone(), maybe.clone(), taken.clone()], Breach::TooManyTransmissions));
    assert!(is_named(&[taken.clone(), mail("<2>", number, Some(true))], Breach::TooManyTransmissions));
    assert!(is_named(&[taken, mail("<1>", "87654321", Some(true))], Breach::OtherNumberMailed));
    assert!(is_named(&[late], Breach::MailedTooLate));
    assert!(is_named(&[refused], Breach::SentUnsent));
}

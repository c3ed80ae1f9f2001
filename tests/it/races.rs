//! Two stores race for one address: what may happen once happens once, and what is charged is charged once.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fiador::{
    domain::{Approval, OperationId, Refusal, VerificationView},
    messages::{Failure, OpenVerification},
};
use futures_util::future::join_all;
use tempfile::TempDir;

use crate::kit::{
    redis::TestRedis,
    stores::{TestStore, new_operation, other_than},
};

type Answer = Result<Approval, Failure>;

/// Runs each of these with two stores of either kind on one set of records.
macro_rules! with_two_stores {
    ($($name:ident,)+) => {
        mod embedded {$(
            #[actix::test]
            async fn $name() {
                let directory = tempfile::tempdir().unwrap();
                super::$name(crate::kit::stores::TestStore::two_embedded(directory.path()).await).await
            }
        )+}
        mod redis {$(
            #[actix::test]
            async fn $name() {
                let (_server, _directory, both) = super::two_on_redis().await;
                super::$name(both).await
            }
        )+}
    };
}

with_two_stores! {
    of_two_hundred_right_checks_one_releases_the_token,
    of_a_thousand_wrong_checks_five_are_answered_and_charged,
    a_wrong_check_that_is_asked_for_many_times_at_once_is_charged_once,
    of_two_hundred_misses_at_once_each_is_charged,
    a_start_that_is_asked_for_many_times_at_once_is_one_verification_with_one_mail,
    a_resend_that_is_asked_for_many_times_at_once_is_one_mail,
    a_check_that_is_asked_for_many_times_at_once_gets_the_token_each_time,
    after_its_window_an_operation_starts_anew_with_the_same_id,
}

async fn two_on_redis() -> (TestRedis, TempDir, [TestStore; 2]) {
    let (server, directory) = (TestRedis::start(), tempfile::tempdir().unwrap());
    let both = TestStore::two_on(&server.url(), directory.path()).await;
    (server, directory, both)
}

/// What came of it, as it is told apart here.
fn kind(answer: &Answer) -> &'static str {
    match answer {
        Ok(_) => "released",
        Err(Failure::Refused(Refusal::NumberIncorrect { .. })) => "incorrect",
        Err(Failure::Refused(Refusal::AlreadyApproved | Refusal::Exhausted | Refusal::BudgetSpent { .. })) => "too late",
        Err(Failure::Unavailable | Failure::Overloaded) => "not now",
        Err(other) => panic!("no race explains {other:?}"),
    }
}

fn count<'a>(answers: impl IntoIterator<Item = &'a Answer>) -> BTreeMap<&'static str, usize> {
    answers.into_iter().fold(BTreeMap::new(), |mut counts, answer| {
        *counts.entry(kind(answer)).or_default() += 1;
        counts
    })
}

/// Asks for one check by each of these operations at once, in turns of either store.
async fn check_at_once(both: &[TestStore; 2], operations: &[OperationId], of: &VerificationView, number: &str) -> Vec<Answer> {
    let in_turn = operations.iter().zip(both.iter().cycle());
    join_all(in_turn.map(|(&operation, store)| store.check_as(operation, &of.id, number))).await
}

fn new_operations(count: usize) -> Vec<OperationId> {
    std::iter::repeat_with(new_operation).take(count).collect()
}

async fn of_two_hundred_right_checks_one_releases_the_token(both: [TestStore; 2]) {
    let (verification, mail) = both[0].start("ada@example.org").await;

    let answers = check_at_once(&both, &new_operations(200), &verification, mail.digits().unwrap()).await;
    let counts = count(&answers);
    assert_eq!(counts["released"], 1, "{counts:?}");
    assert!(!counts.contains_key("incorrect"), "{counts:?}");
}

async fn of_a_thousand_wrong_checks_five_are_answered_and_charged(both: [TestStore; 2]) {
    let (verification, mail) = both[0].start("ada@example.org").await;
    let wrong = other_than(mail.digits().unwrap());

    let answers = check_at_once(&both, &new_operations(1_000), &verification, &wrong).await;
    let counts = count(&answers);
    assert_eq!(counts["incorrect"], 5, "{counts:?}");
    assert!(!counts.contains_key("released"), "{counts:?}");
    let told: BTreeSet<u8> = answers.iter().filter_map(attempts_remaining).collect();
    assert_eq!(told, BTreeSet::from([0, 1, 2, 3, 4]));
    assert_eq!(wrong_checks_left(&both[1]).await, 10 - 5);
}

fn attempts_remaining(answer: &Answer) -> Option<u8> {
    match answer {
        Err(Failure::Refused(Refusal::NumberIncorrect { attempts_remaining })) => Some(*attempts_remaining),
        _ => None,
    }
}

/// Of the address, as a new verification tells.
async fn wrong_checks_left(store: &TestStore) -> u8 {
    store.hand.advance(Duration::from_secs(30));
    let opening = OpenVerification { wrong_checks: 10, ..TestStore::opening("ada@example.org") };
    store.open(opening).await.unwrap().verification.attempts_remaining
}

async fn a_wrong_check_that_is_asked_for_many_times_at_once_is_charged_once(both: [TestStore; 2]) {
    let (verification, mail) = both[0].start("ada@example.org").await;
    let wrong = other_than(mail.digits().unwrap());
    let three = new_operations(3);
    let operations: Vec<OperationId> = three.iter().cycle().take(300).copied().collect();

    let answers = check_at_once(&both, &operations, &verification, &wrong).await;
    let told = |nth: usize| answers.iter().skip(nth).step_by(3).filter_map(attempts_remaining).collect::<BTreeSet<u8>>();
    assert!((0..3).all(|nth| told(nth).len() == 1), "one operation was answered in two ways");
    assert_eq!((0..3).flat_map(told).collect::<BTreeSet<u8>>(), BTreeSet::from([2, 3, 4]));
    assert_eq!(wrong_checks_left(&both[0]).await, 10 - 3);
}

async fn of_two_hundred_misses_at_once_each_is_charged(both: [TestStore; 2]) {
    let in_turn = both.iter().cycle().take(200);
    let answers = join_all(in_turn.map(|store| store.check_by_number("123456789012"))).await;

    let charged = Err(Failure::Refused(Refusal::NumberUnknown));
    assert_eq!(answers.iter().filter(|answer| **answer == charged).count(), 200, "{:?}", answers.last());
}

fn twenty_each(both: &[TestStore; 2]) -> impl Iterator<Item = &TestStore> {
    both.iter().cycle().take(40)
}

async fn a_start_that_is_asked_for_many_times_at_once_is_one_verification_with_one_mail(both: [TestStore; 2]) {
    let opening = TestStore::opening("ada@example.org");
    let answers = join_all(twenty_each(&both).map(|store| store.open(opening.clone()))).await;

    let opened: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    let ids: BTreeSet<&str> = opened.iter().map(|opened| opened.verification.id.as_str()).collect();
    let mails = opened.iter().filter(|opened| opened.message.is_some()).count();
    assert_eq!((ids.len(), mails), (1, 1));
}

async fn a_resend_that_is_asked_for_many_times_at_once_is_one_mail(both: [TestStore; 2]) {
    let (verification, mail) = both[0].start("ada@example.org").await;
    both[0].settle(&mail, fiador::domain::MessageOutcome::Sent("250 ok".to_owned())).await;
    both[0].hand.advance(Duration::from_secs(30)); // both stores tell the time by it

    let operation = new_operation();
    let answers = join_all(twenty_each(&both).map(|store| store.resend_as(operation, &verification.id))).await;
    let mails = answers.into_iter().filter(|answer| answer.as_ref().unwrap().message.is_some()).count();
    assert_eq!(mails, 1);
}

async fn a_check_that_is_asked_for_many_times_at_once_gets_the_token_each_time(both: [TestStore; 2]) {
    let (verification, mail) = both[0].start("ada@example.org").await;
    let operation = new_operation();
    let number = mail.digits().unwrap();

    let answers = join_all(twenty_each(&both).map(|store| store.check_as(operation, &verification.id, number))).await;
    let first = answers[0].clone().unwrap();
    assert!(first.token.is_some());
    assert!(answers.into_iter().all(|answer| answer.unwrap() == first));
}

async fn after_its_window_an_operation_starts_anew_with_the_same_id(both: [TestStore; 2]) {
    let opening = TestStore::opening("ada@example.org");
    let first = both[0].open(opening.clone()).await.unwrap();
    let in_window = Duration::from_secs(600 + 3_599);
    both[0].hand.advance(in_window); // both stores tell the time by it
    assert!(both[1].open(opening.clone()).await.unwrap().is_repetition);

    both[0].hand.advance(Duration::from_secs(2)); // both stores tell the time by it
    let anew = both[1].open(opening).await.unwrap();
    assert_eq!((anew.is_repetition, &anew.verification.id), (false, &first.verification.id));
    assert!(anew.verification.expires_at > first.verification.expires_at);
}

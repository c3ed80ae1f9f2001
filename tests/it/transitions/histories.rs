//! Random histories of one address keep the promises.

use std::{ops::RangeInclusive, time::Duration};

use fiador::domain::MessageOutcome;
use proptest::{collection::vec, prelude::*, sample::select, test_runner::Config};

use super::{
    one_address::{deferred, perhaps_accepted, refused, sent},
    onlooker::{Onlooker, Step},
};

fn wait(milliseconds: RangeInclusive<u64>) -> impl Strategy<Value = Step> {
    milliseconds.prop_map(|milliseconds| Step::Wait(Duration::from_millis(milliseconds)))
}

fn start() -> impl Strategy<Value = Step> {
    (select(vec![60, 600, 86_400]), any::<bool>()).prop_map(|(ttl_seconds, with_lease)| Step::Start { ttl_seconds, with_lease })
}

/// Mostly one of the newest, sometimes an old one.
fn of() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 0..3_usize, 1 => 0..30_usize]
}

/// Presents a number by one of so many operations.
fn check(right: f64, operations: u32) -> impl Strategy<Value = Step> {
    (of(), prop::bool::weighted(right), 0..operations).prop_map(|(of, is_right, operation)| Step::Check {
        of,
        is_right,
        operation,
    })
}

fn settle() -> impl Strategy<Value = Step> {
    let outcomes = vec![sent(), MessageOutcome::Captured, refused(), deferred(), perhaps_accepted(), MessageOutcome::Returned];
    let lease = prop_oneof![4 => Just(0), 1 => 0..3_usize];
    (of(), lease, select(outcomes)).prop_map(|(of, lease, outcome)| Step::Settle { of, lease, outcome })
}

fn anything() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => wait(0..=2_000),
        4 => wait(1_000..=180_000),
        2 => wait(60_000..=5_400_000),
        1 => wait(3_600_000..=43_200_000),
        6 => start(),
        1 => (of(), any::<bool>()).prop_map(|(of, same_body)| Step::Repeat { of, same_body }),
        6 => check(0.2, 12),
        1 => of().prop_map(|of| Step::Cancel { of }),
        3 => of().prop_map(|of| Step::Claim { of }),
        3 => settle(),
    ]
}

/// What spends the budget of sends, and what may give it back.
fn mails() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => wait(20_000..=130_000),
        1 => wait(600_000..=3_600_000),
        6 => start(),
        1 => check(1.0, 1),
        1 => of().prop_map(|of| Step::Cancel { of }),
        2 => of().prop_map(|of| Step::Claim { of }),
        5 => settle(),
    ]
}

/// What spends the budget of wrong checks.
fn guesses() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => wait(30_000..=130_000),
        1 => wait(600_000..=3_600_000),
        2 => start(),
        12 => check(0.02, 1_000),
    ]
}

fn watch(history: Vec<Step>) {
    let mut onlooker = Onlooker::new();
    for step in history {
        onlooker.follow(step);
    }
    onlooker.count();
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(200) })]

    #[test]
    fn any_history_keeps_the_promises(history in vec(anything(), 1..150)) {
        watch(history);
    }

    #[test]
    fn any_history_of_mails_keeps_the_promises(history in vec(mails(), 1..200)) {
        watch(history);
    }

    #[test]
    fn any_history_of_guesses_keeps_the_promises(history in vec(guesses(), 1..200)) {
        watch(history);
    }
}

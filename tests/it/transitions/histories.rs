//! Random histories of one address keep the promises.

use std::time::Duration;

use fiador::domain::MessageOutcome;
use proptest::{collection::vec, prelude::*, sample::select, test_runner::Config};

use super::{
    one_address::{deferred, perhaps_accepted, refused, sent},
    onlooker::{Onlooker, Step},
};

fn a_wait() -> impl Strategy<Value = Duration> {
    prop_oneof![
        2 => (0..=2_000_u64).prop_map(Duration::from_millis),
        4 => (1..=180_u64).prop_map(Duration::from_secs),
        2 => (60..=5_400_u64).prop_map(Duration::from_secs),
        1 => (1..=12_u64).prop_map(|hours| Duration::from_secs(hours * 3600)),
    ]
}

fn an_outcome() -> impl Strategy<Value = MessageOutcome> {
    select(vec![sent(), MessageOutcome::Captured, refused(), deferred(), perhaps_accepted(), MessageOutcome::Returned])
}

fn a_step() -> impl Strategy<Value = Step> {
    let of = any::<prop::sample::Index>;
    let start = (select(vec![60, 600, 86_400]), any::<bool>());
    let check = (of(), prop::bool::weighted(0.2), 0..12_u32); // few operations, so that they are repeated
    prop_oneof![
        6 => a_wait().prop_map(Step::Wait),
        6 => start.prop_map(|(ttl_seconds, with_lease)| Step::Start { ttl_seconds, with_lease }),
        1 => (of(), any::<bool>()).prop_map(|(of, same_body)| Step::Repeat { of, same_body }),
        6 => check.prop_map(|(of, is_right, operation)| Step::Check { of, is_right, operation }),
        1 => of().prop_map(|of| Step::Cancel { of }),
        3 => of().prop_map(|of| Step::Claim { of }),
        3 => (of(), of(), an_outcome()).prop_map(|(of, lease, outcome)| Step::Settle { of, lease, outcome }),
    ]
}

/// What spends the budget of sends, and what may give it back.
fn a_step_of_mail() -> impl Strategy<Value = Step> {
    let of = any::<prop::sample::Index>;
    prop_oneof![
        4 => (20..=3_600_u64).prop_map(|seconds| Step::Wait(Duration::from_secs(seconds))),
        6 => Just(Step::Start { ttl_seconds: 600, with_lease: true }),
        1 => of().prop_map(|of| Step::Check { of, is_right: true, operation: 0 }),
        1 => of().prop_map(|of| Step::Cancel { of }),
        2 => of().prop_map(|of| Step::Claim { of }),
        2 => (of(), of(), an_outcome()).prop_map(|(of, lease, outcome)| Step::Settle { of, lease, outcome }),
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
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn any_history_keeps_the_promises(history in vec(a_step(), 1..150)) {
        watch(history);
    }

    #[test]
    fn any_history_of_many_mails_keeps_the_promises(history in vec(a_step_of_mail(), 1..300)) {
        watch(history);
    }
}

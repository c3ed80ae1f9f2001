//! Random histories: either store answers each message as the transitions of `domain` decide it over a record in memory.

mod model;
mod player;
mod said;

use std::{cell::RefCell, time::Duration};

use actix_rt::{System, SystemRunner};
use fiador::{
    clock::Clock,
    domain::{MessageOutcome, Moment},
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};

use redis::Connection;

use crate::kit::{
    redis::TestRedis,
    stores::{TestStore, embedded_store},
};
use player::{Player, StoreTime};

/// Time that passes, or a message to the store. Addresses, operations and bodies are told apart by number.
#[derive(Clone, Debug)]
enum Step {
    Wait(Duration),
    Start(Start),
    /// To a verification: so many were started after it.
    ToOne(usize, Deed),
    Claim,
    /// A charge to budgets that span addresses, or its refund.
    Budgets {
        of_ip: bool,
        gives_back: bool,
    },
    /// A lease: so many were given after it.
    Settle(usize, MessageOutcome),
}

#[derive(Clone, Copy, Debug)]
struct Start {
    address: u8,
    operation: u8,
    body: u8,
    with_lease: bool,
    is_found_by_number: bool,
    is_test: bool,
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    LookUp,
    Check { operation: u8, guess: Guess, is_test: bool },
    CheckByNumber { operation: u8 },
    Resend { operation: u8, with_lease: bool },
    Cancel,
}

#[derive(Clone, Copy, Debug)]
enum Guess {
    Right,
    Wrong,
    TooShort,
}

fn wait() -> impl Strategy<Value = Step> {
    let seconds = vec![1, 2, 5, 15, 29, 30, 31, 59, 60, 61, 120, 180, 540, 556, 599, 600, 601, 1_800, 3_599, 3_600, 7_200];
    select(seconds).prop_map(|seconds| Step::Wait(Duration::from_secs(seconds)))
}

prop_compose! {
    fn start()(address in 0..2_u8, operation in 0..4_u8, is_other_body in prop::bool::weighted(0.1), with_lease: bool,
               is_found_by_number in prop::bool::weighted(0.3), is_test in prop::bool::weighted(0.2)) -> Step {
        let (body, is_test) = (u8::from(is_other_body), is_test && !is_found_by_number);
        Step::Start(Start { address, operation, body, with_lease, is_found_by_number, is_test })
    }
}

fn deed() -> impl Strategy<Value = Deed> {
    let guess = || prop_oneof![2 => Just(Guess::Right), 5 => Just(Guess::Wrong), 1 => Just(Guess::TooShort)];
    prop_oneof![
        2 => Just(Deed::LookUp),
        6 => (0..12_u8, guess(), any::<bool>()).prop_map(|(operation, guess, is_test)| Deed::Check { operation, guess, is_test }),
        2 => (0..12_u8).prop_map(|operation| Deed::CheckByNumber { operation }),
        2 => (0..3_u8, any::<bool>()).prop_map(|(operation, with_lease)| Deed::Resend { operation, with_lease }),
        1 => Just(Deed::Cancel),
    ]
}

fn outcome() -> impl Strategy<Value = MessageOutcome> {
    let deferred = |maybe_accepted| MessageOutcome::Deferred { reply: "451 later".to_owned(), maybe_accepted };
    let (sent, refused) = (MessageOutcome::Sent("250 ok".to_owned()), MessageOutcome::Refused("550 no".to_owned()));
    select(vec![sent, refused, deferred(false), deferred(true), MessageOutcome::Captured, MessageOutcome::Returned])
}

/// Mostly the newest.
fn ago() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0), 1 => 0..6_usize]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => wait(),
        5 => start(),
        12 => (ago(), deed()).prop_map(|(ago, deed)| Step::ToOne(ago, deed)),
        3 => Just(Step::Claim),
        4 => (any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(of_ip, gives_back)| Step::Budgets { of_ip, gives_back }),
        4 => (ago(), outcome()).prop_map(|(ago, outcome)| Step::Settle(ago, outcome)),
    ]
}

/// Plays each history on addresses of its own.
fn play_all(system: &SystemRunner, store: &TestStore, time: &StoreTime) {
    let config = Config { cases: 64, failure_persistence: None, max_shrink_iters: 256, ..Config::default() };
    let played = TestRunner::new(config).run(&vec(step(), 1..40), |history| {
        system.block_on(Player::new(store, time).play(history));
        Ok(())
    });
    played.unwrap();
}

#[test]
fn the_embedded_store_answers_any_history_as_the_transitions_do() {
    let (system, directory) = (System::new(), tempfile::tempdir().unwrap());
    let (clock, hand) = Clock::manual();
    let asks = system.block_on(embedded_store(directory.path(), clock.clone()));

    let time: StoreTime = Box::new(move || clock.now());
    play_all(&system, &TestStore::of(asks, hand), &time);
}

#[test]
fn redis_answers_any_history_as_the_transitions_do() {
    let (system, directory, server) = (System::new(), tempfile::tempdir().unwrap(), TestRedis::start());
    let store = system.block_on(TestStore::on(&server.url(), directory.path()));

    let (hand, connection) = (store.hand.clone(), RefCell::new(server.connection()));
    let time: StoreTime = Box::new(move || server_time(&mut connection.borrow_mut()) + hand.moved());
    play_all(&system, &store, &time);
}

fn server_time(connection: &mut Connection) -> Moment {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query(connection).unwrap();
    Moment(seconds * 1000 + micros / 1000)
}

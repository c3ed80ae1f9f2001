//! No application sees, uses or burns another's: whatever several do on one daemon, on the same addresses, with the same
//! `Idempotency-Key`s and each other's ids and numbers, each is answered as if the others did not exist.

mod player;
mod routes;
mod world;

use std::time::Duration;

use actix_rt::{System, SystemRunner};
use fiador::clock::{Clock, Hand};
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};

use crate::kit::redis::TestRedis;
use player::Player;
use routes::{KEYED, Route};
use world::APPLICATIONS;

/// Time that passes, or a call of an application.
#[derive(Clone, Debug)]
enum Step {
    Wait(Duration),
    Call(Call),
}

#[derive(Clone, Debug)]
struct Call {
    /// Which of [`APPLICATIONS`].
    by: usize,
    route: Route,
    /// Whose verification or user it names: that many were started after it.
    id_of: Whose,
    number: Number,
    /// The last one is one that no mail can reach.
    address: u8,
    ip: Option<u8>,
    idempotency_key: Option<u8>,
    /// Which of two passwords, and of two purposes.
    is_first_secret: bool,
}

#[derive(Clone, Copy, Debug)]
struct Whose {
    by: usize,
    ago: usize,
}

#[derive(Clone, Copy, Debug)]
enum Number {
    /// The right one of some verification.
    Of(Whose),
    Zeros(usize),
    Ones(usize),
}

/// No multiples of what the rules count in, since the worlds that are compared are not asked at the same moment.
fn wait() -> impl Strategy<Value = Step> {
    select(vec![1, 31, 63, 127, 605, 1_811, 3_613]).prop_map(|seconds| Step::Wait(Duration::from_secs(seconds)))
}

/// Mostly one's own.
fn whose(by: usize) -> impl Strategy<Value = Whose> {
    let owner = prop_oneof![3 => Just(by), 2 => 0..APPLICATIONS.len()];
    (owner, prop_oneof![3 => Just(0), 1 => 0..4_usize]).prop_map(|(by, ago)| Whose { by, ago })
}

fn number(by: usize) -> impl Strategy<Value = Number> {
    let digits = || select(vec![8, 12]);
    prop_oneof![
        6 => whose(by).prop_map(Number::Of),
        1 => digits().prop_map(Number::Zeros),
        1 => digits().prop_map(Number::Ones),
    ]
}

/// Starts and users often, for without them there is nothing to meddle with.
fn route() -> impl Strategy<Value = Route> {
    prop_oneof![2 => Just(routes::START), 1 => Just(routes::CREATE), 1 => Just(routes::SIGN_IN), 5 => select(KEYED.to_vec())]
}

fn call() -> impl Strategy<Value = Step> {
    (0..APPLICATIONS.len()).prop_flat_map(|by| {
        let details = (route(), whose(by), number(by), 0..3_u8, option::of(0..2_u8), option::of(0..3_u8), any::<bool>());
        details.prop_map(move |(route, id_of, number, address, ip, idempotency_key, is_first_secret)| {
            Step::Call(Call { by, route, id_of, number, address, ip, idempotency_key, is_first_secret })
        })
    })
}

fn play_all(system: &SystemRunner, mut player: Player) {
    let config = Config { cases: 24, failure_persistence: None, max_shrink_iters: 128, ..Config::default() };
    let step = prop_oneof![1 => wait(), 7 => call()];
    let player = std::cell::RefCell::new(&mut player);
    let outcome = TestRunner::new(config).run(&vec(step, 1..50), |steps| {
        system.block_on(player.borrow_mut().play(&steps));
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn on_the_embedded_store_each_application_is_answered_as_if_it_were_alone() {
    let (system, (clock, hand)) = (System::new(), Clock::manual());

    let player = system.block_on(Player::new(clock, hand, |_| String::new()));
    play_all(&system, player);
}

#[test]
fn on_redis_each_application_is_answered_as_if_it_were_alone() {
    let (system, server, hand) = (System::new(), TestRedis::start(), Hand::default());

    let on_redis = |database| format!("[store]\nredis_url = \"{}{database}\"\n", server.url());
    let player = system.block_on(Player::new(Clock::moved_by(&hand), hand, on_redis));
    play_all(&system, player);
}

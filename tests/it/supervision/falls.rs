//! What a fall costs, and what it leaves.

use std::{rc::Rc, time::Duration};

use actix::prelude::*;
use fiador::supervision::{AskError, Escalation, Guarded, Health, Policy, start};

use super::counter::{
    Bench, Count, Counter, DEADLINE, Faults, Hang, PERMITS, Panic, PanicBeside, PanicInFuture, Stop, Tally, max_restarts, said,
    tally,
};

// ---------------------------------------------------------------- falls

#[actix::test]
async fn a_panic_in_a_handler_costs_one_ask_and_one_life() {
    let bench = Bench::new();
    assert_eq!(bench.ask(Count).await, tally(1, 0));
    assert_eq!(bench.ask(Panic).await, Err(AskError::Crashed));

    bench.restarted(1).await;
    assert_eq!(bench.last_cause().as_deref(), Some("boom"));
    assert_eq!(bench.ask(Count).await, tally(1, 1));
}

#[actix::test]
async fn a_panic_in_an_actor_future_answers_every_ask_in_flight_with_an_error() {
    let bench = Bench::new();
    let (hanging, panicking) = tokio::join!(bench.ask(Hang), bench.ask(PanicInFuture));
    assert_eq!((hanging, panicking), (Err(AskError::Crashed), Err(AskError::Crashed)));

    bench.restarted(1).await;
    assert_eq!(bench.ask(Count).await, tally(1, 1));
}

#[actix::test]
async fn asks_in_flight_are_answered_at_the_fall_and_not_after_the_backoff() {
    let bench = Bench::new();
    let (hanging, _) = tokio::join!(bench.ask(Hang), bench.ask(Panic));
    assert_eq!(hanging, Err(AskError::Crashed));
    assert!(matches!(bench.counter.health(), Health::Down { .. }));
}

#[actix::test]
async fn a_panic_beside_the_actor_costs_its_own_ask_only() {
    let bench = Bench::new();
    assert_eq!(bench.ask(PanicBeside).await, Err(AskError::Crashed));
    assert_eq!(bench.ask(Count).await, tally(1, 0));
}

#[actix::test]
async fn a_panic_in_started_is_a_fall_like_any_other() {
    let bench = Bench::with_faults(Faults { panics_in_started: 3.into(), ..Faults::default() });
    assert_eq!(bench.ask(Count).await, tally(1, 3), "queued before the first start");
    bench.restarted(3).await;
    assert_eq!(bench.last_cause().as_deref(), Some("could not start"));
}

#[actix::test]
async fn a_panic_while_restarting_is_tried_again_and_counted() {
    let bench = Bench::with_faults(Faults { panics_while_restarting: 2.into(), ..Faults::default() });
    assert_eq!(bench.ask(Panic).await, Err(AskError::Crashed));
    bench.restarted(3).await;
    assert_eq!(bench.last_cause().as_deref(), Some("could not restart"));
    assert_eq!(bench.ask(Count).await, tally(1, 1));
}

#[actix::test]
async fn an_actor_that_cannot_restart_spends_its_budget() {
    let bench = Bench::with_faults(Faults { panics_while_restarting: u32::MAX.into(), ..Faults::default() });
    assert_eq!(bench.ask(Panic).await, Err(AskError::Crashed));
    bench.reported(|report| report.health == Health::Dead).await;
    assert_eq!(said(&bench.escalations.try_recv().unwrap().cause), "could not restart");
    assert_eq!(bench.faults.starts.get(), 1, "never started without having been rebuilt");
}

#[actix::test]
async fn an_actor_that_stops_is_made_anew() {
    let bench = Bench::new();
    assert_eq!(bench.ask(Stop).await, tally(1, 0));
    bench.restarted(1).await;
    assert_eq!(bench.last_cause().as_deref(), Some("stopped"));
    assert_eq!(bench.ask(Count).await, tally(1, 1));
}

#[actix::test]
async fn a_panic_in_stopping_is_a_fall_like_any_other() {
    let bench = Bench::with_faults(Faults { panics_in_stopping: 1.into(), ..Faults::default() });
    assert_eq!(bench.ask(Stop).await, tally(1, 0));
    bench.restarted(1).await;
    assert_eq!(bench.last_cause().as_deref(), Some("could not stop"));
}

#[actix::test]
async fn an_actor_that_always_stops_in_started_leaves_the_thread_to_others() {
    let stopping = Bench::with_faults(Faults { stops_in_started: u32::MAX.into(), ..Faults::default() });
    let other = Counter::new(Rc::default()).start();
    stopping.reported(|report| report.restarts == 1).await;
    assert_eq!(other.send(Count).await.unwrap(), Ok(Tally { count: 1, life: 0 }));
    stopping.reported(|report| report.health == Health::Dead).await;
    assert_eq!(stopping.faults.starts.get(), max_restarts() + 1);
}

// ---------------------------------------------------------------- backoff and budget

#[actix::test]
async fn asks_queued_before_the_fall_are_answered_after_the_restart() {
    let bench = Bench::new();
    let (panicking, first, second) = tokio::join!(bench.ask(Panic), bench.ask(Count), bench.ask(Count));
    assert_eq!(panicking, Err(AskError::Crashed));
    assert_eq!((first, second), (tally(1, 1), tally(2, 1)));
}

#[actix::test]
async fn asks_of_an_actor_that_is_down_are_told_for_how_long() {
    let bench = Bench::new();
    let _crashed = bench.ask(Panic).await;
    let Err(AskError::Unavailable(back_in)) = bench.ask(Count).await else { panic!("it took an ask while it was down") };
    assert!(back_in <= Policy::default().base);
}

#[actix::test]
async fn each_backoff_is_up_to_twice_the_last_and_never_above_the_cap() {
    let bench = Bench::new();
    for longest_milliseconds in [50, 100, 200, 400, 800] {
        let longest = Duration::from_millis(longest_milliseconds);
        let _crashed = bench.ask(Panic).await;
        let Health::Down { back_in } = bench.counter.health() else { panic!("it is not down after a fall") };
        assert!(back_in >= longest / 2 && back_in <= longest, "{back_in:?} of {longest:?}");
        bench.reported(|report| report.health == Health::Up).await;
    }
}

#[actix::test]
async fn a_spent_budget_is_escalated_once_and_the_actor_is_dead() {
    let bench = Bench::new();
    for restarts in 1..=u64::from(max_restarts()) {
        assert_eq!(bench.ask(Panic).await, Err(AskError::Crashed));
        bench.restarted(restarts).await;
    }
    let (last_straw, in_flight, queued) = tokio::join!(bench.ask(Hang), bench.ask(Panic), bench.ask(Count));
    assert_eq!([last_straw, in_flight, queued], [Err(AskError::Crashed), Err(AskError::Crashed), Err(AskError::Crashed)]);

    assert_eq!(bench.ask(Count).await, Err(AskError::Crashed));
    let escalations: Vec<Escalation> = bench.escalations.try_iter().collect();
    assert_eq!(
        escalations.iter().map(|told| (told.actor, said(&told.cause))).collect::<Vec<_>>(),
        [("counter", "boom".to_owned())]
    );
    assert_eq!(bench.faults.ends.get(), 0, "none of a dead actor's code runs again");
}

#[actix::test]
async fn falls_are_forgotten_in_time() {
    let bench = Bench::new();
    for restarts in 1..=2 * u64::from(max_restarts()) {
        let _crashed = bench.ask(Panic).await;
        bench.restarted(restarts).await;
        tokio::time::advance(Policy::default().within / max_restarts()).await;
    }
    assert!(bench.escalations.try_recv().is_err());
}

// ---------------------------------------------------------------- ends

#[actix::test]
async fn an_actor_that_no_handle_leads_to_ends_without_escalation() {
    let Bench { counter, faults, escalations } = Bench::new();
    let mut report = counter.report();
    drop(counter);
    report.wait_for(|report| report.health == Health::Dead).await.unwrap();
    assert_eq!(report.borrow().restarts, 0);
    assert_eq!(faults.ends.get(), 1);
    assert!(escalations.try_recv().is_err());
}

#[test]
fn a_panic_in_stopping_does_not_keep_an_arbiter_from_ending() {
    let faults = end_an_arbiter(Faults { panics_in_stopping: 1.into(), ..Faults::default() }, async |counter| {
        counter.asks().ask(Count, DEADLINE).await.unwrap();
    });
    assert_eq!(faults.panics_in_stopping.get(), 0);
}

#[test]
fn an_actor_that_is_down_is_not_started_when_its_arbiter_ends() {
    let faults = end_an_arbiter(Faults { stops_in_started: 1.into(), ..Faults::default() }, async |counter| {
        counter.report().wait_for(|report| report.restarts == 1).await.unwrap();
    });
    assert_eq!(faults.starts.get(), 1);
}

/// Starts a counter with these faults on an arbiter that ends after `meanwhile`, and the counter with it.
fn end_an_arbiter(faults: Faults, meanwhile: impl AsyncFnOnce(&Guarded<Counter>)) -> Rc<Faults> {
    let faults = Rc::new(faults);
    let counter = System::new().block_on(async {
        let actor = Counter::new(faults.clone());
        let counter = start("counter", Policy::default(), PERMITS, |_| {}, |_| actor);
        meanwhile(&counter).await;
        counter
    });
    assert_eq!(counter.health(), Health::Dead);
    faults
}

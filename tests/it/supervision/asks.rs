//! Permits, reservations, probes.

use std::time::Duration;

use fiador::{
    messages::Probe,
    supervision::{AskError, Health},
};
use tokio::sync::oneshot;

use super::counter::{Bench, Count, DEADLINE, Faults, Hang, Panic, PanicInFuture, Refuse, StallUntil, Stop, tally};

// ---------------------------------------------------------------- permits

#[actix::test]
async fn asks_beyond_the_permits_are_overloaded() {
    let bench = Bench::with_permits(2);
    let asks = tokio::join!(bench.ask(Count), bench.ask(Count), bench.ask(Count));
    assert_eq!(asks, (tally(1, 0), tally(2, 0), Err(AskError::Overloaded)));
    assert_eq!(bench.ask(Count).await, tally(3, 0), "an answer gives its permit back");
}

#[actix::test]
async fn asks_apart_get_through_while_all_other_permits_are_taken() {
    let bench = Bench::with_permits(1);
    let apart = bench.counter.asks_apart::<Count>(1);
    bench.ask_and_leave(Hang);
    assert_eq!(bench.ask(Count).await, Err(AskError::Overloaded));

    assert_eq!(apart.ask(Count, DEADLINE).await, tally(1, 0));
}

#[actix::test]
async fn asks_that_time_out_keep_their_permits_until_they_are_handled() {
    let bench = Bench::with_permits(2);
    let (go_on, told) = oneshot::channel();
    assert_eq!(bench.ask_impatiently(StallUntil(told)).await, Err(AskError::TimedOut));
    assert_eq!(bench.ask_impatiently(Count).await, Err(AskError::TimedOut));
    assert_eq!(bench.ask(Count).await, Err(AskError::Overloaded));

    go_on.send(()).unwrap();
    bench.drained().await;
    assert_eq!(bench.ask(Count).await, tally(3, 0), "what was asked for was done");
}

#[actix::test]
async fn asks_whose_asker_went_away_keep_their_permits_until_they_are_handled() {
    let bench = Bench::with_permits(2);
    let (go_on, told) = oneshot::channel();
    bench.ask_and_leave(StallUntil(told));
    bench.ask_and_leave(Count);
    assert_eq!(bench.ask(Count).await, Err(AskError::Overloaded));

    go_on.send(()).unwrap();
    bench.drained().await;
    assert_eq!(bench.ask(Count).await, tally(3, 0), "what was asked for was done");
}

#[actix::test]
async fn a_fall_gives_back_the_permits_of_asks_whose_asker_went_away() {
    let bench = Bench::with_permits(1);
    bench.ask_and_leave(PanicInFuture);
    bench.drained().await;
    bench.restarted(1).await;
    assert_eq!(bench.ask(Count).await, tally(1, 1));
}

#[actix::test]
async fn the_actor_s_own_error_comes_back_as_it_is() {
    assert_eq!(Bench::new().ask(Refuse).await, Err(AskError::Refused("no")));
}

// ---------------------------------------------------------------- reservations

#[actix::test]
async fn a_reservation_holds_a_permit_until_it_is_dropped() {
    let bench = Bench::with_permits(1);
    let reservation = bench.counter.asks::<Count>().reserve().unwrap();
    assert!(bench.counter.asks::<Stop>().reserve().is_none(), "all messages share the permits");
    assert_eq!(bench.ask(Count).await, Err(AskError::Overloaded));

    drop(reservation);
    assert_eq!(bench.ask(Count).await, tally(1, 0));
}

#[actix::test]
async fn a_told_message_keeps_the_reserved_permit_until_it_is_answered() {
    let bench = Bench::with_permits(1);
    let (go_on, told) = oneshot::channel();
    drop(bench.counter.asks().reserve().unwrap().tell(StallUntil(told)));
    assert_eq!(bench.ask(Count).await, Err(AskError::Overloaded));

    go_on.send(()).unwrap();
    bench.drained().await;
    assert_eq!(bench.ask(Count).await, tally(2, 0));
}

#[actix::test]
async fn nothing_can_be_reserved_of_an_actor_that_is_down() {
    let bench = Bench::new();
    let asks = bench.counter.asks::<Count>();
    let _crashed = bench.ask(Panic).await;
    assert!(asks.reserve().is_none());
    bench.restarted(1).await;
    assert!(asks.reserve().is_some());
}

#[actix::test]
async fn what_was_reserved_before_a_fall_can_be_told_during_it() {
    let bench = Bench::new();
    let reservation = bench.counter.asks::<Count>().reserve().unwrap();
    let _crashed = bench.ask(Panic).await;
    drop(reservation.tell(Count));
    bench.drained().await;
    assert_eq!(bench.ask(Count).await, tally(2, 1));
}

// ---------------------------------------------------------------- probes

#[actix::test]
async fn a_probe_is_answered_while_every_permit_is_taken() {
    let bench = Bench::with_permits(1);
    bench.ask_and_leave(Hang);
    assert_eq!(bench.ask(Count).await, Err(AskError::Overloaded));
    assert!(bench.counter.probes().is_alive(Probe, DEADLINE).await);
}

#[actix::test]
async fn an_actor_that_is_down_counts_as_alive() {
    let bench = Bench::new();
    let _crashed = bench.ask(Panic).await;
    assert!(bench.counter.probes().is_alive(Probe, DEADLINE).await);
    assert!(matches!(bench.counter.health(), Health::Down { .. }), "it was not waited for");
}

#[actix::test]
async fn an_actor_that_falls_under_a_probe_counts_as_alive() {
    let bench = Bench::new();
    let prober = bench.counter.probes();
    let (_crashed, is_alive) = tokio::join!(bench.ask(Panic), prober.is_alive(Probe, Duration::ZERO));
    assert!(is_alive);
}

#[actix::test]
async fn an_actor_that_is_stuck_does_not_count_as_alive() {
    let bench = Bench::new();
    let (_go_on, told) = oneshot::channel();
    bench.ask_and_leave(StallUntil(told));
    assert!(!bench.counter.probes().is_alive(Probe, DEADLINE).await);
}

#[actix::test]
async fn a_dead_actor_does_not_count_as_alive() {
    let bench = Bench::with_faults(Faults { panics_in_started: u32::MAX.into(), ..Faults::default() });
    bench.reported(|report| report.health == Health::Dead).await;
    assert!(!bench.counter.probes().is_alive(Probe, DEADLINE).await);
}

//! The places in which tests make the daemon fall, or die: each `fail_point!` of the source. No release build has them.
//!
//! `FAILPOINTS`, as the crate `fail` reads it, makes one panic, pause or sleep. `FIADOR_TESTING_DIES_AT` names one at which the
//! process is killed as by `kill -9`: `smtp.dot.before`, or with `:2` behind it at the second time that it is passed.

use std::{
    env,
    sync::atomic::{AtomicUsize, Ordering},
};

use fail::FailScenario;
use rustix::process::{Signal, getpid, kill_process};

/// Arms what the environment names, until what it returns is dropped.
///
/// # Panics
/// When the environment cannot be read so: a test that armed nothing would show nothing.
#[must_use = "dropped, nothing is armed"]
pub fn arm() -> FailScenario<'static> {
    let scenario = FailScenario::setup();
    if let Ok(place) = env::var("FIADOR_TESTING_DIES_AT") {
        let (name, time) = place.split_once(':').unwrap_or((&place, "1"));
        die_at(name, time.parse().expect("the time is a number"));
    }
    scenario
}

fn die_at(name: &str, time: usize) {
    let passed = AtomicUsize::new(0);
    let die = move || {
        if passed.fetch_add(1, Ordering::Relaxed) + 1 == time {
            kill_process(getpid(), Signal::KILL).expect("a process may kill itself");
        }
    };
    fail::cfg_callback(name, die).expect("a callback has no syntax");
}

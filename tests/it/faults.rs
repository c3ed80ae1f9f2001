//! A campaign of faults: two daemons on one Redis, a mail server, clients, and all of them go wrong as a seed says. What was
//! asked and answered is held against the promises and a reference state machine. `scripts/faults` runs it.

mod campaign;
mod checker;
mod client;
mod clock;
mod history;
mod mails;
mod model;
mod planted;
mod post_office;
mod report;
mod road;
mod search;
mod session;
mod trouble;
mod violation;
mod world;
mod written;

use std::{str::FromStr, time::Duration};

use campaign::{Settings, run};
use trouble::Fault;

fn variable<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes minutes; scripts/faults runs it"]
async fn whatever_fails_no_promise_is_broken() {
    let seed = variable("FIADOR_FAULTS_SEED").unwrap_or_else(|| fastrand::u64(..));
    let minutes: f64 = variable("FIADOR_FAULTS_MINUTES").unwrap_or(1.0);
    let lasts = Duration::from_secs_f64(minutes * 60.0);
    println!("seed: {seed}");

    let (calm, settling) = (Duration::from_secs(3), Duration::from_secs(30));
    let report = run(Settings { seed, lasts, clients: 24, faults: Fault::ALL.to_vec(), calm, settling, bug: None }).await;

    println!("{report}");
    assert_eq!(report.violations.len(), 0, "promises were broken");
}

//! Puts load on a server: closed loop (each connection asks again once it is answered) or open loop (requests are due at a rate,
//! whether or not earlier ones are answered). Latency counts from when a request was due, so a server that stalls is charged for
//! those that wait behind the stall too.

use std::{
    cell::Cell,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use tokio::sync::{Mutex, mpsc};

use crate::{
    api::Api,
    connection::{Connection, Reply},
};

/// Latencies up to a minute, in nanoseconds, to three digits.
const LONGEST_NS: u64 = 60_000_000_000;
/// How long the pacer sleeps at least: what it hands out together comes at most so late.
const TICK: Duration = Duration::from_micros(50);

/// What is asked, one request after the other.
pub trait Work {
    /// How many requests there are.
    fn total(&self) -> usize;
    /// Returns once the request may be sent; before its latency begins.
    async fn admit(&self) {}
    fn request(&self, nth: usize) -> Vec<u8>;
    /// Takes the reply.
    ///
    /// # Errors
    /// When it is not the one that is right.
    fn take(&self, nth: usize, reply: &Reply<'_>) -> anyhow::Result<()>;
}

#[derive(Clone, Copy)]
pub enum Pace {
    Closed,
    /// Requests a second.
    Open(f64),
}

/// What came of it.
pub struct Run {
    pub answered: u64,
    pub span: Duration,
    pub latencies: Histogram<u64>,
}

/// Works until there is no more, or no longer than `longest`.
///
/// # Errors
/// At the first reply that is not right, with the request and the reply.
pub async fn drive(api: &Api, connections: usize, work: &impl Work, pace: Pace, longest: Duration) -> anyhow::Result<Run> {
    let mut open = try_join_all((0..connections).map(|_| Connection::open(api))).await?;
    let schedule = Schedule::begin(work.total(), pace, longest)?;
    let parts = try_join_all(open.iter_mut().map(|connection| follow(connection, work, &schedule))).await?;
    let span = schedule.began.elapsed();
    let mut latencies = histogram();
    for part in parts {
        latencies.add(part)?;
    }
    Ok(Run { answered: latencies.len(), span, latencies })
}

pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(LONGEST_NS, 3).expect("these bounds are right")
}

async fn follow(connection: &mut Connection, work: &impl Work, schedule: &Schedule) -> anyhow::Result<Histogram<u64>> {
    let mut latencies = histogram();
    while let Some((nth, due)) = schedule.next(work).await {
        let request = work.request(nth);
        let asked = || String::from_utf8_lossy(&request).into_owned();
        let reply = connection.ask(&request).await.with_context(asked)?;
        latencies.saturating_record(u64::try_from(due.elapsed().as_nanos())?);
        let answer = || format!("asked {}\nanswered {}: {}", asked(), reply.status, String::from_utf8_lossy(reply.body));
        work.take(nth, &reply).with_context(answer)?;
    }
    Ok(latencies)
}

/// Which request is next, and when it is due.
struct Schedule {
    began: Instant,
    ends: Instant,
    total: usize,
    next: Cell<usize>,
    /// In an open loop, the requests that are due.
    due: Option<Mutex<mpsc::UnboundedReceiver<(usize, Instant)>>>,
}

impl Schedule {
    fn begin(total: usize, pace: Pace, longest: Duration) -> anyhow::Result<Self> {
        let began = Instant::now();
        let due = match pace {
            Pace::Closed => None,
            Pace::Open(rate) => Some(Mutex::new(paced(total, rate, began, longest)?)),
        };
        Ok(Self { began, ends: began + longest, total, next: Cell::new(0), due })
    }

    async fn next(&self, work: &impl Work) -> Option<(usize, Instant)> {
        if let Some(due) = &self.due {
            return due.lock().await.recv().await;
        }
        work.admit().await;
        let (nth, now) = (self.next.get(), Instant::now());
        self.next.set(nth + 1);
        (nth < self.total && now < self.ends).then_some((nth, now))
    }
}

/// A thread that says each request when it is due: timers of the runtime are a millisecond coarse.
#[expect(clippy::disallowed_methods, reason = "the thread is there to sleep")]
fn paced(
    total: usize,
    rate: f64,
    began: Instant,
    longest: Duration,
) -> anyhow::Result<mpsc::UnboundedReceiver<(usize, Instant)>> {
    let (say, due) = mpsc::unbounded_channel();
    let pace = move || {
        for nth in 0..total {
            let at = began + Duration::from_secs_f64(nth as f64 / rate);
            if at > began + longest {
                return;
            }
            let wait = at.saturating_duration_since(Instant::now());
            if wait > Duration::ZERO {
                thread::sleep(wait.max(TICK));
            }
            if say.send((nth, at)).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("pacer".to_owned()).spawn(pace)?;
    Ok(due)
}

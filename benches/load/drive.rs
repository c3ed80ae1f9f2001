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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::work::{Checks, Contract, Started, Starts, WrongChecks};

    /// A server that answers all requests of one connection so; nothing: it hangs up.
    async fn answering(reply: &'static str) -> Api {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = Api::new(listener.local_addr().unwrap(), "key");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            while stream.read(&mut request).await.unwrap_or(0) > 0 && !reply.is_empty() {
                stream.write_all(reply.as_bytes()).await.unwrap();
            }
        });
        api
    }

    async fn driven(api: &Api, work: &impl Work) -> anyhow::Result<Run> {
        drive(api, 1, work, Pace::Closed, Duration::from_secs(10)).await
    }

    fn started() -> Vec<Started> {
        vec![Started { address: "ada@example.org".to_owned(), id: "vrf_a".to_owned() }]
    }

    #[tokio::test]
    async fn a_wrong_reply_ends_the_run_and_is_shown() {
        let refusal = "HTTP/1.1 503 No\r\nContent-Length: 10\r\n\r\noverloaded";
        let other = "HTTP/1.1 202 A\r\nContent-Length: 48\r\n\r\n{\"id\":\"v\",\"status\":\"pending\",\"email\":\"b@a.test\"}";
        for (reply, shown) in
            [(refusal, "answered 503: overloaded"), (other, "answered 202: {\"id\":\"v\""), ("", "ended before")]
        {
            let api = answering(reply).await;
            let failed = driven(&api, &Starts::new(&api, Contract::V1, 3, None)).await.err().unwrap();
            let told = format!("{failed:?}");
            assert!(told.contains(shown) && told.contains("POST /v1/verifications HTTP/1.1"), "{told}");
        }
    }

    #[tokio::test]
    async fn another_token_and_a_wrong_number_that_opens_are_noticed() {
        let reply = "HTTP/1.1 200 OK\r\nContent-Length: 39\r\n\r\n{\"status\":\"approved\",\"token\":\"another\"}";
        let numbers = HashMap::from([("ada@example.org".to_owned(), "12345678".to_owned())]);
        let api = answering(reply).await;
        let checks = Checks::new(&api, Contract::V1, started(), &numbers).unwrap();
        assert!(format!("{:?}", driven(&api, &checks).await.err().unwrap()).contains("the token is another one"));
        let (api, started) = (answering(reply).await, started());
        let told = driven(&api, &WrongChecks::new(&api, &started)).await.err().unwrap();
        assert!(format!("{told:?}").contains("a wrong number was not refused"));
    }

    #[test]
    fn a_mail_that_is_missing_is_noticed() {
        let api = Api::new(([127, 0, 0, 1], 1).into(), "key");
        let failed = Checks::new(&api, Contract::V1, started(), &HashMap::new()).err().unwrap();
        assert!(failed.to_string().contains("ada@example.org"));
    }

    #[tokio::test]
    async fn an_open_loop_asks_for_all_that_is_due_and_no_more() {
        let api = answering(
            "HTTP/1.1 200 OK\r\nContent-Length: 58\r\n\r\n{\"status\":\"approved\",\"token\":\"session of ada@example.org\"}",
        )
        .await;
        let numbers = HashMap::from([("ada@example.org".to_owned(), "12345678".to_owned())]);
        let checks = Checks::new(&api, Contract::V1, vec![started().remove(0); 20], &numbers).unwrap();
        let run = drive(&api, 1, &checks, Pace::Open(1000.0), Duration::from_secs(10)).await.unwrap();
        assert_eq!(run.answered, 20);
    }
}

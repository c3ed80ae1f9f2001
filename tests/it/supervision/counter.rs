//! An actor that falls as it is told, under guard.

use std::{cell::Cell, future::pending, rc::Rc, sync::mpsc, time::Duration};

use actix::prelude::*;
use fiador::{
    messages::Probe,
    supervision::{AskError, Cause, Escalation, Guarded, Health, Policy, Report, start},
};
use futures_util::FutureExt;
use tokio::{sync::oneshot, time::timeout};

pub const DEADLINE: Duration = Duration::from_secs(5);
pub const PERMITS: u32 = 64;
/// More than any test needs; a wait in vain fails at once, because time is paused.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is to panic or stop where no message reaches it.
#[derive(Default)]
pub struct Faults {
    pub panics_in_started: Cell<u32>,
    pub stops_in_started: Cell<u32>,
    pub panics_while_restarting: Cell<u32>,
    pub panics_in_stopping: Cell<u32>,
    pub starts: Cell<u32>,
    pub ends: Cell<u32>,
}

pub fn strikes(fault: &Cell<u32>) -> bool {
    let left = fault.get();
    fault.set(left.saturating_sub(1));
    left > 0
}

#[derive(Debug, PartialEq)]
pub struct Tally {
    pub count: u32,
    pub life: u32,
}

pub struct Counter {
    tally: Tally,
    faults: Rc<Faults>,
}

pub type Answer = Result<Tally, &'static str>;

#[derive(Message)]
#[rtype(result = "Answer")]
pub struct Count;

#[derive(Message)]
#[rtype(result = "Answer")]
pub struct Refuse;

#[derive(Message)]
#[rtype(result = "Answer")]
pub struct Stop;

#[derive(Message)]
#[rtype(result = "Answer")]
pub struct Panic;

/// Panics in an actor future, which falls with its actor.
#[derive(Message)]
#[rtype(result = "Answer")]
pub struct PanicInFuture;

/// Panics in a future that runs beside the actor.
#[derive(Message)]
#[rtype(result = "Answer")]
pub struct PanicBeside;

/// Answered never; the actor takes other messages.
#[derive(Message)]
#[rtype(result = "Answer")]
pub struct Hang;

/// Answered when told; until then the actor takes no other message.
#[derive(Message)]
#[rtype(result = "Answer")]
pub struct StallUntil(pub oneshot::Receiver<()>);

impl Counter {
    pub fn new(faults: Rc<Faults>) -> Self {
        Self { tally: Tally { count: 0, life: 0 }, faults }
    }

    fn counted(&mut self) -> Tally {
        self.tally.count += 1;
        Tally { ..self.tally }
    }
}

impl Actor for Counter {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        self.faults.starts.update(|starts| starts + 1);
        assert!(!strikes(&self.faults.panics_in_started), "could not start");
        if strikes(&self.faults.stops_in_started) {
            context.stop();
        }
    }

    fn stopping(&mut self, _: &mut Context<Self>) -> Running {
        self.faults.ends.update(|ends| ends + 1);
        assert!(!strikes(&self.faults.panics_in_stopping), "could not stop");
        Running::Stop
    }
}

impl Supervised for Counter {
    fn restarting(&mut self, _: &mut Context<Self>) {
        assert!(!strikes(&self.faults.panics_while_restarting), "could not restart");
        self.tally = Tally { count: 0, life: self.tally.life + 1 };
    }
}

impl Handler<Count> for Counter {
    type Result = Answer;

    fn handle(&mut self, _: Count, _: &mut Context<Self>) -> Answer {
        Ok(self.counted())
    }
}

impl Handler<Refuse> for Counter {
    type Result = Answer;

    fn handle(&mut self, _: Refuse, _: &mut Context<Self>) -> Answer {
        Err("no")
    }
}

impl Handler<Stop> for Counter {
    type Result = Answer;

    fn handle(&mut self, _: Stop, context: &mut Context<Self>) -> Answer {
        context.stop();
        Ok(self.counted())
    }
}

impl Handler<Panic> for Counter {
    type Result = Answer;

    fn handle(&mut self, _: Panic, _: &mut Context<Self>) -> Answer {
        panic!("boom")
    }
}

impl Handler<PanicInFuture> for Counter {
    type Result = ResponseActFuture<Self, Answer>;

    fn handle(&mut self, _: PanicInFuture, _: &mut Context<Self>) -> Self::Result {
        Box::pin(async { panic!("boom") }.into_actor(self))
    }
}

impl Handler<PanicBeside> for Counter {
    type Result = ResponseFuture<Answer>;

    fn handle(&mut self, _: PanicBeside, _: &mut Context<Self>) -> Self::Result {
        Box::pin(async { panic!("boom") })
    }
}

impl Handler<Hang> for Counter {
    type Result = ResponseActFuture<Self, Answer>;

    fn handle(&mut self, _: Hang, _: &mut Context<Self>) -> Self::Result {
        Box::pin(pending().into_actor(self))
    }
}

impl Handler<StallUntil> for Counter {
    type Result = AtomicResponse<Self, Answer>;

    fn handle(&mut self, stall: StallUntil, _: &mut Context<Self>) -> Self::Result {
        let told = stall.0.into_actor(self).map(|_, actor, _| Ok(actor.counted()));
        AtomicResponse::new(Box::pin(told))
    }
}

impl Handler<Probe> for Counter {
    type Result = ();

    fn handle(&mut self, _: Probe, _: &mut Context<Self>) {}
}

pub struct Bench {
    pub counter: Guarded<Counter>,
    pub faults: Rc<Faults>,
    pub escalations: mpsc::Receiver<Escalation>,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(PERMITS, Faults::default())
    }

    pub fn with_permits(permits: u32) -> Self {
        Self::with(permits, Faults::default())
    }

    pub fn with_faults(faults: Faults) -> Self {
        Self::with(PERMITS, faults)
    }

    pub fn with(permits: u32, faults: Faults) -> Self {
        tokio::time::pause();
        let faults = Rc::new(faults);
        let (escalate, escalations) = mpsc::channel();
        let actor = Counter::new(faults.clone());
        let escalate = move |escalation| escalate.send(escalation).unwrap();
        let counter = start("counter", Policy::default(), permits, escalate, |_| actor);
        Self { counter, faults, escalations }
    }

    pub async fn ask<M>(&self, message: M) -> Result<Tally, AskError<&'static str>>
    where
        Counter: Handler<M>,
        M: Message<Result = Answer> + Send + 'static,
    {
        self.counter.asks().ask(message, DEADLINE).await
    }

    /// Gives up at once on an answer.
    pub async fn ask_impatiently<M>(&self, message: M) -> Result<Tally, AskError<&'static str>>
    where
        Counter: Handler<M>,
        M: Message<Result = Answer> + Send + 'static,
    {
        self.counter.asks().ask(message, Duration::from_millis(1)).await
    }

    /// Asks, and goes away before the answer.
    pub fn ask_and_leave<M>(&self, message: M)
    where
        Counter: Handler<M>,
        M: Message<Result = Answer> + Send + 'static,
    {
        assert_eq!(self.ask(message).now_or_never(), None);
    }

    /// Waits until it has fallen so often and is up again.
    pub async fn restarted(&self, restarts: u64) {
        self.reported(|report| report.restarts == restarts && report.health == Health::Up).await;
    }

    /// Waits for a report like this.
    pub async fn reported(&self, is_meant: impl FnMut(&Report) -> bool) {
        let mut reports = self.counter.report();
        timeout(PATIENCE, reports.wait_for(is_meant)).await.unwrap().unwrap();
    }

    /// Waits until every ask sent so far has been handled.
    pub async fn drained(&self) {
        timeout(PATIENCE, self.counter.drained()).await.unwrap();
    }

    pub fn last_cause(&self) -> Option<String> {
        self.counter.report().borrow().last_cause.as_ref().map(said)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "compared with answers as a whole")]
pub fn tally(count: u32, life: u32) -> Result<Tally, AskError<&'static str>> {
    Ok(Tally { count, life })
}

pub fn max_restarts() -> u32 {
    Policy::default().max
}

/// What a panic said, or that it was none.
pub fn said(cause: &Cause) -> String {
    match cause {
        Cause::Stopped => "stopped".to_owned(),
        Cause::Panicked { message, .. } => message.to_string(),
    }
}

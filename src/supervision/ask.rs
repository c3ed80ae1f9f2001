//! The one handle for asks: a permit, a deadline, and four ways to fail besides the actor's own.

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{self, Poll, ready},
    time::Duration,
};

use actix::{dev::RecipientRequest, prelude::*};
use futures_util::FutureExt;
use thiserror::Error;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{error::Elapsed, timeout},
};

use super::{Health, Report, outcomes::Outcomes};

/// Why an ask has no answer. `Overloaded` and `Unavailable`: it did not happen. `TimedOut` and `Crashed`: unknown, it may
/// have happened, happen yet, or never.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AskError<E> {
    /// Every permit is taken.
    #[error("overloaded")]
    Overloaded,
    /// The actor fell and is down for about so long.
    #[error("unavailable, back in {0:?}")]
    Unavailable(Duration),
    /// No answer before the deadline.
    #[error("timed out")]
    TimedOut,
    /// The actor fell while it had the message, or is dead.
    #[error("crashed")]
    Crashed,
    /// The actor's own answer is an error.
    #[error("refused: {0}")]
    Refused(E),
}

impl<E> AskError<E> {
    /// What is told of an actor that did not answer.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Overloaded => "has too much to do",
            Self::Unavailable(_) => "is being restarted",
            Self::TimedOut => "did not answer in time",
            Self::Crashed => "fell over the question",
            Self::Refused(_) => "cannot say",
        }
    }
}

/// Asks one message of one actor, whichever that is. Cheap to clone.
///
/// A permit is taken before the message is sent and given back when it has been answered, not when the asker stops
/// waiting: asks that timed out, or whose future was dropped, keep theirs, and what they asked for is still done. So
/// the permits bound what is in the mailbox (which by itself does not) and in hand.
pub struct Ask<M: Message<Result: Send> + Send> {
    recipient: Arc<Recipient<M>>,
    gate: Arc<Gate>,
    outcomes: Arc<Outcomes>,
}

impl<M: Message<Result: Send> + Send + 'static> Ask<M> {
    pub(super) fn new(recipient: Recipient<M>, gate: Arc<Gate>) -> Self {
        let outcomes = Arc::new(Outcomes::of::<M>(gate.actor));
        Self { recipient: Arc::new(recipient), gate, outcomes }
    }

    /// Sends the message, at once; what is returned waits for its answer, at most until the deadline.
    ///
    /// # Errors
    /// See [`AskError`]; refusals of the gate come at once and in the order unavailable or crashed, overloaded.
    pub fn ask<T, E>(&self, message: M, deadline: Duration) -> impl Future<Output = Result<T, AskError<E>>> + use<'_, M, T, E>
    where
        M: Message<Result = Result<T, E>>,
    {
        let asked = match self.gate.enter() {
            Ok(permit) => timeout(deadline, InFlight::new(&self.recipient, message, permit)).map(outcome_of).left_future(),
            Err(refused) => ready(Err(refused)).right_future(),
        };
        asked.inspect(|outcome| self.outcomes.count(outcome))
    }

    /// Takes a permit for a message to be sent later; none when there is no permit or the actor is not up.
    pub fn reserve(&self) -> Option<Reservation<M>> {
        match self.gate.enter::<Infallible>() {
            Ok(permit) => Some(Reservation { recipient: self.recipient.clone(), permit, outcomes: self.outcomes.clone() }),
            refused => {
                self.outcomes.count(&refused);
                None
            }
        }
    }
}

impl<M: Message<Result: Send> + Send> Clone for Ask<M> {
    fn clone(&self) -> Self {
        Self { recipient: self.recipient.clone(), gate: self.gate.clone(), outcomes: self.outcomes.clone() }
    }
}

fn outcome_of<T, E>(answer: Result<Result<Result<T, E>, MailboxError>, Elapsed>) -> Result<T, AskError<E>> {
    match answer {
        Ok(Ok(answer)) => answer.map_err(AskError::Refused),
        Ok(Err(_mailbox_closed)) => Err(AskError::Crashed),
        Err(_elapsed) => Err(AskError::TimedOut),
    }
}

/// A permit for one message. Dropped unused, it is given back.
#[must_use = "a reservation holds a permit until it is used or dropped"]
pub struct Reservation<M: Message<Result: Send> + Send> {
    recipient: Arc<Recipient<M>>,
    permit: OwnedSemaphorePermit,
    outcomes: Arc<Outcomes>,
}

impl<M: Message<Result: Send> + Send + 'static> Reservation<M> {
    /// Sends the message and waits for nothing; what is returned may be awaited, or dropped. The permit is given back when the
    /// actor has answered. An actor that is down gets it after its restart; a dead one never.
    pub fn tell(self, message: M) -> impl Future<Output = Result<M::Result, MailboxError>> + 'static {
        self.outcomes.count_told();
        InFlight::new(&self.recipient, message, self.permit)
    }
}

/// Probes one actor without a permit, so that it answers when every permit is taken. Not for more than a probe at a time.
pub struct Prober<M: Message<Result: Send> + Send> {
    recipient: Recipient<M>,
    gate: Arc<Gate>,
}

impl<M: Message<Result = ()> + Send + 'static> Prober<M> {
    pub(super) fn new(recipient: Recipient<M>, gate: Arc<Gate>) -> Self {
        Self { recipient, gate }
    }

    /// Whether the actor answers before the deadline, or is down and looked after by its guard. Not: stuck, or dead.
    pub async fn is_alive(&self, probe: M, deadline: Duration) -> bool {
        match self.gate.health() {
            Health::Down { .. } => return true,
            Health::Dead => return false,
            Health::Up => {}
        }
        match timeout(deadline, self.recipient.send(probe)).await {
            Ok(Ok(())) => true,
            Ok(Err(_mailbox_closed)) => self.gate.health() != Health::Dead,
            Err(_elapsed) => matches!(self.gate.health(), Health::Down { .. }),
        }
    }
}

/// What every ask of one actor has to pass.
pub(super) struct Gate {
    /// The name the actor was started under.
    pub(super) actor: &'static str,
    permits: Arc<Semaphore>,
    permit_count: u32,
    report: watch::Receiver<Report>,
}

impl Gate {
    pub(super) fn new(actor: &'static str, permit_count: u32, report: watch::Receiver<Report>) -> Self {
        Self { actor, permits: Arc::new(Semaphore::new(permit_count as usize)), permit_count, report }
    }

    /// How many permits are taken, of how many.
    pub(super) fn permits(&self) -> (u32, u32) {
        let free = u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX);
        (self.permit_count.saturating_sub(free), self.permit_count)
    }

    pub(super) fn report(&self) -> watch::Receiver<Report> {
        self.report.clone()
    }

    pub(super) fn health(&self) -> Health {
        self.report.borrow().health
    }

    pub(super) async fn all_permits_back(&self) {
        let _all = self.permits.acquire_many(self.permit_count).await.expect("the semaphore is never closed");
    }

    fn enter<E>(&self) -> Result<OwnedSemaphorePermit, AskError<E>> {
        match self.health() {
            Health::Up => self.permits.clone().try_acquire_owned().map_err(|_none_left| AskError::Overloaded),
            Health::Down { back_in } => Err(AskError::Unavailable(back_in)),
            Health::Dead => Err(AskError::Crashed),
        }
    }
}

/// A sent message and its permit. Dropped before the answer, it goes on waiting in a task of its own: only then does
/// an ask cost one.
struct InFlight<M: Message<Result: Send> + Send + 'static> {
    /// None once answered.
    awaited: Option<(Pin<Box<RecipientRequest<M>>>, OwnedSemaphorePermit)>,
}

impl<M: Message<Result: Send> + Send + 'static> InFlight<M> {
    fn new(recipient: &Recipient<M>, message: M, permit: OwnedSemaphorePermit) -> Self {
        Self { awaited: Some((Box::pin(recipient.send(message)), permit)) }
    }
}

impl<M: Message<Result: Send> + Send + 'static> Future for InFlight<M> {
    type Output = Result<M::Result, MailboxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let (answer, _permit) = self.awaited.as_mut().expect("not polled again after its answer");
        let answer = ready!(answer.as_mut().poll(cx));
        self.awaited = None;
        Poll::Ready(answer)
    }
}

impl<M: Message<Result: Send> + Send + 'static> Drop for InFlight<M> {
    fn drop(&mut self) {
        // Without a runtime everything is ending, and the permit with it.
        if let (Some((answer, permit)), Ok(runtime)) = (self.awaited.take(), Handle::try_current()) {
            runtime.spawn(async move {
                let _answer_nobody_waits_for = answer.await;
                drop(permit);
            });
        }
    }
}

//! Supervision: a guard that restarts an actor after a panic or a stop, and the one handle for asks.
//!
//! It takes the place of `actix::Supervisor`, which does not survive a panic and restarts without delay. The guard
//! drives the same public `ContextFut`, so mailbox and addresses outlive every restart. Read from actix 0.13.5,
//! `context_impl.rs`; each line has a test in `tests/it/supervision.rs`.
//!
//! A *fall* is a panic in a handler, an actor future, `started`, `stopping`, `stopped` or `restarting`, or a stop. Then:
//!
//! - Actor futures are dropped at once; whoever asked them gets [`AskError::Crashed`]. `Supervised::restarting` is called
//!   on the same struct and must rebuild all of it.
//! - After a backoff `started` is called and the mailbox goes on: asks queued before the fall are answered. New asks
//!   are refused meanwhile ([`AskError::Unavailable`]).
//! - A panic in `restarting` is one more fall. It is called again after the next backoff; that is sound, because actix
//!   empties the context before each call, and `restarting` assumes nothing about the struct.
//! - One fall too many within the policy's time is escalated, once, and the actor is dead: none of its code runs again,
//!   `stopping` and `stopped` neither. Queued and later asks get [`AskError::Crashed`].
//! - An actor that no address leads to any more ends; that is neither a fall nor escalated.
//!
//! Not guarded: a `ResponseFuture` runs beside the actor and outlives a restart; its panic costs its own ask only.
//! `SpawnHandle`s begin anew with each life while actix keeps cancellations that it had not yet carried out: an
//! actor that cancels futures should not fall in the same breath.

#[cfg(panic = "abort")]
compile_error!("the guard has to catch panics: build with panic = \"unwind\"");

mod ask;
mod budget;
mod cause;
mod guard;
mod outcomes;

use std::{sync::Arc, time::Duration};

use actix::{dev::ToEnvelope, prelude::*};
use tokio::sync::watch;

use ask::Gate;
pub use ask::{Ask, AskError, Prober, Reservation};
pub use budget::Falls;
pub use cause::{Cause, note_place};
use guard::Guard;

/// How often an actor may fall, and how long it stays down each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Restarts granted within `within`; the fall after them is escalated.
    pub max: u32,
    /// How long a fall is remembered.
    pub within: Duration,
    /// The longest backoff after a first fall; each further remembered fall doubles it.
    pub base: Duration,
    /// The longest backoff of all.
    pub cap: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { max: 5, within: Duration::from_secs(60), base: Duration::from_millis(50), cap: Duration::from_millis(800) }
    }
}

impl Policy {
    /// Drawn anew each time, between half and the whole, so that actors that fell together do not return together.
    fn backoff(&self, remembered_falls: u32) -> Duration {
        let doublings = remembered_falls.saturating_sub(1);
        let longest = self.base.saturating_mul(2_u32.saturating_pow(doublings)).min(self.cap);
        longest.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

/// Whether an actor takes asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Up,
    /// It fell and is tried again.
    Down {
        /// The backoff, counted from the fall.
        back_in: Duration,
    },
    /// It has ended for good: its budget of restarts is spent, or its arbiter is gone.
    Dead,
}

/// An actor as its guard sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether it takes asks.
    pub health: Health,
    /// Restarts since the beginning, the one under way and failed ones included.
    pub restarts: u64,
    /// Why it fell last.
    pub last_cause: Option<Cause>,
}

/// An actor fell once more than its policy grants. Whoever receives this drains and stops the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// The name it was started under.
    pub actor: &'static str,
    /// Why it fell last.
    pub cause: Cause,
}

/// Makes an actor and runs it under guard on the current arbiter. At most `permits` asks are on their way to it at a time.
///
/// `escalate` is called at most once, on this arbiter; it only signals and must not block. A panic in `make` is the
/// caller's.
pub fn start<A>(
    name: &'static str,
    policy: Policy,
    permits: u32,
    escalate: impl Fn(Escalation) + 'static,
    make: impl FnOnce(&mut Context<A>) -> A,
) -> Guarded<A>
where
    A: Actor<Context = Context<A>> + Supervised,
{
    let mut context = Context::new();
    // The permits are the bound. The mailbox's own (0: none) does not hold asks back, it only costs each a cloned sender.
    context.set_mailbox_capacity(0);
    let actor = make(&mut context);
    let address = context.address();
    let (report, reports) = watch::channel(Report { health: Health::Up, restarts: 0, last_cause: None });
    actix_rt::spawn(Guard::new(name, policy, context.into_future(actor), report, Box::new(escalate)));
    Guarded { address, gate: Arc::new(Gate::new(name, permits, reports)) }
}

/// A guarded actor; hands out what leads to it. It lives at least as long as this or any handle from here.
pub struct Guarded<A: Actor> {
    address: Addr<A>,
    gate: Arc<Gate>,
}

impl<A: Actor> Guarded<A> {
    /// The handle to ask `M`. All handles of one actor share its permits, but those that stand [apart](Self::asks_apart).
    pub fn asks<M>(&self) -> Ask<M>
    where
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
        M: Message<Result: Send> + Send + 'static,
    {
        Ask::new(self.address.clone().recipient(), self.gate.clone())
    }

    /// The handle to ask `M` with `permits` of its own, for what has to get through when all others are taken.
    pub fn asks_apart<M>(&self, permits: u32) -> Ask<M>
    where
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
        M: Message<Result: Send> + Send + 'static,
    {
        Ask::new(self.address.clone().recipient(), Arc::new(Gate::new(self.gate.actor, permits, self.gate.report())))
    }

    /// The handle to probe with `M`, past the permits.
    pub fn probes<M>(&self) -> Prober<M>
    where
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
        M: Message<Result = ()> + Send + 'static,
    {
        Prober::new(self.address.clone().recipient(), self.gate.clone())
    }

    /// What is seen of it from outside.
    pub fn vitals(&self) -> Vitals {
        Vitals(self.gate.clone())
    }

    /// The actor's state, to be read (`borrow`) or awaited (`changed`, `wait_for`).
    pub fn report(&self) -> watch::Receiver<Report> {
        self.gate.report()
    }

    /// The actor's health now.
    pub fn health(&self) -> Health {
        self.gate.health()
    }

    /// Waits until every ask sent so far has been handled. Until then new asks are refused as overloaded.
    pub async fn drained(&self) {
        self.gate.all_permits_back().await;
    }
}

/// What is seen of an actor from outside, whichever it is. Cheap to clone; it does not keep the actor alive.
#[derive(Clone)]
pub struct Vitals(Arc<Gate>);

impl Vitals {
    /// The name it was started under.
    pub fn actor(&self) -> &'static str {
        self.0.actor
    }

    /// Its state now.
    pub fn report(&self) -> Report {
        self.0.report().borrow().clone()
    }

    /// How many of its permits are taken, of how many; those of handles that stand [apart](Guarded::asks_apart) aside.
    pub fn permits(&self) -> (u32, u32) {
        self.0.permits()
    }
}

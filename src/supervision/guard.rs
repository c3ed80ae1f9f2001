//! The guard: a future around an actor's context that catches its falls.

use std::{
    future::Future,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{self, Poll, ready},
    time::Duration,
};

use actix::{dev::ContextFut, prelude::*};
use metrics::{Counter, counter};
use strum::VariantNames;
use tokio::{
    sync::watch,
    time::{Sleep, sleep},
};

use super::{Cause, Escalation, Falls, Health, Policy, Report};

pub(super) struct Guard<A: Actor<Context = Context<A>>> {
    name: &'static str,
    context: ContextFut<A, Context<A>>,
    /// False from a fall until `restarting` has returned; the actor must not be polled in between.
    is_rebuilt: bool,
    /// Some while the actor is down.
    backoff: Option<Pin<Box<Sleep>>>,
    falls: Falls,
    report: watch::Sender<Report>,
    escalate: Box<dyn Fn(Escalation)>,
}

impl<A: Actor<Context = Context<A>> + Supervised> Guard<A> {
    pub(super) fn new(
        name: &'static str,
        policy: Policy,
        context: ContextFut<A, Context<A>>,
        report: watch::Sender<Report>,
        escalate: Box<dyn Fn(Escalation)>,
    ) -> Self {
        // so that the first one is an increase
        for cause in Cause::VARIANTS {
            restarts(name, cause).increment(0);
        }
        Self { name, context, is_rebuilt: true, backoff: None, falls: Falls::new(policy), report, escalate }
    }
}

impl<A: Actor<Context = Context<A>> + Supervised> Future for Guard<A> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        let guard = self.get_mut();
        loop {
            ready!(guard.poll_backoff(cx));
            let cause = ready!(guard.poll_actor(cx));
            if guard.fell(cause).is_break() {
                return Poll::Ready(());
            }
        }
    }
}

impl<A: Actor<Context = Context<A>> + Supervised> Guard<A> {
    fn poll_backoff(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        if let Some(backoff) = &mut self.backoff {
            ready!(backoff.as_mut().poll(cx));
            self.backoff = None;
        }
        Poll::Ready(())
    }

    /// Ready with the cause when the actor falls.
    fn poll_actor(&mut self, cx: &mut task::Context<'_>) -> Poll<Cause> {
        // Unwind safe: after a panic the actor is polled again only when `restarting` has rebuilt it.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            if !self.is_rebuilt && !self.rebuild() {
                return Poll::Ready(());
            }
            Pin::new(&mut self.context).poll(cx)
        }));
        match outcome {
            Ok(Poll::Pending) => {
                self.came_up();
                Poll::Pending
            }
            Ok(Poll::Ready(())) => Poll::Ready(Cause::Stopped),
            Err(panic) => Poll::Ready(Cause::of_panic(&*panic)),
        }
    }

    /// Drops the actor's futures and has it rebuild itself; `started` is called when it is polled next.
    /// False, and nothing done, when no address leads to it any more.
    fn rebuild(&mut self) -> bool {
        self.is_rebuilt = self.context.restart();
        self.is_rebuilt
    }

    fn came_up(&self) {
        self.report.send_if_modified(|report| {
            let was_down = report.health != Health::Up;
            report.health = Health::Up;
            was_down
        });
    }

    /// Breaks when the actor is not to be tried again.
    fn fell(&mut self, cause: Cause) -> ControlFlow<()> {
        let anybody_can_ask = self.context.ctx().connected();
        if !anybody_can_ask {
            return ControlFlow::Break(());
        }
        self.count_fall(cause)?;
        // Now and not after the backoff, so that asks in flight are answered; but once a fall, if it panics.
        let was_rebuilt = std::mem::replace(&mut self.is_rebuilt, false);
        if was_rebuilt && let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.rebuild())) {
            self.count_fall(Cause::of_panic(&*panic))?;
        }
        ControlFlow::Continue(())
    }

    fn count_fall(&mut self, cause: Cause) -> ControlFlow<()> {
        let Some(back_in) = self.falls.count() else {
            self.give_up(cause);
            return ControlFlow::Break(());
        };
        self.back_off(back_in, cause);
        ControlFlow::Continue(())
    }

    fn back_off(&mut self, back_in: Duration, cause: Cause) {
        restarts(self.name, cause.kind()).increment(1);
        tracing::warn!(actor = self.name, cause = %cause, back_in_ms = back_in.as_millis(), "an actor fell and is restarted");
        self.backoff = Some(Box::pin(sleep(back_in)));
        self.report.send_modify(|report| {
            report.health = Health::Down { back_in };
            report.restarts += 1;
            report.last_cause = Some(cause);
        });
    }

    fn give_up(&mut self, cause: Cause) {
        // Otherwise the context would poll the fallen actor once more when it is dropped.
        self.context.ctx().terminate();
        self.report.send_modify(|report| {
            report.health = Health::Dead;
            report.last_cause = Some(cause.clone());
        });
        (self.escalate)(Escalation { actor: self.name, cause });
    }
}

fn restarts(actor: &'static str, cause: &'static str) -> Counter {
    counter!("fiador_actor_restarts_total", "actor" => actor, "cause" => cause)
}

impl<A: Actor<Context = Context<A>>> Drop for Guard<A> {
    /// Also runs when the arbiter ends; an actor that is up is then stopped by its context.
    fn drop(&mut self) {
        let is_down = self.backoff.is_some();
        if is_down {
            // Otherwise the context would call `started` when it is dropped.
            self.context.ctx().terminate();
        }
        self.report.send_modify(|report| report.health = Health::Dead);
    }
}

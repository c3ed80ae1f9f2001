use actix::{dev::ToEnvelope, prelude::*};
use tokio::sync::mpsc;

use super::{Parts, StartError, parts::RunningMailer};
use crate::{
    actors::Gateway,
    clock::Clock,
    config::Config,
    http::Authenticate,
    messages::{Drain, ReadInbox},
    supervision::{Ask, Escalation, Guarded},
};

/// Fiador in process, without HTTP: one Gateway, its store and the Mailer, on the arbiter that starts it.
pub struct Service {
    gateway: Guarded<Gateway>,
    mailer: RunningMailer,
    authenticate: Authenticate,
    escalations: mpsc::UnboundedReceiver<Escalation>,
}

impl Service {
    /// Starts what `config` says, the listener apart. Wants a running actix `System`.
    ///
    /// # Errors
    /// [`StartError`]: nothing runs then.
    pub async fn start(config: &Config, clock: Clock) -> Result<Self, StartError> {
        let (escalate, escalations) = mpsc::unbounded_channel();
        let parts = Parts::prepare(config, clock, escalate).await?;
        let store = parts.start_store();
        let mailer = parts.start_mailer(&store.asks);
        let gateway = parts.start_gateway(store.asks, mailer.asks.clone());
        Ok(Self { gateway, mailer, authenticate: parts.authenticate(), escalations })
    }

    /// The handle to ask the Gateway `M`: see "to the Gateway" in [`crate::messages`].
    pub fn asks<M>(&self) -> Ask<M>
    where
        Gateway: Handler<M>,
        <Gateway as Actor>::Context: ToEnvelope<Gateway, M>,
        M: Message<Result: Send> + Send + 'static,
    {
        self.gateway.asks()
    }

    /// What says whose an API key is, for who lets others ask over a door of his own.
    pub fn authenticate(&self) -> Authenticate {
        self.authenticate.clone()
    }

    /// The handle to read the dev inbox; none when mails go to an SMTP server.
    pub fn inbox(&self) -> Option<Ask<ReadInbox>> {
        self.mailer.inbox.clone()
    }

    /// Returns when an actor's restart budget is spent: it is for the caller to end what depends on it.
    pub async fn escalation(&mut self) -> Escalation {
        self.escalations.recv().await.expect("the actors hold a sender")
    }

    /// Takes no more mails, gives back those not begun, and returns when those in hand are done with, or after `grace`.
    pub async fn stop(self, grace: std::time::Duration) {
        let _ = self.mailer.drain.ask(Drain, grace).await; // what was not done is sent by the next start
    }
}

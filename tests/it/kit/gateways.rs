//! A Gateway without HTTP and without a Mailer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::prelude::*;
use fiador::{
    actors::{Gateway, MailAsks, Provers},
    assertions::{Assertions, Issuer},
    clock::Clock,
    domain::{Application, SecondStep},
    live::Live,
    messages::{AskMailReadiness, Failure, MailQueued, NotReady},
    passwords::Passwords,
    store::{RingPlace, Vault, open_or_make},
    supervision::{self, Guarded, Policy},
};
use tempfile::TempDir;

use super::{post, stores::embedded_store};

const PATIENCE: Duration = Duration::from_secs(60);

/// Stands in for the Mailer: gives the same answer to every mail, and counts them.
pub struct Letterbox {
    answer: Result<(), Failure>,
    count: Arc<AtomicUsize>,
}

impl Letterbox {
    pub fn answering(answer: Result<(), Failure>) -> Self {
        Self { answer, count: Arc::default() }
    }
}

impl Actor for Letterbox {
    type Context = Context<Self>;
}

impl Supervised for Letterbox {}

impl Handler<MailQueued> for Letterbox {
    type Result = Result<(), Failure>;

    fn handle(&mut self, _: MailQueued, _: &mut Self::Context) -> Self::Result {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.answer.clone()
    }
}

impl Handler<AskMailReadiness> for Letterbox {
    type Result = Result<Vec<NotReady>, Failure>;

    fn handle(&mut self, _: AskMailReadiness, _: &mut Self::Context) -> Self::Result {
        Ok(Vec::new())
    }
}

/// A Gateway of the shop, which asks for no second step, on an embedded store.
pub struct LoneGateway {
    pub gateway: Guarded<Gateway>,
    pub passwords: Passwords,
    letterbox: Guarded<Letterbox>,
    handed_over: Arc<AtomicUsize>,
    _directory: TempDir,
}

impl LoneGateway {
    pub async fn beside(letterbox: Letterbox) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (clock, _hand) = Clock::manual();
        let store = embedded_store(directory.path(), clock).await;
        let place = RingPlace::new(directory.path(), None);
        let ring = open_or_make(&place, async |fingerprint, origin| Ok((fingerprint, origin))).await.unwrap();
        let vault = Vault::new(ring);
        let passwords = Passwords::new(vault.pepper(), 1);
        let assertions = Assertions::new(Issuer { name: "fiador".to_owned(), ttl_seconds: 300 }, &vault.signing_keys());
        let provers = Provers { passwords: passwords.clone(), assertions };
        let handed_over = letterbox.count.clone();
        let letterbox = supervision::start("letterbox", Policy::default(), 64, |_| {}, |_| letterbox);
        let mail = MailAsks { queued: letterbox.asks(), readiness: letterbox.asks() };
        let application = Application { second_step: SecondStep::None, ..post::application() };
        let applications = Live::new(vec![application.into()]);
        let gateway = Gateway::new(applications, store, mail, provers);
        let gateway = supervision::start("gateway", Policy::default(), 64, |_| {}, |_| gateway);
        Self { gateway, passwords, letterbox, handed_over, _directory: directory }
    }

    /// Mails that were handed over so far.
    pub async fn handed_over(&self) -> usize {
        self.letterbox.asks().ask(AskMailReadiness, PATIENCE).await.unwrap(); // and those before it are counted
        self.handed_over.load(Ordering::Relaxed)
    }
}

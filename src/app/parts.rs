use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::Path, sync::Arc};

use actix::prelude::*;
use tokio::sync::mpsc::UnboundedSender;

use super::{
    StartError,
    roster::{Place, Roster},
};
use crate::{
    actors::{EmbeddedStore, Gateway, MailAsks, Mailer, Provers, RedisStore, StoreAsks, mailer::MAX_HANDED_OVER},
    assertions::Assertions,
    audit::AuditLog,
    clock::Clock,
    config::{Config, Mail, Smtp, Store},
    demo,
    domain::{self, Applications},
    http::Authenticate,
    live::Live,
    mail::{
        inbox::Inbox,
        rendering::Renderer,
        smtp::{SmtpLimits, SmtpSettings},
        transport::Route,
    },
    messages::{Drain, Probe, ReadInbox},
    passwords::{self, Passwords},
    private_file,
    store::{
        self, RingPlace, Vault,
        embedded::{self, Writer},
        redis::{self, RedisSettings},
    },
    supervision::{self, Ask, Escalation, Guarded, Policy},
};

/// Asks that may be on their way to one Gateway, and to one store.
const PERMITS: u32 = 1024;

/// Asks beside the work itself, of each kind: about readiness, the inbox, the stop. They get through while all other permits
/// are taken.
pub(super) const SIDE_PERMITS: u32 = 64;

#[cfg(not(feature = "testing"))]
const fn permits() -> u32 {
    PERMITS
}

/// Tests make them few, so that a small flood is one.
#[cfg(feature = "testing")]
fn permits() -> u32 {
    std::env::var("FIADOR_TESTING_PERMITS").ok().and_then(|text| text.parse().ok()).unwrap_or(PERMITS)
}

/// What the actors are made from. Each cell, and the Mailer's thread, makes its own from a clone.
#[derive(Clone)]
pub struct Parts {
    applications: Live<Applications>,
    clock: Clock,
    ring: RingPlace,
    vault: Vault,
    store: StorePlan,
    route: Route,
    renderer: Live<Renderer>,
    provers: Provers,
    audit: AuditLog,
    escalations: UnboundedSender<Escalation>,
    roster: Roster,
    /// Where what is started from here runs.
    place: Place,
}

#[derive(Clone)]
enum StorePlan {
    Redis(Box<RedisSettings>),
    Embedded(Box<Writer>),
}

/// A store that runs on this arbiter.
pub struct RunningStore {
    /// What it can be asked.
    pub asks: StoreAsks,
}

/// A Mailer that runs on this arbiter.
#[derive(Clone)]
pub struct RunningMailer {
    /// What the Gateway asks it.
    pub asks: MailAsks,
    /// The dev inbox; none when mails go to an SMTP server.
    pub inbox: Option<Ask<ReadInbox>>,
    /// Ends its work.
    pub drain: Ask<Drain>,
}

impl Parts {
    /// Opens or makes what the configuration names: the data directory, the demo application, the store and its key ring.
    ///
    /// # Errors
    /// [`StartError`]: nothing runs then.
    pub async fn prepare(config: &Config, clock: Clock, escalations: UnboundedSender<Escalation>) -> Result<Self, StartError> {
        make_directory(&config.data_dir)?;
        let applications = applications(config)?;
        warn_of_test_applications(&applications);
        let applications = Live::new(applications);
        let route = match &config.mail {
            Mail::Smtp(servers) => Route::smtp(servers.iter().map(smtp_settings).collect())?,
            Mail::DevInbox => {
                let clock = clock.clone();
                Route::memory(Inbox::new(move || clock.now()))
            }
        };
        let ring = RingPlace::new(&config.data_dir, config.keyring.clone());
        let (vault, store) = prepare_store(config, &ring, clock.clone()).await?;
        let audit = match config.audit.clone() {
            Some(destination) => AuditLog::start(destination, clock.clone(), vault.audit_key())?,
            None => AuditLog::off(),
        };
        let assertions = Assertions::new(config.assertions.clone(), &vault.signing_keys());
        let renderer = Live::new(Renderer::new(config.templates.clone()));
        let passwords = Passwords::new(vault.pepper(), passwords::default_workers());
        let provers = Provers { passwords, assertions };
        Ok(Self {
            applications,
            clock,
            ring,
            vault,
            store,
            route,
            renderer,
            provers,
            audit,
            escalations,
            roster: Roster::default(),
            place: Place::Here,
        })
    }

    /// Takes from `config` what can change while everything runs: all of it, or nothing.
    ///
    /// # Errors
    /// [`StartError`]: nothing has changed then.
    pub fn reload(&self, config: &Config) -> Result<(), StartError> {
        let applications = applications(config)?;
        let ring = self.ring.read_successor(&self.vault)?;
        self.audit.reopen()?;
        self.vault.take_up(ring);
        self.provers.assertions.take_up(config.assertions.clone(), &self.vault.signing_keys());
        warn_of_test_applications(&applications);
        self.applications.replace(applications);
        self.renderer.replace(Renderer::new(config.templates.clone()));
        Ok(())
    }

    /// The audit log.
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// What signs assertions.
    pub fn assertions(&self) -> &Assertions {
        &self.provers.assertions
    }

    /// The same parts, for actors that run at `place`.
    #[must_use]
    pub fn at(&self, place: Place) -> Self {
        Self { place, ..self.clone() }
    }

    /// Where what is started from these parts runs.
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// All actors that were started from these parts and their clones.
    pub(super) fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Starts a store on this arbiter.
    pub fn start_store(&self) -> RunningStore {
        match self.store.clone() {
            StorePlan::Redis(settings) => {
                let store = RedisStore::new(*settings, self.vault.clone(), self.clock.clone());
                let store = self.guard("redis-store", permits(), store);
                RunningStore { asks: StoreAsks::of(&store) }
            }
            StorePlan::Embedded(writer) => {
                let store = self.guard("embedded-store", permits(), EmbeddedStore::new(*writer));
                RunningStore { asks: StoreAsks::of(&store) }
            }
        }
    }

    /// Starts the Mailer on this arbiter, beside a store.
    pub fn start_mailer(&self, store: &StoreAsks) -> RunningMailer {
        let (route, applications, renderer) = (self.route.clone(), self.applications.clone(), self.renderer.clone());
        let mailer = Mailer::new(route, applications, renderer, store.claim.clone(), store.settle.clone());
        let has_inbox = self.route.inbox().is_some();
        let mailer = self.guard("mailer", MAX_HANDED_OVER, mailer);
        RunningMailer {
            asks: MailAsks { queued: mailer.asks(), readiness: mailer.asks_apart(SIDE_PERMITS) },
            inbox: has_inbox.then(|| mailer.asks_apart(SIDE_PERMITS)),
            drain: mailer.asks_apart(SIDE_PERMITS),
        }
    }

    /// What says whose an API key is, by the applications as they are declared then.
    pub fn authenticate(&self) -> Authenticate {
        let (applications, clock) = (self.applications.clone(), self.clock.clone());
        Arc::new(move |presented| domain::authenticate(&applications.now(), presented, clock.now()))
    }

    /// Starts a Gateway on this arbiter.
    pub fn start_gateway(&self, store: StoreAsks, mail: MailAsks) -> Guarded<Gateway> {
        let (applications, provers) = (self.applications.clone(), self.provers.clone());
        self.guard("gateway", permits(), Gateway::new(applications, store, mail, provers))
    }

    fn guard<A>(&self, name: &'static str, permits: u32, actor: A) -> Guarded<A>
    where
        A: Actor<Context = Context<A>> + Supervised + Handler<Probe>,
    {
        let escalations = self.escalations.clone();
        let escalate = move |escalation| {
            let _ = escalations.send(escalation); // nobody listens once the daemon stops
        };
        let guarded = supervision::start(name, Policy::default(), permits, escalate, |_| actor);
        self.roster.enter(self.place, &guarded);
        guarded
    }
}

fn warn_of_test_applications(applications: &Applications) {
    for application in applications.iter().filter(|application| application.is_test) {
        tracing::warn!(application = %application.name, "test application: anyone passes, its numbers are zeros and no mail is sent");
    }
}

/// Those that are declared, or the demo application.
fn applications(config: &Config) -> Result<Applications, StartError> {
    let mut applications = config.applications.clone();
    if let Some(sender) = &config.demo_sender {
        applications.push(demo::application(&config.data_dir, sender)?.0);
    }
    Ok(applications.into_iter().map(Arc::new).collect())
}

async fn prepare_store(config: &Config, ring: &RingPlace, clock: Clock) -> Result<(Vault, StorePlan), StartError> {
    match &config.store {
        Store::Redis(server) => {
            let settings = RedisSettings::new(server.connection_info());
            let claim = |fingerprint, origin| redis::claim_ring(&settings, fingerprint, origin);
            let vault = Vault::new(store::open_or_make(ring, claim).await?);
            Ok((vault, StorePlan::Redis(Box::new(settings))))
        }
        Store::Embedded => {
            let path = config.data_dir.join("fiador.redb");
            let claim = |fingerprint: String, origin: String| {
                let claimed = embedded::claim_ring(&path, &fingerprint, &origin);
                async { claimed }
            };
            let vault = Vault::new(store::open_or_make(ring, claim).await?);
            let writer = Writer::start(&path, vault.clone(), clock)?;
            Ok((vault, StorePlan::Embedded(Box::new(writer))))
        }
    }
}

/// Makes it when it is missing, and looks at who may change what is in it. Others may look into it, as systemd and container
/// volumes have it: each file has a mode of its own.
fn make_directory(path: &Path) -> Result<(), StartError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| StartError::System(path.display().to_string(), error))?;
    private_file::check_directory(path).map_err(|error| StartError::DataDirectory(path.to_owned(), error))
}

fn smtp_settings(smtp: &Smtp) -> SmtpSettings {
    SmtpSettings {
        host: smtp.host.clone(),
        port: smtp.port,
        tls: smtp.tls,
        allow_plaintext: smtp.allow_plaintext,
        user: smtp.login.as_ref().map(|login| login.user.clone()),
        password: smtp.login.as_ref().map(|login| login.password.expose().to_owned().into()),
        extra_roots: Vec::new(),
        limits: SmtpLimits::default(),
    }
}

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use actix::prelude::*;
use futures_util::future::join_all;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    EXIT_GAVE_UP, Parts, Place, StartError,
    cells::CellKeeper,
    entrance::Entrance,
    observatory::{MetricsListener, Observatory},
    open_files,
    parts::{RunningMailer, SIDE_PERMITS},
    roster::Roster,
};
use crate::{
    actors::{Gateway, StoreAsks},
    audit::{AuditLog, Entry},
    clock::Clock,
    config::Config,
    domain::ApplicationName,
    http::{self, Acceptor, Asks, CellConnections, CellPort, CellPorts, CompatAsks, Front, Limits},
    messages::{AskStoreReadiness, CountMails, Drain},
    supervision::{Ask, Escalation, Guarded, Health},
};

const ASK_DEADLINE: Duration = Duration::from_secs(1);
/// How long a start waits for a store that is being connected; without it the first requests would be 503.
const STORE_PATIENCE: Duration = Duration::from_secs(2);
const STORE_LOOKED_AT_EVERY: Duration = Duration::from_millis(10);

/// The running daemon: a listener, a cell per core, and the Mailer, each on a thread of its own.
pub struct Daemon {
    address: SocketAddr,
    grace: Duration,
    entrance: Entrance,
    acceptors: Vec<JoinHandle<()>>,
    stop_accepting: watch::Sender<bool>,
    /// Looks after the cells, and hands them out at the stop.
    cells: JoinHandle<Vec<Cell>>,
    parts: Parts,
    mailer: RunningMailer,
    mailer_thread: Arbiter,
    escalations: mpsc::UnboundedReceiver<Escalation>,
}

/// Why the daemon ends.
#[derive(Debug)]
pub enum Ending {
    /// A signal.
    Asked,
    /// An actor's restart budget is spent.
    GaveUp(Escalation),
}

impl Ending {
    /// What the process supervisor is told.
    pub fn code(&self) -> ExitCode {
        match self {
            Self::Asked => ExitCode::SUCCESS,
            Self::GaveUp(_) => ExitCode::from(EXIT_GAVE_UP),
        }
    }
}

/// One thread: its connections, Gateway and store.
pub(super) struct Cell {
    place: Place,
    thread: Arbiter,
    /// Whether all its requests were answered, once it is done.
    finished: oneshot::Receiver<bool>,
}

impl Daemon {
    /// Starts everything, the listener last.
    ///
    /// # Errors
    /// [`StartError`]: nothing runs then.
    pub async fn start(config: Config, clock: Clock) -> Result<Self, StartError> {
        let limits = limits(&config);
        let entrance = Entrance::of(&config, clock.clone());
        let acceptor = entrance.open(config.listen, limits).await?;
        let compat_acceptor = match &config.compat {
            Some(compat) => Some(entrance.open(compat.listen, limits).await?),
            None => None,
        };
        let metrics = match config.metrics {
            Some(listen) => Some(MetricsListener::bind(listen, limits).await?),
            None => None,
        };
        let (escalate, escalations) = mpsc::unbounded_channel();
        let keeper_escalates = escalate.clone();
        let parts = Parts::prepare(&config, clock, escalate).await?;
        let (mailer_thread, mailer, count_mails) = start_mailer(parts.at(Place::Mailer)).await?;
        let observatory = Observatory::new(parts.roster().clone(), count_mails);
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let plan = CellPlan {
            parts: parts.clone(),
            mailer: mailer.clone(),
            observatory: observatory.clone(),
            compat: config.compat.map(|compat| compat.application),
            limits,
        };
        let keeper = CellKeeper::start(plan, count, keeper_escalates).await?;
        let doors = keeper.ports();
        let address = acceptor.local_address();
        let stop_accepting = watch::Sender::new(false);
        let cells = actix_rt::spawn(keeper.keep(stop(&stop_accepting)));
        let mut acceptors = vec![accept(acceptor, doors.api, &stop_accepting)];
        if let Some(compat_acceptor) = compat_acceptor {
            tracing::info!(compat.listen = %compat_acceptor.local_address(), "old contract is served");
            acceptors.push(accept(compat_acceptor, doors.compat, &stop_accepting));
        }
        if let Some(metrics) = metrics {
            acceptors.push(actix_rt::spawn(metrics.serve(observatory, stop(&stop_accepting))));
        }
        tracing::info!(http.listen = %address, cells = count, "daemon started");
        parts.audit().append(&Entry { event: "daemon.started", ..Entry::default() });
        let grace = config.shutdown_grace;
        Ok(Self { address, grace, entrance, acceptors, stop_accepting, cells, parts, mailer, mailer_thread, escalations })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All its actors.
    pub(super) fn roster(&self) -> &Roster {
        self.parts.roster()
    }

    /// Its audit log.
    pub fn audit(&self) -> &AuditLog {
        self.parts.audit()
    }

    /// Returns when an actor's restart budget is spent.
    pub async fn escalation(&mut self) -> Escalation {
        self.escalations.recv().await.expect("every cell's parts hold a sender")
    }

    /// Takes from `config` what can change while everything runs: all of it, or nothing.
    ///
    /// # Errors
    /// [`StartError`]: nothing has changed then.
    pub fn reload(&self, config: &Config) -> Result<(), StartError> {
        self.entrance.judge(config)?;
        self.parts.reload(config)?;
        self.entrance.reload(config);
        Ok(())
    }

    /// Stops in reverse order: the listener, requests in flight, mails in hand; then the threads.
    pub async fn stop(self, ending: &Ending) {
        match ending {
            Ending::Asked => tracing::info!("daemon stops"),
            Ending::GaveUp(Escalation { actor, .. }) => {
                tracing::error!(actor, "an actor fell too often: daemon drains and gives up");
            }
        }
        self.stop_accepting.send_replace(true);
        join_all(self.acceptors).await;
        let cells = self.cells.await.unwrap_or_default();
        fail::fail_point!("daemon.drain.before");
        let drained = timeout(self.grace, drain(cells, &self.mailer, self.grace)).await;
        fail::fail_point!("daemon.drain.after");
        if drained != Ok(true) {
            tracing::warn!("daemon stopped before all in hand was finished; mails are sent by the next start");
        }
        self.mailer_thread.stop();
        let _ = self.mailer_thread.join();
        self.parts.audit().append(&Entry { event: "daemon.stopped", ..Entry::default() });
        self.parts.audit().finish();
        tracing::info!("daemon stopped");
    }
}

fn limits(config: &Config) -> Limits {
    Limits {
        connections: open_files::room_for_connections(config.connections, 1 + u64::from(config.compat.is_some())),
        connections_per_peer: config.connections_per_peer,
        grace: config.shutdown_grace,
        ..Limits::default()
    }
}

fn accept(acceptor: Acceptor, ports: CellPorts, stop_accepting: &watch::Sender<bool>) -> JoinHandle<()> {
    actix_rt::spawn(acceptor.run(ports, stop(stop_accepting)))
}

/// Ends when the daemon stops to accept.
fn stop(stop_accepting: &watch::Sender<bool>) -> impl Future<Output = ()> + 'static {
    let mut stopped = stop_accepting.subscribe();
    async move {
        let _ = stopped.wait_for(|is_stopped| *is_stopped).await;
    }
}

/// Whether everything was finished. Mails are given back only when no request can hand over another.
async fn drain(cells: Vec<Cell>, mailer: &RunningMailer, grace: Duration) -> bool {
    let finished = join_all(cells.into_iter().map(Cell::finish)).await;
    let mails = mailer.drain.ask(Drain, grace).await;
    finished.into_iter().all(|all_answered| all_answered) && mails.is_ok()
}

/// What a cell is made from.
#[derive(Clone)]
pub(super) struct CellPlan {
    parts: Parts,
    mailer: RunningMailer,
    observatory: Observatory,
    /// The application of the old contract.
    compat: Option<ApplicationName>,
    limits: Limits,
}

impl CellPlan {
    pub fn at(&self, place: Place) -> Self {
        Self { parts: self.parts.at(place), ..self.clone() }
    }

    pub fn roster(&self) -> &Roster {
        self.parts.roster()
    }
}

/// Where the acceptors hand connections to a cell.
pub(super) struct Doors {
    pub api: CellPort,
    pub compat: Option<CellPort>,
}

/// What a cell serves.
struct Service {
    front: Front,
    connections: CellConnections,
}

impl Cell {
    pub async fn start(plan: CellPlan) -> Result<(Self, Doors), StartError> {
        let place = plan.parts.place();
        let thread = Arbiter::new();
        let (started, starting) = oneshot::channel();
        let (finish, finished) = oneshot::channel();
        let limits = plan.limits;
        thread.spawn(async move {
            let (entrances, services) = furnish(plan).await;
            let _ = started.send(entrances);
            let served = services.into_iter().map(|service| service.connections.serve(service.front, limits));
            let _ = finish.send(join_all(served).await.into_iter().all(|all_answered| all_answered));
        });
        let entrances = starting.await.map_err(|_| thread_ended("a cell"))?;
        Ok((Self { place, thread, finished }, entrances))
    }

    pub fn place(&self) -> Place {
        self.place
    }

    /// Returns when it serves no more. To be asked once.
    pub async fn ended(&mut self) {
        let _ = (&mut self.finished).await;
    }

    /// Ends what is left of one that has ended.
    pub fn discard(self) {
        self.thread.stop();
    }

    async fn finish(self) -> bool {
        let all_answered = self.finished.await.unwrap_or(false);
        self.thread.stop();
        let _ = self.thread.join();
        all_answered
    }
}

async fn furnish(plan: CellPlan) -> (Doors, Vec<Service>) {
    let CellPlan { parts, mailer, observatory, compat, limits } = plan;
    let store = parts.start_store();
    let _ = timeout(STORE_PATIENCE, until_up(&store.asks)).await; // it may be gone for long: then all is 503 until it is back
    let gateway = parts.start_gateway(store.asks.clone(), mailer.asks.clone());
    let audit = parts.audit().clone();
    let (compat_port, compat_service) =
        compat.map(|application| compat_door(&gateway, application, limits, audit.clone())).unzip();
    let (api_port, connections) = door(&gateway);
    let front = Front::new(asks(&parts, &gateway, mailer, &observatory), limits, audit);
    let services = std::iter::once(Service { front, connections }).chain(compat_service).collect();
    (Doors { api: api_port, compat: compat_port }, services)
}

fn compat_door(gateway: &Guarded<Gateway>, application: ApplicationName, limits: Limits, audit: AuditLog) -> (CellPort, Service) {
    let asks = CompatAsks { application, start_verification: gateway.asks(), check_by_number: gateway.asks() };
    let (port, connections) = door(gateway);
    (port, Service { front: Front::compat(asks, limits, audit), connections })
}

fn door(gateway: &Guarded<Gateway>) -> (CellPort, CellConnections) {
    let report = gateway.report();
    http::cell(move || report.borrow().health == Health::Up)
}

async fn until_up(store: &StoreAsks) {
    while !matches!(store.readiness.ask(AskStoreReadiness, ASK_DEADLINE).await, Ok(None)) {
        sleep(STORE_LOOKED_AT_EVERY).await;
    }
}

fn asks(parts: &Parts, gateway: &Guarded<Gateway>, mailer: RunningMailer, observatory: &Observatory) -> Asks {
    let assertions = parts.assertions().clone();
    Asks {
        authenticate: parts.authenticate(),
        start_verification: gateway.asks(),
        read_verification: gateway.asks(),
        check_number: gateway.asks(),
        check_by_number: gateway.asks(),
        resend_verification: gateway.asks(),
        cancel_verification: gateway.asks(),
        list_mails: gateway.asks(),
        read_mail: gateway.asks(),
        retry_mail: gateway.asks(),
        create_user: gateway.asks(),
        read_user: gateway.asks(),
        find_user: gateway.asks(),
        update_user: gateway.asks(),
        delete_user: gateway.asks(),
        export_user: gateway.asks(),
        set_password: gateway.asks(),
        sign_in: gateway.asks(),
        sign_in_by_number: gateway.asks(),
        readiness: gateway.asks_apart(SIDE_PERMITS),
        inbox: mailer.inbox,
        published_keys: Arc::new(move || assertions.jwks()),
        is_live: observatory.is_live(),
        system: observatory.look(),
    }
}

async fn start_mailer(parts: Parts) -> Result<(Arbiter, RunningMailer, Ask<CountMails>), StartError> {
    let thread = Arbiter::new();
    let (started, starting) = oneshot::channel();
    thread.spawn(async move {
        let store = parts.start_store();
        let _ = started.send((parts.start_mailer(&store.asks), store.asks.count_mails));
    });
    let (mailer, count_mails) = starting.await.map_err(|_| thread_ended("the Mailer's thread"))?;
    Ok((thread, mailer, count_mails))
}

fn thread_ended(whose: &str) -> StartError {
    StartError::System(whose.to_owned(), std::io::Error::other("ended while it started"))
}

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use actix::prelude::*;
use futures_util::future::{BoxFuture, FutureExt, join_all};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use super::{
    EXIT_GAVE_UP, Parts, StartError,
    parts::{RunningMailer, RunningStore},
};
use crate::{
    actors::Gateway,
    clock::Clock,
    config::Config,
    http::{self, Acceptor, Asks, CellConnections, CellPort, Front, Limits},
    messages::{Drain, Probe},
    supervision::{Escalation, Guarded, Health, Prober},
};

const PROBE_DEADLINE: Duration = Duration::from_secs(1);

/// The running daemon: a listener, a cell per core, and the Mailer, each on a thread of its own.
pub struct Daemon {
    address: SocketAddr,
    grace: Duration,
    acceptor: JoinHandle<()>,
    stop_accepting: oneshot::Sender<()>,
    cells: Vec<Cell>,
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
struct Cell {
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
        let limits = Limits { grace: config.shutdown_grace, ..Limits::default() };
        let acceptor = Acceptor::bind(config.listen, limits).await?;
        let (escalate, escalations) = mpsc::unbounded_channel();
        let parts = Parts::prepare(&config, clock, escalate).await?;
        let (mailer_thread, mailer) = start_mailer(parts.clone()).await?;
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let starting = join_all((0..count).map(|_| Cell::start(parts.clone(), mailer.clone(), limits))).await;
        let cells: Vec<_> = starting.into_iter().collect::<Result<_, _>>()?;
        let (cells, entrances) = cells.into_iter().unzip();
        let address = acceptor.local_address();
        let (stop_accepting, stopped) = oneshot::channel();
        let accepting = acceptor.run(entrances, stopped.map(drop));
        tracing::info!(http.listen = %address, cells = count, "daemon started");
        Ok(Self {
            address,
            grace: config.shutdown_grace,
            acceptor: actix_rt::spawn(accepting),
            stop_accepting,
            cells,
            mailer,
            mailer_thread,
            escalations,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns when an actor's restart budget is spent.
    pub async fn escalation(&mut self) -> Escalation {
        self.escalations.recv().await.expect("every cell's parts hold a sender")
    }

    /// Stops in reverse order: the listener, requests in flight, mails in hand; then the threads.
    pub async fn stop(self, ending: &Ending) {
        match ending {
            Ending::Asked => tracing::info!("daemon stops"),
            Ending::GaveUp(Escalation { actor, cause }) => {
                tracing::error!(actor, cause, "an actor fell too often: daemon drains and gives up");
            }
        }
        let _ = self.stop_accepting.send(());
        let _ = self.acceptor.await;
        let drained = timeout(self.grace, drain(self.cells, &self.mailer, self.grace)).await;
        if drained != Ok(true) {
            tracing::warn!("daemon stopped before all in hand was finished; mails are sent by the next start");
        }
        self.mailer_thread.stop();
        let _ = self.mailer_thread.join();
        tracing::info!("daemon stopped");
    }
}

/// Whether everything was finished. Mails are given back only when no request can hand over another.
async fn drain(cells: Vec<Cell>, mailer: &RunningMailer, grace: Duration) -> bool {
    let finished = join_all(cells.into_iter().map(Cell::finish)).await;
    let mails = mailer.drain.ask(Drain, grace).await;
    finished.into_iter().all(|all_answered| all_answered) && mails.is_ok()
}

impl Cell {
    async fn start(parts: Parts, mailer: RunningMailer, limits: Limits) -> Result<(Self, CellPort), StartError> {
        let thread = Arbiter::new();
        let (started, starting) = oneshot::channel();
        let (finish, finished) = oneshot::channel();
        thread.spawn(async move {
            let (port, connections, front) = furnish(&parts, mailer, limits);
            let _ = started.send(port);
            let _ = finish.send(connections.serve(front, limits).await);
        });
        let port = starting.await.map_err(|_| thread_ended("a cell"))?;
        Ok((Self { thread, finished }, port))
    }

    async fn finish(self) -> bool {
        let all_answered = self.finished.await.unwrap_or(false);
        self.thread.stop();
        let _ = self.thread.join();
        all_answered
    }
}

fn furnish(parts: &Parts, mailer: RunningMailer, limits: Limits) -> (CellPort, CellConnections, Front) {
    let store = parts.start_store();
    let gateway = parts.start_gateway(store.asks.clone(), mailer.asks.clone());
    let report = gateway.report();
    let (port, connections) = http::cell(move || report.borrow().health == Health::Up);
    let front = Front::new(asks(&gateway, store, mailer), limits);
    (port, connections, front)
}

fn asks(gateway: &Guarded<Gateway>, store: RunningStore, mailer: RunningMailer) -> Asks {
    let probes = Arc::new([Arc::new(gateway.probes()), Arc::new(store.probe), mailer.probe]);
    Asks {
        authenticate: gateway.asks(),
        start_verification: gateway.asks(),
        read_verification: gateway.asks(),
        check_number: gateway.asks(),
        check_by_number: gateway.asks(),
        resend_verification: gateway.asks(),
        cancel_verification: gateway.asks(),
        readiness: gateway.asks(),
        inbox: mailer.inbox,
        is_live: Arc::new(move || all_alive(probes.clone())),
    }
}

fn all_alive(probes: Arc<[Arc<Prober<Probe>>; 3]>) -> BoxFuture<'static, bool> {
    async move {
        let alive = join_all(probes.iter().map(|probe| probe.is_alive(Probe, PROBE_DEADLINE))).await;
        alive.into_iter().all(|is_alive| is_alive)
    }
    .boxed()
}

async fn start_mailer(parts: Parts) -> Result<(Arbiter, RunningMailer), StartError> {
    let thread = Arbiter::new();
    let (started, starting) = oneshot::channel();
    thread.spawn(async move {
        let store = parts.start_store();
        let _ = started.send(parts.start_mailer(&store.asks));
    });
    let mailer = starting.await.map_err(|_| thread_ended("the Mailer's thread"))?;
    Ok((thread, mailer))
}

fn thread_ended(whose: &str) -> StartError {
    StartError::System(whose.to_owned(), std::io::Error::other("ended while it started"))
}

//! What one life of the Mailer does with mails. A mail waits for a worker of its lane; the connection that was used last is
//! taken first, because it is warm.

use std::{cell::RefCell, panic::AssertUnwindSafe, rc::Rc, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::{sync::watch, task::JoinHandle, time::Instant};
use tracing::{error, info};

use super::{
    MAX_IN_HAND,
    lanes::{Held, Lanes, WORKERS, until_below},
    measuring,
    pace::Pace,
    patience::Patience,
    settling,
    turns::Correspondence,
};
use crate::{
    domain::{Application, Applications, LeasedMessage, MessageOutcome},
    live::Live,
    mail::{
        rendering::{Mail, RenderError, Renderer},
        transport::{Route, Transport},
    },
    messages::SettleMessage,
    supervision::Ask,
};

/// A mail is only tried with this much of its lease left: as long as a try may take.
const NEEDED_LEASE: Duration = Duration::from_secs(40);
const INTERNAL_ERROR: &str = "internal error";

pub(super) struct Crew {
    route: Route,
    applications: Live<Applications>,
    settle: Ask<SettleMessage>,
    renderer: Live<Renderer>,
    lanes: Lanes,
    /// What no try uses at present; the last one is the warmest.
    idle: RefCell<Vec<Transport>>,
    in_hand: Rc<watch::Sender<usize>>,
    patience: Patience,
    pub(super) pace: Pace,
}

/// A mail in hand, until it is dropped.
pub(super) struct Task {
    message: LeasedMessage,
    /// When its lease runs out.
    ends_at: Instant,
    /// In its lane; taken along to its worker.
    waiting: Option<Held>,
    _held: Held,
}

impl Crew {
    pub(super) fn new(
        route: Route,
        applications: Live<Applications>,
        renderer: Live<Renderer>,
        settle: Ask<SettleMessage>,
        in_hand: Rc<watch::Sender<usize>>,
    ) -> Self {
        let (lanes, idle, pace) = (Lanes::new(), RefCell::default(), Pace::new());
        Self { route, applications, settle, renderer, lanes, idle, in_hand, patience: Patience::new(NEEDED_LEASE), pace }
    }

    /// Counts `message` as in hand. Its lease is counted from `since`, when it was asked for or handed over.
    pub(super) fn take_in_hand(&self, message: LeasedMessage, since: Instant) -> Task {
        let ends_at = since + message.leased_until.since(message.leased_at);
        let waiting = Some(self.lanes.of(message.tries).line_up());
        Task { message, ends_at, waiting, _held: self.hold() }
    }

    pub(super) fn hold(&self) -> Held {
        Held::counted(&self.in_hand)
    }

    /// How many more may be claimed. Those that only wait for the store to note their outcome keep no worker busy.
    pub(super) fn room(&self) -> usize {
        self.lanes.room(self.pace.at_once()).min((MAX_IN_HAND as usize).saturating_sub(*self.in_hand.borrow()))
    }

    /// Returns when it is time to claim the next.
    pub(super) async fn until_refill(&self) {
        until_below(&self.in_hand, MAX_IN_HAND as usize).await;
        self.lanes.until_refill(self.pace.refill_below()).await;
    }

    /// Whether mails can be tried at present.
    pub(super) fn takes_mails(&self) -> bool {
        self.route.takes_mails()
    }

    /// Begins nothing more: who waits for a worker gets none.
    pub(super) fn stop(&self) {
        self.lanes.close();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.lanes.are_closed()
    }

    /// Tries the mail when a worker is idle and it is its turn, and settles it.
    pub(super) async fn see_through(&self, mut task: Task) {
        let outcome = self.try_in_turn(&mut task).await;
        self.settle(&task, outcome).await;
    }

    async fn try_in_turn(&self, task: &mut Task) -> MessageOutcome {
        let lane = self.lanes.of(task.message.tries);
        let correspondence = Correspondence::of(&task.message);
        let Some(place) = lane.place(correspondence, task.waiting.take()).await else { return MessageOutcome::Returned };
        self.route.next_turn().await;
        if !task.has_time_for_a_try() {
            return MessageOutcome::Returned;
        }
        lane.see_through(place, &self.patience, self.attempt(&task.message)).await
    }

    /// Settles the mail as not tried.
    pub(super) async fn give_back(&self, task: Task) {
        self.settle(&task, MessageOutcome::Returned).await;
    }

    /// Probes all servers; returns when one was reached, or none can be.
    pub(super) async fn find_a_server(&self) {
        let mut probes: FuturesUnordered<_> = self.route.servers().into_iter().map(|server| self.probe(server)).collect();
        while let Some(reached) = probes.next().await {
            if reached.unwrap_or(false) {
                return;
            }
        }
    }

    /// Begins to probe those servers that take no mails and whose time has come.
    pub(super) fn probe_servers(&self) {
        for server in self.route.due_probes() {
            drop(self.probe(server)); // it goes on by itself
        }
    }

    /// Hangs up where nobody speaks, and gives up the tries that are overdue, while they may be what keeps others from a server.
    pub(super) async fn free_connections(&self) {
        if !self.takes_mails() || self.patience.is_a_connection_wanted() {
            self.patience.free_connections();
            self.hang_up().await;
        }
    }

    fn probe(&self, server: usize) -> JoinHandle<bool> {
        let route = self.route.clone();
        actix_rt::spawn(async move { route.probe(server).await })
    }

    /// Returns when a server that took no mails was reached.
    pub(super) async fn a_server_is_back(&self) {
        self.route.recovered().await;
    }

    /// Closes the coldest connection if it is idle for long.
    pub(super) async fn hang_up_stale(&self) {
        let stale = self.idle.borrow().iter().position(Transport::is_stale);
        if let Some(position) = stale {
            let mut transport = self.idle.borrow_mut().remove(position);
            transport.close().await;
            self.idle.borrow_mut().insert(0, transport);
        }
    }

    /// Closes the connections that nobody uses.
    pub(super) async fn hang_up(&self) {
        let transports = self.idle.take();
        futures_util::future::join_all(transports.into_iter().map(async |mut transport| transport.close().await)).await;
    }

    /// One try. A panic of one mail is no other mail's concern: the next one gets a fresh connection.
    async fn attempt(&self, message: &LeasedMessage) -> MessageOutcome {
        let mail = match std::panic::catch_unwind(AssertUnwindSafe(|| self.render(message))) {
            Ok(Ok(mail)) => mail,
            Ok(Err(outcome)) => return outcome,
            Err(_) => return MessageOutcome::Deferred { reply: INTERNAL_ERROR.to_owned(), maybe_accepted: false },
        };
        fail::fail_point!("mailer.try.before");
        let (mut transport, trying) = (self.take_transport(), self.patience.begin());
        let sent = AssertUnwindSafe(transport.attempt(&mail, trying.leash())).catch_unwind().await;
        if sent.is_err() {
            error!(application = %message.application, attempt = message.fence, "sending a mail panicked");
            transport = self.route.open();
        }
        self.put_back(transport);
        // the panic may have come after the final dot
        let outcome =
            sent.unwrap_or_else(|_| MessageOutcome::Deferred { reply: INTERNAL_ERROR.to_owned(), maybe_accepted: true });
        trying.ended(&outcome);
        outcome
    }

    fn render(&self, message: &LeasedMessage) -> Result<Mail, MessageOutcome> {
        let is_its = |application: &&Arc<Application>| application.name == message.application;
        let applications = self.applications.now();
        let Some(application) = applications.iter().find(is_its) else {
            return Err(MessageOutcome::Refused("application is not declared".to_owned()));
        };
        self.renderer.now().render(message, application).map_err(|cause| match cause {
            RenderError::Address => MessageOutcome::Refused(cause.to_string()),
            RenderError::Template(_) | RenderError::Build(_) => {
                error!(application = %message.application, error = %cause, "a mail could not be written");
                MessageOutcome::Deferred { reply: INTERNAL_ERROR.to_owned(), maybe_accepted: false }
            }
        })
    }

    fn take_transport(&self) -> Transport {
        self.idle.borrow_mut().pop().unwrap_or_else(|| self.route.open())
    }

    /// Keeps one for each worker, and hangs up on those beyond.
    fn put_back(&self, mut transport: Transport) {
        if self.idle.borrow().len() < WORKERS {
            self.idle.borrow_mut().push(transport);
        } else {
            actix_rt::spawn(async move { transport.close().await });
        }
    }

    async fn settle(&self, task: &Task, outcome: MessageOutcome) {
        let Task { message, ends_at, .. } = task;
        info!(application = %message.application, attempt = message.fence, outcome = ?outcome, "a mail is done with");
        measuring::count(&outcome, task.age());
        let was_tried = !matches!(outcome, MessageOutcome::Returned | MessageOutcome::Held(_));
        if was_tried {
            self.pace.note();
        }
        let settlement = SettleMessage { key: message.key, fence: message.fence, outcome };
        fail::fail_point!("mailer.settle.before");
        settling::settle(&self.settle, settlement, *ends_at).await;
        fail::fail_point!("mailer.settle.after");
    }
}

impl Task {
    /// How long ago its mail was queued.
    fn age(&self) -> Duration {
        let LeasedMessage { queued_at, leased_at, leased_until, .. } = self.message;
        let taken_at = self.ends_at - leased_until.since(leased_at);
        leased_at.since(queued_at) + taken_at.elapsed()
    }

    fn has_time_for_a_try(&self) -> bool {
        self.ends_at.saturating_duration_since(Instant::now()) >= NEEDED_LEASE
    }
}

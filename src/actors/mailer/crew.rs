//! What one life of the Mailer does with mails. A mail waits for a worker of its lane; the connection that was used last is
//! taken first, because it is warm.

use std::{cell::RefCell, panic::AssertUnwindSafe, rc::Rc, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::{Semaphore, oneshot, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tracing::{debug, error, info};

use super::{
    MAX_IN_HAND,
    hand::HandedOver,
    lanes::{self, Lanes, WORKERS},
    measuring,
    pace::Pace,
    settling,
    shares::Correspondence,
    tries::Trying,
    turns::Place,
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
/// Mails that are claimed each second at least.
const FEWEST_CLAIMED: usize = 4;
/// Mails that are given back at once: those that were claimed together lose their patience together.
const GIVEN_BACK_AT_ONCE: usize = 8;
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
    giving_back: Semaphore,
    pub(super) pace: Pace,
}

/// A mail in hand, until it is dropped.
pub(super) struct Task {
    message: LeasedMessage,
    /// When its lease runs out.
    ends_at: Instant,
    _held: Held,
}

/// Counts until it is dropped.
pub(super) struct Held(Rc<watch::Sender<usize>>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Crew {
    pub(super) fn new(
        route: Route,
        applications: Live<Applications>,
        renderer: Live<Renderer>,
        settle: Ask<SettleMessage>,
        in_hand: Rc<watch::Sender<usize>>,
    ) -> Self {
        let (lanes, idle, pace) = (Lanes::new(NEEDED_LEASE), RefCell::default(), Pace::new());
        let giving_back = Semaphore::new(GIVEN_BACK_AT_ONCE);
        Self { route, applications, settle, renderer, lanes, idle, in_hand, giving_back, pace }
    }

    /// Counts `message` as in hand. Its lease is counted from `since`, when it was asked for or handed over.
    pub(super) fn take_in_hand(&self, message: LeasedMessage, since: Instant) -> Task {
        let ends_at = since + message.leased_until.since(message.leased_at);
        Task { message, ends_at, _held: self.hold() }
    }

    pub(super) fn hold(&self) -> Held {
        self.in_hand.send_modify(|count| *count += 1);
        Held(self.in_hand.clone())
    }

    /// How many more may be claimed. Those that only wait for the store to note their outcome keep no worker busy, nor do those
    /// that others of their kind keep from being tried: behind them, others may be due.
    pub(super) fn room(&self) -> usize {
        let room = self.lanes.room(self.pace.at_once()).max(FEWEST_CLAIMED);
        room.min(MAX_IN_HAND.saturating_sub(*self.in_hand.borrow()))
    }

    /// Whether mails wait for long.
    pub(super) fn is_late(&self) -> bool {
        self.lanes.are_late()
    }

    /// Returns when it is time to claim the next.
    pub(super) async fn until_refill(&self) {
        let is_room = |count: &usize| *count < MAX_IN_HAND;
        self.in_hand.subscribe().wait_for(is_room).await.expect("the sender is borrowed");
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

    /// Lets the mail wait for its turn from now on; tries it then, and settles it. Its place in the hand is free once its try is over,
    /// and that of a mail which goes back untried once it is back.
    pub(super) fn see_through(
        self: &Rc<Self>,
        task: Task,
        handed_over: Option<HandedOver>,
    ) -> impl Future<Output = ()> + 'static {
        let (crew, of) = (self.clone(), Correspondence::of(&task.message));
        let place = self.lanes.line_up(of, task.message.tries, task.message.queued_at);
        async move {
            let outcome = crew.try_in_turn(&task, place).await;
            let _until_back = handed_over.filter(|_| outcome == MessageOutcome::Returned);
            crew.begin();
            crew.settle(&task, outcome).await;
        }
    }

    async fn try_in_turn(&self, task: &Task, place: oneshot::Receiver<Place>) -> MessageOutcome {
        let Ok(Ok(Place { trying, worker })) = timeout(task.patience(), place).await else { return MessageOutcome::Returned };
        self.route.next_turn().await;
        if task.patience().is_zero() {
            return MessageOutcome::Returned;
        }
        // boxed, so that those who wait take no more memory than their mails
        lanes::see_through(worker, Box::pin(self.attempt(&task.message, &trying))).await
    }

    /// Begins what there is room for.
    pub(super) fn begin(&self) {
        self.lanes.begin(self.route.connections());
    }

    /// Gives up tries that are overdue and keep others from theirs.
    pub(super) fn make_room(&self) {
        self.lanes.make_room();
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
        }
    }

    /// Closes the connections that nobody uses.
    pub(super) async fn hang_up(&self) {
        let transports = self.idle.take();
        futures_util::future::join_all(transports.into_iter().map(async |mut transport| transport.close().await)).await;
    }

    /// One try; while no server can be used the mail is not even written. A panic of one mail is no other mail's concern: the next
    /// one gets a fresh connection.
    async fn attempt(&self, message: &LeasedMessage, trying: &Trying) -> MessageOutcome {
        if let Some(held) = self.route.held() {
            return held;
        }
        let mail = match std::panic::catch_unwind(AssertUnwindSafe(|| self.render(message))) {
            Ok(Ok(mail)) => mail,
            Ok(Err(outcome)) => return outcome,
            Err(_) => return MessageOutcome::Deferred { reply: INTERNAL_ERROR.to_owned(), maybe_accepted: false },
        };
        fail::fail_point!("mailer.try.before");
        let mut transport = self.take_transport();
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

    /// Keeps those that are connected, one for each worker, and hangs up on those beyond.
    fn put_back(&self, mut transport: Transport) {
        if !transport.is_connected() {
            return;
        }
        if self.idle.borrow().len() < WORKERS {
            self.idle.borrow_mut().push(transport);
        } else {
            actix_rt::spawn(async move { transport.close().await });
        }
    }

    async fn settle(&self, task: &Task, outcome: MessageOutcome) {
        let Task { message, ends_at, .. } = task;
        let is_given_back = matches!(outcome, MessageOutcome::Returned);
        if is_given_back {
            debug!(application = %message.application, attempt = message.fence, "a mail is given back untried");
        } else {
            info!(application = %message.application, attempt = message.fence, outcome = ?outcome, "a mail is done with");
        }
        measuring::count(&outcome, task.age());
        let _one_of_few = if is_given_back { self.giving_back.acquire().await.ok() } else { None };
        let was_tried = !matches!(outcome, MessageOutcome::Returned | MessageOutcome::Held(_));
        if was_tried {
            self.pace.note();
        }
        let settlement = SettleMessage { key: message.key, fence: message.fence, outcome, written: message.written.clone() };
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

    /// How long it may wait and still leave a try its time.
    fn patience(&self) -> Duration {
        self.ends_at.saturating_duration_since(Instant::now()).saturating_sub(NEEDED_LEASE)
    }
}

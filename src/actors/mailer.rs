//! Mailer: hands queued mails to SMTP, or to the dev inbox. A restart loses nothing: the queue is in the store, and
//! what was in hand is finished by the life that took it, or claimed again when its lease has run out.

use std::{rc::Rc, time::Duration};

use actix::prelude::*;
use futures_util::FutureExt;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tracing::debug;

use crate::{
    domain::{Applications, Claimed, EmailAddress, Refusal},
    live::Live,
    mail::{inbox::InboxMail, rendering::Renderer, transport::Route},
    messages::{
        AskMailReadiness, CapturedMail, ClaimMessages, Drain, Failure, MailQueued, NotReady, Probe, ReadInbox, SettleMessage,
    },
    supervision::Ask,
};

mod crew;
mod hand;
mod lanes;
mod measuring;
mod pace;
mod settling;
mod shares;
mod tries;
mod turns;

use crew::Crew;
use hand::Hand;
use shares::Correspondence;

/// Workers for new mails, each with a connection of its own.
pub const MAX_SENDS: usize = 8;
/// Mails that are handed over and not done with, at most; give its handle for [`MailQueued`] no more permits than this.
pub const MAX_HANDED_OVER: u32 = 512;
/// Mails that it has in hand at once, with those that it claims itself.
const MAX_IN_HAND: usize = 1536;
/// How often it looks for mails that nobody handed over.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// How often it looks after tries, servers and connections.
const LOOK_AFTER_EVERY: Duration = Duration::from_millis(250);
/// How long the store may take to give out mails.
const CLAIM_DEADLINE: Duration = Duration::from_secs(2);
/// The longest wait for a mail in the dev inbox, in seconds.
const LONGEST_INBOX_WAIT_SECONDS: u64 = 30;

/// The actor; see the module.
pub struct Mailer {
    route: Route,
    applications: Live<Applications>,
    renderer: Live<Renderer>,
    claim: Ask<ClaimMessages>,
    settle: Ask<SettleMessage>,
    /// Mails that are not done with; counted over all lives, because the sends of one outlive it.
    in_hand: Rc<watch::Sender<usize>>,
    /// Those of them that were handed over and whose try is not over.
    hand: Hand,
    is_draining: bool,
    /// Made anew by each life.
    crew: Rc<Crew>,
}

impl Mailer {
    /// A Mailer for the mails of `applications`, as `renderer` writes them; both are read anew at each try. `claim` and `settle` lead to the store beside it.
    pub fn new(
        route: Route,
        applications: Live<Applications>,
        renderer: Live<Renderer>,
        claim: Ask<ClaimMessages>,
        settle: Ask<SettleMessage>,
    ) -> Self {
        let in_hand = Rc::new(watch::Sender::new(0));
        let crew = Crew::new(route.clone(), applications.clone(), renderer.clone(), settle.clone(), in_hand.clone());
        Self {
            route,
            applications,
            renderer,
            claim,
            settle,
            in_hand,
            hand: Hand::default(),
            is_draining: false,
            crew: Rc::new(crew),
        }
    }
}

impl Actor for Mailer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(poll(self.crew.clone(), self.claim.clone()).into_actor(self));
        ctx.spawn(look_after(self.crew.clone()).into_actor(self));
    }
}

impl Supervised for Mailer {
    fn restarting(&mut self, _: &mut Self::Context) {
        let (route, applications, renderer) = (self.route.clone(), self.applications.clone(), self.renderer.clone());
        let crew = Crew::new(route, applications, renderer, self.settle.clone(), self.in_hand.clone());
        if self.is_draining {
            crew.stop();
        }
        self.crew = Rc::new(crew);
    }
}

impl Handler<MailQueued> for Mailer {
    type Result = ResponseFuture<Result<(), Failure>>;

    fn handle(&mut self, MailQueued { message }: MailQueued, _: &mut Self::Context) -> Self::Result {
        let handed_over = self.hand.take(Correspondence::of(&message), || self.crew.is_late());
        let task = self.crew.take_in_hand(*message, Instant::now());
        let refusal = if self.is_draining { Failure::Unavailable } else { Failure::Overloaded };
        let Some(handed_over) = handed_over.filter(|_| !self.is_draining) else {
            let crew = self.crew.clone();
            actix_rt::spawn(async move { crew.give_back(task).await }); // its permit is free before
            return Box::pin(std::future::ready(Err(refusal)));
        };
        Box::pin(self.crew.see_through(task, Some(handed_over)).map(Ok))
    }
}

impl Handler<AskMailReadiness> for Mailer {
    type Result = Result<Vec<NotReady>, Failure>;

    fn handle(&mut self, _: AskMailReadiness, _: &mut Self::Context) -> Self::Result {
        let is_covered = self.route.takes_mails();
        Ok(self.route.alarms().into_iter().map(|reason| NotReady { part: "mail", reason, is_covered }).collect())
    }
}

impl Handler<ReadInbox> for Mailer {
    type Result = ResponseFuture<Result<Vec<CapturedMail>, Failure>>;

    fn handle(&mut self, question: ReadInbox, _: &mut Self::Context) -> Self::Result {
        let inbox = self.route.inbox().cloned();
        Box::pin(async move {
            let inbox = inbox.ok_or(Failure::Unavailable)?;
            let to = question.to.as_deref().map(parse_recipient).transpose()?;
            let patience = Duration::from_secs(question.wait_seconds.min(LONGEST_INBOX_WAIT_SECONDS));
            let mails = inbox.wait(to.as_ref(), patience).await;
            Ok(mails.into_iter().map(captured).collect())
        })
    }
}

impl Handler<Drain> for Mailer {
    type Result = ResponseFuture<Result<(), Failure>>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        self.is_draining = true;
        self.crew.stop();
        let crew = self.crew.clone();
        let mut in_hand = self.in_hand.subscribe();
        Box::pin(async move {
            in_hand.wait_for(|count| *count == 0).await.map_err(|_| Failure::Unavailable)?;
            crew.hang_up().await;
            Ok(())
        })
    }
}

impl Handler<Probe> for Mailer {
    type Result = ();

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> Self::Result {}
}

fn parse_recipient(text: &str) -> Result<EmailAddress, Failure> {
    EmailAddress::parse(text).map_err(|error| Refusal::FieldInvalid { field: "to", mend: error.to_string() }.into())
}

fn captured(mail: InboxMail) -> CapturedMail {
    let InboxMail { id, to, subject, text, html, received_at } = mail;
    CapturedMail { id, to: to.as_str().to_owned(), subject, text, html, received_at }
}

/// Looks for due mails every second, and when a mail server is back: those whose hand-over was lost, whose retry has come, or
/// whose lease ran out.
async fn poll(crew: Rc<Crew>, claim: Ask<ClaimMessages>) {
    crew.find_a_server().await; // so that readiness tells of a wrong password before the first mail
    let mut ticks = interval(POLL_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !crew.is_stopping() {
        tokio::select! {
            _ = ticks.tick() => {}
            () = crew.a_server_is_back() => {}
        }
        claim_due(&crew, &claim).await;
    }
}

/// Gives up the tries that keep others from theirs, probes the mail servers that take no mails, closes connections that nobody
/// uses, and measures the pace.
async fn look_after(crew: Rc<Crew>) {
    let mut ticks = interval(LOOK_AFTER_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !crew.is_stopping() {
        ticks.tick().await;
        crew.begin();
        crew.make_room();
        crew.probe_servers();
        crew.hang_up_stale().await;
        crew.pace.tick();
    }
}

/// Claims what half a second takes, and again while that is being sent, as long as more is due. A few each second in any case: what
/// keeps others busy may be kept from being tried itself, and those that were put off are due first.
async fn claim_due(crew: &Rc<Crew>, claim: &Ask<ClaimMessages>) {
    while !crew.is_stopping() {
        if !crew.takes_mails() {
            return; // a try would tell nothing of a mail while no server takes any
        }
        let limit = crew.room();
        if limit > 0 {
            let may_be_more = claim_some(crew, claim, limit).await;
            if !may_be_more {
                return;
            }
        }
        let _ = timeout(POLL_EVERY, crew.until_refill()).await;
    }
}

/// Whether more may be due.
async fn claim_some(crew: &Rc<Crew>, claim: &Ask<ClaimMessages>, limit: usize) -> bool {
    let _whole_claim = crew.hold(); // for a drain waits for it
    let asked_at = Instant::now();
    fail::fail_point!("mailer.claim.before");
    let Claimed { messages, may_be_more } = match claim.ask(ClaimMessages { limit }, CLAIM_DEADLINE).await {
        Ok(claimed) => claimed,
        Err(error) => {
            debug!(error = %error, "no mails were claimed");
            return false;
        }
    };
    for message in messages {
        fail::fail_point!("mailer.claim.after");
        let task = crew.take_in_hand(message, asked_at);
        actix_rt::spawn(crew.see_through(task, None));
    }
    may_be_more
}

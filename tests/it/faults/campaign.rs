//! One campaign: faults and clients for a time, then all is healed and time passes until nothing can change any more.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use futures_util::{
    StreamExt,
    future::{join_all, join3},
    stream,
};
use reqwest::Client;
use tokio::time::Instant;

use super::{
    checker,
    clock::pass,
    history::{Delivery, Event, Key, Story, View},
    mails,
    report::Report,
    session::Session,
    trouble::{Fault, Lane, strike},
    violation::{Breach, Violation},
    world::World,
};

const PATIENCE: Duration = Duration::from_secs(4);
/// Longer than a lease, and the waits between tries; then longer than the longest life of a number and the memory of it.
const LEAPS: [Duration; 2] = [Duration::from_secs(61), Duration::from_secs(240)];
const TO_THE_END: Duration = Duration::from_secs(700);
/// Questions at once while all comes to rest.
const AT_ONCE: usize = 16;

#[derive(Clone)]
pub struct Settings {
    pub seed: u64,
    pub lasts: Duration,
    pub clients: usize,
    pub faults: Vec<Fault>,
    /// The longest time between two of a lane.
    pub calm: Duration,
    /// How long mails may take to come to an end, once nothing stands in their way.
    pub settling: Duration,
    /// Planted in the daemons; then the first violation is enough.
    pub bug: Option<&'static str>,
}

struct Campaign {
    settings: Settings,
    world: Arc<World>,
    client: Client,
    sessions: Mutex<Vec<Arc<Session>>>,
    next: AtomicU64,
    /// Those that are no story's.
    violations: Mutex<Vec<Violation>>,
}

pub async fn run(settings: Settings) -> Report {
    let world = World::new(settings.bug, settings.lasts, Rng::with_seed(settings.seed)).await;
    let client = Client::builder().no_proxy().build().unwrap();
    let campaign =
        Campaign { settings, world, client, sessions: Mutex::default(), next: AtomicU64::new(0), violations: Mutex::default() };
    campaign.report().await
}

impl Campaign {
    async fn report(&self) -> Report {
        let clients = join_all((0..self.settings.clients).map(|_| self.play()));
        let (faults, ..) = join3(self.trouble(), clients, self.watch_mails()).await;
        if !self.is_decided() {
            self.come_to_rest().await;
        }
        self.world.note_all_falls().await;
        self.judged(faults)
    }

    /// One address after the other.
    async fn play(&self) {
        while !self.world.is_closing() {
            let session = self.new_session();
            session.play().await;
            if self.settings.bug.is_some() && !self.breaches_of(&session.story()).0.is_empty() {
                self.world.cut_short();
            }
        }
    }

    /// What becomes of the mails of addresses that nobody asks about any more shows later.
    async fn watch_mails(&self) {
        while self.settings.bug.is_some() && !self.world.is_closing() {
            pass(Duration::from_millis(300)).await;
            let stories: Vec<Story> = self.sessions().iter().map(|session| session.story()).collect();
            if stories.iter().any(|story| !self.mail_breaches_of(story).is_empty()) {
                self.world.cut_short();
            }
        }
    }

    fn new_session(&self) -> Arc<Session> {
        let index = self.next.fetch_add(1, Ordering::SeqCst);
        let session = Arc::new(Session::new(self.world.clone(), self.client.clone(), index, self.settings.seed));
        self.sessions().push(session.clone());
        session
    }

    async fn trouble(&self) -> BTreeMap<Fault, usize> {
        let mut rng = Rng::with_seed(self.settings.seed);
        let lanes = [Lane::Daemons, Lane::Redis, Lane::Mail];
        let strikes = lanes.map(|lane| strike(&self.world, lane, &self.settings.faults, self.settings.calm, rng.fork()));
        join_all(strikes).await.into_iter().flatten().collect()
    }

    /// Whether a planted bug has been found.
    fn is_decided(&self) -> bool {
        self.settings.bug.is_some() && self.sessions().iter().any(|session| !self.breaches_of(&session.story()).0.is_empty())
    }

    /// Lets all mails and then all verifications come to their ends, and looks at them.
    async fn come_to_rest(&self) {
        self.become_ready().await;
        for span in LEAPS {
            self.world.leap(span).await;
            self.become_ready().await;
            self.until_mails_rest().await;
        }
        self.note_lost_mails();
        self.world.leap(TO_THE_END).await;
        self.become_ready().await;
        self.look_at_all().await;
        self.start_anew().await;
    }

    async fn become_ready(&self) {
        for site in 0..self.world.sites.len() {
            if let Err(why) = self.world.becomes_ready(site).await {
                self.note(Breach::NoRecovery, why);
            }
        }
    }

    /// Looks at those whose mail is not at its end, until it is or nothing is to be hoped for.
    async fn until_mails_rest(&self) {
        let since = Instant::now();
        loop {
            let restless = self.restless();
            if restless.is_empty() || since.elapsed() > self.settings.settling {
                return;
            }
            self.look_at(restless).await;
            pass(Duration::from_millis(300)).await;
        }
    }

    /// The acknowledged verifications whose newest view shows a mail on its way. A deferred one waits for the next leap.
    fn restless(&self) -> Vec<(Arc<Session>, Key)> {
        let mut restless = Vec::new();
        for session in self.sessions().iter() {
            let story = session.story();
            let keys = story.verifications().into_iter().filter(|key| story.acknowledgement(*key).is_some());
            let moving = keys.filter(|key| newest_delivery(&story, *key).is_some_and(|delivery| !delivery.is_final()));
            restless.extend(moving.map(|key| (session.clone(), key)));
        }
        restless
    }

    fn note_lost_mails(&self) {
        for (session, verification) in self.restless() {
            let story = session.story();
            let what = format!("verification {verification}: its mail has come to no end\n  {}\n{story}", story.address);
            self.note(Breach::MailLost, what);
        }
    }

    async fn look_at(&self, verifications: Vec<(Arc<Session>, Key)>) {
        stream::iter(verifications)
            .for_each_concurrent(AT_ONCE, async |(session, verification)| {
                session.look_again(verification, PATIENCE).await;
            })
            .await;
    }

    async fn look_at_all(&self) {
        let all: Vec<_> = self.sessions().iter().flat_map(of_all).collect();
        self.look_at(all).await;
    }

    /// After all of it: a start, its mail and its number, at each daemon.
    async fn start_anew(&self) {
        for daemon in 0..self.world.sites.len() {
            let session = self.new_session();
            if let Err(why) = session.play_once(daemon, PATIENCE).await {
                self.note(Breach::NoRecovery, format!("daemon {daemon}: {why}"));
            }
        }
    }

    fn judged(&self, faults: BTreeMap<Fault, usize>) -> Report {
        let mut report = Report { seed: self.settings.seed, faults, mails: self.world.office.mails(), ..Report::default() };
        for session in self.sessions().iter() {
            let story = session.story();
            report.count(&story);
            let (violations, is_decided) = self.breaches_of(&story);
            report.undecided += usize::from(!is_decided);
            report.violations.extend(violations);
        }
        report.violations.append(&mut self.violations.lock().unwrap());
        report.violations.extend(self.world.falls().iter().map(|line| Violation::new(Breach::NoRecovery, line)));
        report
    }

    fn breaches_of(&self, story: &Story) -> (Vec<Violation>, bool) {
        let (mut violations, is_decided) = checker::check(story);
        violations.extend(self.mail_breaches_of(story));
        (violations, is_decided)
    }

    fn mail_breaches_of(&self, story: &Story) -> Vec<Violation> {
        mails::check(story, &self.world.office.mails_to(&story.address))
    }

    fn note(&self, breach: Breach, what: String) {
        self.violations.lock().unwrap().push(Violation::new(breach, what));
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Session>>> {
        self.sessions.lock().unwrap()
    }
}

fn newest_delivery(story: &Story, verification: Key) -> Option<&Delivery> {
    let newest = story.of(verification).filter(|event| event.view().is_some()).max_by_key(|event| event.answered_at);
    newest.and_then(Event::view).and_then(|view: &View| view.delivery.as_ref())
}

/// Its acknowledged verifications.
fn of_all(session: &Arc<Session>) -> Vec<(Arc<Session>, Key)> {
    let story = session.story();
    let acknowledged = story.verifications().into_iter().filter(|key| story.acknowledgement(*key).is_some());
    acknowledged.map(|key| (session.clone(), key)).collect()
}

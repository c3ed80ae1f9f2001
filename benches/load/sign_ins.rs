//! Sign-ins by password beside the `argon2` crate alone, and what they do to other calls.

use std::{thread, time::Duration};

use anyhow::Context;
use tokio::try_join;

use crate::{
    book::{Book, Contender, Cost, Key},
    daemon::Daemon,
    drive::{Pace, Run, drive},
    hashes::hash_on_all_cores,
    plan::{Bench, Rival},
    processes::Redis,
    users::{Creations, SignIns, StartsAndReads, User},
    work::{Contract, Started, Starts},
};

pub const SIGN_IN: &str = "sign-in";
const TOO_MANY: &str = "sign-in, too many";
const OTHERS_ALONE: &str = "start and read, alone";
const OTHERS_BESIDE: &str = "start and read, beside sign-ins";
const OTHERS_BESIDE_TOO_MANY: &str = "start and read, beside too many";

/// Connections for each core that sign in: all workers are busy, and fewer wait than may.
const SIGNING_IN_PER_CORE: usize = 8;
/// More than the daemon lets run and wait, which is 17.
const TOO_MANY_PER_CORE: usize = 32;
const TOO_MANY_TIMES: f64 = 3.0;
/// More than sign in at once, so that few of one address meet.
const USERS_PER_CORE: usize = 64;
/// Other calls a second, and their connections.
const OTHERS_RATE: f64 = 100.0;
const OTHERS: usize = 16;
/// Verifications that are read.
const READ: usize = 100;

/// What came of it.
#[derive(Default)]
pub struct SignInFigures {
    pub book: Book,
    pub refused: u64,
    pub asked_too_much: Duration,
}

/// A daemon with users and verifications.
struct Peopled<'a> {
    rival: Rival<'a>,
    users: Vec<User>,
    there: Vec<Started>,
}

impl Bench {
    /// Bare, Redis, embedded in turn; then the calls of others alone, beside sign-ins, and beside too many.
    pub async fn sign_ins(&self) -> anyhow::Result<SignInFigures> {
        let redis = Redis::start()?;
        let (on_redis, embedded) = (self.daemon(Some(&redis), false, false)?, self.daemon(None, false, false)?);
        let on_redis = peopled(Contender::Fiador, &on_redis, Some(&redis)).await?;
        let embedded = peopled(Contender::FiadorEmbedded, &embedded, None).await?;
        let mut figures = SignInFigures::default();
        for _ in 0..self.extent.rounds {
            let (run, cost) = hash_on_all_cores(self.extent.hashing_leg)?;
            figures.add(SIGN_IN, Contender::BareArgon2, cores(), &run, &cost);
            self.sign_ins_of(&on_redis, &mut figures).await?;
            self.sign_ins_of(&embedded, &mut figures).await?;
        }
        for _ in 0..self.extent.rounds {
            self.others(&on_redis, &mut figures).await?;
        }
        Ok(figures)
    }

    async fn sign_ins_of(&self, peopled: &Peopled<'_>, figures: &mut SignInFigures) -> anyhow::Result<()> {
        let Peopled { rival, users, .. } = peopled;
        let (before, work) = (rival.meter.read()?, SignIns::new(rival.api, users));
        let run = drive(rival.api, signing_in(), &work, Pace::Closed, self.extent.hashing_leg).await.context(SIGN_IN)?;
        figures.add(SIGN_IN, rival.contender, signing_in(), &run, &rival.meter.since(&before)?);
        Ok(())
    }

    async fn others(&self, Peopled { rival, users, there }: &Peopled<'_>, figures: &mut SignInFigures) -> anyhow::Result<()> {
        let (api, longest, contender) = (rival.api, self.extent.hashing_leg, rival.contender);
        let others = async || {
            let work = StartsAndReads::new(api, there);
            drive(api, OTHERS, &work, Pace::Open(OTHERS_RATE), longest).await
        };
        let before = rival.meter.read()?;
        let alone = others().await.context(OTHERS_ALONE)?;
        figures.add(OTHERS_ALONE, contender, OTHERS, &alone, &rival.meter.since(&before)?);

        let right = SignIns::new(api, users);
        let beside = try_join!(others(), drive(api, signing_in(), &right, Pace::Closed, longest)).context(OTHERS_BESIDE)?.0;
        figures.add(OTHERS_BESIDE, contender, OTHERS, &beside, &rival.meter.unknown()?);

        let rate = figures.book.rate(SIGN_IN, contender, signing_in()).context("no sign-ins went before")? * TOO_MANY_TIMES;
        let (work, asking) = (SignIns::too_many(api, users), cores() * TOO_MANY_PER_CORE);
        let too_many = drive(api, asking, &work, Pace::Open(rate), longest);
        let (beside, too_many) = try_join!(others(), too_many).context(OTHERS_BESIDE_TOO_MANY)?;
        figures.add(OTHERS_BESIDE_TOO_MANY, contender, OTHERS, &beside, &rival.meter.unknown()?);
        figures.add(TOO_MANY, contender, asking, &too_many, &rival.meter.unknown()?);
        figures.refused += work.refused();
        figures.asked_too_much += too_many.span;
        Ok(())
    }
}

impl SignInFigures {
    fn add(&mut self, scenario: &'static str, contender: Contender, connections: usize, run: &Run, cost: &Cost) {
        self.book.add(Key { scenario, contender, connections }, run, cost);
    }

    /// What sign-ins do to the calls of others, in a sentence.
    pub fn sentence(&self) -> String {
        let p99 = |scenario| self.book.find(scenario, Contender::Fiador, OTHERS).map_or(f64::NAN, |entry| entry.latency(0.99));
        let asked = self.book.rate(TOO_MANY, Contender::Fiador, cores() * TOO_MANY_PER_CORE).unwrap_or(f64::NAN);
        let refused = self.refused as f64 / self.asked_too_much.as_secs_f64();
        format!(
            "p99 of other calls ({OTHERS_RATE:.0} starts and reads a second): {:.2} ms alone, {:.2} ms while sign-ins saturate the \
             pool, {:.2} ms while {asked:.0} a second ask and {refused:.0} of these are answered 503.",
            p99(OTHERS_ALONE),
            p99(OTHERS_BESIDE),
            p99(OTHERS_BESIDE_TOO_MANY),
        )
    }

    /// How much of the crate's own rate the daemon's sign-ins have.
    pub fn of_bare(&self) -> Option<f64> {
        let fiador = self.book.rate(SIGN_IN, Contender::Fiador, signing_in())?;
        Some(fiador / self.book.rate(SIGN_IN, Contender::BareArgon2, cores())?)
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn signing_in() -> usize {
    cores() * SIGNING_IN_PER_CORE
}

async fn peopled<'a>(contender: Contender, daemon: &'a Daemon, redis: Option<&'a Redis>) -> anyhow::Result<Peopled<'a>> {
    let (rival, longest) = (Rival::daemon(contender, daemon, redis), Duration::from_secs(60));
    let creations = Creations::new(rival.api, cores() * USERS_PER_CORE);
    drive(rival.api, signing_in(), &creations, Pace::Closed, longest).await.context("making users")?;
    let starts = Starts::new(rival.api, Contract::V1, READ, None);
    drive(rival.api, OTHERS, &starts, Pace::Closed, longest).await.context("starting what is read")?;
    Ok(Peopled { users: creations.into_users(), there: starts.into_started(), rival })
}

//! What is measured, in which order: contenders in turn, each on its own Redis, emptied before each round.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use crate::{
    api::Api,
    book::{Book, Contender, Key, Meter},
    daemon::{Daemon, Setup},
    drive::{Pace, Run, Work, drive},
    processes::{Express, Process, Redis, start_bare},
    sink::{MAILS_UNDER_WAY, Post},
    work::{Checks, Contract, Started, Starts, WrongChecks},
};

pub const START: &str = "start";
pub const START_PACED: &str = "start, open loop";
pub const START_AND_MAIL: &str = "start and mail";
pub const CHECK: &str = "check";
pub const CHECK_PACED: &str = "check, open loop";
pub const WRONG_CHECK: &str = "wrong check";
pub const REGISTER: &str = "register (old contract)";
pub const VALIDATE: &str = "validate (old contract)";

/// Starts that a leg may make, whatever its time.
const MOST_STARTS: usize = 1_000_000;
/// The share of the slower contender's closed-loop rate that an open loop asks for.
const PACED_SHARE: f64 = 0.6;

/// Mails in the queue while starts and mails go on: those under way, and as many again that wait to be settled.
const DEEPEST_QUEUE: f64 = 2.0 * MAILS_UNDER_WAY as f64;

/// How much.
#[derive(Clone)]
pub struct Extent {
    pub connections: Vec<usize>,
    /// Those that the targets are about.
    pub targeted: Vec<usize>,
    pub rounds: usize,
    pub leg: Duration,
    /// Of legs that make mails: they take longer to be steady.
    pub mail_leg: Duration,
    /// Of legs that hash passwords.
    pub hashing_leg: Duration,
    pub idle: Duration,
    /// Verifications whose bytes are counted.
    pub weighed: usize,
    /// Verifications that a full Redis has.
    pub filled: usize,
}

/// The programs.
pub struct Programs {
    pub daemon: PathBuf,
    pub bare: PathBuf,
    pub express: PathBuf,
}

/// Figures that are no rates.
#[derive(Default)]
pub struct Singles {
    /// Share of a core.
    pub idle_share: f64,
    pub idle_mib: f64,
    /// Of a live verification whose mail is sent, in Redis.
    pub bytes_each: f64,
    /// Of one whose mail waits.
    pub bytes_each_waiting: f64,
    pub filled: usize,
    /// The deepest the queue of mails was while starts and mails went on.
    pub deepest_queue: f64,
}

pub struct Bench {
    pub extent: Extent,
    pub programs: Programs,
    pub smtp: std::net::SocketAddr,
    /// An SMTP server so slow that mails take no part: the Mailer's hand is full, the rest wait in the queue.
    pub slow_smtp: std::net::SocketAddr,
    pub post: Arc<Post>,
    pub book: Book,
    pub singles: Singles,
    pub sizes: String,
}

/// Somebody under load, with what is read of it.
pub struct Rival<'a> {
    pub contender: Contender,
    pub api: &'a Api,
    pub meter: Meter,
    /// Emptied before each round.
    pub redis: Option<&'a Redis>,
}

impl<'a> Rival<'a> {
    pub fn daemon(contender: Contender, daemon: &'a Daemon, redis: Option<&'a Redis>) -> Self {
        let meter = Meter { servers: vec![daemon.process.id()], redis: redis.map(|redis| redis.process.id()) };
        Self { contender, api: &daemon.api, meter, redis }
    }

    pub fn bare(contender: Contender, process: &Process, api: &'a Api, redis: Option<&'a Redis>) -> Self {
        let meter = Meter { servers: vec![process.id()], redis: redis.map(|redis| redis.process.id()) };
        Self { contender, api, meter, redis }
    }

    pub fn empty(&self) -> anyhow::Result<()> {
        self.redis.map_or(Ok(()), Redis::flush)
    }
}

impl Bench {
    pub fn daemon(&self, redis: Option<&Redis>, is_mailing: bool, is_https: bool) -> anyhow::Result<Daemon> {
        let setup =
            Setup { redis_url: redis.map(Redis::url), smtp: if is_mailing { self.smtp } else { self.slow_smtp }, is_https };
        Daemon::start(&self.programs.daemon, &setup).context("starting a daemon")
    }

    /// Works, and notes how it went.
    pub async fn measure(
        &mut self,
        scenario: &'static str,
        rival: &Rival<'_>,
        connections: usize,
        work: &impl Work,
        pace: Pace,
    ) -> anyhow::Result<Run> {
        let before = rival.meter.read()?;
        let run = drive(rival.api, connections, work, pace, self.extent.leg).await;
        let run = run.with_context(|| format!("{scenario}, {}, {connections} connections", rival.contender.name()))?;
        self.book.add(Key { scenario, contender: rival.contender, connections }, &run, &rival.meter.since(&before)?);
        Ok(run)
    }

    /// Starts whose mails wait.
    pub async fn starts(&mut self, rival: &Rival<'_>, connections: usize, pace: Pace) -> anyhow::Result<Vec<Started>> {
        let scenario = if matches!(pace, Pace::Closed) { START } else { START_PACED };
        let work = Starts::new(rival.api, Contract::V1, MOST_STARTS, None);
        self.measure(scenario, rival, connections, &work, pace).await?;
        Ok(work.into_started())
    }

    pub async fn wrong_checks(&mut self, rival: &Rival<'_>, connections: usize, started: &[Started]) -> anyhow::Result<()> {
        self.measure(WRONG_CHECK, rival, connections, &WrongChecks::new(rival.api, started), Pace::Closed).await?;
        Ok(())
    }

    /// Starts until the last of their mails is in the sink; with the mails' numbers, the checks of all of them.
    pub async fn starts_and_mails<'a>(
        &mut self,
        scenario: &'static str,
        rival: &Rival<'a>,
        connections: usize,
        contract: Contract,
        queue_of: Option<&Daemon>,
    ) -> anyhow::Result<Checks<'a>> {
        self.post.empty();
        let (post, before, began) = (self.post.clone(), rival.meter.read()?, Instant::now());
        let work = Starts::new(rival.api, contract, MOST_STARTS, Some(&post));
        let mut run = drive(rival.api, connections, &work, Pace::Closed, self.extent.mail_leg).await.context(scenario)?;
        if let Some(daemon) = queue_of {
            self.note_queue(daemon).await?;
        }
        post.wait_for(usize::try_from(run.answered)?).await.with_context(|| format!("{scenario}, {}", rival.contender.name()))?;
        run.span = began.elapsed();
        self.book.add(Key { scenario, contender: rival.contender, connections }, &run, &rival.meter.since(&before)?);
        Checks::new(rival.api, contract, work.into_started(), &self.post.empty())
    }

    /// The queue must not have grown past what was let under way, and what is in the sink but not settled yet.
    async fn note_queue(&mut self, daemon: &Daemon) -> anyhow::Result<()> {
        let depth = daemon.queued_mails().await?;
        self.singles.deepest_queue = self.singles.deepest_queue.max(depth);
        ensure!(
            depth <= DEEPEST_QUEUE,
            "{depth} mails are queued, though at most {MAILS_UNDER_WAY} are not in the sink: it grows"
        );
        Ok(())
    }

    pub async fn checks(&mut self, rival: &Rival<'_>, connections: usize, work: &Checks<'_>, pace: Pace) -> anyhow::Result<()> {
        let scenario = if matches!(pace, Pace::Closed) { CHECK } else { CHECK_PACED };
        self.measure(scenario, rival, connections, work, pace).await?;
        Ok(())
    }

    /// A turn of the bare reference, whose starts mail nothing.
    pub async fn bare_turn(&mut self, bare: &Rival<'_>, connections: usize) -> anyhow::Result<()> {
        let started = self.starts(bare, connections, Pace::Closed).await?;
        self.wrong_checks(bare, connections, &started).await?;
        self.checks(bare, connections, &Checks::of_bare(bare.api, started), Pace::Closed).await
    }

    /// The rate that both contenders can keep up.
    pub fn paced(&self, scenario: &str, contenders: [Contender; 2], connections: usize) -> anyhow::Result<Pace> {
        let rates = contenders.map(|contender| self.book.rate(scenario, contender, connections));
        let [Some(one), Some(other)] = rates else { anyhow::bail!("no closed loop of {scenario} went before") };
        Ok(Pace::Open(one.min(other) * PACED_SHARE))
    }

    pub fn start_bare(&self, kind: &str, place: &str) -> anyhow::Result<(Process, Api)> {
        let (process, address) =
            start_bare(&self.programs.bare, kind, place, &self.sizes).context("starting the bare reference")?;
        Ok((process, Api::new(address, "fdr_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")))
    }

    pub fn start_express(&self, redis: &Redis) -> anyhow::Result<(Express, Api)> {
        let express = Express::start(&self.programs.express, &redis.url(), self.smtp).context("starting the old design")?;
        let api = Api::new(express.address, "");
        Ok((express, api))
    }
}

//! The parts of a run.

use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::{
    book::{Book, Contender, Meter},
    daemon::Daemon,
    drive::{Pace, drive},
    fill::fill,
    plan::{Bench, CHECK, REGISTER, Rival, START, START_AND_MAIL, VALIDATE},
    processes::{Redis, cpu_seconds, resident_mib},
    sink::Post,
    work::{Checks, Contract, Starts, WrongChecks},
};

/// Connections where only one number of them is looked at.
const SOME: usize = 32;
/// In which what was filled in is on the disk.
const SETTLING: Duration = Duration::from_secs(3);

impl Bench {
    /// How large the daemon's values are, which the bare reference's are to be too.
    pub async fn weigh_values(&mut self) -> anyhow::Result<()> {
        let redis = Redis::start()?;
        let daemon = self.daemon(Some(&redis), false, false)?;
        let starts = Starts::new(&daemon.api, Contract::V1, 1, None);
        drive(&daemon.api, 1, &starts, Pace::Closed, Duration::from_secs(5)).await?;
        let (record, token) = (size_of(&redis, "{*}a*")?, size_of(&redis, "{*}t*")?);
        let started = starts.into_started();
        let mut check = crate::connection::Connection::open(&daemon.api).await?;
        let wrong = WrongChecks::new(&daemon.api, &started);
        let reply = check.ask(&crate::drive::Work::request(&wrong, 0)).await?;
        ensure!(reply.status == 422, "a wrong number was answered with {}", reply.status);
        let checked = size_of(&redis, "{*}a*")?;
        self.sizes = format!("{record},{checked},{token}");
        Ok(())
    }

    /// A daemon on Redis that nobody asks anything.
    pub async fn idle(&mut self) -> anyhow::Result<()> {
        let redis = Redis::start()?;
        let daemon = self.daemon(Some(&redis), true, false)?;
        tokio::time::sleep(Duration::from_secs(1)).await; // what it does at its start is not idling
        let before = cpu_seconds(daemon.process.id())?;
        tokio::time::sleep(self.extent.idle).await;
        self.singles.idle_share = (cpu_seconds(daemon.process.id())? - before) / self.extent.idle.as_secs_f64();
        self.singles.idle_mib = resident_mib(daemon.process.id())?;
        Ok(())
    }

    /// Start, wrong check, start with its mail, and check, of the daemon and the bare reference, on Redis. They take turns in each
    /// of these: for seconds a machine may be half as fast again.
    pub async fn on_redis(&mut self) -> anyhow::Result<()> {
        let (own, mailed, bares) = (Redis::start()?, Redis::start()?, Redis::start()?);
        let (quiet, mailing) = (self.daemon(Some(&own), false, false)?, self.daemon(Some(&mailed), true, false)?);
        let (process, api) = self.start_bare("redis", &bares.url())?;
        let quiet = Rival::daemon(Contender::Fiador, &quiet, Some(&own));
        let mailing_rival = Rival::daemon(Contender::Fiador, &mailing, Some(&mailed));
        let bare = Rival::bare(Contender::Bare, &process, &api, Some(&bares));
        for connections in self.extent.connections.clone() {
            for round in 0..self.extent.rounds {
                for rival in [&quiet, &bare, &mailing_rival] {
                    rival.empty()?;
                }
                let starters = [&quiet, &bare];
                let starts = async |bench: &mut Self, nth: usize| bench.starts(starters[nth], connections, Pace::Closed).await;
                let [started, started_barely] = self.both(round, starts).await?;
                let all_started = [started.as_slice(), &started_barely];
                let wrong =
                    async |bench: &mut Self, nth: usize| bench.wrong_checks(starters[nth], connections, all_started[nth]).await;
                self.both(round, wrong).await?;
                let mailed =
                    self.starts_and_mails(START_AND_MAIL, &mailing_rival, connections, Contract::V1, Some(&mailing)).await?;
                let checks = [(&mailing_rival, mailed), (&bare, Checks::of_bare(bare.api, started_barely))];
                let check = async |bench: &mut Self, nth: usize| {
                    bench.checks(checks[nth].0, connections, &checks[nth].1, Pace::Closed).await
                };
                self.both(round, check).await?;
            }
        }
        for connections in self.extent.targeted.clone() {
            self.paced_on_redis(connections, [&quiet, &mailing_rival, &bare]).await?;
        }
        Ok(())
    }

    /// Latencies at one rate, the same for both.
    async fn paced_on_redis(&mut self, connections: usize, rivals: [&Rival<'_>; 3]) -> anyhow::Result<()> {
        let [quiet, mailing, bare] = rivals;
        let contenders = [Contender::Fiador, Contender::Bare];
        let start = self.paced(START, contenders, connections)?;
        let check = self.paced(CHECK, contenders, connections)?;
        for round in 0..self.extent.rounds {
            for rival in rivals {
                rival.empty()?;
            }
            let starters = [quiet, bare];
            let starts = async |bench: &mut Self, nth: usize| bench.starts(starters[nth], connections, start).await;
            let [_, started_barely] = self.both(round, starts).await?;
            let mails =
                async |bench: &mut Self| bench.starts_and_mails(START_AND_MAIL, mailing, connections, Contract::V1, None).await;
            let mailed = self.unbooked(mails).await?;
            let checks = [(mailing, mailed), (bare, Checks::of_bare(bare.api, started_barely))];
            let checking =
                async |bench: &mut Self, nth: usize| bench.checks(checks[nth].0, connections, &checks[nth].1, check).await;
            self.both(round, checking).await?;
        }
        Ok(())
    }

    /// One rival's leg and the other's, by their numbers; who is first changes with each round.
    async fn both<T>(
        &mut self,
        round: usize,
        leg: impl AsyncFn(&mut Self, usize) -> anyhow::Result<T>,
    ) -> anyhow::Result<[T; 2]> {
        if round.is_multiple_of(2) {
            let first = leg(self, 0).await?;
            return Ok([first, leg(self, 1).await?]);
        }
        let first = leg(self, 1).await?;
        Ok([leg(self, 0).await?, first])
    }

    /// The old contract's calls, of the daemon and the old design, both with their mails.
    pub async fn old_contract(&mut self) -> anyhow::Result<()> {
        let (own, olds) = (Redis::start()?, Redis::start()?);
        let daemon = self.daemon(Some(&own), true, false)?;
        let (express, api) = self.start_express(&olds)?;
        let new = Rival { api: &daemon.old, ..Rival::daemon(Contender::Fiador, &daemon, Some(&own)) };
        let servers = express.processes.iter().map(crate::processes::Process::id).collect();
        let meter = Meter { servers, redis: Some(olds.process.id()) };
        let old = Rival { contender: Contender::Express, api: &api, meter, redis: Some(&olds) };
        for rival in [&new, &old] {
            self.warm_up(rival).await?;
        }
        for connections in self.extent.connections.clone() {
            for _ in 0..self.extent.rounds {
                for (rival, queue_of) in [(&new, Some(&daemon)), (&old, None)] {
                    rival.empty()?;
                    let checks = self.starts_and_mails(REGISTER, rival, connections, Contract::Old, queue_of).await?;
                    self.measure(VALIDATE, rival, connections, &checks, Pace::Closed).await?;
                }
            }
        }
        Ok(())
    }

    /// A turn that is not counted: Node.js compiles what it has run for a while.
    async fn warm_up(&mut self, rival: &Rival<'_>) -> anyhow::Result<()> {
        let turn = async |bench: &mut Self| {
            let checks = bench.starts_and_mails(REGISTER, rival, SOME, Contract::Old, None).await?;
            bench.measure(VALIDATE, rival, SOME, &checks, Pace::Closed).await
        };
        self.unbooked(turn).await.map(drop)
    }

    /// What is not counted.
    async fn unbooked<T>(&mut self, leg: impl AsyncFnOnce(&mut Self) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let before = std::mem::take(&mut self.book);
        let result = leg(self).await;
        self.book = before;
        result
    }

    /// Start and check on the embedded store, and of a bare handler over redb.
    pub async fn embedded(&mut self) -> anyhow::Result<()> {
        for connections in self.extent.targeted.clone() {
            for _ in 0..self.extent.rounds {
                self.embedded_turn(connections).await?;
                let directory = TempDir::new()?;
                let file = directory.path().join("bare.redb");
                let (process, api) = self.start_bare("redb", file.to_str().context("a path that is text")?)?;
                self.bare_turn(&Rival::bare(Contender::BareRedb, &process, &api, None), connections).await?;
            }
        }
        Ok(())
    }

    /// Each on a file of its own.
    async fn embedded_turn(&mut self, connections: usize) -> anyhow::Result<()> {
        {
            let quiet = self.daemon(None, false, false)?;
            let rival = Rival::daemon(Contender::FiadorEmbedded, &quiet, None);
            let started = self.starts(&rival, connections, Pace::Closed).await?;
            self.wrong_checks(&rival, connections, &started).await?;
        }
        let mailing = self.daemon(None, true, false)?;
        let rival = Rival::daemon(Contender::FiadorEmbedded, &mailing, None);
        let checks = self.starts_and_mails(START_AND_MAIL, &rival, connections, Contract::V1, Some(&mailing)).await?;
        self.checks(&rival, connections, &checks, Pace::Closed).await
    }

    /// Start and check over HTTPS. Plain HTTP is measured anew beside it, in a book of its own.
    pub async fn https(&mut self) -> anyhow::Result<Book> {
        let before = std::mem::take(&mut self.book);
        let pairs = [self.pair(Contender::Fiador)?, self.pair(Contender::FiadorHttps)?];
        for connections in self.extent.targeted.clone() {
            for _ in 0..self.extent.rounds {
                for pair in &pairs {
                    self.turn_of(pair, connections).await?;
                }
            }
        }
        Ok(std::mem::replace(&mut self.book, before))
    }

    fn pair(&self, contender: Contender) -> anyhow::Result<Pair> {
        let (own, mailed) = (Redis::start()?, Redis::start()?);
        let is_https = contender == Contender::FiadorHttps;
        let (quiet, mailing) = (self.daemon(Some(&own), false, is_https)?, self.daemon(Some(&mailed), true, is_https)?);
        Ok(Pair { contender, quiet, mailing, own, mailed })
    }

    async fn turn_of(&mut self, pair: &Pair, connections: usize) -> anyhow::Result<()> {
        let quiet = Rival::daemon(pair.contender, &pair.quiet, Some(&pair.own));
        quiet.empty()?;
        self.starts(&quiet, connections, Pace::Closed).await?;
        quiet.empty()?;
        let mailing = Rival::daemon(pair.contender, &pair.mailing, Some(&pair.mailed));
        let checks = self.starts_and_mails(START_AND_MAIL, &mailing, connections, Contract::V1, None).await?;
        self.checks(&mailing, connections, &checks, Pace::Closed).await?;
        mailing.empty()
    }

    /// What a live verification weighs in Redis, and what many of them do to the others: one Redis is full, the other empty. To
    /// empty a full one stalls it, so it is filled once.
    pub async fn full_redis(&mut self) -> anyhow::Result<Book> {
        let before = std::mem::take(&mut self.book);
        let (empty, full) = (Redis::start()?, Redis::start()?);
        let (beside, filled) = (self.daemon(Some(&empty), false, false)?, self.daemon(Some(&full), false, false)?);
        self.weigh_waiting(&full, &filled).await?;
        full.forget_queued_mails()?;
        self.singles.filled = fill(&full, self.extent.filled)?;
        tokio::time::sleep(SETTLING).await;
        let beside = Rival::daemon(Contender::Fiador, &beside, Some(&empty));
        self.unbooked(async |bench: &mut Self| bench.starts(&beside, SOME, Pace::Closed).await).await?; // the other is warm by now
        let rivals = [&beside, &Rival::daemon(Contender::FiadorFull, &filled, Some(&full))];
        for round in 0..self.extent.rounds {
            beside.empty()?;
            let starts = async |bench: &mut Self, nth: usize| bench.starts(rivals[nth], SOME, Pace::Closed).await;
            let started = self.both(round, starts).await?;
            let wrong = async |bench: &mut Self, nth: usize| bench.wrong_checks(rivals[nth], SOME, &started[nth]).await;
            self.both(round, wrong).await?;
        }
        Ok(std::mem::replace(&mut self.book, before))
    }

    /// What a live verification weighs whose mail is sent.
    pub async fn weigh_mailed(&mut self) -> anyhow::Result<()> {
        let redis = Redis::start()?;
        let daemon = self.daemon(Some(&redis), true, false)?;
        let before = redis.used_memory()?;
        self.post.empty();
        let started = self.start_some(&daemon, Some(&self.post)).await?;
        self.post.wait_for(started).await?;
        while daemon.queued_mails().await? > 0.0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.singles.bytes_each = (redis.used_memory()? - before) / started as f64;
        Ok(())
    }

    async fn weigh_waiting(&mut self, redis: &Redis, daemon: &Daemon) -> anyhow::Result<()> {
        let before = redis.used_memory()?;
        let started = self.start_some(daemon, None).await?;
        self.singles.bytes_each_waiting = (redis.used_memory()? - before) / started as f64;
        Ok(())
    }

    /// How many verifications were started to be weighed.
    async fn start_some(&self, daemon: &Daemon, post: Option<&Post>) -> anyhow::Result<usize> {
        let work = Starts::new(&daemon.api, Contract::V1, self.extent.weighed, post);
        drive(&daemon.api, SOME, &work, Pace::Closed, Duration::from_secs(60)).await?;
        Ok(work.into_started().len())
    }
}

/// A daemon that mails nothing and one that does, each on a Redis of its own.
struct Pair {
    contender: Contender,
    quiet: Daemon,
    mailing: Daemon,
    own: Redis,
    mailed: Redis,
}

/// The bytes of the value of the one key that is named so.
fn size_of(redis: &Redis, pattern: &str) -> anyhow::Result<usize> {
    let mut connection = redis.connection()?;
    let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg(pattern).query(&mut connection)?;
    ensure!(keys.len() == 1, "{} keys are named {pattern}", keys.len());
    Ok(redis::cmd("STRLEN").arg(&keys[0]).query(&mut connection)?)
}

//! Faults, drawn from the seed: of the daemons, of the way to Redis, of the mail server, in three lanes at once.

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;
use rustix::process::Signal;

use super::{
    clock::pass,
    post_office::{Mood, Phase},
    road::Weather,
    world::World,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    DaemonKilled,
    DaemonStopped,
    DaemonFrozen,
    DaemonReloaded,
    /// Both are killed, and come back when leases have run out.
    LeaseLater,
    RedisKilled,
    RedisFrozen,
    ScriptsFlushed,
    RepliesCut,
    RepliesDelayed,
    RoadHalfOpen,
    MailRefused,
    MailDeferred,
    MailRejected,
    MailCutInData,
    MailCutAfterDot,
    MailSlow,
    MailStalled,
}

/// What has faults of its own, one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    Daemons,
    Redis,
    Mail,
}

impl Fault {
    pub const ALL: [Self; 18] = [
        Self::DaemonKilled,
        Self::DaemonStopped,
        Self::DaemonFrozen,
        Self::DaemonReloaded,
        Self::LeaseLater,
        Self::RedisKilled,
        Self::RedisFrozen,
        Self::ScriptsFlushed,
        Self::RepliesCut,
        Self::RepliesDelayed,
        Self::RoadHalfOpen,
        Self::MailRefused,
        Self::MailDeferred,
        Self::MailRejected,
        Self::MailCutInData,
        Self::MailCutAfterDot,
        Self::MailSlow,
        Self::MailStalled,
    ];

    fn lane(self) -> Lane {
        match self {
            Self::DaemonKilled | Self::DaemonStopped | Self::DaemonFrozen | Self::DaemonReloaded | Self::LeaseLater => {
                Lane::Daemons
            }
            Self::RedisKilled
            | Self::RedisFrozen
            | Self::ScriptsFlushed
            | Self::RepliesCut
            | Self::RepliesDelayed
            | Self::RoadHalfOpen => Lane::Redis,
            _ => Lane::Mail,
        }
    }
}

/// Longer than a lease, and than the shortest life of a number.
const A_LEASE: Duration = Duration::from_secs(61);

/// One fault after the other of that lane until the campaign closes, `calm` at most between them; how many there were of each. All are healed at the end.
pub async fn strike(world: &World, lane: Lane, faults: &[Fault], calm: Duration, mut rng: Rng) -> BTreeMap<Fault, usize> {
    let mut counts = BTreeMap::new();
    let own: Vec<Fault> = faults.iter().copied().filter(|fault| fault.lane() == lane).collect();
    while !world.is_closing() {
        pass(calm.mul_f64(rng.f64())).await;
        let Some(fault) = rng.choice(&own).filter(|_| !world.is_closing()) else { break };
        *counts.entry(*fault).or_default() += 1;
        match lane {
            Lane::Daemons => strike_daemons(world, *fault, &mut rng).await,
            Lane::Redis => strike_redis(world, *fault, &mut rng).await,
            Lane::Mail => strike_mail(world, *fault, &mut rng).await,
        }
    }
    counts
}

async fn strike_daemons(world: &World, fault: Fault, rng: &mut Rng) {
    let site = rng.usize(..2);
    match fault {
        Fault::DaemonKilled => {
            world.kill(site).await;
            hold(rng, 1_000).await;
            world.start(site).await;
        }
        Fault::DaemonStopped => {
            world.stop(site).await;
            hold(rng, 500).await;
            world.start(site).await;
        }
        Fault::DaemonFrozen => {
            world.signal(site, Signal::STOP).await;
            hold(rng, 4_000).await;
            world.signal(site, Signal::CONT).await;
        }
        Fault::DaemonReloaded => world.signal(site, Signal::HUP).await,
        _ => {
            world.leap(A_LEASE).await;
            hold(rng, 2_000).await; // what fell due is tried
        }
    }
}

async fn strike_redis(world: &World, fault: Fault, rng: &mut Rng) {
    match fault {
        Fault::RedisKilled => {
            let mut redis = world.redis.lock().await;
            redis.kill();
            hold(rng, 1_500).await;
            tokio::task::block_in_place(|| redis.start_again());
        }
        Fault::RedisFrozen => {
            let redis = world.redis.lock().await;
            redis.freeze();
            hold(rng, 3_000).await;
            redis.thaw();
        }
        Fault::ScriptsFlushed => tokio::task::block_in_place(|| world.redis.blocking_lock().tell(&["SCRIPT", "FLUSH"])),
        // once on each connection is enough: the replies to a new one are cut, too
        Fault::RepliesCut => weather(world, Weather::CutsReplies, 500, rng).await,
        Fault::RepliesDelayed => weather(world, Weather::Delays(Duration::from_millis(rng.u64(10..700))), 2_500, rng).await,
        _ => weather(world, Weather::HalfOpen, 2_500, rng).await,
    }
}

/// On one road, or both.
async fn weather(world: &World, weather: Weather, longest_ms: u64, rng: &mut Rng) {
    let (site, both) = (rng.usize(..2), rng.bool());
    let roads = || world.sites.iter().enumerate().filter(|(at, _)| both || *at == site).map(|(_, site)| &site.road);
    roads().for_each(|road| road.becomes(weather));
    hold(rng, longest_ms).await;
    roads().for_each(|road| road.becomes(Weather::Clear));
}

async fn strike_mail(world: &World, fault: Fault, rng: &mut Rng) {
    let phase = *rng.choice(&[Phase::Mail, Phase::Rcpt, Phase::Data, Phase::Dot]).unwrap();
    world.office.becomes(match fault {
        Fault::MailRefused => Mood::Refuses,
        Fault::MailDeferred => Mood::Defers(phase),
        Fault::MailRejected => Mood::Rejects(phase),
        Fault::MailCutInData => Mood::DropsInData,
        Fault::MailCutAfterDot => Mood::DropsAfterDot,
        Fault::MailSlow => Mood::Slow,
        _ => Mood::Stalls(phase),
    });
    hold(rng, 4_000).await;
    world.office.becomes(Mood::Kind);
}

async fn hold(rng: &mut Rng, longest_ms: u64) {
    pass(Duration::from_millis(rng.u64(longest_ms / 10..longest_ms))).await;
}

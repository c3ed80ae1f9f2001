//! What was measured, by scenario, contender and connections; repetitions are put together, and kept apart for comparing.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::{
    drive::{Run, histogram},
    processes::{cpu_seconds, resident_mib},
};

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    Fiador,
    FiadorHttps,
    FiadorEmbedded,
    FiadorFull,
    Bare,
    BareRedb,
    BareArgon2,
    Express,
}

impl Contender {
    pub fn name(self) -> &'static str {
        match self {
            Self::Fiador => "Fiador",
            Self::FiadorHttps => "Fiador, HTTPS",
            Self::FiadorEmbedded => "Fiador, embedded store",
            Self::FiadorFull => "Fiador, full Redis",
            Self::Bare => "bare reference",
            Self::BareRedb => "bare reference, redb",
            Self::BareArgon2 => "bare argon2",
            Self::Express => "old design",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub scenario: &'static str,
    pub contender: Contender,
    pub connections: usize,
}

pub struct Entry {
    pub key: Key,
    answered: u64,
    span: Duration,
    latencies: Histogram<u64>,
    server_cpu: f64,
    redis_cpu: f64,
    pub resident_mib: f64,
    /// Each repetition by itself.
    pub turns: Vec<Turn>,
}

/// One repetition.
pub struct Turn {
    /// Answers a second.
    pub rate: f64,
    /// In milliseconds.
    pub p99: f64,
}

impl Turn {
    fn of(run: &Run) -> Self {
        Self { rate: run.answered as f64 / run.span.as_secs_f64(), p99: run.latencies.value_at_quantile(0.99) as f64 / 1e6 }
    }
}

impl Entry {
    fn new(key: Key) -> Self {
        let (latencies, span, turns) = (histogram(), Duration::ZERO, Vec::new());
        Self { key, answered: 0, span, latencies, server_cpu: 0.0, redis_cpu: 0.0, resident_mib: 0.0, turns }
    }

    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.span.as_secs_f64()
    }

    /// In milliseconds.
    pub fn latency(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1e6
    }

    /// Seconds per 1,000 requests.
    pub fn server_cpu(&self) -> f64 {
        self.server_cpu / self.answered as f64 * 1e3
    }

    /// Seconds per 1,000 requests.
    pub fn redis_cpu(&self) -> f64 {
        self.redis_cpu / self.answered as f64 * 1e3
    }
}

#[derive(Default)]
pub struct Book {
    pub entries: Vec<Entry>,
}

impl Book {
    pub fn add(&mut self, key: Key, run: &Run, cost: &Cost) {
        let at = self.entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
            self.entries.push(Entry::new(key));
            self.entries.len() - 1
        });
        let entry = &mut self.entries[at];
        entry.answered += run.answered;
        entry.span += run.span;
        entry.latencies.add(&run.latencies).expect("all have the same bounds");
        entry.turns.push(Turn::of(run));
        entry.server_cpu += cost.server_cpu;
        entry.redis_cpu += cost.redis_cpu;
        entry.resident_mib = entry.resident_mib.max(cost.resident_mib);
    }

    pub fn find(&self, scenario: &str, contender: Contender, connections: usize) -> Option<&Entry> {
        let is_it = |key: &Key| key.scenario == scenario && key.contender == contender && key.connections == connections;
        self.entries.iter().find(|entry| is_it(&entry.key))
    }

    pub fn rate(&self, scenario: &str, contender: Contender, connections: usize) -> Option<f64> {
        self.find(scenario, contender, connections).map(Entry::rate)
    }
}

/// What a run cost.
pub struct Cost {
    server_cpu: f64,
    redis_cpu: f64,
    resident_mib: f64,
}

/// Reads what processes use.
#[derive(Clone)]
pub struct Meter {
    pub servers: Vec<u32>,
    pub redis: Option<u32>,
}

/// What they had used by a moment.
pub struct Reading {
    server_cpu: f64,
    redis_cpu: f64,
}

impl Meter {
    pub fn read(&self) -> anyhow::Result<Reading> {
        let server_cpu = self.servers.iter().map(|&process| cpu_seconds(process)).sum::<anyhow::Result<f64>>()?;
        Ok(Reading { server_cpu, redis_cpu: self.redis.map_or(Ok(0.0), cpu_seconds)? })
    }

    pub fn since(&self, before: &Reading) -> anyhow::Result<Cost> {
        let now = self.read()?;
        let resident_mib = self.servers.iter().map(|&process| resident_mib(process)).sum::<anyhow::Result<f64>>()?;
        let (server_cpu, redis_cpu) = (now.server_cpu - before.server_cpu, now.redis_cpu - before.redis_cpu);
        Ok(Cost { server_cpu, redis_cpu, resident_mib })
    }

    /// What cannot be told apart from the cost of something else that goes on.
    pub fn unknown(&self) -> anyhow::Result<Cost> {
        let resident_mib = self.since(&self.read()?)?.resident_mib;
        Ok(Cost { server_cpu: f64::NAN, redis_cpu: f64::NAN, resident_mib })
    }
}

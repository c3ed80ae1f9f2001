//! The `argon2` crate alone: what a password costs where there is nothing else.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::{
    book::{Cost, Meter},
    drive::{Run, histogram},
};

/// The daemon's: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SECRET: [u8; 32] = [7; 32];

/// Hashes on every core until the time is over, each thread in memory that it keeps.
///
/// # Errors
/// When a hash cannot be made.
pub fn hash_on_all_cores(longest: Duration) -> anyhow::Result<(Run, Cost)> {
    let meter = Meter { servers: vec![std::process::id()], redis: None };
    let before = meter.read()?;
    let cores = thread::available_parallelism()?.get();
    let threads: Vec<_> = (0..cores).map(|_| thread::spawn(move || hash_until(Instant::now() + longest))).collect();
    let began = Instant::now();
    let mut latencies = histogram();
    for thread in threads {
        latencies.add(thread.join().map_err(|_| anyhow!("a hashing thread panicked"))??)?;
    }
    Ok((Run { answered: latencies.len(), span: began.elapsed(), latencies }, meter.since(&before)?))
}

fn hash_until(ends: Instant) -> anyhow::Result<hdrhistogram::Histogram<u64>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(32)).map_err(|error| anyhow!("{error}"))?;
    let mut memory = vec![Block::new(); params.block_count()];
    let argon =
        Argon2::new_with_secret(&SECRET, Algorithm::Argon2id, Version::V0x13, params).map_err(|error| anyhow!("{error}"))?;
    let (mut latencies, mut output) = (histogram(), [0; 32]);
    while Instant::now() < ends {
        let began = Instant::now();
        let hashed =
            argon.hash_password_into_with_memory(b"correct horse battery staple", b"0123456789abcdef", &mut output, &mut memory);
        hashed.map_err(|error| anyhow!("{error}")).context("hashing")?;
        std::hint::black_box(&output);
        latencies.saturating_record(u64::try_from(began.elapsed().as_nanos())?);
    }
    Ok(latencies)
}

//! Fills a Redis with verifications that nobody asks for. Each is a copy of values that the daemon sealed, under keys of another
//! address; a record is bound to its address, so a copy would not open, but it weighs and is kept as the one it was made from.

use anyhow::ensure;

use crate::processes::Redis;

/// Keys are copied from so many verifications.
const MODELS: usize = 1000;
const PIPELINED: usize = 1000;
const LIFE_MS: u64 = 3_600_000;

/// A key without its hash, and the value.
type Model = (Vec<u8>, Vec<u8>);

/// Adds copies until there are `total` records; how many there are then.
pub fn fill(redis: &Redis, total: usize) -> anyhow::Result<usize> {
    let mut connection = redis.connection()?;
    let (records, tokens) = (models(&mut connection, b'a')?, models(&mut connection, b't')?);
    ensure!(!records.is_empty() && !tokens.is_empty(), "there is nothing to copy");
    let there: usize = redis::cmd("DBSIZE").query(&mut connection)?;
    let mut missing = total.saturating_sub(there / 2); // a record and a token each
    while missing > 0 {
        let together = missing.min(PIPELINED);
        let mut pipeline = redis::pipe();
        for nth in 0..together {
            for (prefix, value) in [&records[nth % records.len()], &tokens[nth % tokens.len()]] {
                pipeline.cmd("SET").arg(copy_of(prefix)).arg(value).arg("PX").arg(LIFE_MS).ignore();
            }
        }
        pipeline.exec(&mut connection)?;
        missing -= together;
    }
    let keys: usize = redis::cmd("DBSIZE").query(&mut connection)?;
    Ok(keys / 2)
}

fn copy_of(prefix: &[u8]) -> Vec<u8> {
    let mut hash = [0; 16];
    fastrand::fill(&mut hash);
    [prefix, &hash].concat()
}

fn models(connection: &mut redis::Connection, kind: u8) -> anyhow::Result<Vec<Model>> {
    let mut cursor = 0_u64;
    let mut found = Vec::new();
    while found.len() < MODELS {
        let pattern = format!("{{*}}{}*", char::from(kind));
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(1000);
        let (next, keys): (u64, Vec<Vec<u8>>) = scan.query(connection)?;
        for key in keys {
            let value: Vec<u8> = redis::cmd("GET").arg(&key).query(connection)?;
            let prefix = key[..key.len() - 16].to_vec();
            found.push((prefix, value));
        }
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    Ok(found)
}

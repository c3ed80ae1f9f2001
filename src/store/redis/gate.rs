//! Which servers we work on: Redis 7.0 or Valkey, never evicting, and of our own key ring.

use redis::{InfoDict, RedisError, aio::MultiplexedConnection};
use thiserror::Error;

use super::{
    RedisSettings,
    connection::{Connection, Fault},
    meaning::is_an_answer,
};
use crate::store::ClaimError;

/// Holds the fingerprint and the origin of the key ring that names everything here.
const RING_KEY: &str = "fiador:keyring";

/// Why a server is not fit, and what mends it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Unfit {
    /// Scripts that declare all their keys came with 7.0.
    #[error("Redis {0} is too old: 7.0 or later is needed, or Valkey")]
    TooOld(String),
    /// A server that evicts loses budgets and tokens.
    #[error("Redis may evict what it holds (maxmemory-policy {0}): set `maxmemory-policy noeviction` on the server")]
    Evicts(String),
    /// Names made with another key ring mean nothing to us.
    #[error("Redis belongs to another key ring: copy the right one from {0}")]
    ForeignRing(String),
}

/// Looks at a server once connected.
pub(super) async fn check(connection: &mut MultiplexedConnection, fingerprint: &str) -> Result<(), Fault> {
    let info: InfoDict = redis::cmd("INFO").query_async(connection).await?;
    check_server(&info)?;
    let (found, origin) = claim(connection, fingerprint, "a daemon that knew this ring").await?;
    if found == fingerprint { Ok(()) } else { Err(Unfit::ForeignRing(origin).into()) }
}

fn check_server(info: &InfoDict) -> Result<(), Unfit> {
    let version: String = info.get("redis_version").unwrap_or_default();
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or_default();
    if major < 7 {
        return Err(Unfit::TooOld(version));
    }
    let policy: String = info.get("maxmemory_policy").unwrap_or_default();
    if policy == "noeviction" { Ok(()) } else { Err(Unfit::Evicts(policy)) }
}

/// Writes our ring's fingerprint and origin where there is none, and reads what is there.
async fn claim(connection: &mut MultiplexedConnection, fingerprint: &str, origin: &str) -> Result<(String, String), Fault> {
    let ours = format!("{fingerprint} {origin}");
    redis::cmd("SET").arg(RING_KEY).arg(ours).arg("NX").query_async::<()>(connection).await?;
    let found: String = redis::cmd("GET").arg(RING_KEY).query_async(connection).await?;
    let (fingerprint, origin) = found.split_once(' ').unwrap_or((&found, "where it was made"));
    Ok((fingerprint.to_owned(), origin.to_owned()))
}

/// Whether the server takes what we write: the ring's fingerprint, which is there already.
pub(super) async fn try_to_write(connection: &mut MultiplexedConnection, fingerprint: &str) -> Result<(), RedisError> {
    redis::cmd("SET").arg(RING_KEY).arg(fingerprint).arg("NX").query_async(connection).await
}

/// Connects once, and tells the server our ring's fingerprint and origin: (those it then holds).
///
/// # Errors
/// What is wrong with the server, or why it was not reached, as one line.
pub async fn claim_ring(settings: &RedisSettings, fingerprint: String, origin: String) -> Result<(String, String), ClaimError> {
    let ask = async {
        let connection = Connection::open(settings).await?;
        let mut connection = connection.timed_commands();
        let info: InfoDict = redis::cmd("INFO").query_async(&mut connection).await?;
        check_server(&info)?;
        warn_of_weak_persistence(&info);
        let (found, origin) = claim(&mut connection, &fingerprint, &origin).await?;
        Ok((found, settings.told(&origin)))
    };
    let address = settings.address();
    ask.await.map_err(|fault| match fault {
        Fault::Unfit(unfit) => ClaimError::Unfit(settings.told(&unfit)),
        Fault::Redis(answer) if is_an_answer(&answer) => {
            ClaimError::Unreachable(format!("{}, from {address}", settings.told(&Fault::from(answer))))
        }
        Fault::Redis(_) | Fault::Silent => {
            ClaimError::Unreachable(format!("{}; start Redis at {address}, or mend store.redis_url", settings.told(&fault)))
        }
    })
}

fn warn_of_weak_persistence(info: &InfoDict) {
    if info.get::<u8>("aof_enabled") == Some(1) {
        tracing::info!("redis keeps an append-only file; with `appendfsync everysec` a crash can lose the last second");
    } else {
        tracing::warn!("redis keeps no append-only file: a crash loses everything since its last snapshot");
    }
}

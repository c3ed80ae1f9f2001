//! The commands that the daemon sends, by its own script.

use std::sync::LazyLock;

use redis::{Client, Script, aio::MultiplexedConnection};

use super::{Place, Sizes, VERSION, now, value};

const HOUR_MS: u64 = 3_600_000;
const LEASE_MS: u64 = 60_000;
const LIFE_MS: u64 = 602_000;
const LINGERING_MS: u64 = 62_000;

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../../src/store/redis/commit.lua")));

/// One connection, which all of a handler's threads share.
pub struct RedisStore {
    connection: MultiplexedConnection,
    sizes: Sizes,
}

impl RedisStore {
    pub async fn connect(url: &str, sizes: Sizes) -> anyhow::Result<Self> {
        let mut connection = Client::open(url)?.get_multiplexed_async_connection().await?;
        SCRIPT.load_async(&mut connection).await?;
        Ok(Self { connection, sizes })
    }

    /// The record, its mail in the queue, its token.
    pub async fn start(&self, place: Place) -> anyhow::Result<()> {
        let now = now();
        let mut call = evalsha(&[record(&place), queue(&place), token(&place)]);
        call.arg("").arg(now).arg(value(self.sizes.record)).arg(now + HOUR_MS).arg("");
        call.arg(2).arg(3).arg("ZADD").arg(now + LEASE_MS).arg(&place.member());
        call.arg(3).arg(4).arg("SET").arg(value(self.sizes.token)).arg("PXAT").arg(now + LIFE_MS);
        self.commit(call).await
    }

    /// Reads record and token, writes the record anew; a right number also ends the mail and moves the token's end.
    pub async fn check(&self, place: Place, is_right: bool) -> anyhow::Result<()> {
        let (record, token) = (record(&place), token(&place));
        let mut get = redis::cmd("MGET");
        get.arg(&record).arg(&token);
        let (read, _token): (Vec<u8>, Vec<u8>) = get.query_async(&mut self.connection.clone()).await?;
        let version = read.get(VERSION).unwrap_or_default();
        let now = now();
        let mut call = if is_right { evalsha(&[record, queue(&place), token]) } else { evalsha(&[record]) };
        call.arg(version).arg(now).arg(value(self.sizes.checked_record)).arg(now + HOUR_MS).arg("");
        if is_right {
            call.arg(2).arg(2).arg("ZREM").arg(&place.member());
            call.arg(3).arg(2).arg("PEXPIREAT").arg(now + LINGERING_MS);
        }
        self.commit(call).await
    }

    async fn commit(&self, call: redis::Cmd) -> anyhow::Result<()> {
        let reply: Vec<String> = call.query_async(&mut self.connection.clone()).await?;
        anyhow::ensure!(reply == ["done"], "the commit was answered {reply:?}");
        Ok(())
    }
}

fn evalsha(keys: &[Vec<u8>]) -> redis::Cmd {
    let mut call = redis::cmd("EVALSHA");
    call.arg(SCRIPT.get_hash()).arg(keys.len()).arg(keys);
    call
}

fn record(place: &Place) -> Vec<u8> {
    named(place, b'a', &place.handle)
}

fn token(place: &Place) -> Vec<u8> {
    named(place, b't', &place.verification)
}

fn queue(place: &Place) -> Vec<u8> {
    named(place, b'q', &[])
}

fn named(place: &Place, kind: u8, hash: &[u8]) -> Vec<u8> {
    let mut key = format!("{{{}}}", place.shard()).into_bytes();
    key.push(kind);
    key.extend_from_slice(hash);
    key
}

//! The bare reference: what a start and a check would cost a handler of a few lines. It runs the daemon's own commands on the
//! same keys with values of the same sizes, and has no actors, sealing, rules or mail.
//!
//! `bare redis URL SIZES` or `bare redb FILE SIZES`, SIZES being the bytes of a record, of the record after a check, and of a
//! token, with commas between. It prints where it listens.

mod redb_store;
mod redis_store;

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, bail};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use warp::{
    Filter,
    http::StatusCode,
    reply::{Reply, Response, json, with_status},
};

/// The number that is never the right one.
const WRONG_NUMBER: &str = "00000000";
/// Where a sealed record has its version.
const VERSION: std::ops::Range<usize> = 5..29;

/// How large the values are, in bytes.
#[derive(Clone, Copy)]
struct Sizes {
    record: usize,
    checked_record: usize,
    token: usize,
}

/// One verification's place: address and verification, as the daemon's keys have them.
#[derive(Clone, Copy)]
struct Place {
    handle: [u8; 16],
    verification: [u8; 16],
}

enum Store {
    Redis(redis_store::RedisStore),
    Redb(redb_store::RedbStore),
}

#[derive(Deserialize)]
struct Start {
    email: String,
    #[serde(rename = "token")]
    _token: serde_json::Value,
}

#[derive(Deserialize)]
struct Check {
    number: String,
}

#[derive(Serialize)]
struct Opened<'a> {
    id: &'a str,
    status: &'static str,
    email: &'a str,
    purpose: &'static str,
    expires_at: &'static str,
    attempts_remaining: u8,
    delivery: Delivery,
}

#[derive(Serialize)]
struct Delivery {
    status: &'static str,
    attempts: u8,
    last_reply: Option<&'static str>,
    next_attempt_at: Option<&'static str>,
    message_id: &'static str,
}

const QUEUED: Delivery = Delivery {
    status: "queued",
    attempts: 0,
    last_reply: None,
    next_attempt_at: None,
    message_id: "<AAAAAAAAAAAAAAAAAAAAAA@example.org>",
};

#[derive(Serialize)]
struct Approved<'a> {
    id: &'a str,
    status: &'static str,
    email: &'static str,
    purpose: &'static str,
    #[serde(rename = "approved_at")]
    at: &'static str,
    token: &'static str,
}

#[derive(Serialize)]
struct Refused {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'static str,
    request_id: &'static str,
    attempts_remaining: u8,
}

const INCORRECT: Refused = Refused {
    r#type: "/problems/number-incorrect",
    title: "The number is not the one that was mailed",
    status: 422,
    code: "number-incorrect",
    detail: "Ask the person to read the newest mail again",
    request_id: "00000000-0000-4000-8000-000000000000",
    attempts_remaining: 4,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, place, sizes] = arguments.as_slice() else { bail!("usage: bare redis URL SIZES | bare redb FILE SIZES") };
    let sizes = sizes_in(sizes)?;
    let store = Arc::new(match kind.as_str() {
        "redis" => Store::Redis(redis_store::RedisStore::connect(place, sizes).await?),
        "redb" => Store::Redb(redb_store::RedbStore::open(place, sizes)?),
        other => bail!("there is no store {other}"),
    });
    serve(store).await
}

fn sizes_in(text: &str) -> anyhow::Result<Sizes> {
    let sizes: Vec<usize> = text.split(',').map(str::parse).collect::<Result<_, _>>().context("SIZES are numbers")?;
    let &[record, checked_record, token] = sizes.as_slice() else { bail!("SIZES are three numbers") };
    Ok(Sizes { record, checked_record, token })
}

async fn serve(store: Arc<Store>) -> anyhow::Result<()> {
    let with_store = warp::any().map(move || store.clone());
    let start = warp::path!("v1" / "verifications").and(with_store.clone()).and(warp::body::json()).then(start);
    let check = warp::path!("v1" / "verifications" / String / "check").and(with_store).and(warp::body::json()).then(check);
    let routes = warp::post().and(start.or(check).unify());
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    println!("bare listens on http://{}", listener.local_addr()?);
    warp::serve(routes).incoming(listener).run().await;
    Ok(())
}

async fn start(store: Arc<Store>, asked: Start) -> Response {
    let place = Place { handle: random(), verification: random() };
    let stored = match &*store {
        Store::Redis(redis) => redis.start(place).await,
        Store::Redb(redb) => redb.start(place).await,
    };
    if let Err(error) = stored {
        return unavailable(&error);
    }
    let id = id_of(place);
    let opened = Opened {
        id: &id,
        status: "pending",
        email: &asked.email,
        purpose: "sign-in",
        expires_at: "2026-01-01T00:00:00.000Z",
        attempts_remaining: 5,
        delivery: QUEUED,
    };
    with_status(json(&opened), StatusCode::ACCEPTED).into_response()
}

async fn check(id: String, store: Arc<Store>, asked: Check) -> Response {
    let Some(place) = place_in(&id) else { return StatusCode::NOT_FOUND.into_response() };
    let is_right = asked.number != WRONG_NUMBER;
    let stored = match &*store {
        Store::Redis(redis) => redis.check(place, is_right).await,
        Store::Redb(redb) => redb.check(place, is_right).await,
    };
    match stored {
        Err(error) => unavailable(&error),
        Ok(()) if is_right => json(&approved(&id)).into_response(),
        Ok(()) => with_status(json(&INCORRECT), StatusCode::UNPROCESSABLE_ENTITY).into_response(),
    }
}

fn approved(id: &str) -> Approved<'_> {
    Approved {
        id,
        status: "approved",
        email: "u1000000@example.org",
        purpose: "sign-in",
        at: "2026-01-01T00:00:00.000Z",
        token: "token",
    }
}

fn unavailable(error: &anyhow::Error) -> Response {
    with_status(error.to_string(), StatusCode::SERVICE_UNAVAILABLE).into_response()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fastrand::fill(&mut bytes);
    bytes
}

fn id_of(place: Place) -> String {
    format!("vrf_{}", URL_SAFE_NO_PAD.encode([place.handle, place.verification].concat()))
}

fn place_in(id: &str) -> Option<Place> {
    let bytes = URL_SAFE_NO_PAD.decode(id.strip_prefix("vrf_")?).ok()?;
    let (handle, verification) = bytes.split_first_chunk()?;
    Some(Place { handle: *handle, verification: verification.try_into().ok()? })
}

impl Place {
    fn shard(&self) -> usize {
        usize::from(self.handle[15]) % 64
    }

    fn member(&self) -> [u8; 32] {
        let mut member = [0; 32];
        member[..16].copy_from_slice(&self.handle);
        member[16..].copy_from_slice(&self.verification);
        member
    }
}

/// A value of that size, with a version of its own as a sealed record has it.
fn value(size: usize) -> Vec<u8> {
    let mut value = vec![1; size];
    fastrand::fill(&mut value[VERSION]);
    value
}

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "there is no clock to hand in here")]
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

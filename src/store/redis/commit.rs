use std::sync::LazyLock;

use redis::{Cmd, Script, Value};

use crate::{
    domain::{MessageKey, Moment, transitions::Effect},
    store::{
        StoreError,
        keys::{RedisKeys, member},
        operations::Write,
        sealing,
    },
};

/// Mails that failed are listed for an hour.
const FAILED_LISTED_MS: u64 = 3_600_000;
const TOKEN: usize = 2;
const QUEUE: usize = 3;
const FAILED: usize = 4;

/// The script, its hash made once.
static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(&source()));

#[cfg(not(feature = "testing"))]
fn source() -> String {
    include_str!("commit.lua").to_owned()
}

/// Tests move the server's time by a last argument, which no release build has.
#[cfg(feature = "testing")]
fn source() -> String {
    let moved =
        include_str!("commit.lua").replace("math.floor(time[2] / 1000)", "math.floor(time[2] / 1000) + table.remove(ARGV)");
    assert!(moved.contains("table.remove"), "the script reads the time where this looks for it");
    moved
}

/// What the script answered.
pub(super) enum Committed {
    /// It is written.
    Done,
    /// The record is another by now: this.
    Stale(Option<Vec<u8>>),
    /// Our clock is more than a second off; the server's says this.
    ClockOff(Moment),
}

/// The script's keys and arguments, to be sent by [`evalsha`] or [`eval`].
pub(super) struct Commit {
    keys: [Vec<u8>; 4],
    arguments: Vec<Vec<u8>>,
}

/// What commits `write` if the record is still `read`.
pub(super) fn command(place: &MessageKey, keys: &RedisKeys, read: Option<&[u8]>, write: &Write, now: Moment) -> Commit {
    let version = read.and_then(sealing::version).unwrap_or_default();
    let (record, keep_until) = write.record.as_ref().map_or((Vec::new(), now), |(sealed, until)| (sealed.clone(), *until));
    let mut arguments = vec![version.to_vec(), number(now.0), record, number(keep_until.0)];
    for &effect in &write.effects {
        push_effect(&mut arguments, effect, &member(place), write.token.as_deref(), now);
    }
    Commit { keys: [&keys.record, &keys.token, &keys.queue, &keys.failed].map(Clone::clone), arguments }
}

fn push_effect(arguments: &mut Vec<Vec<u8>>, effect: Effect, member: &[u8], token: Option<&[u8]>, now: Moment) {
    let mut push = |key: usize, words: &[&[u8]]| {
        arguments.push(number(key as u64));
        arguments.push(number(words.len() as u64));
        arguments.extend(words.iter().map(|word| word.to_vec()));
    };
    match effect {
        Effect::Enqueue(due_at) => push(QUEUE, &[b"ZADD", &number(due_at.0), member]),
        Effect::Unqueue => push(QUEUE, &[b"ZREM", member]),
        Effect::ListAsFailed => {
            push(FAILED, &[b"ZADD", &number(now.0), member]);
            push(FAILED, &[b"ZREMRANGEBYSCORE", b"-inf", &number(now.0.saturating_sub(FAILED_LISTED_MS))]);
            push(FAILED, &[b"PEXPIRE", &number(FAILED_LISTED_MS)]);
        }
        Effect::StoreToken(until) => push(TOKEN, &[b"SET", token.unwrap_or_default(), b"PXAT", &number(until.0)]),
        Effect::KeepToken(until) => push(TOKEN, &[b"PEXPIREAT", &number(until.0)]),
        Effect::DropToken => push(TOKEN, &[b"UNLINK"]),
    }
}

fn number(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

impl Commit {
    /// Tests tell the script how far they moved the time.
    #[cfg(feature = "testing")]
    pub(super) fn moved_by(mut self, span: std::time::Duration) -> Self {
        self.arguments.push(number(u64::try_from(span.as_millis()).expect("tests move time by years at most")));
        self
    }

    /// By the script's hash: what is sent first.
    pub(super) fn evalsha(&self) -> Cmd {
        self.call("EVALSHA", SCRIPT.get_hash().as_bytes())
    }

    /// With the script itself: what is sent to a server that does not know it.
    pub(super) fn eval(&self) -> Cmd {
        self.call("EVAL", source().as_bytes())
    }

    fn call(&self, command: &str, script: &[u8]) -> Cmd {
        let mut cmd = redis::cmd(command);
        cmd.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.arguments);
        cmd
    }
}

impl Committed {
    /// # Errors
    /// `Damaged` when it is nothing that the script answers.
    pub(super) fn read(reply: Value) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged("a commit's reply");
        let Value::Array(mut words) = reply else { return Err(damaged()) };
        let second = (words.len() > 1).then(|| words.remove(1));
        match (words.first(), second) {
            (Some(Value::BulkString(word)), None) if word == b"done" => Ok(Self::Done),
            (Some(Value::BulkString(word)), Some(Value::Nil)) if word == b"stale" => Ok(Self::Stale(None)),
            (Some(Value::BulkString(word)), Some(Value::BulkString(record))) if word == b"stale" => Ok(Self::Stale(Some(record))),
            (Some(Value::BulkString(word)), Some(Value::Int(now))) if word == b"clock" => {
                u64::try_from(now).map(|now| Self::ClockOff(Moment(now))).map_err(|_| damaged())
            }
            _ => Err(damaged()),
        }
    }
}

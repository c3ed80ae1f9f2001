use std::{sync::LazyLock, time::Duration};

use redis::{Arg, Cmd, RedisWrite, Script, ToRedisArgs, Value};

use self::Word::{Bytes, Number};
use crate::{
    domain::{MessageKey, Moment, transitions::Effect},
    planted::{Bug, is_planted},
    store::{
        Handle, StoreError,
        keys::{self, KeyName, member},
        operations::{Sealed, Write},
        sealing,
    },
};

/// Mails that failed are listed for an hour.
pub(super) const FAILED_LISTED_MS: u64 = 3_600_000;
/// Tokens and numbers stay a little longer than the rules release them: a cell's clock may be a second behind the server's.
const LINGERING: Duration = Duration::from_secs(2);
/// What most commits fit into: keys, arguments, and bytes beside what is sealed.
const MOST_KEYS: usize = 4;
const MOST_ARGUMENTS: usize = 20;
const MOST_BYTES_BESIDE: usize = 256;

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
    if is_planted(Bug::LastWriteWins) { moved.replace("if version ~= ARGV[1]", "if false") } else { moved }
}

/// What the script answered.
pub(super) enum Committed {
    /// It is written.
    Done,
    /// The record is another by now: this.
    Stale(Option<Vec<u8>>),
    /// Our clock is more than a second off; the server's says this.
    ClockOff(Moment),
    /// The number that was to lead to the verification leads elsewhere.
    NumberTaken,
}

/// The script's keys and arguments.
pub(super) struct Commit {
    shard: usize,
    keys: Vec<KeyName>,
    /// The arguments, as if they were a command: so they lie in one piece of memory.
    arguments: Cmd,
}

/// One word of a command that the script is to run.
enum Word<'a> {
    Bytes(&'a [u8]),
    Number(u64),
}

impl ToRedisArgs for Word<'_> {
    fn write_redis_args<W: RedisWrite + ?Sized>(&self, out: &mut W) {
        match self {
            Bytes(bytes) => out.write_arg(bytes),
            Number(number) => number.write_redis_args(out),
        }
    }
}

/// What commits `write` if the record is still `read`.
pub(super) fn command(place: &MessageKey, read: Option<&[u8]>, write: &Write, now: Moment) -> Commit {
    let version = read.and_then(sealing::version).unwrap_or_default();
    let (record, keep_until) = write.record.as_ref().map_or((&[] as &[u8], now), |(sealed, until)| (sealed, *until));
    let arguments = Cmd::with_capacity(MOST_ARGUMENTS, MOST_BYTES_BESIDE + record.len() + write.sealed.token.len());
    let mut commit = Commit { shard: Handle(place.handle).shard(), keys: Vec::with_capacity(MOST_KEYS), arguments };
    commit.declare(keys::record(place));
    let new_number = write.effects.iter().find_map(|effect| match effect {
        Effect::StoreNumber(number, _) => Some(commit.declare(keys::number(commit.shard, number))),
        _ => None,
    });
    commit.arguments.arg(version).arg(now.0).arg(record).arg(keep_until.0);
    match new_number {
        Some(key) => commit.arguments.arg(key),
        None => commit.arguments.arg(""),
    };
    for &effect in &write.effects {
        commit.add(effect, place, &write.sealed, now);
    }
    commit
}

impl Commit {
    fn add(&mut self, effect: Effect, place: &MessageKey, sealed: &Sealed, now: Moment) {
        let (queue, token) = (keys::queue(self.shard), keys::token(self.shard, &place.verification));
        let past = |until: Moment| Number((until + LINGERING).0);
        match effect {
            Effect::Enqueue(_) if is_planted(Bug::NotQueued) => {}
            Effect::Enqueue(due_at) => self.push(queue, &[Bytes(b"ZADD"), Number(due_at.0), Bytes(&member(place))]),
            Effect::Unqueue => self.push(queue, &[Bytes(b"ZREM"), Bytes(&member(place))]),
            Effect::ListAsFailed => self.list_as_failed(place, now),
            Effect::UnlistFailed => self.push(keys::failed(self.shard), &[Bytes(b"ZREM"), Bytes(&member(place))]),
            Effect::StoreToken(until) => {
                self.push(token, &[Bytes(b"SET"), Bytes(&sealed.token), Bytes(b"PXAT"), past(until)]);
            }
            Effect::KeepToken(until) => self.push(token, &[Bytes(b"PEXPIREAT"), past(until)]),
            Effect::DropToken => self.push(token, &[Bytes(b"UNLINK")]),
            Effect::StoreNumber(key, until) => {
                let number = keys::number(self.shard, &key);
                self.push(number, &[Bytes(b"SET"), Bytes(&sealed.id), Bytes(b"PXAT"), past(until)]);
            }
            Effect::KeepNumber(key, until) => self.push(keys::number(self.shard, &key), &[Bytes(b"PEXPIREAT"), past(until)]),
            Effect::DropNumber(key) => self.push(keys::number(self.shard, &key), &[Bytes(b"UNLINK")]),
            Effect::Unlist(verification) => {
                let forgotten = MessageKey { verification, ..*place };
                self.push(keys::failed(self.shard), &[Bytes(b"ZREM"), Bytes(&member(&forgotten))]);
            }
            Effect::Forget { verification, number } => {
                let forgotten = MessageKey { verification, ..*place };
                self.push(queue, &[Bytes(b"ZREM"), Bytes(&member(&forgotten))]);
                self.push(keys::token(self.shard, &verification), &[Bytes(b"UNLINK")]);
                if let Some(number) = number {
                    self.push(keys::number(self.shard, &number), &[Bytes(b"UNLINK")]);
                }
            }
        }
    }

    fn list_as_failed(&mut self, place: &MessageKey, now: Moment) {
        let (failed, long_ago) = (keys::failed(self.shard), now.0.saturating_sub(FAILED_LISTED_MS));
        self.push(failed, &[Bytes(b"ZADD"), Number(now.0), Bytes(&member(place))]);
        self.push(failed, &[Bytes(b"ZREMRANGEBYSCORE"), Bytes(b"-inf"), Number(long_ago)]);
        self.push(failed, &[Bytes(b"PEXPIRE"), Number(FAILED_LISTED_MS)]);
    }

    /// Declares a key, once however many commands need it; its number, from 1.
    fn declare(&mut self, key: KeyName) -> usize {
        let index = self.keys.iter().position(|declared| *declared == key).unwrap_or_else(|| {
            self.keys.push(key);
            self.keys.len() - 1
        });
        index + 1
    }

    /// One command of the script: its key and its words.
    fn push(&mut self, key: KeyName, words: &[Word<'_>]) {
        let key = self.declare(key);
        self.arguments.arg(key).arg(words.len()).arg(words);
    }

    /// Tests tell the script how far they moved the time.
    #[cfg(feature = "testing")]
    pub(super) fn moved_by(mut self, span: std::time::Duration) -> Self {
        self.arguments.arg(u64::try_from(span.as_millis()).expect("tests move time by years at most"));
        self
    }

    /// By the script's hash: what is sent first.
    pub(super) fn evalsha(&self) -> Cmd {
        self.call("EVALSHA", SCRIPT.get_hash())
    }

    /// With the script itself: what is sent to a server that does not know it.
    pub(super) fn eval(&self) -> Cmd {
        self.call("EVAL", &source())
    }

    fn call(&self, command: &str, script: &str) -> Cmd {
        let arguments = self.arguments.args_iter().filter_map(|argument| match argument {
            Arg::Simple(bytes) => Some(bytes),
            _ => None, // there is no other kind here
        });
        let bytes = script.len() + MOST_BYTES_BESIDE + arguments.clone().map(<[u8]>::len).sum::<usize>();
        let mut cmd = Cmd::with_capacity(3 + MOST_KEYS + MOST_ARGUMENTS, bytes);
        cmd.arg(command).arg(script).arg(self.keys.len()).arg(&self.keys);
        for argument in arguments {
            cmd.arg(argument);
        }
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
            (Some(Value::BulkString(word)), None) if word == b"taken" => Ok(Self::NumberTaken),
            (Some(Value::BulkString(word)), Some(Value::Nil)) if word == b"stale" => Ok(Self::Stale(None)),
            (Some(Value::BulkString(word)), Some(Value::BulkString(record))) if word == b"stale" => Ok(Self::Stale(Some(record))),
            (Some(Value::BulkString(word)), Some(Value::Int(now))) if word == b"clock" => {
                u64::try_from(now).map(|now| Self::ClockOff(Moment(now))).map_err(|_| damaged())
            }
            _ => Err(damaged()),
        }
    }
}

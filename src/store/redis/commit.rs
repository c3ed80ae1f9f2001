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
/// So many words of the command say what script to run.
const SCRIPT_NAMED: usize = 2;
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

/// The command that runs the script.
pub(super) struct Commit(Cmd);

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
    let steps = Steps { shard: Handle(place.handle).shard(), place, sealed: &write.sealed, now };
    let mut keys = Keys(Vec::with_capacity(MOST_KEYS));
    keys.declare(keys::record(place));
    let new_number = write.effects.iter().find_map(|effect| match effect {
        Effect::StoreNumber(number, _) => Some(keys.declare(keys::number(steps.shard, number))),
        _ => None,
    });
    steps.each(&write.effects, |key, _| _ = keys.declare(key));

    let bytes = MOST_BYTES_BESIDE + record.len() + write.sealed.token.len();
    let mut cmd = Cmd::with_capacity(SCRIPT_NAMED + 1 + MOST_KEYS + MOST_ARGUMENTS, bytes);
    cmd.arg("EVALSHA").arg(SCRIPT.get_hash()).arg(keys.0.len()).arg(&keys.0);
    cmd.arg(version).arg(now.0).arg(record).arg(keep_until.0);
    match new_number {
        Some(key) => cmd.arg(key),
        None => cmd.arg(""),
    };
    steps.each(&write.effects, |key, words| _ = cmd.arg(keys.declare(key)).arg(words.len()).arg(words));
    Commit(cmd)
}

/// The script's keys, each declared once however many commands need it.
struct Keys(Vec<KeyName>);

impl Keys {
    /// The key's number, from 1.
    fn declare(&mut self, key: KeyName) -> usize {
        let index = self.0.iter().position(|declared| *declared == key).unwrap_or_else(|| {
            self.0.push(key);
            self.0.len() - 1
        });
        index + 1
    }
}

/// What the commands of the script are made from.
struct Steps<'a> {
    shard: usize,
    place: &'a MessageKey,
    sealed: &'a Sealed,
    now: Moment,
}

impl Steps<'_> {
    /// Tells each command that brings `effects` about: its key and its other words.
    fn each(&self, effects: &[Effect], mut tell: impl FnMut(KeyName, &[Word<'_>])) {
        for &effect in effects {
            self.of(effect, &mut tell);
        }
    }

    fn of(&self, effect: Effect, mut tell: impl FnMut(KeyName, &[Word<'_>])) {
        let Self { shard, place, sealed, .. } = *self;
        let (queue, token) = (keys::queue(shard), keys::token(shard, &place.verification));
        let past = |until: Moment| Number((until + LINGERING).0);
        match effect {
            Effect::Enqueue(_) if is_planted(Bug::NotQueued) => {}
            Effect::Enqueue(due_at) => tell(queue, &[Bytes(b"ZADD"), Number(due_at.0), Bytes(&member(place))]),
            Effect::Unqueue => tell(queue, &[Bytes(b"ZREM"), Bytes(&member(place))]),
            Effect::ListAsFailed => self.list_as_failed(tell),
            Effect::UnlistFailed => tell(keys::failed(shard), &[Bytes(b"ZREM"), Bytes(&member(place))]),
            Effect::StoreToken(until) => tell(token, &[Bytes(b"SET"), Bytes(&sealed.token), Bytes(b"PXAT"), past(until)]),
            Effect::KeepToken(until) => tell(token, &[Bytes(b"PEXPIREAT"), past(until)]),
            Effect::DropToken => tell(token, &[Bytes(b"UNLINK")]),
            Effect::StoreNumber(key, until) => {
                tell(keys::number(shard, &key), &[Bytes(b"SET"), Bytes(&sealed.id), Bytes(b"PXAT"), past(until)]);
            }
            Effect::KeepNumber(key, until) => tell(keys::number(shard, &key), &[Bytes(b"PEXPIREAT"), past(until)]),
            Effect::DropNumber(key) => tell(keys::number(shard, &key), &[Bytes(b"UNLINK")]),
            Effect::Unlist(verification) => {
                let forgotten = MessageKey { verification, ..*place };
                tell(keys::failed(shard), &[Bytes(b"ZREM"), Bytes(&member(&forgotten))]);
            }
            Effect::Forget { verification, number } => {
                let forgotten = MessageKey { verification, ..*place };
                tell(queue, &[Bytes(b"ZREM"), Bytes(&member(&forgotten))]);
                tell(keys::token(shard, &verification), &[Bytes(b"UNLINK")]);
                if let Some(number) = number {
                    tell(keys::number(shard, &number), &[Bytes(b"UNLINK")]);
                }
            }
        }
    }

    fn list_as_failed(&self, mut tell: impl FnMut(KeyName, &[Word<'_>])) {
        let (failed, long_ago) = (keys::failed(self.shard), self.now.0.saturating_sub(FAILED_LISTED_MS));
        tell(failed, &[Bytes(b"ZADD"), Number(self.now.0), Bytes(&member(self.place))]);
        tell(failed, &[Bytes(b"ZREMRANGEBYSCORE"), Bytes(b"-inf"), Number(long_ago)]);
        tell(failed, &[Bytes(b"PEXPIRE"), Number(FAILED_LISTED_MS)]);
    }
}

impl Commit {
    /// Tests tell the script how far they moved the time.
    #[cfg(feature = "testing")]
    pub(super) fn moved_by(mut self, span: std::time::Duration) -> Self {
        self.0.arg(u64::try_from(span.as_millis()).expect("tests move time by years at most"));
        self
    }

    /// By the script's hash: what is sent first.
    pub(super) fn evalsha(&self) -> &Cmd {
        &self.0
    }

    /// With the script itself: what is sent to a server that does not know it.
    pub(super) fn eval(&self) -> Cmd {
        let mut cmd = redis::cmd("EVAL");
        cmd.arg(source());
        for argument in self.0.args_iter().skip(SCRIPT_NAMED) {
            let Arg::Simple(bytes) = argument else { continue }; // there is no other kind here
            cmd.arg(bytes);
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

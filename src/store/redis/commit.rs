use std::{sync::LazyLock, time::Duration};

use redis::{Cmd, Script, Value};

use crate::{
    domain::{MessageKey, Moment, transitions::Effect},
    planted::{Bug, is_planted},
    store::{
        Handle, StoreError,
        keys::{self, member},
        operations::{Sealed, Write},
        sealing,
    },
};

/// Mails that failed are listed for an hour.
pub(super) const FAILED_LISTED_MS: u64 = 3_600_000;
/// Tokens and numbers stay a little longer than the rules release them: a cell's clock may be a second behind the server's.
const LINGERING: Duration = Duration::from_secs(2);
/// The argument that says which key must lead nowhere yet.
const NEW_NUMBER: usize = 4;

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
    keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
}

/// What commits `write` if the record is still `read`.
pub(super) fn command(place: &MessageKey, read: Option<&[u8]>, write: &Write, now: Moment) -> Commit {
    let version = read.and_then(sealing::version).unwrap_or_default();
    let (record, keep_until) = write.record.as_ref().map_or((Vec::new(), now), |(sealed, until)| (sealed.clone(), *until));
    let shard = Handle(place.handle).shard();
    let arguments = vec![version.to_vec(), number(now.0), record, number(keep_until.0), Vec::new()];
    let mut commit = Commit { shard, keys: vec![keys::record(place)], arguments };
    for &effect in &write.effects {
        commit.add(effect, place, &write.sealed, now);
    }
    commit
}

fn number(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

impl Commit {
    fn add(&mut self, effect: Effect, place: &MessageKey, sealed: &Sealed, now: Moment) {
        let (queue, token) = (keys::queue(self.shard), keys::token(self.shard, &place.verification));
        let at = |moment: Moment| number(moment.0);
        let past = |until: Moment| number((until + LINGERING).0);
        match effect {
            Effect::Enqueue(_) if is_planted(Bug::NotQueued) => {}
            Effect::Enqueue(due_at) => self.push(queue, &[b"ZADD", &at(due_at), &member(place)]),
            Effect::Unqueue => self.push(queue, &[b"ZREM", &member(place)]),
            Effect::ListAsFailed => self.list_as_failed(place, now),
            Effect::UnlistFailed => self.push(keys::failed(self.shard), &[b"ZREM", &member(place)]),
            Effect::StoreToken(until) => self.push(token, &[b"SET", &sealed.token, b"PXAT", &past(until)]),
            Effect::KeepToken(until) => self.push(token, &[b"PEXPIREAT", &past(until)]),
            Effect::DropToken => self.push(token, &[b"UNLINK"]),
            Effect::StoreNumber(key, until) => {
                let new_number = keys::number(self.shard, &key);
                self.arguments[NEW_NUMBER] = number(self.declare(new_number.clone()));
                self.push(new_number, &[b"SET", &sealed.id, b"PXAT", &past(until)]);
            }
            Effect::KeepNumber(key, until) => self.push(keys::number(self.shard, &key), &[b"PEXPIREAT", &past(until)]),
            Effect::DropNumber(key) => self.push(keys::number(self.shard, &key), &[b"UNLINK"]),
            Effect::Unlist(verification) => {
                let forgotten = MessageKey { verification, ..*place };
                self.push(keys::failed(self.shard), &[b"ZREM", &member(&forgotten)]);
            }
            Effect::Forget { verification, number } => {
                let forgotten = MessageKey { verification, ..*place };
                self.push(queue, &[b"ZREM", &member(&forgotten)]);
                self.push(keys::token(self.shard, &verification), &[b"UNLINK"]);
                if let Some(number) = number {
                    self.push(keys::number(self.shard, &number), &[b"UNLINK"]);
                }
            }
        }
    }

    fn list_as_failed(&mut self, place: &MessageKey, now: Moment) {
        let long_ago = now.0.saturating_sub(FAILED_LISTED_MS);
        self.push(keys::failed(self.shard), &[b"ZADD", &number(now.0), &member(place)]);
        self.push(keys::failed(self.shard), &[b"ZREMRANGEBYSCORE", b"-inf", &number(long_ago)]);
        self.push(keys::failed(self.shard), &[b"PEXPIRE", &number(FAILED_LISTED_MS)]);
    }

    /// Declares a key, once however many commands need it; its number, from 1.
    fn declare(&mut self, key: Vec<u8>) -> u64 {
        let index = self.keys.iter().position(|declared| *declared == key).unwrap_or_else(|| {
            self.keys.push(key);
            self.keys.len() - 1
        });
        index as u64 + 1
    }

    /// One command of the script: its key and its words.
    fn push(&mut self, key: Vec<u8>, words: &[&[u8]]) {
        let key = number(self.declare(key));
        self.arguments.push(key);
        self.arguments.push(number(words.len() as u64));
        self.arguments.extend(words.iter().map(|word| word.to_vec()));
    }

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

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use redis::{ErrorKind, RedisError, ServerErrorKind, Value, aio::MultiplexedConnection};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::{
    RedisSettings,
    commit::{Commit, Committed, FAILED_LISTED_MS},
    connection::{Connection, Fault, RESPONSE_TIMEOUT},
    gate,
};
use crate::{
    clock::Clock,
    domain::{MailCounts, Moment},
    store::{
        MailList, Place, SHARDS, StoreError,
        keys::{self, KeyName},
        operations::Snapshot,
    },
};

const RECONNECT_AFTER: [u64; 5] = [50, 100, 200, 400, 800];
/// How often the server is asked for the time: a server that is gone is noticed before anybody asks it for something, and
/// what is only read is read by a clock that is right.
const HEARTBEAT_EACH: Duration = Duration::from_secs(1);

/// The connection of one cell: commands fail at once while there is none, and it is made anew by [`Link::keep_connected`].
pub struct Link {
    settings: RedisSettings,
    fingerprint: String,
    clock: Clock,
    state: RefCell<State>,
    broken: Notify,
    /// Whether the server refuses requests over a sound connection: told once, until it takes a write.
    is_refusing: Cell<bool>,
    server_time: Cell<(Moment, Instant)>,
}

enum State {
    Up(Rc<Connection>),
    Down(String),
}

impl Link {
    /// A link that is not connected yet, to the store of the ring with this fingerprint.
    pub fn new(settings: RedisSettings, fingerprint: String, clock: Clock) -> Self {
        let server_time = Cell::new((clock.now(), Instant::now()));
        let state = RefCell::new(State::Down("not connected yet".to_owned()));
        Self { settings, fingerprint, clock, state, broken: Notify::new(), is_refusing: Cell::new(false), server_time }
    }

    /// The same, over a connection that somebody else made, and that nobody makes anew.
    #[cfg(feature = "testing")]
    pub(super) fn over(self, connection: Connection) -> Self {
        Self { state: RefCell::new(State::Up(Rc::new(connection))), ..self }
    }

    /// Connects, and again whenever the connection breaks; never ends.
    pub async fn keep_connected(&self) {
        let mut failures = 0;
        loop {
            match self.try_connect().await {
                Ok(()) => {
                    failures = 0;
                    self.watch_until_broken().await;
                }
                Err(fault) => {
                    let why = self.settings.told(&fault);
                    self.tell_of_failure(&why, failures);
                    *self.state.borrow_mut() = State::Down(why);
                    let wait = RECONNECT_AFTER[failures.min(RECONNECT_AFTER.len() - 1)];
                    failures += 1;
                    sleep(Duration::from_millis(wait).mul_f64(0.75 + fastrand::f64() / 2.0)).await;
                }
            }
        }
    }

    /// Once a failure; what follows while it lasts is for who looks closely.
    fn tell_of_failure(&self, cause: &str, failures: usize) {
        let address = self.settings.address();
        if failures == 0 {
            tracing::warn!(redis.address = %address, cause, "redis connection failed; trying until it is back");
        } else {
            tracing::debug!(redis.address = %address, cause, "redis connection failed again");
        }
    }

    async fn watch_until_broken(&self) {
        while timeout(HEARTBEAT_EACH, self.broken.notified()).await.is_err() {
            let _ = self.learn_time_anew().await; // a failure breaks the connection
        }
    }

    /// Why the server cannot be asked; none when it answers, and takes what is written.
    pub async fn why_down(&self) -> Option<String> {
        match self.ask_how_it_is().await {
            Ok(()) => None,
            Err(StoreError::Unavailable(why)) => Some(why),
            Err(error) => Some(error.to_string()),
        }
    }

    /// While it refuses requests, it is asked to write something: else nobody would know whether it still does.
    async fn ask_how_it_is(&self) -> Result<(), StoreError> {
        if !self.is_refusing.get() {
            return self.learn_time_anew().await;
        }
        self.ask(async |connection| gate::try_to_write(connection, &self.fingerprint).await).await?;
        self.is_refusing.set(false);
        Ok(())
    }

    async fn try_connect(&self) -> Result<(), Fault> {
        let connection = Connection::open(&self.settings).await?;
        let mut commands = connection.timed_commands();
        gate::check(&mut commands, &self.fingerprint).await?;
        self.server_time.set((server_time(&mut commands).await?, Instant::now()));
        *self.state.borrow_mut() = State::Up(Rc::new(connection));
        tracing::info!(redis.address = %self.settings.address(), "redis connected");
        Ok(())
    }

    /// The server's time, as far as this cell knows it.
    pub(super) fn now(&self) -> Moment {
        let (then, at) = self.server_time.get();
        then + at.elapsed() + self.clock.moved()
    }

    /// The script said what time it is.
    pub(super) fn learn_time(&self, server_now: Moment) {
        self.server_time.set((server_now - self.clock.moved(), Instant::now()));
    }

    async fn learn_time_anew(&self) -> Result<(), StoreError> {
        let server_now = self.ask(async |connection| server_time(connection).await).await?;
        self.server_time.set((server_now, Instant::now()));
        Ok(())
    }

    pub(super) async fn get(&self, key: KeyName) -> Result<Option<Vec<u8>>, StoreError> {
        bytes(self.ask(async |connection| redis::cmd("GET").arg(key).query_async(connection).await).await?)
    }

    pub(super) async fn get_both(&self, record: KeyName, token: KeyName) -> Result<Snapshot, StoreError> {
        let reply = self.ask(async |connection| redis::cmd("MGET").arg(record).arg(token).query_async(connection).await).await?;
        let Value::Array(values) = reply else { return Err(StoreError::Damaged("the reply to MGET")) };
        let [record, token] = <[Value; 2]>::try_from(values).map_err(|_| StoreError::Damaged("the reply to MGET"))?;
        Ok(Snapshot { record: bytes(record)?, token: bytes(token)? })
    }

    /// The places of all mails that are due in each of `queues`, at most `limit`, in one round trip.
    pub(super) async fn due_members(
        &self,
        queues: &[KeyName],
        now: Moment,
        limit: usize,
    ) -> Result<Vec<Vec<Vec<u8>>>, StoreError> {
        let mut pipeline = redis::pipe();
        for queue in queues {
            pipeline.cmd("ZRANGE").arg(queue).arg("-inf").arg(now.0).arg("BYSCORE").arg("LIMIT").arg(0).arg(limit);
        }
        self.ask(async |connection| pipeline.query_async(connection).await).await
    }

    /// Lets a mail that stands in `queue` stand there until `due_at`.
    pub(super) async fn postpone(&self, queue: KeyName, member: &[u8], due_at: Moment) -> Result<(), StoreError> {
        let mut command = redis::cmd("ZADD");
        command.arg(queue).arg("XX").arg(due_at.0).arg(member);
        self.ask(async |connection| command.query_async(connection).await).await
    }

    /// The beginning of each shard's `list` from a moment on, at most `limit` of each, in one round trip.
    pub(super) async fn windows(
        &self,
        list: MailList,
        from: Option<u64>,
        now: Moment,
        limit: usize,
    ) -> Result<Vec<Vec<Place>>, StoreError> {
        let long_ago = now.0.saturating_sub(FAILED_LISTED_MS);
        let mut pipeline = redis::pipe();
        for shard in 0..SHARDS {
            let command = pipeline.cmd("ZRANGE");
            match list {
                MailList::Queue => command.arg(keys::queue(shard)).arg(from.unwrap_or(0)).arg("+inf").arg("BYSCORE"),
                MailList::Failed => {
                    command.arg(keys::failed(shard)).arg(from.unwrap_or(u64::MAX)).arg(long_ago).arg("BYSCORE").arg("REV")
                }
            };
            command.arg("LIMIT").arg(0).arg(limit).arg("WITHSCORES");
        }
        let windows: Vec<Vec<(Vec<u8>, u64)>> = self.ask(async |connection| pipeline.query_async(connection).await).await?;
        let place = |(member, at): (Vec<u8>, u64)| Some(Place { at, member: member.try_into().ok()? });
        Ok(windows.into_iter().map(|window| window.into_iter().filter_map(place).collect()).collect())
    }

    /// What stands under each of `keys`, whichever shards they are of, in one round trip.
    pub(super) async fn get_all(&self, keys: impl Iterator<Item = KeyName>) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let mut pipeline = redis::pipe();
        for key in keys {
            pipeline.cmd("GET").arg(key);
        }
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        self.ask(async |connection| pipeline.query_async(connection).await).await
    }

    /// Of all shards, in one round trip.
    pub(super) async fn count_mails(&self, now: Moment) -> Result<MailCounts, StoreError> {
        let long_ago = now.0.saturating_sub(FAILED_LISTED_MS);
        let mut pipeline = redis::pipe();
        for shard in 0..SHARDS {
            let (queue, failed) = (keys::queue(shard), keys::failed(shard));
            pipeline.cmd("ZCOUNT").arg(queue).arg("-inf").arg(now.0);
            pipeline.cmd("ZCOUNT").arg(queue).arg(format!("({}", now.0)).arg("+inf");
            pipeline.cmd("ZCOUNT").arg(failed).arg(long_ago).arg("+inf");
        }
        let counts: Vec<u64> = self.ask(async |connection| pipeline.query_async(connection).await).await?;
        let sum = |first: usize| counts.iter().skip(first).step_by(3).sum();
        Ok(MailCounts { due: sum(0), later: sum(1), failed: sum(2) })
    }

    pub(super) async fn commit(&self, commit: &Commit) -> Result<Committed, StoreError> {
        fail::fail_point!("redis.commit.before");
        let reply = self.ask(async |connection| call_script(connection, commit).await).await?;
        fail::fail_point!("redis.commit.after");
        self.is_refusing.set(false);
        Committed::read(reply)
    }

    /// How far tests moved the time of the server.
    #[cfg(feature = "testing")]
    pub(super) fn moved(&self) -> Duration {
        self.clock.moved()
    }

    /// Asks with a deadline. A connection that does not answer, or breaks, is given up.
    async fn ask<T>(&self, ask: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>) -> Result<T, StoreError> {
        let connection = match &*self.state.borrow() {
            State::Up(connection) => connection.clone(),
            State::Down(why) => return Err(StoreError::Unavailable(why.clone())),
        };
        let fault = match timeout(RESPONSE_TIMEOUT, ask(&mut connection.commands())).await {
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(error)) if is_of_the_request(&error) => {
                let cause = self.settings.told(&Fault::from(error));
                self.tell_of_refusal(&cause);
                return Err(StoreError::Unavailable(cause));
            }
            Ok(Err(error)) => error.into(),
            Err(_) => Fault::Silent,
        };
        let why = self.settings.told(&fault);
        self.give_up(&connection, &why);
        Err(StoreError::Unavailable(why))
    }

    fn tell_of_refusal(&self, cause: &str) {
        let address = self.settings.address();
        if self.is_refusing.replace(true) {
            tracing::debug!(redis.address = %address, cause, "redis refused a request again");
        } else {
            tracing::warn!(redis.address = %address, cause, "redis refuses requests; answering 503 to those");
        }
    }

    /// Unless another has taken its place: many asks find out about one break.
    fn give_up(&self, connection: &Rc<Connection>, why: &str) {
        let is_current = matches!(&*self.state.borrow(), State::Up(current) if Rc::ptr_eq(current, connection));
        if is_current {
            tracing::warn!(redis.address = %self.settings.address(), cause = why, "redis connection given up");
            *self.state.borrow_mut() = State::Down(why.to_owned());
            self.broken.notify_one();
        }
    }
}

async fn server_time(connection: &mut MultiplexedConnection) -> Result<Moment, RedisError> {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(connection).await?;
    Ok(Moment(seconds.saturating_mul(1000).saturating_add(micros / 1000)))
}

async fn call_script(connection: &mut MultiplexedConnection, commit: &Commit) -> Result<Value, RedisError> {
    match commit.evalsha().query_async(connection).await {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            Box::pin(async { commit.eval().query_async(connection).await }).await // seldom, so its room is not kept ready
        }
        answered => answered,
    }
}

/// Whether the server answered, and only this request was refused (out of memory, no right to it): the connection is sound.
fn is_of_the_request(error: &RedisError) -> bool {
    matches!(error.code(), Some("OOM" | "MISCONF" | "BUSY" | "CROSSSLOT" | "TRYAGAIN" | "NOREPLICAS" | "NOPERM"))
}

fn bytes(value: Value) -> Result<Option<Vec<u8>>, StoreError> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes)),
        _ => Err(StoreError::Damaged("a reply of another type")),
    }
}

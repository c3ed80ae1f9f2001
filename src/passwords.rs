//! Passwords: which are allowed, and their Argon2id hashes, made behind one bound for the whole daemon.

mod argon;
mod policy;
mod pool;

use std::{panic::resume_unwind, sync::Arc, thread::available_parallelism};

use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use argon::Argon;
pub use policy::{NewPassword, PasswordError};
use pool::Pool;

/// How many may wait for each worker. At some 30 ms a run the last of them waits half a second.
const WAITING_PER_WORKER: usize = 16;

/// Makes and checks hashes. One for a daemon; clones share its bound.
///
/// The runs are on blocking threads of their own, at the lowest priority, never more than `workers` of them at once, and 16 more
/// for each worker may wait. Who no longer waits gives its place back; a run that has begun ends, and keeps its place
/// until then.
#[derive(Clone)]
pub struct Passwords {
    argon: Arc<Argon>,
    pool: Arc<Pool>,
    /// For those that run.
    workers: Arc<Semaphore>,
    /// For those that run or wait.
    places: Arc<Semaphore>,
}

/// A place among those that run or wait, for one run.
pub struct Admission {
    argon: Arc<Argon>,
    pool: Arc<Pool>,
    workers: Arc<Semaphore>,
    place: OwnedSemaphorePermit,
}

/// What came of a check.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not the password, or there is none.
    Wrong,
    /// It is.
    Right {
        /// What to keep from now on: given when the kept hash was made with other parameters than today's.
        rehashed: Option<String>,
    },
}

/// All workers are taken, and all that may wait do: nothing was done.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("too many passwords are being checked")]
pub struct Busy;

/// One worker for each core: the cells go before them.
pub fn default_workers() -> usize {
    available_parallelism().map_or(1, usize::from)
}

impl Passwords {
    /// `pepper` goes into each hash and is not kept with it: another pepper makes all kept hashes wrong. `workers` is at least 1.
    pub fn new(pepper: Zeroizing<[u8; 32]>, workers: usize) -> Self {
        let workers = workers.max(1);
        Self {
            argon: Arc::new(Argon::new(pepper)),
            pool: Arc::new(Pool::new(workers)),
            workers: Arc::new(Semaphore::new(workers)),
            places: Arc::new(Semaphore::new(workers * (1 + WAITING_PER_WORKER))),
        }
    }

    /// A place for one run, for who has something to do before that is in vain without it.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn admit(&self) -> Result<Admission, Busy> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| Busy)?;
        Ok(Admission { argon: self.argon.clone(), pool: self.pool.clone(), workers: self.workers.clone(), place })
    }

    /// How often Argon2id ran: once a hash and once a check, and once more where a check raised the parameters.
    pub fn runs(&self) -> u64 {
        self.argon.runs()
    }
}

impl Admission {
    /// The hash to keep of `password`: a PHC string, with its salt and parameters.
    ///
    /// # Errors
    /// [`Busy`] when the daemon ends.
    pub async fn hash(self, password: NewPassword) -> Result<String, Busy> {
        self.run(move |argon| argon.hash(password.as_str())).await
    }

    /// Whether `presented` is the password whose hash is `kept`. None is kept for who is unknown or has no password: that is wrong
    /// at the cost of a check. So is a kept hash that we would not have made, which the log tells.
    ///
    /// # Errors
    /// [`Busy`] when the daemon ends.
    pub async fn verify(self, presented: Zeroizing<String>, kept: Option<String>) -> Result<Verdict, Busy> {
        self.run(move |argon| match policy::presented(&presented) {
            Some(password) => argon.verify(&password, kept.as_deref()),
            None => argon.verify("", None), // too long for anybody's
        })
        .await
    }

    async fn run<T: Send + 'static>(self, work: impl FnOnce(&Argon) -> T + Send + 'static) -> Result<T, Busy> {
        let Self { argon, pool, workers, place } = self;
        let worker = workers.acquire_owned().await.expect("nobody closes it");
        let running = pool.run(move || {
            let _held = (place, worker); // until the end, whether or not anybody still waits for it
            work(&argon)
        });
        running.await.map_err(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Busy, // the pool ends
        })
    }
}

#[cfg(test)]
mod tests;

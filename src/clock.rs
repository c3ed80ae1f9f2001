//! The only readers of wall clock and chance.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use std::convert::Infallible;

use rand::{
    Rng, TryCryptoRng, TryRng,
    rand_core::UnwrapErr,
    rngs::{SysRng, ThreadRng},
};

use crate::domain::Moment;

/// The operating system's generator of random bytes.
pub type SystemRandom = UnwrapErr<SysRng>;

/// The operating system's generator, for numbers, keys and salts. It panics when the system has none, which is nothing to go on from.
pub fn system_random() -> SystemRandom {
    UnwrapErr(SysRng)
}

/// A generator of this thread, for nonces and ids, of which each request draws some. It is `ChaCha`, seeded by the
/// operating system and again after each 64 KiB: it asks the kernel a thousand times less often.
#[expect(clippy::disallowed_methods, reason = "this is what hands it in")]
pub fn thread_random() -> ThreadRng {
    rand::rng()
}

/// Where numbers are drawn from: the operating system's generator, or what a test says.
#[derive(Clone, Debug, Default)]
pub struct Chance {
    #[cfg(feature = "testing")]
    script: by_hand::Script,
}

impl TryRng for Chance {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(system_random().next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        #[cfg(feature = "testing")]
        if let Some(drawn) = self.script.next() {
            return Ok(drawn);
        }
        Ok(system_random().next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        system_random().fill_bytes(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Chance {}

/// Tells the time. The system's never runs slower than real time: set back while we run, it goes on from where it was.
#[derive(Clone, Debug)]
pub struct Clock {
    started_at: Moment,
    started: Instant,
    #[cfg(feature = "testing")]
    hand: Hand,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self {
            started_at: wall_clock(),
            started: Instant::now(),
            #[cfg(feature = "testing")]
            hand: Hand::default(),
        }
    }

    /// Now.
    pub fn now(&self) -> Moment {
        #[cfg(feature = "testing")]
        if self.hand.is_stopped() {
            return self.started_at + self.hand.moved();
        }
        let now = wall_clock().max(self.started_at + self.started.elapsed());
        now + self.moved()
    }

    /// How far tests moved the time; nothing otherwise.
    #[cfg(feature = "testing")]
    pub fn moved(&self) -> Duration {
        self.hand.moved()
    }

    /// How far tests moved the time; nothing otherwise.
    #[cfg(not(feature = "testing"))]
    pub fn moved(&self) -> Duration {
        Duration::ZERO
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
fn wall_clock() -> Moment {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(feature = "testing")]
pub use by_hand::Hand;

#[cfg(feature = "testing")]
mod by_hand {
    use std::{
        collections::VecDeque,
        sync::{
            Arc, Mutex, PoisonError,
            atomic::{AtomicU64, Ordering},
        },
        time::Duration,
    };

    use super::{Chance, Clock, Instant, wall_clock};

    /// What a test wants to be drawn, in turn; then the system's generator goes on.
    #[derive(Clone, Debug, Default)]
    pub(super) struct Script(Arc<Mutex<VecDeque<u64>>>);

    impl Script {
        pub(super) fn next(&self) -> Option<u64> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
        }
    }

    impl Chance {
        /// Draws these, in turn, and then from the system. All clones draw from the same.
        pub fn scripted(draws: impl IntoIterator<Item = u64>) -> Self {
            Self { script: Script(Arc::new(Mutex::new(draws.into_iter().collect()))) }
        }
    }

    /// Moves clocks forward, so that tests need not wait. All clones move together.
    #[derive(Clone, Debug, Default)]
    pub struct Hand {
        moved_ms: Arc<AtomicU64>,
        stopped: bool,
    }

    impl Hand {
        /// Moves time forward.
        pub fn advance(&self, span: Duration) {
            let span_ms = u64::try_from(span.as_millis()).expect("tests move time by years at most");
            self.moved_ms.fetch_add(span_ms, Ordering::SeqCst);
        }

        /// How far it was moved.
        pub fn moved(&self) -> Duration {
            Duration::from_millis(self.moved_ms.load(Ordering::SeqCst))
        }

        pub(super) fn is_stopped(&self) -> bool {
            self.stopped
        }
    }

    impl Clock {
        /// A clock that stands still until its hand moves it.
        pub fn manual() -> (Self, Hand) {
            let hand = Hand { stopped: true, ..Hand::default() };
            (Self { started_at: wall_clock(), started: Instant::now(), hand: hand.clone() }, hand)
        }

        /// The system's clock, moved forward by as many seconds as `FIADOR_TESTING_CLOCK_AHEAD_SECONDS` says: for daemons that
        /// tests start.
        pub fn ahead_by_environment() -> Self {
            let seconds = std::env::var("FIADOR_TESTING_CLOCK_AHEAD_SECONDS").ok().and_then(|text| text.parse().ok());
            let hand = Hand::default();
            hand.advance(Duration::from_secs(seconds.unwrap_or_default()));
            Self::moved_by(&hand)
        }

        /// The system's clock, moved forward by `hand`.
        pub fn moved_by(hand: &Hand) -> Self {
            Self { hand: hand.clone(), ..Self::system() }
        }
    }
}

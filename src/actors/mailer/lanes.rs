//! Where a mail is tried. New mails have workers of their own, so that those which were put off or spoil their dialogs stand in no
//! new mail's way; and a try that takes long gives its worker's place to the next mail while it goes on.

use std::{rc::Rc, time::Duration};

use tokio::{
    sync::{Semaphore, SemaphorePermit, watch},
    time::sleep,
};

use super::{
    MAX_SENDS,
    patience::Patience,
    turns::{Correspondence, Turns, Worker},
};

/// Workers for mails that were tried before.
const RETRYING: usize = 4;
/// Those of all lanes.
pub(super) const WORKERS: usize = MAX_SENDS + RETRYING;
/// Tries that may take long at once, besides those that have a worker. All in all that is 48 connections; Postfix allows a client
/// 50.
const LONG_TRIES: usize = 36;
/// A try that takes longer than this takes long.
const LONG: Duration = Duration::from_secs(1);
/// Mails tried before that wait for a worker at most, while more are claimed.
const MOST_RETRIES_WAITING: usize = 128;

pub(super) struct Lanes {
    new: Lane,
    tried: Lane,
}

/// The workers of one kind of mails.
pub(super) struct Lane {
    size: usize,
    workers: Turns,
    /// Those of all lanes.
    long_tries: Rc<Semaphore>,
    /// Mails that wait for a worker, or have one.
    waiting: Rc<watch::Sender<usize>>,
}

/// Counts until it is dropped.
pub(super) struct Held(Rc<watch::Sender<usize>>);

/// A mail's place in its lane, from waiting to the end of its try or until that takes long.
pub(super) struct Place {
    _worker: Worker,
    _waiting: Option<Held>,
}

impl Held {
    pub(super) fn counted(count: &Rc<watch::Sender<usize>>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Lanes {
    pub(super) fn new() -> Self {
        let long_tries = Rc::new(Semaphore::new(LONG_TRIES));
        Self { new: Lane::new(MAX_SENDS, long_tries.clone()), tried: Lane::new(RETRYING, long_tries) }
    }

    /// Where a mail goes that was tried so often.
    pub(super) fn of(&self, tries: u32) -> &Lane {
        if tries == 0 { &self.new } else { &self.tried }
    }

    /// Begins nothing more: who waits for a worker gets none.
    pub(super) fn close(&self) {
        self.new.workers.close();
        self.tried.workers.close();
    }

    pub(super) fn are_closed(&self) -> bool {
        self.new.workers.is_closed()
    }

    /// How many mails may be taken in when `at_once` new ones are to wait or be tried, at most. Which kind they will be of is not
    /// known before.
    pub(super) fn room(&self, at_once: usize) -> usize {
        let tried = MOST_RETRIES_WAITING.saturating_sub(*self.tried.waiting.borrow());
        at_once.saturating_sub(*self.new.waiting.borrow()).min(tried)
    }

    /// Returns when fewer than `refill_below` new mails wait or are being tried.
    pub(super) async fn until_refill(&self, refill_below: usize) {
        until_below(&self.tried.waiting, MOST_RETRIES_WAITING).await;
        until_below(&self.new.waiting, refill_below).await;
    }
}

impl Lane {
    fn new(workers: usize, long_tries: Rc<Semaphore>) -> Self {
        Self { size: workers, workers: Turns::new(workers), long_tries, waiting: Rc::default() }
    }

    /// Counts a mail that is going to wait for a worker.
    pub(super) fn line_up(&self) -> Held {
        Held::counted(&self.waiting)
    }

    /// A worker, in its turn; none when the lane is closed.
    pub(super) async fn place(&self, of: Correspondence, waiting: Option<Held>) -> Option<Place> {
        let worker = self.workers.worker(of).await?;
        Some(Place { _worker: worker, _waiting: waiting })
    }

    /// Awaits a try that holds `place`, which is freed when the try takes long. If too many do, `patience` has to make room first.
    pub(super) async fn see_through<T>(&self, place: Place, patience: &Patience, a_try: impl Future<Output = T>) -> T {
        tokio::pin!(a_try);
        tokio::select! {
            biased;
            outcome = &mut a_try => outcome,
            _long = self.until_long(patience) => {
                drop(place);
                a_try.await
            }
        }
    }

    async fn until_long(&self, patience: &Patience) -> SemaphorePermit<'_> {
        sleep(LONG).await;
        tokio::select! {
            biased;
            place = self.long_tries.acquire() => place.expect("it is never closed"),
            never = self.make_room(patience) => never,
        }
    }

    /// For as long as mails wait for a worker, gives up one try after another that is overdue.
    async fn make_room(&self, patience: &Patience) -> ! {
        let mut waiting = self.waiting.subscribe();
        loop {
            waiting.wait_for(|count| *count > self.size).await.expect("the sender is borrowed");
            sleep(patience.give_up_oldest().unwrap_or(LONG)).await;
        }
    }
}

pub(super) async fn until_below(count: &watch::Sender<usize>, bound: usize) {
    count.subscribe().wait_for(|count| *count < bound).await.expect("the sender is borrowed");
}

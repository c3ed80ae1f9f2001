use std::{cell::Cell, rc::Rc, time::Duration};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// So many more of its requests than were answered may a client give up on one connection. A client that is in a hurry gives up
/// some; one that makes work for its own sake all (CVE-2023-44487).
const MOST_GIVEN_UP: u64 = 100;

/// What goes on over one connection.
#[derive(Clone)]
pub(super) struct Activity(Rc<Facts>);

struct Facts {
    running: Cell<u64>,
    quiet_since: Cell<Instant>,
    answered: Cell<u64>,
    given_up: Cell<u64>,
    too_many_given_up: Notify,
}

impl Activity {
    /// Of a connection that begins now.
    pub fn new() -> Self {
        Self(Rc::new(Facts {
            running: Cell::new(0),
            quiet_since: Cell::new(Instant::now()),
            answered: Cell::new(0),
            given_up: Cell::new(0),
            too_many_given_up: Notify::new(),
        }))
    }

    /// Notes that a request begins.
    pub fn begin(&self) -> Running {
        self.0.running.update(|running| running + 1);
        Running { facts: self.0.clone(), is_answered: false }
    }

    /// Has the quiet begin now.
    pub fn rouse(&self) {
        self.0.quiet_since.set(Instant::now());
    }

    /// Returns when no request has run for this long: `first` while there was none yet, else `later`, which is no shorter.
    pub async fn quiet(&self, first: Duration, later: Duration) {
        loop {
            let patience = if self.has_begun() { later } else { first };
            let left = patience.saturating_sub(self.0.quiet_since.get().elapsed());
            let is_running = self.0.running.get() > 0;
            if !is_running && left.is_zero() {
                return;
            }
            // What runs now ends later than now, so it cannot have been over for `patience` before then.
            sleep(if is_running { patience } else { left }).await;
        }
    }

    fn has_begun(&self) -> bool {
        self.0.running.get() + self.0.answered.get() + self.0.given_up.get() > 0
    }

    /// Returns when the client has given up more of its requests than anybody does who wants answers.
    pub async fn too_many_given_up(&self) {
        self.0.too_many_given_up.notified().await;
    }
}

/// A request that runs. Dropped before it is answered, its client gave it up.
pub(super) struct Running {
    facts: Rc<Facts>,
    is_answered: bool,
}

impl Running {
    /// Notes that it ends with an answer.
    pub fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Facts { running, quiet_since, answered, given_up, too_many_given_up } = &*self.facts;
        running.update(|running| running - 1);
        quiet_since.set(Instant::now());
        let count = if self.is_answered { answered } else { given_up };
        count.update(|count| count + 1);
        if given_up.get() > answered.get() + MOST_GIVEN_UP {
            too_many_given_up.notify_one();
        }
    }
}

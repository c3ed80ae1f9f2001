//! Workers for those who wait, in turn: of many mails of one application to one domain, one is begun before one of another, then
//! the next. So however many hang, or only queue, who writes elsewhere does not stand behind all of them.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use tokio::sync::oneshot;

use crate::domain::{ApplicationName, LeasedMessage};

/// Some workers, and who waits for one.
pub(super) struct Turns(Rc<Facts>);

struct Facts {
    idle: Cell<usize>,
    /// Whether nothing more is to be begun.
    is_closed: Cell<bool>,
    /// Who waits, whose turn is next in front. None of them is empty.
    lines: RefCell<VecDeque<Line>>,
}

/// Mails that go after one another.
struct Line {
    of: Correspondence,
    waiting: VecDeque<oneshot::Sender<Worker>>,
}

/// Whose mails they are, and where they go to.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Correspondence {
    application: ApplicationName,
    domain: String,
}

/// A worker, idle again when this is dropped.
pub(super) struct Worker(Rc<Facts>);

impl Correspondence {
    pub(super) fn of(message: &LeasedMessage) -> Self {
        Self { application: message.application.clone(), domain: message.address.ascii_domain() }
    }
}

impl Turns {
    pub(super) fn new(workers: usize) -> Self {
        Self(Rc::new(Facts { idle: Cell::new(workers), is_closed: Cell::new(false), lines: RefCell::default() }))
    }

    /// A worker when it is this one's turn; none when nothing more is to be begun.
    pub(super) async fn worker(&self, of: Correspondence) -> Option<Worker> {
        if self.is_closed() {
            return None;
        }
        if self.0.idle.get() > 0 {
            self.0.idle.update(|idle| idle - 1);
            return Some(Worker(self.0.clone()));
        }
        let (tell, told) = oneshot::channel();
        self.0.line_up(of, tell);
        told.await.ok()
    }

    /// Begins nothing more: who waits gets none.
    pub(super) fn close(&self) {
        self.0.is_closed.set(true);
        self.0.lines.take();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed.get()
    }
}

impl Facts {
    fn line_up(&self, of: Correspondence, tell: oneshot::Sender<Worker>) {
        let mut lines = self.lines.borrow_mut();
        match lines.iter_mut().find(|line| line.of == of) {
            Some(line) => line.waiting.push_back(tell),
            None => lines.push_back(Line { of, waiting: VecDeque::from([tell]) }),
        }
    }

    /// The first of the next line, which goes to the end.
    fn next(&self) -> Option<oneshot::Sender<Worker>> {
        let mut lines = self.lines.borrow_mut();
        let mut line = lines.pop_front()?;
        let first = line.waiting.pop_front();
        if !line.waiting.is_empty() {
            lines.push_back(line);
        }
        first
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        match self.0.next() {
            // one that waits no longer drops it, and so gives it to the next
            Some(next) => drop(next.send(Self(self.0.clone()))),
            None => self.0.idle.update(|idle| idle + 1),
        }
    }
}

#[cfg(test)]
pub(super) fn to(domain: &str) -> Correspondence {
    Correspondence { application: ApplicationName::parse("shop").unwrap(), domain: domain.to_owned() }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, future::join_all};
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn who_writes_elsewhere_goes_between_the_mails_of_a_long_line() {
        let (turns, begun) = (Turns::new(1), RefCell::new(Vec::new()));
        let work = |domain: &'static str| {
            let (turns, begun) = (&turns, &begun);
            async move {
                let _worker = turns.worker(to(domain)).await.unwrap();
                begun.borrow_mut().push(domain);
                yield_now().await;
            }
        };

        join_all(["a", "a", "a", "a", "b", "c", "b"].map(work)).await;
        assert_eq!(*begun.borrow(), ["a", "a", "b", "c", "a", "b", "a"]);
        assert_eq!(turns.0.idle.get(), 1);
    }

    #[tokio::test]
    async fn a_worker_is_lost_neither_by_who_waits_no_longer_nor_by_who_has_just_got_it() {
        let turns = Turns::new(1);
        let busy = turns.worker(to("a")).await;
        let (mut first, mut second) = (Box::pin(turns.worker(to("a"))), Box::pin(turns.worker(to("b"))));
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());

        drop(first);
        drop(busy); // the first is gone, so it is the second's
        drop(second);
        assert_eq!(turns.0.idle.get(), 1);
    }

    #[tokio::test]
    async fn when_nothing_more_is_begun_who_waits_gets_none() {
        let turns = Turns::new(1);
        let busy = turns.worker(to("a")).await;
        let (waiting, ()) = tokio::join!(turns.worker(to("a")), async { turns.close() });
        assert!(waiting.is_none());
        drop(busy);
        assert!(turns.worker(to("a")).await.is_none());
    }
}

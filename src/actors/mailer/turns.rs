//! Workers for those who wait, in turn: one mail of an application, then one of another; and of an application, one to a domain,
//! then one to another. So however many hang, or only queue, nobody else stands behind all of them. What the tries that go on have
//! no room for is passed over until they have. Once the mails of an application wait for long, those to domains that answer come
//! first, and the newest of them: those before it may hang, and somebody has just asked for it.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::{
    shares::Correspondence,
    tries::{Room, Tries, Trying},
};
use crate::domain::Moment;

/// Who waits longer than this waits for long.
const LONG: Duration = Duration::from_secs(1);

/// Some workers, and who waits for one.
pub(super) struct Turns(Rc<Facts>);

struct Facts {
    workers: usize,
    idle: Cell<usize>,
    tries: Rc<Tries>,
    /// Told when somebody waits no longer, or may do so no longer.
    changed: Rc<Notify>,
    /// Whether nothing more is to be begun.
    is_closed: Cell<bool>,
    waiting: RefCell<Lines<Lines<Line>>>,
}

/// Some lines; whose turn is next stands in front, and none is empty.
type Lines<L> = VecDeque<L>;
/// Mails of one application to one domain, which go after one another.
type Line = VecDeque<Waiting>;

struct Waiting {
    of: Correspondence,
    /// How often it was tried before.
    tries: u32,
    since: Instant,
    /// When somebody asked for it.
    asked_at: Moment,
    tell: oneshot::Sender<Place>,
}

/// What a mail is tried in; free again when it is dropped.
pub(super) struct Place {
    pub(super) trying: Trying,
    pub(super) worker: Worker,
}

/// A worker, idle again when this is dropped.
pub(super) struct Worker(Rc<Facts>);

impl Waiting {
    fn waits_for_long(&self) -> bool {
        self.since.elapsed() > LONG
    }
}

impl Turns {
    pub(super) fn new(workers: usize, tries: Rc<Tries>, changed: Rc<Notify>) -> Self {
        let (idle, is_closed, waiting) = (Cell::new(workers), Cell::new(false), RefCell::default());
        Self(Rc::new(Facts { workers, idle, tries, changed, is_closed, waiting }))
    }

    /// A place for a mail that was tried so often and asked for then, when it is its turn; none when nothing more is to be begun.
    /// Whoever drops the answer waits no longer.
    pub(super) fn line_up(&self, of: Correspondence, tries: u32, asked_at: Moment) -> oneshot::Receiver<Place> {
        let (tell, told) = oneshot::channel();
        if !self.is_closed() {
            self.0.line_up(Waiting { of, tries, since: Instant::now(), asked_at, tell });
            self.0.begin();
        }
        told
    }

    /// How many keep workers busy, or are soon going to: those for whom there is no room do not.
    pub(super) fn load(&self) -> usize {
        let (busy, waiting) = (self.0.workers - self.0.idle.get(), self.0.waiting.borrow());
        busy + waiting.iter().map(|lines| self.0.load_of(lines)).sum::<usize>()
    }

    /// Whether somebody waits for long.
    pub(super) fn are_late(&self) -> bool {
        self.0.waiting.borrow().iter().flatten().any(|line| line[0].waits_for_long())
    }

    /// Gives up tries for those who wait and have no room, and forgets who waits no longer.
    pub(super) fn make_room(&self) {
        let mut waiting = self.0.waiting.borrow_mut();
        for lines in waiting.iter_mut() {
            for line in lines.iter_mut() {
                line.retain(|waiting| !waiting.tell.is_closed());
                if let Some(first) = line.front() {
                    self.0.tries.make_room_for(&first.of, line.len());
                }
            }
            lines.retain(|line| !line.is_empty());
        }
        waiting.retain(|lines| !lines.is_empty());
    }

    /// Begins what there is room for.
    pub(super) fn begin(&self) {
        self.0.begin();
    }

    /// Begins nothing more: who waits gets none.
    pub(super) fn close(&self) {
        self.0.is_closed.set(true);
        self.0.waiting.take();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed.get()
    }
}

impl Facts {
    fn line_up(&self, waiting: Waiting) {
        let mut applications = self.waiting.borrow_mut();
        let of_its_application = applications.iter_mut().find(|lines| lines[0][0].of.application == waiting.of.application);
        let Some(lines) = of_its_application else { return applications.push_back([[waiting].into()].into()) };
        match lines.iter_mut().find(|line| line[0].of == waiting.of) {
            Some(line) => line.push_back(waiting),
            None => lines.push_back([waiting].into()),
        }
    }

    fn begin(self: &Rc<Self>) {
        while self.idle.get() > 0
            && let Some(Waiting { of, tries, tell, .. }) = self.next()
        {
            self.idle.update(|idle| idle - 1);
            let place = Place { trying: self.tries.begin(of, tries), worker: Worker(self.clone()) };
            drop(tell.send(place)); // if nobody waits for it any more, it is free again
        }
        self.changed.notify_one();
    }

    fn load_of(&self, lines: &Lines<Line>) -> usize {
        let Some(room) = self.room_for(lines) else { return 0 };
        let load_of = |line: &Line| if line[0].waits_for_long() { line.len().min(self.tries.free()) } else { line.len() };
        lines.iter().filter(|line| room.is_for(&line[0].of.domain)).map(load_of).sum()
    }

    /// What of an application may be tried.
    fn room_for(&self, lines: &Lines<Line>) -> Option<Room> {
        self.tries.room_for(&lines[0][0].of.application)
    }

    /// Whose turn it is of those for whom there is room. Its application goes behind the others.
    fn next(&self) -> Option<Waiting> {
        let mut applications = self.waiting.borrow_mut();
        let place_in = |lines: &Lines<Line>| {
            let room = self.room_for(lines)?;
            lines.iter().any(|line| room.is_for(&line[0].of.domain)).then_some(room)
        };
        let (next, room) = applications.iter().enumerate().find_map(|(next, lines)| Some((next, place_in(lines)?)))?;
        let mut lines = applications.remove(next)?;
        let is_late = |line: &Line| room.is_for(&line[0].of.domain) && line[0].waits_for_long();
        let next = if lines.iter().any(is_late) { newest(&mut lines, &self.tries, &room) } else { in_order(&mut lines, &room) };
        if !lines.is_empty() {
            applications.push_back(lines);
        }
        next
    }
}

/// The first of a line, which goes to the end.
fn in_order(lines: &mut Lines<Line>, room: &Room) -> Option<Waiting> {
    let mut line = lines.remove(lines.iter().position(|line| room.is_for(&line[0].of.domain))?)?;
    let first = line.pop_front();
    if !line.is_empty() {
        lines.push_back(line);
    }
    first
}

/// The one that was asked for last, of those to domains that answer if there are any.
fn newest(lines: &mut Lines<Line>, tries: &Tries, room: &Room) -> Option<Waiting> {
    let newest_in = |line: &Line| line.iter().map(|waiting| waiting.asked_at).enumerate().max_by_key(|(_, at)| *at);
    let candidates = lines.iter().enumerate().filter(|(_, line)| room.is_for(&line[0].of.domain));
    let candidates = candidates.filter_map(|(domain, line)| Some((domain, newest_in(line)?)));
    let newest = candidates.max_by_key(|(domain, (_, at))| (tries.know_to_answer(&lines[*domain][0].of.domain), *at));
    let (domain, (mail, _)) = newest?;
    let newest = lines[domain].remove(mail);
    lines.retain(|line| !line.is_empty());
    newest
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.idle.update(|idle| idle + 1);
        self.0.begin();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::{FutureExt, future::join_all};
    use tokio::{task::yield_now, time::advance};

    use super::{super::shares::to, *};
    use crate::domain::MessageOutcome;

    fn turns(workers: usize) -> Turns {
        Turns::new(workers, Rc::new(Tries::new(Duration::from_secs(40))), Rc::default())
    }

    #[tokio::test]
    async fn applications_go_in_turn_and_so_do_the_domains_of_each() {
        let (turns, begun) = (turns(1), RefCell::new(Vec::new()));
        let work = |application: &'static str, domain: &'static str| {
            let place = turns.line_up(to(application, domain), 0, Moment(0));
            let begun = &begun;
            async move {
                let _place = place.await.unwrap();
                begun.borrow_mut().push((application, domain));
                yield_now().await;
            }
        };

        let shop = ["a", "a", "a", "b"].map(|domain| work("shop", domain));
        let forum = ["a", "c"].map(|domain| work("forum", domain));
        join_all(shop.into_iter().chain(forum)).await;
        let in_turn = [("shop", "a"), ("shop", "a"), ("forum", "a"), ("shop", "b"), ("forum", "c"), ("shop", "a")];
        assert_eq!(*begun.borrow(), in_turn);
        assert_eq!((turns.0.idle.get(), turns.load()), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn once_mails_wait_for_long_the_newest_to_domains_that_answer_come_first() {
        let turns = turns(8);
        let known = turns.line_up(to("shop", "g"), 0, Moment(0)).await.unwrap();
        known.trying.ended(&MessageOutcome::Sent("250 ok".to_owned()));
        drop(known);
        turns.0.tries.allow(3);
        let [_hanging, _hanging_too, ends] = ["a", "b", "c"].map(|domain| turns.line_up(to("shop", domain), 0, Moment(0)));
        let waiting = [("d", 5), ("e", 2), ("f", 4), ("e", 3), ("g", 1)];
        let mut waiting = waiting.map(|(domain, at)| (at, turns.line_up(to("forum", domain), 0, Moment(at))));

        advance(LONG * 2).await;
        drop(ends);
        waiting.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        waiting.rotate_right(1); // the oldest is the one to g
        for (_, mut next) in waiting {
            let place = next.try_recv().unwrap();
            drop(place); // and the next one is begun
        }
    }

    #[tokio::test]
    async fn who_has_no_room_is_passed_over_and_counts_as_no_load() {
        let turns = turns(8);
        turns.0.tries.allow(4);
        let [mut first, mut second, mut third] = [(); 3].map(|()| turns.line_up(to("shop", "a"), 0, Moment(0)));
        let mut other = turns.line_up(to("shop", "b"), 0, Moment(0));
        let held = [&mut first, &mut second, &mut other].map(|place| place.try_recv().unwrap());
        assert!(third.try_recv().is_err());
        assert_eq!(turns.load(), 3);

        let [first, ..] = held;
        drop(first);
        assert!(third.try_recv().is_ok());
    }

    #[tokio::test]
    async fn a_worker_is_lost_neither_by_who_waits_no_longer_nor_by_who_has_just_got_it() {
        let turns = turns(1);
        let busy = turns.line_up(to("shop", "a"), 0, Moment(0)).await;
        let (first, second) = (turns.line_up(to("shop", "a"), 0, Moment(0)), turns.line_up(to("shop", "b"), 0, Moment(0)));

        drop(first);
        drop(busy); // the first is gone, so it is the second's
        drop(second);
        assert_eq!((turns.0.idle.get(), turns.load()), (1, 0));
    }

    #[tokio::test]
    async fn who_waits_no_longer_is_forgotten_although_it_is_never_its_turn() {
        let turns = turns(1);
        let _busy = turns.line_up(to("shop", "a"), 0, Moment(0)).await;
        drop(turns.line_up(to("shop", "b"), 0, Moment(0)));
        assert_eq!(turns.load(), 2);
        turns.make_room();
        assert_eq!(turns.load(), 1);
    }

    #[tokio::test]
    async fn when_nothing_more_is_begun_who_waits_gets_none() {
        let turns = turns(1);
        let busy = turns.line_up(to("shop", "a"), 0, Moment(0)).await;
        let waiting = turns.line_up(to("shop", "a"), 0, Moment(0));
        turns.close();
        assert!(waiting.await.is_err());
        drop(busy);
        assert!(turns.line_up(to("shop", "a"), 0, Moment(0)).now_or_never().unwrap().is_err());
    }
}

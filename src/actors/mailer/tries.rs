//! The tries that go on: how many may at once, and how long one may hang once others need its place. A mail that hangs cannot be told
//! from one whose server is slow, so none is cut short while there is room.

use std::{
    cell::{Cell, RefCell},
    cmp::Reverse,
    collections::HashSet,
    rc::Rc,
    time::Duration,
};

use super::shares::{Correspondence, InTheWay};
use crate::{
    domain::{ApplicationName, MessageOutcome},
    mail::leash::{Leash, Stage},
};

/// Tries at once, over all lanes: each has a connection, and Postfix allows a client 50.
const MOST: usize = 48;
/// What a dialog is allowed before anything is known of the servers.
const AT_FIRST: Duration = Duration::from_secs(5);
/// The least that it is ever allowed.
const LEAST: Duration = Duration::from_secs(3);
/// So many times as long as an answer took: a server that is merely slow is not hurried.
const TIMES_AN_ANSWER: u32 = 4;
/// What an answer leaves of an allowance that was longer.
const LEFT_BY_AN_ANSWER: f64 = 0.9;
/// Tries at a time that are never given up: what comes of them says how long the servers need. Without them a server that needs
/// longer than is allowed would give no answer to learn from before mails are tried again. Where there are three places or two it is
/// one, and where there is one, none: it would be all that there is.
const MOST_SCOUTS: usize = 2;
/// Domains that are known to answer, at most.
const MOST_KNOWN: usize = 4096;

/// What is known of them.
pub(super) struct Tries {
    longest: Duration,
    /// How many may go on.
    most: Cell<usize>,
    /// How long a dialog may take when others need its place.
    allowed: Cell<Duration>,
    going_on: RefCell<Vec<Rc<ATry>>>,
    /// Domains of which the last mail got an answer.
    answering: RefCell<HashSet<String>>,
}

struct ATry {
    of: Correspondence,
    /// Tries of its mail before it.
    before: u32,
    leash: Leash,
    is_scout: bool,
}

/// What of an application may be tried besides.
pub(super) struct Room {
    /// Domains to which nothing may.
    full: Vec<String>,
}

impl Room {
    pub(super) fn is_for(&self, domain: &str) -> bool {
        self.full.iter().all(|full| full != domain)
    }
}

/// A try that goes on, until it is dropped.
pub(super) struct Trying {
    tries: Rc<Tries>,
    it: Rc<ATry>,
}

impl Tries {
    /// None of them takes longer than `longest`.
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            longest,
            most: Cell::new(MOST),
            allowed: Cell::new(AT_FIRST),
            going_on: RefCell::default(),
            answering: RefCell::default(),
        }
    }

    /// So many connections are there for them.
    pub(super) fn allow(&self, connections: usize) {
        self.most.set(connections.clamp(1, MOST));
    }

    /// Which mails of an application may be tried besides; none when none may.
    pub(super) fn room_for(&self, application: &ApplicationName) -> Option<Room> {
        let to = |domain: &str| Correspondence { application: application.clone(), domain: domain.to_owned() };
        if self.in_the_way_of(&to("")).is_some() {
            return None; // for a domain to which none goes on
        }
        let going_on = self.going_on.borrow();
        if going_on.len() < self.free() {
            return Some(Room { full: Vec::new() }); // too few to fill anything
        }
        let domains: HashSet<&str> =
            going_on.iter().filter(|a_try| a_try.of.application == *application).map(|a_try| a_try.of.domain.as_str()).collect();
        let full = domains.into_iter().filter(|domain| self.in_the_way_of(&to(domain)).is_some());
        Some(Room { full: full.map(str::to_owned).collect() })
    }

    /// Whether the last mail to that domain got an answer.
    pub(super) fn know_to_answer(&self, domain: &str) -> bool {
        self.answering.borrow().contains(domain)
    }

    fn note(&self, domain: &str, answers: bool) {
        let mut answering = self.answering.borrow_mut();
        if !answers {
            answering.remove(domain);
        } else if !answering.contains(domain) {
            if answering.len() == MOST_KNOWN {
                answering.clear();
            }
            answering.insert(domain.to_owned());
        }
    }

    /// How many more may go on.
    pub(super) fn free(&self) -> usize {
        self.most.get().saturating_sub(self.going_on.borrow().len())
    }

    /// `before`: how often the mail was tried before.
    pub(super) fn begin(self: &Rc<Self>, of: Correspondence, before: u32) -> Trying {
        let mut going_on = self.going_on.borrow_mut();
        let scouts = going_on.iter().filter(|a_try| a_try.is_scout).count();
        let is_scout = scouts < self.scouts();
        let it = Rc::new(ATry { of, before, leash: Leash::default(), is_scout });
        going_on.push(it.clone());
        Trying { tries: self.clone(), it }
    }

    /// Gives up what is overdue and in the way of so many mails, if they can not be tried: the one that hangs longest first.
    pub(super) fn make_room_for(&self, of: &Correspondence, mails: usize) {
        let Some(in_the_way) = self.in_the_way_of(of) else { return };
        let going_on = self.going_on.borrow();
        let scouts: Vec<_> = going_on.iter().filter(|a_try| a_try.is_scout).take(self.scouts()).collect();
        let is_scout = |a_try: &Rc<ATry>| scouts.iter().any(|scout| Rc::ptr_eq(scout, a_try));
        let is_overdue = |a_try: &Rc<ATry>| a_try.is_overdue(self.allowed.get()) && !is_scout(a_try);
        let mut overdue: Vec<_> = going_on.iter().filter(|a_try| in_the_way.has(&a_try.of, of) && is_overdue(a_try)).collect();
        overdue.sort_by_key(|a_try| Reverse(a_try.leash.stage().1));
        overdue.into_iter().take(mails).for_each(|a_try| a_try.leash.give_up());
    }

    /// How many are not given up.
    fn scouts(&self) -> usize {
        (self.most.get() / 2).min(MOST_SCOUTS)
    }

    fn in_the_way_of(&self, of: &Correspondence) -> Option<InTheWay> {
        let going_on = self.going_on.borrow();
        InTheWay::of(of, self.most.get(), &going_on.iter().map(|a_try| &a_try.of))
    }
}

impl ATry {
    /// Each further try may take twice as long as the one before it, so that no mail is given up each time. One that has no
    /// connection yet says nothing of its mail.
    fn is_overdue(&self, allowed: Duration) -> bool {
        let (stage, since) = self.leash.stage();
        let allowed = allowed.saturating_mul(2_u32.saturating_pow(self.before));
        !self.leash.is_given_up() && stage == Stage::Speaking && since >= allowed
    }
}

impl Trying {
    pub(super) fn leash(&self) -> &Leash {
        &self.it.leash
    }

    /// Learns from how the try ended.
    pub(super) fn ended(&self, outcome: &MessageOutcome) {
        self.tries.note(&self.it.of.domain, is_an_answer(outcome));
        if is_an_answer(outcome) {
            let (of_this, of_others) = (self.leash().stage().1 * TIMES_AN_ANSWER, self.tries.allowed.get());
            let allowed = of_this.max(of_others.mul_f64(LEFT_BY_AN_ANSWER));
            self.tries.allowed.set(allowed.clamp(LEAST, self.tries.longest));
        }
    }
}

impl Drop for Trying {
    fn drop(&mut self) {
        self.tries.going_on.borrow_mut().retain(|a_try| !Rc::ptr_eq(a_try, &self.it));
    }
}

fn is_an_answer(outcome: &MessageOutcome) -> bool {
    matches!(outcome, MessageOutcome::Sent(_) | MessageOutcome::Captured | MessageOutcome::Refused(_))
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::{super::shares::to, *};

    const LONGEST: Duration = Duration::from_secs(40);

    fn tries() -> Rc<Tries> {
        Rc::new(Tries::new(LONGEST))
    }

    /// As many as may be begun, with their connections.
    fn as_many_as_may(tries: &Rc<Tries>, of: impl Fn(usize) -> Correspondence) -> Vec<Trying> {
        let mut begun = Vec::new();
        while tries.in_the_way_of(&of(begun.len())).is_none() {
            begun.push(speaking(tries, of(begun.len()), 0));
        }
        begun
    }

    fn speaking(tries: &Rc<Tries>, of: Correspondence, before: u32) -> Trying {
        let trying = tries.begin(of, before);
        trying.leash().reach(Stage::Speaking);
        trying
    }

    fn given_up(begun: &[Trying]) -> usize {
        begun.iter().filter(|trying| trying.leash().is_given_up()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_given_up_is_overdue_in_the_way_and_no_more_than_wait() {
        let tries = tries();
        let old = as_many_as_may(&tries, |_| to("shop", "a.example"));
        let others = as_many_as_may(&tries, |_| to("forum", "b.example"));
        advance(AT_FIRST.mul_f64(0.9)).await;
        tries.make_room_for(&to("shop", "a.example"), 100);
        assert_eq!(given_up(&old), 0, "none is overdue");

        advance(AT_FIRST.mul_f64(0.1)).await;
        tries.make_room_for(&to("shop", "c.example"), 100);
        assert_eq!(given_up(&old), 0, "there is room for it");
        tries.make_room_for(&to("shop", "a.example"), 3);
        assert_eq!((given_up(&old), given_up(&others)), (3, 0));
        tries.make_room_for(&to("shop", "a.example"), 100);
        assert_eq!((given_up(&old), given_up(&others)), (old.len() - MOST_SCOUTS, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn where_one_place_turns_out_to_be_all_nobody_has_it_for_good() {
        let tries = tries();
        let begun = [(); 2].map(|()| speaking(&tries, to("shop", "a.example"), 0));
        advance(AT_FIRST).await;
        tries.allow(1);
        tries.make_room_for(&to("shop", "a.example"), 100);
        assert_eq!(given_up(&begun), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_has_no_connection_yet_is_not_given_up() {
        let tries = tries();
        tries.allow(1);
        let connecting = [(); 2].map(|()| tries.begin(to("shop", "a.example"), 0));
        advance(LONGEST).await;
        tries.make_room_for(&to("shop", "a.example"), 100);
        assert_eq!(given_up(&connecting), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn each_further_try_may_take_twice_as_long() {
        let tries = tries();
        tries.allow(4);
        let _scouts = [(); 2].map(|()| speaking(&tries, to("shop", "a.example"), 0));
        let tried_again = [1, 2].map(|before| speaking(&tries, to("shop", "a.example"), before));
        for expected in [0, 1, 1, 2] {
            advance(AT_FIRST).await;
            tries.make_room_for(&to("shop", "a.example"), 1);
            assert_eq!(given_up(&tried_again), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn answers_say_how_long_a_dialog_may_take() {
        let tries = tries();
        let answer_after = async |span| {
            let trying = speaking(&tries, to("shop", "a.example"), 0);
            advance(span).await;
            trying.ended(&MessageOutcome::Sent("250 ok".to_owned()));
        };
        answer_after(Duration::from_secs(6)).await;
        assert_eq!(tries.allowed.get(), Duration::from_secs(24));
        answer_after(Duration::from_secs(20)).await;
        assert_eq!(tries.allowed.get(), LONGEST);
        for _ in 0..100 {
            answer_after(Duration::from_millis(10)).await;
        }
        assert_eq!(tries.allowed.get(), LEAST);
    }
}

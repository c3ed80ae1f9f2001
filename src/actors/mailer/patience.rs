//! How long a try may hang once its place, or its connection, is wanted. While nobody wants it, each has all its time: a hanging
//! mail cannot be told from one whose server is slow, so only what others lose by it can decide.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use crate::{
    domain::MessageOutcome,
    mail::leash::{Leash, Stage},
};

/// What a dialog is allowed before anything is known of the servers.
const AT_FIRST: Duration = Duration::from_secs(5);
/// The least that it is ever allowed.
const LEAST: Duration = Duration::from_secs(3);
/// So many times as long as an answer took: a server that is merely slow is not hurried.
const TIMES_AN_ANSWER: u32 = 4;
/// What an answer leaves of an allowance that was longer.
const LEFT_BY_AN_ANSWER: f64 = 0.9;
/// Tries at a time that are never given up: what comes of them says how long the servers need. Without them a server that needs
/// longer than is allowed would give no answer to learn from, and no mail of a long queue would ever be waited for.
const SCOUTS: usize = 2;
/// A connection that takes longer than this is kept waiting. Longer than a lost packet costs.
const KEPT_WAITING: Duration = Duration::from_secs(2);

/// What is known of the tries that go on.
pub(super) struct Patience {
    allowed: Cell<Duration>,
    longest_try: Duration,
    tries: RefCell<Vec<Rc<ATry>>>,
}

struct ATry {
    leash: Leash,
    is_scout: bool,
}

/// A try that goes on, until it is dropped.
pub(super) struct Trying<'a> {
    patience: &'a Patience,
    it: Rc<ATry>,
}

impl Patience {
    pub(super) fn new(longest_try: Duration) -> Self {
        Self { allowed: Cell::new(AT_FIRST), longest_try, tries: RefCell::default() }
    }

    pub(super) fn begin(&self) -> Trying<'_> {
        let mut tries = self.tries.borrow_mut();
        let is_scout = tries.iter().filter(|a_try| a_try.is_scout).count() < SCOUTS;
        let it = Rc::new(ATry { leash: Leash::default(), is_scout });
        tries.push(it.clone());
        Trying { patience: self, it }
    }

    /// Gives up the try that hangs longest if it is overdue; else, how long it is until then.
    pub(super) fn give_up_oldest(&self) -> Option<Duration> {
        let tries = self.tries.borrow();
        let oldest = tries.iter().filter(|a_try| a_try.may_be_given_up()).max_by_key(|a_try| a_try.leash.stage().1)?;
        let left = self.left(oldest);
        if left.is_none() {
            oldest.leash.give_up();
        }
        left
    }

    /// Gives up all tries that are overdue with their connections, since those may be all that the servers allow.
    pub(super) fn free_connections(&self) {
        let tries = self.tries.borrow();
        let holds_one = |a_try: &&Rc<ATry>| a_try.may_be_given_up() && a_try.leash.stage().0 == Stage::Speaking;
        let overdue = tries.iter().filter(holds_one).filter(|a_try| self.left(a_try).is_none());
        overdue.for_each(|a_try| a_try.leash.give_up());
    }

    /// Whether a try is kept waiting for its connection.
    pub(super) fn is_a_connection_wanted(&self) -> bool {
        let is_kept_waiting = |(stage, since)| stage == Stage::Connecting && since > KEPT_WAITING;
        self.tries.borrow().iter().any(|a_try| is_kept_waiting(a_try.leash.stage()))
    }

    /// What is left of a try's time if it is not overdue.
    fn left(&self, a_try: &ATry) -> Option<Duration> {
        self.allowed.get().checked_sub(a_try.leash.stage().1).filter(|left| !left.is_zero())
    }
}

impl ATry {
    fn may_be_given_up(&self) -> bool {
        !self.is_scout && !self.leash.is_given_up()
    }
}

impl Trying<'_> {
    pub(super) fn leash(&self) -> &Leash {
        &self.it.leash
    }

    /// Learns from how the try ended.
    pub(super) fn ended(self, outcome: &MessageOutcome) {
        if is_an_answer(outcome) {
            let (of_this, of_others) = (self.leash().stage().1 * TIMES_AN_ANSWER, self.patience.allowed.get());
            let allowed = of_this.max(of_others.mul_f64(LEFT_BY_AN_ANSWER));
            self.patience.allowed.set(allowed.clamp(LEAST, self.patience.longest_try));
        }
    }
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        self.patience.tries.borrow_mut().retain(|a_try| !Rc::ptr_eq(a_try, &self.it));
    }
}

fn is_an_answer(outcome: &MessageOutcome) -> bool {
    matches!(outcome, MessageOutcome::Sent(_) | MessageOutcome::Captured | MessageOutcome::Refused(_))
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::time::{Instant, sleep, timeout};

    use super::{
        super::{lanes::Lanes, turns::to},
        *,
    };

    const LONGEST_TRY: Duration = Duration::from_secs(40);

    fn deferred() -> MessageOutcome {
        MessageOutcome::Deferred { reply: "it took too long".to_owned(), maybe_accepted: true }
    }

    /// One try of a mail whose answer needs so long.
    async fn attempt(patience: &Patience, needs: Duration) -> MessageOutcome {
        let trying = patience.begin();
        let outcome = tokio::select! {
            () = sleep(needs) => MessageOutcome::Sent("250 ok".to_owned()),
            () = trying.leash().given_up() => deferred(),
        };
        trying.ended(&outcome);
        outcome
    }

    /// How often a mail had to be tried.
    async fn tries_until_sent(lanes: &Lanes, patience: &Patience, needs: Duration) -> u32 {
        for tries in 0.. {
            let lane = lanes.of(tries);
            let place = lane.place(to("example.org"), Some(lane.line_up())).await.unwrap();
            if lane.see_through(place, patience, attempt(patience, needs)).await != deferred() {
                return tries + 1;
            }
        }
        unreachable!("it is tried for ever")
    }

    #[tokio::test(start_paused = true)]
    async fn the_mails_of_a_slow_server_get_through_however_many_wait() {
        for seconds in [6, 15, 20] {
            let (lanes, patience, needs) = (Lanes::new(), Patience::new(LONGEST_TRY), Duration::from_secs(seconds));
            let begun = Instant::now();
            let mails = (0..300).map(|_| tries_until_sent(&lanes, &patience, needs));
            let tries = timeout(needs * 300, join_all(mails)).await.expect("all get through");
            // 48 at a time, and a start for those that were given up before the first answer
            assert!(begun.elapsed() < needs * 300 / 48 * 3 / 2, "{seconds} s: {:?}", begun.elapsed());
            assert!(tries.iter().all(|tries| *tries <= 3));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_given_up_while_there_is_room() {
        let (lanes, patience) = (Lanes::new(), Patience::new(LONGEST_TRY));
        let mails = (0..44).map(|_| tries_until_sent(&lanes, &patience, Duration::from_secs(39)));
        assert!(join_all(mails).await.iter().all(|tries| *tries == 1));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_say_how_long_a_dialog_may_take() {
        let patience = Patience::new(LONGEST_TRY);
        attempt(&patience, Duration::from_secs(6)).await;
        assert_eq!(patience.allowed.get(), Duration::from_secs(24));
        attempt(&patience, Duration::from_secs(20)).await;
        assert_eq!(patience.allowed.get(), LONGEST_TRY);
        for _ in 0..100 {
            attempt(&patience, Duration::from_millis(10)).await;
        }
        assert_eq!(patience.allowed.get(), LEAST);
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_freed_of_what_is_overdue_alone() {
        let patience = Patience::new(LONGEST_TRY);
        let (scouts, old) = ([patience.begin(), patience.begin()], patience.begin());
        sleep(AT_FIRST).await;
        let young = patience.begin();
        patience.free_connections();
        assert!(old.leash().is_given_up());
        assert!(scouts.iter().chain([&young]).all(|trying| !trying.leash().is_given_up()));
    }
}

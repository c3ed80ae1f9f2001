//! What a test's SMTP server is to do instead of what servers do.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Mutex,
    time::Duration,
};

/// How the addresses begin, of sender or recipient, whose mails spoil their dialogs.
pub const POISON: &str = "poison";

/// Where in the dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Greeting,
    Ehlo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// The final dot.
    Dot,
    Rset,
    Noop,
    Quit,
}

/// What to do there, once.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Says this, CRLF is added.
    Say(&'static str),
    /// Says these bytes as they are.
    Bytes(&'static [u8]),
    /// Says this, and repeats to whom the mail is, and at the final dot the number in it.
    Echo(&'static str),
    /// Says this again and again, as fast as it can.
    Forever(&'static str),
    /// Says this again and again, a byte every tenth of a second.
    Drip(&'static str),
    /// Says what is usual, so much later.
    Late(Duration),
    /// Says what is usual if this command was said too, without waiting for an answer; else nothing, and stays.
    IfToldTogetherWith(&'static str),
    /// Says what is usual, and has not heard what else was said before.
    AndForget,
    /// Hangs up without a word.
    HangUp,
    /// Says nothing more, and stays.
    Stall,
}

#[derive(Default)]
pub(super) struct Script {
    once: Mutex<HashMap<Step, VecDeque<Answer>>>,
    poison: Mutex<Option<(Step, Answer)>>,
    /// The recipients that were put off, if each is to be once.
    greylist: Mutex<Option<HashSet<String>>>,
}

impl Script {
    /// Answers so the next time that `step` is reached, after what was scripted for it before.
    pub(super) fn add(&self, step: Step, answer: Answer) {
        self.once.lock().unwrap().entry(step).or_default().push_back(answer);
    }

    /// Answers so whenever `step` is reached by a mail to a [`POISON`] address; MAIL, by one from there.
    pub(super) fn spoil(&self, step: Step, answer: Answer) {
        *self.poison.lock().unwrap() = Some((step, answer));
    }

    /// Puts each mail off once, at RCPT, but those to a [`POISON`] address.
    pub(super) fn greylist(&self) {
        *self.greylist.lock().unwrap() = Some(HashSet::new());
    }

    /// What to do at `step` of a mail to or from `address`, as it was named; done once.
    pub(super) fn take(&self, step: Step, address: &str) -> Option<Answer> {
        let once = self.once.lock().unwrap().get_mut(&step).and_then(VecDeque::pop_front);
        once.or_else(|| self.poison_at(step, address)).or_else(|| self.greylisted_at(step, address))
    }

    pub(super) fn has(&self, step: Step, address: &str) -> bool {
        let is_scripted = self.once.lock().unwrap().get(&step).is_some_and(|answers| !answers.is_empty());
        is_scripted || self.poison_at(step, address).is_some()
    }

    /// Whether all that was to be done once has been.
    pub(super) fn is_over(&self) -> bool {
        self.once.lock().unwrap().values().all(VecDeque::is_empty)
    }

    fn greylisted_at(&self, step: Step, address: &str) -> Option<Answer> {
        let mut put_off = self.greylist.lock().unwrap();
        let is_first = step == Step::Rcpt && !is_poison(address) && put_off.as_mut()?.insert(address.to_owned());
        is_first.then_some(Answer::Say("451 4.7.1 greylisted"))
    }

    fn poison_at(&self, step: Step, address: &str) -> Option<Answer> {
        let poison = self.poison.lock().unwrap().clone();
        poison.filter(|(at, _)| *at == step && is_poison(address)).map(|(_, answer)| answer)
    }
}

fn is_poison(address: &str) -> bool {
    address.contains(&format!("<{POISON}"))
}

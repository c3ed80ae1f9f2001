//! What a test's SMTP server is to do instead of what servers do.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
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
    /// Hangs up without a word.
    HangUp,
    /// Says nothing more, and stays.
    Stall,
}

#[derive(Default)]
pub(super) struct Script {
    once: Mutex<HashMap<Step, VecDeque<Answer>>>,
    poison: Mutex<Option<(Step, Answer)>>,
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

    /// What to do at `step` of a mail to or from `address`, as it was named; done once.
    pub(super) fn take(&self, step: Step, address: &str) -> Option<Answer> {
        let once = self.once.lock().unwrap().get_mut(&step).and_then(VecDeque::pop_front);
        once.or_else(|| self.poison_at(step, address))
    }

    pub(super) fn has(&self, step: Step, address: &str) -> bool {
        let is_scripted = self.once.lock().unwrap().get(&step).is_some_and(|answers| !answers.is_empty());
        is_scripted || self.poison_at(step, address).is_some()
    }

    /// Whether all that was to be done once has been.
    pub(super) fn is_over(&self) -> bool {
        self.once.lock().unwrap().values().all(VecDeque::is_empty)
    }

    fn poison_at(&self, step: Step, address: &str) -> Option<Answer> {
        let is_poison = address.contains(&format!("<{POISON}"));
        self.poison.lock().unwrap().clone().filter(|(at, _)| is_poison && *at == step).map(|(_, answer)| answer)
    }
}

//! Looks for an order of a story's events in which the reference state machine answers as was answered: each event somewhere
//! between its question and its answer, one without an answer anywhere after its question, or nowhere. (The way of Wing and
//! Gong, with the memory of Lowe: what led nowhere once is not tried again.)

use std::collections::HashSet;

use super::{
    history::{Answer, Event, Story},
    model::{Address, Facts},
};

/// So many steps are looked at; a story that needs more is told to be undecided.
const MOST_STEPS: usize = 400_000;
/// As many as there are bits in what is remembered.
const MOST_EVENTS: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// There is such an order.
    Ordered,
    /// There is none. At most so many of its answered events can be explained.
    Impossible(usize),
    Undecided,
}

struct Search<'a> {
    events: Vec<&'a Event>,
    facts: Facts,
    seen: HashSet<(u128, Address)>,
    steps: usize,
    most_explained: usize,
}

pub fn find_order(story: &Story) -> Finding {
    let mut events: Vec<&Event> = story.events.iter().filter(|event| event.answer != Answer::NothingDone).collect();
    if events.len() > MOST_EVENTS {
        return Finding::Undecided;
    }
    // those that were answered first: what nobody knows of is drawn upon only where it is needed
    events.sort_by_key(|event| (event.is_unknown(), event.answered_at));
    let mut search = Search { events, facts: Facts::of(story), seen: HashSet::new(), steps: 0, most_explained: 0 };
    match search.explains(0, &Address::default()) {
        Some(true) => Finding::Ordered,
        Some(false) => Finding::Impossible(search.most_explained),
        None => Finding::Undecided,
    }
}

impl Search<'_> {
    /// Whether all events that are not in `done` can follow; none when that takes too long to say.
    fn explains(&mut self, done: u128, address: &Address) -> Option<bool> {
        let answered = self.events.iter().enumerate().filter(|(_, event)| !event.is_unknown());
        let (explained, open): (Vec<_>, Vec<_>) = answered.partition(|(at, _)| done & (1 << at) != 0);
        self.most_explained = self.most_explained.max(explained.len());
        let Some(first_end) = open.iter().map(|(_, event)| event.answered_at).min() else { return Some(true) };
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return None;
        }
        if !self.seen.insert((done, address.clone())) {
            return Some(false);
        }
        for at in 0..self.events.len() {
            let event = self.events[at];
            if done & (1 << at) != 0 || event.asked_at > first_end {
                continue;
            }
            for next in address.after(event, &self.facts) {
                let is_without_effect = event.is_unknown() && next == *address;
                if !is_without_effect && self.explains(done | 1 << at, &next)? {
                    return Some(true);
                }
            }
        }
        Some(false)
    }
}

//! What asks come to, counted. Without a recorder of `metrics` nothing is, and it costs nothing.

use std::any::type_name;

use metrics::{Counter, counter};

use super::AskError;

/// The counters of one message to one actor, looked up once.
pub(super) struct Outcomes {
    answered: Counter,
    refused: Counter,
    overloaded: Counter,
    unavailable: Counter,
    timed_out: Counter,
    crashed: Counter,
    told: Counter,
}

impl Outcomes {
    pub(super) fn of<M>(actor: &'static str) -> Self {
        let path = type_name::<M>();
        let message = path.rsplit("::").next().unwrap_or(path);
        let of = |outcome| counter!("fiador_asks_total", "actor" => actor, "message" => message, "outcome" => outcome);
        Self {
            answered: of("answered"),
            refused: of("refused"),
            overloaded: of("overloaded"),
            unavailable: of("unavailable"),
            timed_out: of("timed-out"),
            crashed: of("crashed"),
            told: of("told"),
        }
    }

    pub(super) fn count<T, E>(&self, outcome: &Result<T, AskError<E>>) {
        let counter = match outcome {
            Ok(_) => &self.answered,
            Err(AskError::Refused(_)) => &self.refused,
            Err(AskError::Overloaded) => &self.overloaded,
            Err(AskError::Unavailable(_)) => &self.unavailable,
            Err(AskError::TimedOut) => &self.timed_out,
            Err(AskError::Crashed) => &self.crashed,
        };
        counter.increment(1);
    }

    /// A message that nobody waits for.
    pub(super) fn count_told(&self) {
        self.told.increment(1);
    }
}

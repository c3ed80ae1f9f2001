//! What tries of mails come to, measured.

use std::time::Duration;

use metrics::{counter, histogram};

use crate::domain::MessageOutcome;

/// Counts a try; `age` is how long ago its mail was queued.
pub(super) fn count(outcome: &MessageOutcome, age: Duration) {
    counter!("fiador_mails_total", "outcome" => word(outcome)).increment(1);
    if matches!(outcome, MessageOutcome::Sent(_) | MessageOutcome::Captured) {
        histogram!("fiador_mail_delivery_seconds").record(age);
    }
}

fn word(outcome: &MessageOutcome) -> &'static str {
    match outcome {
        MessageOutcome::Sent(_) => "sent",
        MessageOutcome::Captured => "captured",
        MessageOutcome::Deferred { .. } => "deferred",
        MessageOutcome::Refused(_) => "refused",
        MessageOutcome::Held(_) => "held",
        MessageOutcome::Returned => "returned",
    }
}

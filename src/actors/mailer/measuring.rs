//! What tries of mails come to, measured.

use std::time::Duration;

use metrics::{counter, histogram};

use crate::domain::MessageOutcome;

/// Counts a try; `age` is how long ago its mail was queued.
pub(super) fn count(outcome: &MessageOutcome, age: Duration) {
    let word: &'static str = outcome.into();
    counter!("fiador_mails_total", "outcome" => word).increment(1);
    if matches!(outcome, MessageOutcome::Sent(_) | MessageOutcome::Captured) {
        histogram!("fiador_mail_delivery_seconds").record(age);
    }
}

//! Where dialogs with servers stopped, and what that says of the mail.

use super::{breaker::Finding, reply::Trouble, smtp::SmtpSettings};
use crate::domain::MessageOutcome;

/// What applications are told while no server can be tried: which and why is the operator's to know.
const NO_SERVER: &str = "no mail server can be used at present";

/// Where a dialog stopped, and why.
pub(super) struct Stop {
    pub(super) step: Step,
    pub(super) trouble: Trouble,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// There was no connection that could carry mail.
    Connecting,
    /// Nothing of this mail has been accepted: it may be tried again at once over another connection.
    Sender,
    /// The recipient, or the wish to send data.
    Envelope,
    /// The mail with its final dot was sent, or may have been.
    FinalDot,
}

impl Stop {
    /// A connection that the server gave up while it was idle tells so at the first command.
    pub(super) fn was_dead_before_the_mail(&self) -> bool {
        self.step == Step::Sender && self.trouble.ends_connection()
    }

    /// The sender was taken, and then there was no answer that belongs there.
    pub(super) fn is_without_answer_to_the_envelope(&self) -> bool {
        self.step == Step::Envelope && matches!(self.trouble, Trouble::Broken(_))
    }

    pub(super) fn is_of_no_connection(&self) -> bool {
        self.step == Step::Connecting && !self.trouble.is_of_login()
    }

    pub(super) fn finding(&self, settings: &SmtpSettings) -> Finding {
        let why = settings.kept(&self.trouble.to_string(), None);
        if self.step == Step::Connecting { self.trouble.finding_of_connecting(why) } else { self.trouble.finding(why) }
    }
}

/// What the servers that were tried so far said, when none of it was the end of the try.
#[derive(Default)]
pub(super) struct Answers {
    /// Not now; the newest of several.
    later: Option<String>,
    /// Nowhere where this was said.
    unsupported: Option<String>,
    /// Whether some server said nothing of the mail: it could not be tried, or its operator has to look after it first.
    pub(super) passed_over: bool,
}

impl Answers {
    /// Whether none was tried so far.
    pub(super) fn is_empty(&self) -> bool {
        self.later.is_none() && self.unsupported.is_none() && !self.passed_over
    }

    /// The outcome, if the next server is not to be tried.
    pub(super) fn take(&mut self, result: Result<String, Stop>, kept: impl Fn(&str) -> String) -> Option<MessageOutcome> {
        let Stop { step, trouble } = match result {
            Ok(reply) => return Some(MessageOutcome::Sent(kept(&reply))),
            Err(stop) => stop,
        };
        let reply = kept(&trouble.to_string());
        match trouble {
            _ if step == Step::Connecting => self.passed_over = true,
            Trouble::Login { .. } => self.passed_over = true,
            Trouble::Unsupported(_) => self.unsupported = Some(reply),
            Trouble::Broken(_) if step == Step::FinalDot => {
                return Some(MessageOutcome::Deferred { reply, maybe_accepted: true });
            }
            _ if trouble.is_final() => return Some(MessageOutcome::Refused(reply)),
            Trouble::Broken(_) | Trouble::Refused { .. } => self.later = Some(reply),
        }
        None
    }

    /// The outcome, when there is no other server.
    pub(super) fn outcome(self) -> MessageOutcome {
        match (self.later, self.unsupported) {
            (Some(reply), _) => MessageOutcome::Deferred { reply, maybe_accepted: false },
            (None, Some(reply)) if !self.passed_over => MessageOutcome::Refused(reply),
            _ => MessageOutcome::Held(NO_SERVER.to_owned()),
        }
    }
}

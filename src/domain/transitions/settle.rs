use super::{Effect, Outcome};
use crate::domain::{AddressRecord, LEAST_LIFE, MessageKey, MessageOutcome, Moment, Verification};

/// Says what became of one try to send.
#[derive(Clone, Debug)]
pub struct Settle {
    /// Which mail.
    pub key: MessageKey,
    /// The lease's number.
    pub fence: u32,
    /// What became of it.
    pub outcome: MessageOutcome,
    /// Spreads the next try: 0 to 1.
    pub jitter: f64,
}

/// Whether the mail's verification was charged for a mail that was definitely not sent.
#[derive(PartialEq)]
enum Charge {
    Stays,
    GivenBack,
}

/// Notes the outcome; one that comes after its lease was given to somebody else changes nothing.
pub fn settle(mut record: AddressRecord, request: &Settle, now: Moment) -> Outcome<()> {
    record.age(now);
    let Some(verification) = record.verification_mut(&request.key.verification) else {
        return Outcome::unchanged(());
    };
    if !verification.message.is_leased_under(request.fence) {
        return Outcome::unchanged(());
    }
    let (effects, charge) = note(verification, request, now);
    let charged_at = verification.started_at;
    if charge == Charge::GivenBack {
        record.give_back_send(charged_at);
    }
    Outcome::changed((), record, effects)
}

fn note(verification: &mut Verification, request: &Settle, now: Moment) -> (Vec<Effect>, Charge) {
    let message = &mut verification.message;
    match &request.outcome {
        MessageOutcome::Sent(reply) => {
            message.note_try(reply.clone());
            message.sent();
            (vec![Effect::Unqueue], Charge::Stays)
        }
        MessageOutcome::Captured => {
            message.captured();
            (vec![Effect::Unqueue], Charge::Stays)
        }
        MessageOutcome::Refused(reply) => {
            message.note_try(reply.clone());
            message.note_not_accepted();
            message.failed();
            (vec![Effect::Unqueue, Effect::ListAsFailed], Charge::GivenBack)
        }
        MessageOutcome::Deferred { reply, maybe_accepted } => {
            message.note_try(reply.clone());
            if !maybe_accepted {
                message.note_not_accepted();
            }
            let next = message.next_try(now, request.jitter);
            try_again(verification, next)
        }
        MessageOutcome::Returned => {
            message.note_not_accepted();
            try_again(verification, now)
        }
    }
}

fn try_again(verification: &mut Verification, next: Moment) -> (Vec<Effect>, Charge) {
    let message = &mut verification.message;
    if verification.end.is_some() {
        message.dropped();
        return (vec![Effect::Unqueue], Charge::Stays);
    }
    if message.has_used_its_transmissions() {
        message.failed();
        return (vec![Effect::Unqueue, Effect::ListAsFailed], Charge::Stays);
    }
    message.wait(next);
    if next + LEAST_LIFE > verification.expires_at {
        let charge = if message.is_untried() { Charge::GivenBack } else { Charge::Stays };
        message.expired();
        return (vec![Effect::Unqueue, Effect::ListAsFailed], charge);
    }
    (vec![Effect::Enqueue(next)], Charge::Stays)
}

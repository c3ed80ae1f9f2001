use super::{Effect, Outcome};
use crate::domain::{AddressRecord, LEAST_LIFE, MessageKey, MessageOutcome, Moment, address_record::Mailed};

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

/// Notes the outcome; one that comes after its lease was given to somebody else changes nothing.
pub fn settle(mut record: AddressRecord, request: &Settle, now: Moment) -> Outcome<()> {
    record.age(now);
    let Some(mailed) = record.mailed_mut(&request.key.verification) else {
        return Outcome::unchanged(());
    };
    if !mailed.message_mut().is_leased_under(request.fence) {
        return Outcome::unchanged(());
    }
    let effects = note(mailed, request, now);
    record.give_back_unused_send(&request.key.verification);
    Outcome::changed((), record, effects)
}

fn note(mailed: &mut dyn Mailed, request: &Settle, now: Moment) -> Vec<Effect> {
    let message = mailed.message_mut();
    match &request.outcome {
        MessageOutcome::Sent(reply) => {
            message.note_try(reply.clone());
            message.sent();
            vec![Effect::Unqueue]
        }
        MessageOutcome::Captured => {
            message.captured();
            vec![Effect::Unqueue]
        }
        MessageOutcome::Refused(reply) => {
            message.note_try(reply.clone());
            message.note_not_accepted();
            message.failed();
            Effect::FAILED.to_vec()
        }
        MessageOutcome::Deferred { reply, maybe_accepted } => {
            message.note_try(reply.clone());
            if !maybe_accepted {
                message.note_not_accepted();
            }
            let next = message.next_try(now, request.jitter);
            try_again(mailed, next)
        }
        MessageOutcome::Held(why) => {
            message.note_held(why.clone());
            message.note_not_accepted();
            try_again(mailed, now)
        }
        MessageOutcome::Returned => {
            message.note_not_accepted();
            try_again(mailed, now)
        }
    }
}

fn try_again(mailed: &mut dyn Mailed, next: Moment) -> Vec<Effect> {
    let (is_over, expires_at) = (mailed.is_over(), mailed.expires_at());
    let message = mailed.message_mut();
    if is_over {
        message.dropped();
        vec![Effect::Unqueue]
    } else if message.has_used_its_transmissions() {
        message.failed();
        Effect::FAILED.to_vec()
    } else if next + LEAST_LIFE > expires_at {
        message.expired();
        Effect::FAILED.to_vec()
    } else {
        message.wait(next);
        vec![Effect::Enqueue(next)]
    }
}

use super::{Effect, Outcome};
use crate::domain::{AddressRecord, LEAST_LIFE, LeasedMessage, MessageKey, Moment, Status};

/// Asks for the right to send a mail that stands in the queue.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Which.
    pub key: MessageKey,
}

/// Gives a lease, or settles what needs no sending any more.
pub fn claim(mut record: AddressRecord, request: Claim, now: Moment) -> Outcome<Option<LeasedMessage>> {
    record.age(now);
    let Some(verification) = record.verification_mut(&request.key.verification) else {
        return Outcome::changed(None, record, vec![Effect::Unqueue]);
    };
    let due_at = verification.message.due_at().filter(|_| verification.end.is_none());
    match due_at {
        None => return Outcome::changed(None, record, vec![Effect::Unqueue]),
        Some(due_at) if due_at > now => return Outcome::changed(None, record, vec![Effect::Enqueue(due_at)]),
        Some(_) => verification.message.note_lapsed_lease(),
    }
    let is_too_late = verification.status(now) == Status::Expired || verification.expires_at.since(now) < LEAST_LIFE;
    if verification.message.has_used_its_transmissions() {
        verification.message.failed(); // it may well have arrived: the send stays charged
        return Outcome::changed(None, record, vec![Effect::Unqueue, Effect::ListAsFailed]);
    }
    if is_too_late {
        let unsent = verification.message.is_untried().then_some(verification.started_at);
        verification.message.expired();
        if let Some(charged_at) = unsent {
            record.give_back_send(charged_at);
        }
        return Outcome::changed(None, record, vec![Effect::Unqueue, Effect::ListAsFailed]);
    }
    let leased = verification.lease_message(request.key.handle, now);
    let effect = verification.message.due_at().map_or(Effect::Unqueue, Effect::Enqueue);
    Outcome::changed(leased, record, vec![effect])
}

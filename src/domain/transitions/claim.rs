use super::{Effect, Outcome};
use crate::domain::{AddressRecord, LEAST_LIFE, LeasedMessage, MessageKey, Moment, Status, address_record::Mailed};

/// Asks for the right to send a mail that stands in the queue.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Which.
    pub key: MessageKey,
}

/// Gives a lease, or settles what needs no sending any more.
pub fn claim(mut record: AddressRecord, request: Claim, now: Moment) -> Outcome<Option<LeasedMessage>> {
    record.age(now);
    let MessageKey { handle, verification: key } = request.key;
    let Some(mailed) = record.mailed_mut(&key) else {
        let has_expired = record.tombstone(&key).is_some_and(|tombstone| tombstone.status() == Status::Expired);
        let effects = if has_expired { Effect::FAILED.to_vec() } else { vec![Effect::Unqueue] };
        return Outcome::changed(None, record, effects);
    };
    let (leased, effects) = lease(mailed, handle, now);
    record.give_back_unused_send(&key);
    Outcome::changed(leased, record, effects)
}

fn lease(mailed: &mut dyn Mailed, handle: [u8; 16], now: Moment) -> (Option<LeasedMessage>, Vec<Effect>) {
    let (is_over, expires_at) = (mailed.is_over(), mailed.expires_at());
    let message = mailed.message_mut();
    match message.due_at().filter(|_| !is_over) {
        None if message.has_failed() => return (None, Effect::FAILED.to_vec()),
        None => return (None, vec![Effect::Unqueue]),
        Some(due_at) if due_at > now => return (None, vec![Effect::Enqueue(due_at)]),
        Some(_) => message.note_lapsed_lease(),
    }
    if message.has_used_its_transmissions() {
        message.failed();
        return (None, Effect::FAILED.to_vec());
    }
    if expires_at.since(now) < LEAST_LIFE {
        message.expired();
        return (None, Effect::FAILED.to_vec());
    }
    let leased = mailed.lease(handle, now);
    let effect = mailed.message_mut().due_at().map_or(Effect::Unqueue, Effect::Enqueue);
    (leased, vec![effect])
}

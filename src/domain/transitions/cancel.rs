use super::{Effect, Outcome};
use crate::domain::{AddressRecord, End, KeyedHash, Moment, Refusal, Status};

/// Calls a verification off.
#[derive(Clone, Copy, Debug)]
pub struct Cancel {
    /// Which.
    pub key: KeyedHash,
}

/// Ends what is pending; what has ended stays as it is.
pub fn cancel(mut record: AddressRecord, request: Cancel, now: Moment) -> Outcome<Result<(), Refusal>> {
    record.age(now);
    if record.tombstone(&request.key).is_some() {
        return Outcome::unchanged(Ok(()));
    }
    let Some(verification) = record.verification_mut(&request.key) else {
        return Outcome::unchanged(Err(Refusal::NotFound));
    };
    if verification.status(now) != Status::Pending {
        return Outcome::unchanged(Ok(()));
    }
    verification.finish(End::Canceled(now));
    let number = verification.lookup.map(Effect::DropNumber);
    record.give_back_unused_send(&request.key);
    let effects = [Effect::Unqueue, Effect::DropToken].into_iter().chain(number).collect();
    Outcome::changed(Ok(()), record, effects)
}

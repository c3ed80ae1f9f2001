use super::{Effect, Mailing, Outcome, ended};
use crate::domain::{AddressRecord, KeyedHash, LEAST_LIFE, MessageId, Moment, Refusal, Verification, VerificationId};

/// Operations that are remembered to have asked for a mail again.
const MOST_REMEMBERED: usize = 8;

/// Asks for the mail of a pending verification again: the same number, in a mail of its own.
#[derive(Clone, Debug)]
pub struct Resend {
    /// Which verification.
    pub id: VerificationId,
    /// Keyed hash of its id.
    pub key: KeyedHash,
    /// Keyed hash of the operation's id.
    pub operation: KeyedHash,
    /// The address's handle.
    pub handle: [u8; 16],
    /// The new mail's `Message-ID`: with that of the one before it, a server could take it for the same mail.
    pub message_id: MessageId,
    /// Whether the first lease is wanted.
    pub with_lease: bool,
}

/// A mail that is still on its way is not sent twice, and one of a test application never; else the budgets decide.
pub fn resend(mut record: AddressRecord, request: &Resend, now: Moment) -> Outcome<Result<Mailing, Refusal>> {
    record.age(now);
    if let Some(tombstone) = record.tombstone(&request.key) {
        return Outcome::unchanged(Err(ended(tombstone.status()).unwrap_or(Refusal::Expired)));
    }
    let Some(verification) = record.verification(&request.key) else {
        return Outcome::unchanged(Err(Refusal::NotFound));
    };
    if verification.resends.contains(&request.operation) {
        let view = verification.view(&request.id, record.wrong_checks_left(now), now);
        return Outcome::unchanged(Ok(Mailing { view, message: None, is_repetition: true }));
    }
    if let Some(refusal) = refused(verification, now) {
        return Outcome::unchanged(Err(refusal));
    }
    let sends_another = verification.message.due_at().is_none() && !verification.message.is_withheld();
    if sends_another && let Err(refusal) = record.take_further_send(&request.key, now) {
        return Outcome::unchanged(Err(refusal));
    }
    queue(record, request, sends_another, now)
}

fn refused(verification: &Verification, now: Moment) -> Option<Refusal> {
    let comes_too_late = verification.expires_at.since(now) < LEAST_LIFE;
    ended(verification.status(now)).or_else(|| comes_too_late.then_some(Refusal::Expired))
}

fn queue(mut record: AddressRecord, request: &Resend, sends_another: bool, now: Moment) -> Outcome<Result<Mailing, Refusal>> {
    let address_checks_left = record.wrong_checks_left(now);
    let verification = record.verification_mut(&request.key).expect("`resend` found it");
    remember(verification, request.operation);
    if sends_another {
        verification.message = verification.message.again(request.message_id.clone(), now);
        verification.sends += 1;
    }
    let view = verification.view(&request.id, address_checks_left, now);
    let is_leased = request.with_lease && sends_another;
    let message = if is_leased { verification.lease_message(request.handle, now).map(Box::new) } else { None };
    let effects = verification.message.due_at().map(Effect::Enqueue).into_iter().collect();
    Outcome::changed(Ok(Mailing { view, message, is_repetition: false }), record, effects)
}

pub(super) fn remember(verification: &mut Verification, operation: KeyedHash) {
    if verification.resends.len() == MOST_REMEMBERED {
        verification.resends.remove(0);
    }
    verification.resends.push(operation);
}

use super::{Effect, Outcome, ended, resend::remember};
use crate::domain::{AddressRecord, ApplicationName, KeyedHash, LEAST_LIFE, MailId, MailView, Moment, Refusal, Verification};

/// Asks for a mail that waits, or that failed, to be tried now.
#[derive(Clone, Debug)]
pub struct Retry {
    /// The mail's id.
    pub id: MailId,
    /// Keyed hash of its verification's id.
    pub key: KeyedHash,
    /// Keyed hash of the operation's id.
    pub operation: KeyedHash,
}

/// A mail in a record, whose it is, and how it stands now; none when nothing is known of it any more.
pub fn look(mut record: AddressRecord, key: &KeyedHash, id: &MailId, now: Moment) -> Option<(ApplicationName, MailView)> {
    record.age(now);
    match record.verification(key) {
        Some(verification) => Some((verification.application.clone(), verification.mail_view(id))),
        None => match record.notice(key) {
            Some(notice) => Some((notice.application.clone(), notice.mail_view(id))),
            None => record.tombstone(key)?.failed_mail(id).map(|(application, view)| (application.clone(), view)),
        },
    }
}

/// Makes a waiting mail due, and puts one that failed back into the queue, charged as it was at first. One that is being sent
/// is left alone.
pub fn retry(mut record: AddressRecord, request: &Retry, now: Moment) -> Outcome<Result<MailView, Refusal>> {
    record.age(now);
    if record.notice(&request.key).is_some() {
        return retry_notice(record, request, now);
    }
    if let Some(tombstone) = record.tombstone(&request.key) {
        return Outcome::unchanged(Err(ended(tombstone.status()).unwrap_or(Refusal::Expired)));
    }
    let Some(verification) = record.verification(&request.key) else {
        return Outcome::unchanged(Err(Refusal::NotFound));
    };
    let is_being_sent = verification.message.due_at().is_some() && !verification.message.waits();
    if verification.resends.contains(&request.operation) || is_being_sent {
        return Outcome::unchanged(Ok(verification.mail_view(&request.id)));
    }
    if let Some(refusal) = refused(verification, now) {
        return Outcome::unchanged(Err(refusal));
    }
    let is_to_be_charged = verification.message.is_uncharged();
    if is_to_be_charged && let Err(refusal) = record.take_further_send(&request.key, now) {
        return Outcome::unchanged(Err(refusal));
    }
    let verification = record.verification_mut(&request.key).expect("it was found above");
    if is_to_be_charged {
        verification.message.charge(now);
        verification.sends += 1;
    }
    remember(verification, request.operation);
    verification.message.wait(now);
    let view = verification.mail_view(&request.id);
    Outcome::changed(Ok(view), record, vec![Effect::Enqueue(now), Effect::UnlistFailed])
}

fn refused(verification: &Verification, now: Moment) -> Option<Refusal> {
    let message = &verification.message;
    if let Some(refusal) = ended(verification.status(now)) {
        return Some(refusal);
    }
    if message.was_taken() || message.has_used_its_transmissions() {
        return Some(Refusal::AlreadySent);
    }
    let can_be_sent = message.waits() || message.was_given_up();
    let comes_too_late = verification.expires_at.since(now) < LEAST_LIFE;
    (comes_too_late || !can_be_sent).then_some(Refusal::Expired)
}

/// Nobody is charged for a notice.
fn retry_notice(mut record: AddressRecord, request: &Retry, now: Moment) -> Outcome<Result<MailView, Refusal>> {
    let notice = record.notice_mut(&request.key).expect("`retry` found it");
    let message = &notice.message;
    let is_being_sent = message.due_at().is_some() && !message.waits();
    if is_being_sent {
        return Outcome::unchanged(Ok(notice.mail_view(&request.id)));
    }
    if message.has_used_its_transmissions() {
        return Outcome::unchanged(Err(Refusal::AlreadySent));
    }
    if notice.expires_at.since(now) < LEAST_LIFE {
        return Outcome::unchanged(Err(Refusal::Expired));
    }
    notice.message.wait(now);
    let view = notice.mail_view(&request.id);
    Outcome::changed(Ok(view), record, vec![Effect::Enqueue(now), Effect::UnlistFailed])
}

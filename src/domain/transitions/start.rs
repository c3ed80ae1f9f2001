use std::time::Duration;

use super::{Effect, Outcome};
use crate::domain::{
    AddressRecord, ApplicationName, EmailAddress, End, FirstStep, IdentityNumber, KeyedHash, LeasedMessage, Locale, MessageId,
    Moment, Purpose, QueuedMessage, Refusal, Verification, VerificationId, VerificationView,
};

/// Opens a verification and queues its mail.
#[derive(Clone, Debug)]
pub struct Start {
    /// Its id, which the operation leads to.
    pub id: VerificationId,
    /// Keyed hash of the id.
    pub key: KeyedHash,
    /// Keyed hash of the body.
    pub fingerprint: KeyedHash,
    /// The address's handle.
    pub handle: [u8; 16],
    /// Whose it is.
    pub application: ApplicationName,
    /// To whom.
    pub address: EmailAddress,
    /// Why.
    pub purpose: Purpose,
    /// The mail's language.
    pub locale: Locale,
    /// How long the number holds.
    pub ttl: Duration,
    /// The number, drawn for this start.
    pub number: IdentityNumber,
    /// The key under which the number alone is to lead here. Such a start replaces what is pending at its address.
    pub lookup: Option<KeyedHash>,
    /// Whether a token comes with it.
    pub has_token: bool,
    /// Wrong checks allowed.
    pub wrong_checks: u8,
    /// The mail's `Message-ID`.
    pub message_id: MessageId,
    /// Whether its application is a test one: then no mail is queued, leased or charged.
    pub is_test: bool,
    /// Whether the first lease is wanted.
    pub with_lease: bool,
    /// What came before it, if it is to sign a user in. Where there is none, it looks the same and no mail is sent.
    pub signs_in: Option<FirstStep>,
    /// Why nothing may be opened, if that is so: what all but a repetition is told.
    pub refusal: Option<Refusal>,
}

/// What asking for a mail leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailing {
    /// The verification.
    pub view: VerificationView,
    /// Its mail, leased.
    pub message: Option<Box<LeasedMessage>>,
    /// Whether it had been asked for before, by the same operation.
    pub is_repetition: bool,
}

/// A repetition finds its own verification; else the budgets decide.
pub fn start(mut record: AddressRecord, request: &Start, now: Moment) -> Outcome<Result<Mailing, Refusal>> {
    record.age(now);
    if let Some(found) = find_own(&record, request, now) {
        return Outcome::unchanged(found.map(|view| Mailing { view, message: None, is_repetition: true }));
    }
    if let Some(refusal) = &request.refusal {
        return Outcome::unchanged(Err(refusal.clone()));
    }
    let mut effects = if request.lookup.is_some() { replace_pending(&mut record, now) } else { Vec::new() };
    let taken = if request.is_test { record.take_place(now) } else { record.take_first_send(now) };
    if let Err(refusal) = taken {
        return Outcome::unchanged(Err(refusal));
    }
    let mut verification = open(&record, request, now);
    let view = verification.view(&request.id, record.wrong_checks_left(now), now);
    let message = if request.with_lease { verification.lease_message(request.handle, now).map(Box::new) } else { None };
    effects.extend(verification.message.due_at().map(Effect::Enqueue));
    effects.extend(request.has_token.then_some(Effect::StoreToken(verification.expires_at)));
    effects.extend(request.lookup.map(|number| Effect::StoreNumber(number, verification.expires_at)));
    record.add(verification);
    Outcome::changed(Ok(Mailing { view, message, is_repetition: false }), record, effects)
}

/// Where the number alone identifies, an address has one live number: the newest.
fn replace_pending(record: &mut AddressRecord, now: Moment) -> Vec<Effect> {
    let replaced: Vec<_> = record.pending(now).filter_map(|v| Some((v.key, v.lookup?))).collect();
    let forget = replaced.into_iter().map(|(verification, number)| {
        if let Some(earlier) = record.verification_mut(&verification) {
            earlier.finish(End::Canceled(now));
        }
        record.give_back_unused_send(&verification);
        Effect::Forget { verification, number: Some(number) }
    });
    forget.collect()
}

fn find_own(record: &AddressRecord, request: &Start, now: Moment) -> Option<Result<VerificationView, Refusal>> {
    let (fingerprint, view) = if let Some(found) = record.verification(&request.key) {
        (found.fingerprint, found.view(&request.id, record.wrong_checks_left(now), now))
    } else {
        let tombstone = record.tombstone(&request.key)?;
        (tombstone.fingerprint, tombstone.view(&request.id))
    };
    Some(if fingerprint == request.fingerprint { Ok(view) } else { Err(Refusal::IdempotencyMismatch) })
}

fn open(record: &AddressRecord, request: &Start, now: Moment) -> Verification {
    let user_locale = record.user.as_ref().filter(|_| request.signs_in.is_some()).and_then(|user| user.locale);
    let leads_to_nobody = request.signs_in.is_some() && record.user.is_none();
    let queued = match () {
        () if request.is_test => QueuedMessage::withheld,
        () if leads_to_nobody => QueuedMessage::decoy,
        () => QueuedMessage::new,
    };
    Verification {
        key: request.key,
        fingerprint: request.fingerprint,
        application: request.application.clone(),
        address: request.address.clone(),
        purpose: request.purpose.clone(),
        locale: user_locale.unwrap_or(request.locale),
        started_at: now,
        expires_at: now + request.ttl,
        number: Some(request.number.clone()),
        lookup: request.lookup,
        has_token: request.has_token,
        wrong_checks_left: request.wrong_checks,
        checks: Vec::new(),
        end: None,
        message: queued(request.message_id.clone(), now),
        sends: u8::from(!request.is_test),
        resends: Vec::new(),
        signs_in: request.signs_in,
        is_used: false,
    }
}

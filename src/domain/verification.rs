use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    ApplicationName, Delivery, EmailAddress, ExportedVerification, FirstStep, IdentityNumber, LeasedMessage, Locale, MailId,
    MailView, MessageKey, Moment, Purpose, QueuedMessage, Status, VerificationId, VerificationView,
};

/// A keyed hash, cut to 16 bytes: of an id, a number, an operation or a body.
pub type KeyedHash = [u8; 16];

/// How long the address, the hashes of the numbers presented and the token stay after the end, for repetitions.
pub(super) const REPEATABLE: Duration = Duration::from_secs(60);
/// How long a tombstone stays after the end.
pub(super) const REMEMBERED: Duration = Duration::from_secs(3600);

/// One open question "does this person hold this address?", pending or ended within the last minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// Keyed hash of its id, which itself is kept nowhere.
    pub key: KeyedHash,
    /// Keyed hash of the body that started it.
    pub fingerprint: KeyedHash,
    /// Whose it is.
    pub application: ApplicationName,
    /// To whom, as given.
    pub address: EmailAddress,
    /// Why.
    pub purpose: Purpose,
    /// The mail's language.
    pub locale: Locale,
    /// When it was started.
    pub started_at: Moment,
    /// When its number stops to hold.
    pub expires_at: Moment,
    /// The number, until something else than time ends it.
    pub number: Option<IdentityNumber>,
    /// The key under which the number leads to it, where the number alone identifies.
    pub lookup: Option<KeyedHash>,
    /// Whether a token was deposited with it.
    pub has_token: bool,
    /// Wrong checks that are left to it.
    pub wrong_checks_left: u8,
    /// The checks that were decided, so that a repetition gets the same answer.
    pub checks: Vec<CheckNote>,
    /// Its end, when something else than time ended it.
    pub end: Option<End>,
    /// Its newest mail.
    pub message: QueuedMessage,
    /// Mails charged for it, those that were not sent apart.
    pub sends: u8,
    /// The operations that asked for its mail again, so that a repetition sends none.
    pub resends: Vec<KeyedHash>,
    /// What came before it, if it is the second step of a sign-in, or the only one.
    pub signs_in: Option<FirstStep>,
    /// Whether a password was set by it: that can be done once.
    pub is_used: bool,
}

/// A decided check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckNote {
    /// Keyed hash of the operation's id.
    pub operation: KeyedHash,
    /// Keyed hash of the number presented.
    pub number_hash: KeyedHash,
    /// For a wrong number, the `attempts_remaining` that was answered; none for the right one.
    pub attempts_remaining: Option<u8>,
}

/// How a verification ended, other than by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// Its number was presented.
    Approved(Moment),
    /// Its application called it off.
    Canceled(Moment),
    /// Its wrong checks were used up.
    Exhausted(Moment),
}

impl End {
    fn at(self) -> Moment {
        match self {
            Self::Approved(at) | Self::Canceled(at) | Self::Exhausted(at) => at,
        }
    }
}

impl Verification {
    /// How far it is.
    pub fn status(&self, now: Moment) -> Status {
        match self.end {
            Some(End::Approved(_)) => Status::Approved,
            Some(End::Canceled(_)) => Status::Canceled,
            Some(End::Exhausted(_)) => Status::Exhausted,
            None if now >= self.expires_at => Status::Expired,
            None => Status::Pending,
        }
    }

    /// When it ended or will by time alone.
    pub fn ends_at(&self) -> Moment {
        self.end.map_or(self.expires_at, End::at)
    }

    /// When it was approved.
    pub fn approved_at(&self) -> Option<Moment> {
        match self.end {
            Some(End::Approved(at)) => Some(at),
            _ => None,
        }
    }

    /// Ends it: the number is forgotten, its mail is not sent any more.
    pub fn finish(&mut self, end: End) {
        self.end = Some(end);
        self.number = None;
        self.message.verification_ended();
    }

    /// As its application sees it, `now` being the moment to which its record has aged.
    pub fn view(&self, id: &VerificationId, address_checks_left: u32, now: Moment) -> VerificationView {
        let status = self.status(now);
        let wrong_checks_left = if status == Status::Pending { self.wrong_checks_left } else { 0 };
        VerificationView {
            id: id.clone(),
            status,
            email: Some(self.address.clone()),
            purpose: self.purpose.clone(),
            expires_at: self.expires_at,
            approved_at: self.approved_at(),
            attempts_remaining: least(wrong_checks_left, address_checks_left),
            delivery: Some(self.message.view()),
        }
    }

    /// Leases its mail; none when its number is forgotten, or nobody is to send it.
    pub fn lease_message(&mut self, handle: [u8; 16], now: Moment) -> Option<LeasedMessage> {
        self.message.due_at()?;
        let number = self.number.clone()?;
        let leased_until = self.message.lease(now);
        Some(LeasedMessage {
            key: MessageKey { handle, verification: self.key },
            fence: self.message.fence(),
            tries: self.message.tries(),
            leased_until,
            leased_at: now,
            application: self.application.clone(),
            address: self.address.clone(),
            number: Some(number),
            purpose: self.purpose.clone(),
            locale: self.locale,
            started_at: self.started_at,
            queued_at: self.message.charged_at().unwrap_or(self.started_at),
            expires_at: self.expires_at,
            message_id: self.message.message_id.written(),
            written: None,
        })
    }

    /// What is left of it a minute after its end.
    pub fn tombstone(&self, now: Moment) -> Tombstone {
        Tombstone {
            key: self.key,
            fingerprint: self.fingerprint,
            status: self.status(now).into(),
            purpose: self.purpose.clone(),
            expires_at: self.expires_at,
            ended_at: self.ends_at(),
            is_used: self.is_used,
            failed_mail: self.message.has_failed().then(|| FailedMail {
                application: self.application.clone(),
                created_at: self.message.created_at,
                delivery: self.message.view(),
            }),
        }
    }

    /// What is shown of it with its user.
    pub fn export(&self, now: Moment) -> ExportedVerification {
        ExportedVerification {
            status: self.status(now),
            purpose: self.purpose.clone(),
            started_at: Some(self.started_at),
            expires_at: self.expires_at,
            ends_at: self.ends_at(),
            delivery: Some(self.message.view()),
        }
    }

    /// Its mail as its application sees it.
    pub fn mail_view(&self, id: &MailId) -> MailView {
        MailView {
            id: id.clone(),
            delivery: self.message.view(),
            purpose: self.purpose.clone(),
            masked_address: Some(self.address.masked()),
            created_at: self.message.created_at,
            expires_at: self.expires_at,
        }
    }
}

/// The lesser of what a verification and its address have left.
pub(super) fn least(of_verification: u8, of_address: u32) -> u8 {
    of_verification.min(u8::try_from(of_address).unwrap_or(u8::MAX))
}

/// What is kept of an ended verification for an hour: no address, no number, no token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// Keyed hash of its id.
    pub key: KeyedHash,
    /// Keyed hash of the body that started it.
    pub fingerprint: KeyedHash,
    status: EndedStatus,
    /// Why it was started.
    pub purpose: Purpose,
    expires_at: Moment,
    /// When it ended.
    pub ended_at: Moment,
    /// Whether a password was set by it.
    pub is_used: bool,
    /// Its mail, when that was never sent and somebody may ask why.
    failed_mail: Option<FailedMail>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FailedMail {
    application: ApplicationName,
    created_at: Moment,
    delivery: Delivery,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum EndedStatus {
    Approved,
    Canceled,
    Exhausted,
    Expired,
}

impl From<Status> for EndedStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Approved => Self::Approved,
            Status::Canceled => Self::Canceled,
            Status::Exhausted => Self::Exhausted,
            Status::Expired | Status::Pending => Self::Expired, // a tombstone is made of what has ended, by time at the latest
        }
    }
}

impl Tombstone {
    /// How it ended.
    pub fn status(&self) -> Status {
        match self.status {
            EndedStatus::Approved => Status::Approved,
            EndedStatus::Canceled => Status::Canceled,
            EndedStatus::Exhausted => Status::Exhausted,
            EndedStatus::Expired => Status::Expired,
        }
    }

    /// As its application sees it.
    pub fn view(&self, id: &VerificationId) -> VerificationView {
        VerificationView {
            id: id.clone(),
            status: self.status(),
            email: None,
            purpose: self.purpose.clone(),
            expires_at: self.expires_at,
            approved_at: (self.status == EndedStatus::Approved).then_some(self.ended_at),
            attempts_remaining: 0,
            delivery: None,
        }
    }

    /// What is shown of it with its user.
    pub fn export(&self) -> ExportedVerification {
        ExportedVerification {
            status: self.status(),
            purpose: self.purpose.clone(),
            started_at: None,
            expires_at: self.expires_at,
            ends_at: self.ended_at,
            delivery: None,
        }
    }

    /// Whose its mail is, and the mail as that application sees it; none when it did not fail.
    pub fn failed_mail(&self, id: &MailId) -> Option<(&ApplicationName, MailView)> {
        let FailedMail { application, created_at, delivery } = self.failed_mail.as_ref()?;
        let view = MailView {
            id: id.clone(),
            delivery: delivery.clone(),
            purpose: self.purpose.clone(),
            masked_address: None,
            created_at: *created_at,
            expires_at: self.expires_at,
        };
        Some((application, view))
    }
}

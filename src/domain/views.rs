use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

use super::{
    ApplicationName, Attributes, EmailAddress, IdentityNumber, Locale, MailId, Moment, Purpose, SignedIn, Token, UserId,
    VerificationId,
};

/// How far a verification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Open: its number can be presented.
    Pending,
    /// Its number was presented in time.
    Approved,
    /// Called off by its application.
    Canceled,
    /// Its wrong checks are used up.
    Exhausted,
    /// Its time ran out.
    Expired,
}

/// A verification as its application sees it; never its token or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerificationView {
    /// Its name.
    pub id: VerificationId,
    /// How far it is.
    pub status: Status,
    /// The address as given; none once only the tombstone is left, 60 s after the end.
    pub email: Option<EmailAddress>,
    /// Why it was started.
    pub purpose: Purpose,
    /// When its number stops to hold.
    pub expires_at: Moment,
    /// When it was approved.
    pub approved_at: Option<Moment>,
    /// Wrong checks left: the lesser of the verification's and the address's.
    pub attempts_remaining: u8,
    /// Its newest mail; none once only the tombstone is left.
    pub delivery: Option<Delivery>,
}

/// An approved verification, with what was deposited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Its name.
    pub id: VerificationId,
    /// The address as given.
    pub email: EmailAddress,
    /// Why it was started.
    pub purpose: Purpose,
    /// When its number was presented.
    pub approved_at: Moment,
    /// What was deposited, if anything.
    pub token: Option<Token>,
    /// Who has signed in by it, if it was a sign-in.
    pub signed_in: Option<SignedIn>,
    /// The same, signed: a JWT. The Gateway adds it.
    pub assertion: Option<String>,
}

/// A user as its application sees it; never a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserView {
    /// Its name.
    pub id: UserId,
    /// The address as given.
    pub email: EmailAddress,
    /// What its application keeps of it.
    pub attributes: Attributes,
    /// The language of its mails; none: its application's.
    pub locale: Option<Locale>,
    /// When it was made.
    pub created_at: Moment,
    /// When its attributes or language last changed.
    pub updated_at: Moment,
    /// When a number that was mailed to it was first presented.
    pub verified_at: Option<Moment>,
    /// When its password was set; none: it has none.
    pub password_changed_at: Option<Moment>,
}

/// All that is kept of a user and of its address; never a hash, a number or a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserExport<U = UserView> {
    /// The user.
    pub user: U,
    /// The address's verifications, pending and lately ended, without their ids, which are kept nowhere.
    pub verifications: Vec<ExportedVerification>,
    /// Notices that wait or failed.
    pub notices: Vec<Delivery>,
    /// When each of the last hour's mails to the address was asked for.
    pub mails_asked_at: Vec<Moment>,
    /// Wrong checks that the address has left.
    pub wrong_checks_left: u32,
    /// Sign-ins that may fail before the next ones have to wait.
    pub failed_sign_ins_left: u32,
}

/// A verification in an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedVerification {
    /// How far it is.
    pub status: Status,
    /// Why it was started.
    pub purpose: Purpose,
    /// When it was started; none a minute after its end.
    pub started_at: Option<Moment>,
    /// When its number stops to hold.
    pub expires_at: Moment,
    /// When it ended or will by time alone.
    pub ends_at: Moment,
    /// Its newest mail; none a minute after its end.
    pub delivery: Option<Delivery>,
}

/// How far a mail is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryStatus {
    /// Waits for its first try.
    Queued,
    /// A worker holds its lease.
    Sending,
    /// The SMTP server accepted it.
    Sent,
    /// The dev inbox has it, or, of a test application, nobody: it was kept from being sent.
    Captured,
    /// A try failed; another follows.
    Deferred,
    /// Refused for good, or all tries are used up.
    Failed,
    /// Its number ran out before it could be sent.
    Expired,
    /// Its verification ended before it was sent.
    Dropped,
}

/// A mail as the application sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// How far it is.
    pub status: DeliveryStatus,
    /// Tries so far.
    pub attempts: u32,
    /// The SMTP server's last reply, what went wrong before there was one, or why none is sent; never an address.
    pub last_reply: Option<String>,
    /// When it is tried next; none when it is not.
    pub next_attempt_at: Option<Moment>,
    /// Its `Message-ID`, angle brackets included, the same for all tries.
    pub message_id: String,
}

impl DeliveryStatus {
    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Captured => "captured",
            Self::Deferred => "deferred",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Dropped => "dropped",
        }
    }
}

/// A mail as the application sees it that looks after its mails; never a number or a whole address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailView {
    /// Its name.
    pub id: MailId,
    /// How far it is.
    pub delivery: Delivery,
    /// What it is for.
    pub purpose: Purpose,
    /// To whom, masked; none a minute after its verification's end.
    pub masked_address: Option<String>,
    /// When it was asked for.
    pub created_at: Moment,
    /// When its number stops to hold.
    pub expires_at: Moment,
}

/// Some of an application's mails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailPage {
    /// In the order of the list.
    pub mails: Vec<MailView>,
    /// Where to go on, when there may be more.
    pub next_cursor: Option<String>,
}

/// Where a queued mail stands: the keyed handle of its address, and the keyed hash of its verification's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageKey {
    /// Names the address's record.
    pub handle: [u8; 16],
    /// Names the verification in that record.
    pub verification: [u8; 16],
}

/// A mail, with the right to send it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedMessage {
    /// Where it is queued.
    pub key: MessageKey,
    /// The attempt's number: a settlement with another one changes nothing.
    pub fence: u32,
    /// Tries before this one; a lease that ran out without a word is one, one that was given back is none.
    pub tries: u32,
    /// Until when the lease holds.
    pub leased_until: Moment,
    /// The store's time when the lease was given.
    pub leased_at: Moment,
    /// Whose mail it is.
    pub application: ApplicationName,
    /// To whom, as given.
    pub address: EmailAddress,
    /// The number it carries; none: it is a notice.
    pub number: Option<IdentityNumber>,
    /// Why.
    pub purpose: Purpose,
    /// In which language.
    pub locale: Locale,
    /// When the number was drawn; the mail's `Date`.
    pub started_at: Moment,
    /// When this mail was queued: with the start, or with the newest resend.
    pub queued_at: Moment,
    /// When the number stops to hold.
    pub expires_at: Moment,
    /// Its `Message-ID`, angle brackets included, the same for all tries.
    pub message_id: String,
    /// The record as the lease left it, sealed, for the store alone: who settles soon need not read it first.
    pub written: Option<Vec<u8>>,
}

impl LeasedMessage {
    /// The number that it carries, as text; none: it is a notice.
    pub fn digits(&self) -> Option<&str> {
        self.number.as_ref().map(IdentityNumber::as_str)
    }
}

/// How many mails stand in the store, by state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailCounts {
    /// Those that may be sent at once.
    pub due: u64,
    /// Those that are being sent, or wait for their next try.
    pub later: u64,
    /// Those that failed within the last hour.
    pub failed: u64,
}

/// Mails that were due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claimed {
    /// Those that are to be sent. What was due and is not to be sent any more has been settled by the store.
    pub messages: Vec<LeasedMessage>,
    /// Whether more may be due.
    pub may_be_more: bool,
}

/// What became of one try to send.
#[derive(Clone, Debug, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum MessageOutcome {
    /// The SMTP server accepted it; its reply.
    Sent(String),
    /// The dev inbox took it.
    Captured,
    /// It was not accepted, and may be later; why. `maybe_accepted` when the server had all of it and its answer is unknown.
    Deferred {
        /// The server's reply, or what went wrong; never an address.
        reply: String,
        /// Whether the server may have accepted it all the same.
        maybe_accepted: bool,
    },
    /// The server refused it for good; its reply.
    Refused(String),
    /// It was not tried, because no mail server could be: it stays due, and the try does not count. What applications may know of
    /// it.
    Held(String),
    /// It was not tried: the right to send is given back.
    Returned,
}

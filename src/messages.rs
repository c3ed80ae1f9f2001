//! Every message between actors, grouped by receiver. Each says who sends it, what the reply promises and
//! what a lost reply means. Who may ask what is drawn in `actors.md`.

use actix::prelude::*;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::domain::{
    ApplicationName, Approval, Attributes, Charge, Claimed, DeliveryStatus, EmailAddress, FirstStep, IdentityNumber,
    LeasedMessage, Locale, MailCounts, MailId, MailPage, MailView, MessageKey, MessageOutcome, Moment, OperationId, PasswordHash,
    PasswordProof, Purpose, Refusal, SignedIn, Token, UserAt, UserExport, UserId, UserView, VerificationId, VerificationView,
};

/// Why a request was not fulfilled.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Failure {
    /// The rules refuse it; the answer is final for this request as it stands.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// What is needed to answer is down or did not answer in time. Whether it happened is unknown: asking again
    /// with the same operation is safe.
    #[error("unavailable")]
    Unavailable,
    /// Too much at once; it did not happen.
    #[error("overloaded")]
    Overloaded,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

// ---------------------------------------------------------------- to the Gateway

/// HTTP or in process -> Gateway. `Ok` means that the verification and its queued mail are stored.
/// A lost reply means unknown: asking again with the same `operation` and body finds the same verification.
#[derive(Clone, Message)]
#[rtype(result = "Result<VerificationView, Failure>")]
pub struct StartVerification {
    /// Who asks.
    pub application: ApplicationName,
    /// The address to be confirmed, as the person gave it: at most 254 bytes, nothing but `local@domain`.
    pub email: String,
    /// What is to be given back once; at most 8 KiB.
    pub token: Option<Token>,
    /// Why; none: `sign-in`.
    pub purpose: Option<String>,
    /// The mail's language, a tag such as `es-MX`; none: the application's.
    pub locale: Option<String>,
    /// How long the number holds, in seconds: 60 to 600, to 86,400 for `confirm-address`, or as the application
    /// limits its purpose; none: what it says for its purpose, else for all.
    pub ttl_seconds: Option<u64>,
    /// The end user's IP address, as the application saw it.
    pub context_ip: Option<String>,
    /// Names this attempt.
    pub operation: OperationId,
}

impl StartVerification {
    /// A start for `email` and nothing else.
    pub fn new(application: ApplicationName, email: String, operation: OperationId) -> Self {
        Self { application, email, token: None, purpose: None, locale: None, ttl_seconds: None, context_ip: None, operation }
    }
}

/// HTTP or in process -> Gateway. The verification as it stands now. Changes nothing.
#[derive(Clone, Message)]
#[rtype(result = "Result<VerificationView, Failure>")]
pub struct ReadVerification {
    /// Who asks.
    pub application: ApplicationName,
    /// The verification's id.
    pub id: String,
}

/// HTTP or in process -> Gateway. `Ok` is given once: the verification is approved and its token released.
/// A wrong number is charged before it is answered. A lost reply means unknown: asking again with the same
/// `operation` within 60 s gives the same answer and charges nothing.
#[derive(Clone, Message)]
#[rtype(result = "Result<Approval, Failure>")]
pub struct CheckNumber {
    /// Who asks.
    pub application: ApplicationName,
    /// The verification's id.
    pub id: String,
    /// What the person typed: digits, with spaces and dashes as they like.
    pub number: Zeroizing<String>,
    /// Names this attempt.
    pub operation: OperationId,
}

/// HTTP or in process -> Gateway. As [`CheckNumber`], for applications whose numbers identify by themselves. A number that
/// leads nowhere is charged to the application's budget of misses before it is answered.
#[derive(Clone, Message)]
#[rtype(result = "Result<Approval, Failure>")]
pub struct CheckByNumber {
    /// Who asks.
    pub application: ApplicationName,
    /// What the person typed: digits, with spaces and dashes as they like.
    pub number: Zeroizing<String>,
    /// Names this attempt.
    pub operation: OperationId,
}

/// HTTP or in process -> Gateway. `Ok` means that the same number is queued in another mail, or is still on its way in the
/// one before. A lost reply means unknown: asking again with the same `operation` sends no further mail.
#[derive(Clone, Message)]
#[rtype(result = "Result<VerificationView, Failure>")]
pub struct ResendVerification {
    /// Who asks.
    pub application: ApplicationName,
    /// The verification's id.
    pub id: String,
    /// Names this attempt.
    pub operation: OperationId,
}

/// HTTP or in process -> Gateway. `Ok` means that its number no longer works; also when it had ended before.
/// Asking again is safe.
#[derive(Clone, Message)]
#[rtype(result = "Result<(), Failure>")]
pub struct CancelVerification {
    /// Who asks.
    pub application: ApplicationName,
    /// The verification's id.
    pub id: String,
}

/// HTTP or in process -> Gateway. A page of the application's mails that wait, are being sent, failed or expired: those of the
/// queue first, due first; then the others, newest first. A page may have less than `limit`, and still a cursor. Changes nothing.
#[derive(Clone, Message)]
#[rtype(result = "Result<MailPage, Failure>")]
pub struct ListMails {
    /// Who asks.
    pub application: ApplicationName,
    /// How far they are: `queued`, `sending`, `deferred`, `failed` or `expired`; none: all of these.
    pub status: Option<String>,
    /// How many at most, 1 to 100; none: 50.
    pub limit: Option<u64>,
    /// Where the page before it ended.
    pub cursor: Option<String>,
}

/// HTTP or in process -> Gateway. How the mail of a verification stands, as long as that lasts and, when it failed, for an hour
/// more. Changes nothing.
#[derive(Clone, Message)]
#[rtype(result = "Result<MailView, Failure>")]
pub struct ReadMail {
    /// Who asks.
    pub application: ApplicationName,
    /// The mail's id.
    pub id: String,
}

/// HTTP or in process -> Gateway. `Ok` means that the mail is due now, or being sent; one that had failed is in the queue again.
/// A lost reply means unknown: asking again with the same `operation` puts it back no further time.
#[derive(Clone, Message)]
#[rtype(result = "Result<MailView, Failure>")]
pub struct RetryMail {
    /// Who asks.
    pub application: ApplicationName,
    /// The mail's id.
    pub id: String,
    /// Names this attempt.
    pub operation: OperationId,
}

/// HTTP or in process -> Gateway. `Ok` means that the user is kept, and the verification of its address, if one is wanted, is
/// started. A lost reply means unknown: asking again with the same `operation` and body finds the same user.
#[derive(Clone, Message)]
#[rtype(result = "Result<CreatedUser, Failure>")]
pub struct CreateUser {
    /// Who asks.
    pub application: ApplicationName,
    /// Its address, as the person gave it.
    pub email: String,
    /// Its password, 8 to 256 characters; none: it signs in by number alone.
    pub password: Option<Zeroizing<String>>,
    /// What is to be kept of it: a JSON object's text, at most 4 KiB; none: `{}`.
    pub attributes: Option<String>,
    /// The language of its mails, a tag such as `es-MX`; none: the application's.
    pub locale: Option<String>,
    /// Whether its address is to be verified now, by a number with the purpose `confirm-address`.
    pub is_verified: bool,
    /// Names this attempt.
    pub operation: OperationId,
}

/// A user that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedUser {
    /// As it stands.
    pub user: UserView,
    /// The verification of its address, if one is wanted.
    pub verification: Option<VerificationView>,
}

/// HTTP or in process -> Gateway. A user as it stands now. Changes nothing.
#[derive(Clone, Message)]
#[rtype(result = "Result<UserView, Failure>")]
pub struct ReadUser {
    /// Who asks.
    pub application: ApplicationName,
    /// The user's id.
    pub id: String,
}

/// HTTP or in process -> Gateway. The user who has this address. Changes nothing.
#[derive(Clone, Message)]
#[rtype(result = "Result<UserView, Failure>")]
pub struct FindUser {
    /// Who asks.
    pub application: ApplicationName,
    /// The address.
    pub email: String,
}

/// HTTP or in process -> Gateway. `Ok` means that it is changed so. Asking again is safe.
#[derive(Clone, Message)]
#[rtype(result = "Result<UserView, Failure>")]
pub struct UpdateUser {
    /// Who asks.
    pub application: ApplicationName,
    /// The user's id.
    pub id: String,
    /// All its attributes from now on; none: as they are.
    pub attributes: Option<String>,
    /// Its language, or none of its own; none: as it is.
    pub locale: Option<Option<String>>,
}

/// HTTP or in process -> Gateway. `Ok` means that nothing is kept of the user and its address but its budgets. Asking again is
/// safe, and finds nothing.
#[derive(Clone, Message)]
#[rtype(result = "Result<(), Failure>")]
pub struct DeleteUser {
    /// Who asks.
    pub application: ApplicationName,
    /// The user's id.
    pub id: String,
}

/// HTTP or in process -> Gateway. All that is kept of a user, but for hashes. Changes nothing.
#[derive(Clone, Message)]
#[rtype(result = "Result<UserExport, Failure>")]
pub struct ExportUser {
    /// Who asks.
    pub application: ApplicationName,
    /// The user's id.
    pub id: String,
}

/// HTTP or in process -> Gateway. `Ok` means that the new password holds, and that a mail will tell the user. A lost reply means
/// unknown: a sign-in tells.
#[derive(Clone, Message)]
#[rtype(result = "Result<(), Failure>")]
pub struct SetPassword {
    /// Who asks.
    pub application: ApplicationName,
    /// The user's id.
    pub id: String,
    /// The new one, 8 to 256 characters.
    pub password: Zeroizing<String>,
    /// What proves that it may be set.
    pub proof: PresentedProof,
    /// Names this attempt.
    pub operation: OperationId,
}

/// What proves that a password may be set.
#[derive(Clone)]
pub enum PresentedProof {
    /// The old one.
    OldPassword(Zeroizing<String>),
    /// The id of a verification with the purpose `reset-password`, approved within the last ten minutes and not used so before.
    Verification(String),
}

/// HTTP or in process -> Gateway. `Ok` means that it was the right password. An unknown address, a wrong password and one that may
/// not be tried at present get the same refusal after the same work. A lost reply means unknown: asking again is safe.
#[derive(Clone, Message)]
#[rtype(result = "Result<SignInAnswer, Failure>")]
pub struct SignIn {
    /// Who asks.
    pub application: ApplicationName,
    /// Who signs in.
    pub email: String,
    /// The password.
    pub password: Zeroizing<String>,
    /// The end user's IP address, as the application saw it.
    pub context_ip: Option<String>,
    /// Names this attempt.
    pub operation: OperationId,
}

/// What follows the right password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignInAnswer {
    /// Nothing: the user is signed in.
    SignedIn(UserSignedIn),
    /// A number, on its way; presenting it signs the user in.
    NumberSent(VerificationView),
}

/// A user who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSignedIn {
    /// What is known of it.
    pub signed_in: SignedIn,
    /// The same, signed: a JWT.
    pub assertion: String,
}

/// HTTP or in process -> Gateway. `Ok` is given whether the application has such a user or not; if it has, a number is on its way,
/// and presenting it signs the user in. A lost reply means unknown: as [`StartVerification`].
#[derive(Clone, Message)]
#[rtype(result = "Result<VerificationView, Failure>")]
pub struct SignInByNumber {
    /// Who asks.
    pub application: ApplicationName,
    /// Who signs in.
    pub email: String,
    /// The end user's IP address, as the application saw it.
    pub context_ip: Option<String>,
    /// Names this attempt.
    pub operation: OperationId,
}

/// HTTP -> Gateway. Which parts are not up, or not as they should be, and why; empty when all are.
#[derive(Message)]
#[rtype(result = "Result<Vec<NotReady>, Failure>")]
pub struct AskReadiness;

/// A part that is not up, or not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    /// `store` or `mail`.
    pub part: &'static str,
    /// Why, for the operator; no secret and no address.
    pub reason: String,
    /// Whether the work goes on without it: another mail server takes the mails. Then it is an alarm and no more.
    pub is_covered: bool,
}

// ---------------------------------------------------------------- to the store (RedisStore or EmbeddedStore)

/// Gateway -> store. `Ok` means that the verification and its queued mail are stored.
/// A lost reply means unknown: asking again with the same `operation` finds the same verification.
#[derive(Clone, Message)]
#[rtype(result = "Result<Opened, Failure>")]
pub struct OpenVerification {
    /// Whose it is.
    pub application: ApplicationName,
    /// The address.
    pub address: EmailAddress,
    /// What is deposited.
    pub token: Option<Token>,
    /// Why.
    pub purpose: Purpose,
    /// The mail's language.
    pub locale: Locale,
    /// How long the number holds, in seconds.
    pub ttl_seconds: u32,
    /// The number's digits.
    pub digits: u8,
    /// Wrong checks allowed.
    pub wrong_checks: u8,
    /// The domain of the mail's `Message-ID`.
    pub mail_domain: String,
    /// What the caller sent beyond what stands here, for telling another body under the same operation: the end user's IP.
    pub context_ip: Option<String>,
    /// Whether the number alone is to lead to it.
    pub is_found_by_number: bool,
    /// Whether its application is a test one: its number is zeros, and no mail is queued.
    pub is_test: bool,
    /// Whether the Mailer has room: then the first lease comes with the reply.
    pub with_lease: bool,
    /// What came before it, if it is to sign a user in; where there is none, it looks the same and no mail is sent.
    pub signs_in: Option<FirstStep>,
    /// Why nothing may be opened, if that is so: what all but a repetition is told.
    pub refusal: Option<Refusal>,
    /// Names this attempt.
    pub operation: OperationId,
}

/// A stored verification, or one whose mail is queued again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// As it stands.
    pub verification: VerificationView,
    /// Its mail with the first lease; none when there was no room for it or the operation is a repetition.
    pub message: Option<Box<LeasedMessage>>,
    /// Whether it had been asked for before, by the same operation.
    pub is_repetition: bool,
}

/// Gateway -> store. `Ok` means that its mail is queued again, or still on its way. A lost reply means unknown: the same
/// `operation` queues no further mail.
#[derive(Clone, Message)]
#[rtype(result = "Result<Opened, Failure>")]
pub struct ResendMail {
    /// Whose it is.
    pub application: ApplicationName,
    /// Which.
    pub id: VerificationId,
    /// The domain of the mail's `Message-ID`.
    pub mail_domain: String,
    /// Whether the Mailer has room: then the first lease comes with the reply.
    pub with_lease: bool,
    /// Names this attempt.
    pub operation: OperationId,
}

/// Gateway -> store. The verification as it stands now. Changes nothing.
#[derive(Clone, Message)]
#[rtype(result = "Result<VerificationView, Failure>")]
pub struct LookUpVerification {
    /// Whose it is.
    pub application: ApplicationName,
    /// Which.
    pub id: VerificationId,
}

/// Gateway -> store. Decides a presented number; what it changes is stored before the reply.
/// A lost reply means unknown: the same `operation` within 60 s gets the same answer.
#[derive(Clone, Message)]
#[rtype(result = "Result<Approval, Failure>")]
pub struct DecideCheck {
    /// Whose it is.
    pub application: ApplicationName,
    /// Which.
    pub id: VerificationId,
    /// What was presented.
    pub number: IdentityNumber,
    /// Whether its application is a test one: no other's verifications are opened by zeros.
    pub is_test: bool,
    /// Names this attempt.
    pub operation: OperationId,
}

/// Gateway -> store. As [`DecideCheck`], of whichever verification the number alone leads to; a miss is charged to the
/// application before the reply.
#[derive(Clone, Message)]
#[rtype(result = "Result<Approval, Failure>")]
pub struct DecideByNumber {
    /// Whose it is.
    pub application: ApplicationName,
    /// What was presented.
    pub number: IdentityNumber,
    /// Names this attempt.
    pub operation: OperationId,
}

/// Gateway -> store. Takes one start from each of these budgets, before the start that it is for: from the first one first, and
/// from none when one is spent. A lost reply may have charged what is never given back; it comes back by itself.
#[derive(Clone, Message)]
#[rtype(result = "Result<(), Failure>")]
pub struct ChargeStart {
    /// Whose budgets.
    pub application: ApplicationName,
    /// Which.
    pub charges: Vec<Charge>,
}

/// Gateway -> store. Gives them back, because the start was refused or a repetition. A lost reply changes little: they come
/// back by themselves.
#[derive(Clone, Message)]
#[rtype(result = "Result<(), Failure>")]
pub struct RefundStart {
    /// Whose budgets.
    pub application: ApplicationName,
    /// Which.
    pub charges: Vec<Charge>,
}

/// Gateway -> store. Ends a pending verification; nothing when it has ended. Asking again is safe.
#[derive(Clone, Message)]
#[rtype(result = "Result<(), Failure>")]
pub struct EndVerification {
    /// Whose it is.
    pub application: ApplicationName,
    /// Which.
    pub id: VerificationId,
}

/// Gateway -> store. A page of the application's mails. Changes nothing.
#[derive(Clone, Message)]
#[rtype(result = "Result<MailPage, Failure>")]
pub struct FindMails {
    /// Whose.
    pub application: ApplicationName,
    /// How far they are; none: all that are listed.
    pub status: Option<DeliveryStatus>,
    /// How many at most.
    pub limit: usize,
    /// Where the page before it ended.
    pub cursor: Option<String>,
}

/// Gateway -> store. How a mail stands. Changes nothing.
#[derive(Clone, Message)]
#[rtype(result = "Result<MailView, Failure>")]
pub struct LookUpMail {
    /// Whose it is.
    pub application: ApplicationName,
    /// Which.
    pub id: MailId,
}

/// Gateway -> store. `Ok` means that the mail is due now, or being sent. A lost reply means unknown: the same `operation` puts it
/// back no further time.
#[derive(Clone, Message)]
#[rtype(result = "Result<MailView, Failure>")]
pub struct RequeueMail {
    /// Whose it is.
    pub application: ApplicationName,
    /// Which.
    pub id: MailId,
    /// Names this attempt.
    pub operation: OperationId,
}

/// Gateway -> store. `Ok` means that the user is kept, and its verification stored. A lost reply means unknown: the same
/// `operation` finds the same user.
#[derive(Clone, Message)]
#[rtype(result = "Result<KeptUser, Failure>")]
pub struct KeepUser {
    /// Whose it is.
    pub application: ApplicationName,
    /// Its address.
    pub address: EmailAddress,
    /// What its application keeps of it.
    pub attributes: Attributes,
    /// The language of its mails; none: its application's.
    pub locale: Option<Locale>,
    /// Its password's hash.
    pub password: Option<PasswordHash>,
    /// The verification of its address.
    pub verification: Option<Box<OpenVerification>>,
    /// Names this attempt.
    pub operation: OperationId,
}

/// A user that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptUser {
    /// As it stands.
    pub user: UserView,
    /// The verification of its address.
    pub opened: Option<Opened>,
    /// Whether it had been asked for before, by the same operation.
    pub is_repetition: bool,
}

/// Gateway -> store. A user as it stands now. Changes nothing.
#[derive(Clone, Message)]
#[rtype(result = "Result<UserView, Failure>")]
pub struct LookUpUser {
    /// Whose it is.
    pub application: ApplicationName,
    /// Which.
    pub user: UserAt,
}

/// Gateway -> store. What a new password of a user has to do with. Changes nothing.
#[derive(Clone, Message)]
#[rtype(result = "Result<PasswordPlace, Failure>")]
pub struct LookUpPassword {
    /// Whose it is.
    pub application: ApplicationName,
    /// Which user.
    pub id: UserId,
    /// Names the attempt to set it.
    pub operation: OperationId,
}

/// Where a new password goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordPlace {
    /// Who is to have it.
    pub address: EmailAddress,
    /// The hash of the password that is kept, if this attempt has set it: it is a repetition.
    pub set_before: Option<PasswordHash>,
}

/// Gateway -> store. `Ok` means that it is changed so. Asking again is safe.
#[derive(Clone, Message)]
#[rtype(result = "Result<UserView, Failure>")]
pub struct ReviseUser {
    /// Whose it is.
    pub application: ApplicationName,
    /// Which.
    pub id: UserId,
    /// All its attributes from now on; none: as they are.
    pub attributes: Option<Attributes>,
    /// Its language, or none of its own; none: as it is.
    pub locale: Option<Option<Locale>>,
}

/// Gateway -> store. `Ok` means that nothing is kept of it but its address's budgets. Asking again finds nothing.
#[derive(Clone, Message)]
#[rtype(result = "Result<(), Failure>")]
pub struct ForgetUser {
    /// Whose it is.
    pub application: ApplicationName,
    /// Which.
    pub id: UserId,
}

/// Gateway -> store. All that is kept of a user. Changes nothing.
#[derive(Clone, Message)]
#[rtype(result = "Result<UserExport, Failure>")]
pub struct GatherUser {
    /// Whose it is.
    pub application: ApplicationName,
    /// Which.
    pub id: UserId,
}

/// Gateway -> store. Charges a presented password to its address before it is compared, whether there is such a user or not. A
/// lost reply may have charged what comes back by itself.
#[derive(Clone, Message)]
#[rtype(result = "Result<Option<Credentials>, Failure>")]
pub struct BeginSignIn {
    /// Whose it is.
    pub application: ApplicationName,
    /// Who.
    pub user: UserAt,
}

/// What a presented password is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Whose.
    pub id: UserId,
    /// Its hash.
    pub hash: PasswordHash,
}

/// Gateway -> store. It was the right password: gives back what it was charged, and starts the second step. A lost reply means
/// unknown: the same `operation` of the second step finds the same verification.
#[derive(Clone, Message)]
#[rtype(result = "Result<FinishedSignIn, Failure>")]
pub struct FinishSignIn {
    /// Whose it is.
    pub application: ApplicationName,
    /// Who.
    pub id: UserId,
    /// What the password was compared with.
    pub hash: PasswordHash,
    /// Its hash under today's parameters, where they were raised.
    pub rehashed: Option<PasswordHash>,
    /// The number that is to follow.
    pub second_step: Option<Box<OpenVerification>>,
}

/// A sign-in whose password was right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedSignIn {
    /// Who signed in.
    pub signed_in: SignedIn,
    /// The number that is to follow, on its way.
    pub opened: Option<Opened>,
}

/// Gateway -> store. `Ok` means that the password is set and a mail that says so is queued. A lost reply means unknown: the same
/// operation finds it set, and does nothing more.
#[derive(Clone, Message)]
#[rtype(result = "Result<(), Failure>")]
pub struct ReplacePassword {
    /// Whose it is.
    pub application: ApplicationName,
    /// Which user.
    pub id: UserId,
    /// Why it may be set.
    pub proof: PasswordProof,
    /// The new one's hash.
    pub hash: PasswordHash,
    /// The domain of the notice's `Message-ID`.
    pub mail_domain: String,
    /// The notice's language where the user has none.
    pub locale: Locale,
    /// Whether its application is a test one.
    pub is_test: bool,
    /// Names this attempt.
    pub operation: OperationId,
}

/// Mailer -> store. At most `limit` due mails, each with a lease. A lost reply lets the leases run out.
#[derive(Clone, Copy, Message)]
#[rtype(result = "Result<Claimed, Failure>")]
pub struct ClaimMessages {
    /// How many there is room for.
    pub limit: usize,
}

/// Mailer -> store. What became of a try. A settlement whose fence is not the newest changes nothing, so asking
/// again is safe.
#[derive(Clone, Message)]
#[rtype(result = "Result<(), Failure>")]
pub struct SettleMessage {
    /// Which mail.
    pub key: MessageKey,
    /// The lease's attempt.
    pub fence: u32,
    /// What became of it.
    pub outcome: MessageOutcome,
    /// The record as the lease left it; without it the store has to read first.
    pub written: Option<Vec<u8>>,
}

/// app -> store. How many mails stand in the queue, by state. A lost reply means nothing: asking again is safe.
#[derive(Clone, Copy, Message)]
#[rtype(result = "Result<MailCounts, Failure>")]
pub struct CountMails;

/// Gateway -> store. Whether the store answers, and if not, why.
#[derive(Clone, Copy, Message)]
#[rtype(result = "Result<Option<NotReady>, Failure>")]
pub struct AskStoreReadiness;

// ---------------------------------------------------------------- to the Mailer

/// Gateway -> Mailer. A stored mail with its first lease. The reply comes when the Mailer is done with it, one way
/// or the other, and gives back the room it took. Lost: the lease runs out and the mail is claimed again.
#[derive(Message)]
#[rtype(result = "Result<(), Failure>")]
pub struct MailQueued {
    /// The mail.
    pub message: Box<LeasedMessage>,
}

/// Gateway -> Mailer. The mail servers that take no mails, and why.
#[derive(Clone, Copy, Message)]
#[rtype(result = "Result<Vec<NotReady>, Failure>")]
pub struct AskMailReadiness;

/// app -> Mailer. Takes nothing more, gives back what it has not begun, finishes what it has, and answers when nothing is
/// in hand. There is no way back. Asking again is safe.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<(), Failure>")]
pub struct Drain;

/// HTTP or in process -> Mailer. The mails in the dev inbox to `to` (all when none), newest first. With `wait_seconds` it
/// waits so long for the first. `Unavailable` when mails go to an SMTP server.
#[derive(Clone, Message)]
#[rtype(result = "Result<Vec<CapturedMail>, Failure>")]
pub struct ReadInbox {
    /// The recipient, compared as addresses are.
    pub to: Option<String>,
    /// How long to wait for a mail when there is none, in seconds: at most 30.
    pub wait_seconds: u64,
}

/// A mail in the dev inbox.
#[derive(Clone, PartialEq, Eq)]
pub struct CapturedMail {
    /// Its `Message-ID`.
    pub id: String,
    /// To whom.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// Its text part.
    pub text: String,
    /// Its HTML part.
    pub html: String,
    /// When it was captured.
    pub received_at: Moment,
}

// ---------------------------------------------------------------- to every actor

/// app -> every actor, without a permit and without a dependency: `Ok` means it takes messages.
#[derive(Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Probe;

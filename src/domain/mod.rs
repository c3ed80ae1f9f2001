//! The rules, pure: no async, no I/O, no clock. Every operation on an address is a transition of its
//! [`AddressRecord`]: (record, request, now) to (answer, new record, effects).

mod access;
mod address_record;
mod application;
mod budget;
mod email_address;
mod end_user_ip;
mod identity_number;
mod locale;
mod moment;
mod names;
mod notice;
mod queued_message;
mod refusal;
mod signed_in;
mod token;
pub mod transitions;
mod user;
mod verification;
mod views;

pub use access::{ApiKeyGrant, Denied, KeyLabel, Presented, Principal, Scope, ScopeError, authenticate};
pub use address_record::AddressRecord;
pub use application::{Application, Applications, Limits, Lookup, SecondStep, TtlError, TtlLimits};
pub use budget::{Allowance, Budget, Charge, NUMBER_MISSES, Quota, TokenBucket};
pub use email_address::{AddressError, EmailAddress};
pub use end_user_ip::{EndUserIp, IpError};
pub use identity_number::{IdentityNumber, NumberError};
pub use locale::{Locale, LocaleError};
pub use moment::Moment;
pub use names::{ApplicationName, MailId, MessageId, NameError, OperationId, Purpose, UserId, VerificationId};
pub use notice::Notice;
pub use queued_message::{LEASE, LEAST_LIFE, QueuedMessage};
pub use refusal::Refusal;
pub use signed_in::{SignInMethod, SignedIn};
pub use token::Token;
pub use user::{Attributes, AttributesError, FirstStep, Password, PasswordHash, PasswordProof, User, UserAt};
pub use verification::{CheckNote, End, KeyedHash, Tombstone, Verification};
pub use views::{
    Approval, Claimed, Delivery, DeliveryStatus, ExportedVerification, LeasedMessage, MailCounts, MailPage, MailView, MessageKey,
    MessageOutcome, Status, UserExport, UserView, VerificationView,
};

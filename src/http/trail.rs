//! What becomes known of a request while it is answered, for the audit log's line about it.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;

use crate::{
    audit::{AuditLog, Entry},
    domain::{
        ApplicationName, Approval, Denied, EmailAddress, KeyLabel, MailView, Principal, Purpose, Scope, UserView,
        VerificationView,
    },
};

/// What a call does, as the audit log names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Start,
    Read,
    Check,
    Resend,
    Cancel,
    ListMails,
    ReadMail,
    RetryMail,
    CreateUser,
    ReadUser,
    UpdateUser,
    DeleteUser,
    ExportUser,
    SetPassword,
    SignIn,
    SignInByNumber,
    LookAtSystem,
}

impl Action {
    fn event(self) -> &'static str {
        match self {
            Self::Start => "verification.start",
            Self::Read => "verification.read",
            Self::Check => "verification.check",
            Self::Resend => "verification.resend",
            Self::Cancel => "verification.cancel",
            Self::ListMails => "messages.list",
            Self::ReadMail => "message.read",
            Self::RetryMail => "message.retry",
            Self::CreateUser => "user.create",
            Self::ReadUser => "user.read",
            Self::UpdateUser => "user.update",
            Self::DeleteUser => "user.delete",
            Self::ExportUser => "user.export",
            Self::SetPassword => "user.password",
            Self::SignIn => "sign-in",
            Self::SignInByNumber => "sign-in.number",
            Self::LookAtSystem => "system.read",
        }
    }

    /// What a key needs for it.
    pub fn scope(self) -> Scope {
        match self {
            Self::Start | Self::Resend | Self::Cancel => Scope::StartVerifications,
            Self::Check => Scope::CheckNumbers,
            Self::Read => Scope::ReadVerifications,
            Self::ListMails | Self::ReadMail | Self::RetryMail => Scope::Messages,
            Self::CreateUser
            | Self::ReadUser
            | Self::UpdateUser
            | Self::DeleteUser
            | Self::ExportUser
            | Self::SetPassword
            | Self::SignIn
            | Self::SignInByNumber => Scope::Users,
            Self::LookAtSystem => Scope::Admin,
        }
    }
}

/// Shared by the front, which makes and writes it, and the handler, which fills it in. Empty when nobody keeps an audit log.
#[derive(Clone)]
pub(super) struct Trail(Option<Arc<Mutex<Noted>>>);

#[derive(Default)]
struct Noted {
    action: Option<Action>,
    reason: Option<&'static str>,
    application: Option<ApplicationName>,
    key: Option<KeyLabel>,
    id: Option<String>,
    user: Option<String>,
    address: Option<String>,
    purpose: Option<Purpose>,
}

/// The line about a request. It is written when this is dropped: a client that goes away before its answer leaves one, too,
/// for what it asked for may have been done.
pub(super) struct Line {
    log: AuditLog,
    trail: Trail,
    request_id: Uuid,
    client: IpAddr,
    /// The status, and the problem's code when it is one; none: it was not answered.
    answered: Option<(u16, Option<&'static str>)>,
}

/// Why there is no status.
const CLIENT_GONE: &str = "client-gone";

impl Line {
    pub fn begin(log: AuditLog, trail: Trail, request_id: Uuid, client: IpAddr) -> Self {
        Self { log, trail, request_id, client, answered: None }
    }

    pub fn answered(mut self, status: u16, code: Option<&'static str>) {
        self.answered = Some((status, code));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let Some(noted) = self.trail.0.as_ref().map(lock) else { return };
        let Some(action) = noted.action else { return };
        self.log.append(&Entry {
            event: action.event(),
            status: self.answered.map(|(status, _)| status),
            code: self.answered.and_then(|(_, code)| code),
            reason: noted.reason.or(self.answered.is_none().then_some(CLIENT_GONE)),
            application: noted.application.as_ref(),
            key: noted.key,
            client: Some(self.client),
            request_id: Some(self.request_id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer())),
            verification: noted.id.as_deref().and_then(|id| self.log.hash_of(id)),
            user: noted.user.as_deref().and_then(|id| self.log.hash_of(id)),
            address: noted.address.as_deref(),
            purpose: noted.purpose.as_ref(),
            ..Entry::default()
        });
    }
}

impl Trail {
    pub fn begin(log: &AuditLog) -> Self {
        Self(log.is_on().then(Arc::default))
    }

    /// What was called; calls of which this is not said are not written down.
    pub fn action(&self, action: Action) {
        self.note(|noted| noted.action = Some(action));
    }

    pub fn principal(&self, Principal { application, key, .. }: &Principal) {
        self.note(|noted| {
            noted.application = Some(application.clone());
            noted.key = Some(*key);
        });
    }

    /// In whose name, where no key is asked for.
    pub fn application(&self, application: &ApplicationName) {
        self.note(|noted| noted.application = Some(application.clone()));
    }

    pub fn denied(&self, denied: &Denied) {
        let (reason, principal) = match denied {
            Denied::Unknown => ("key-unknown", None),
            Denied::Expired(principal) => ("key-expired", Some(principal)),
            Denied::NotFromThere(principal) => ("key-not-from-there", Some(principal)),
            Denied::ScopeMissing(principal, _) => ("scope-missing", Some(principal)),
        };
        self.note(|noted| noted.reason = Some(reason));
        if let Some(principal) = principal {
            self.principal(principal);
        }
    }

    pub fn verification(&self, id: &str) {
        self.note(|noted| noted.id = Some(id.to_owned()));
    }

    pub fn user(&self, id: &str) {
        self.note(|noted| noted.user = Some(id.to_owned()));
    }

    pub fn user_view(&self, view: &UserView) {
        self.note(|noted| {
            noted.user = Some(view.id.as_str().to_owned());
            noted.address = Some(view.email.masked());
        });
    }

    /// Nothing when it is no address.
    pub fn email(&self, email: &str) {
        self.note(|noted| noted.address = EmailAddress::parse(email).ok().map(|address| address.masked()));
    }

    pub fn view(&self, view: &VerificationView) {
        self.note(|noted| {
            noted.id = Some(view.id.as_str().to_owned());
            noted.address = view.email.as_ref().map(EmailAddress::masked);
            noted.purpose = Some(view.purpose.clone());
        });
    }

    pub fn mail(&self, view: &MailView) {
        self.note(|noted| {
            noted.address.clone_from(&view.masked_address);
            noted.purpose = Some(view.purpose.clone());
        });
    }

    pub fn approval(&self, approval: &Approval) {
        self.note(|noted| {
            noted.id = Some(approval.id.as_str().to_owned());
            noted.address = Some(approval.email.masked());
            noted.purpose = Some(approval.purpose.clone());
            noted.user = approval.signed_in.as_ref().map(|signed_in| signed_in.subject.clone());
        });
    }

    fn note(&self, change: impl FnOnce(&mut Noted)) {
        if let Some(noted) = &self.0 {
            change(&mut lock(noted));
        }
    }
}

/// Only one at a time holds it, and none while it waits.
fn lock(noted: &Arc<Mutex<Noted>>) -> MutexGuard<'_, Noted> {
    noted.lock().unwrap_or_else(PoisonError::into_inner)
}

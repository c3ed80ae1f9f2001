//! A Gateway (and dev inbox) that answers as its script says and remembers what it was asked.

use std::sync::{Arc, Mutex, MutexGuard};

use actix::prelude::*;
use fiador::{
    domain::{
        ApiKeyGrant, ApplicationName, Approval, Delivery, DeliveryStatus, Denied, EmailAddress, MailCounts, MailId, MailPage,
        MailView, Moment, Presented, Principal, Purpose, Refusal, Scope, Status, Token, UserView, VerificationId,
        VerificationView,
    },
    http::{ActorView, Asks, SystemView},
    messages::{
        AskReadiness, CancelVerification, CapturedMail, CheckByNumber, CheckNumber, CreateUser, DeleteUser, ExportUser, Failure,
        FindUser, ListMails, NotReady, ReadInbox, ReadMail, ReadUser, ReadVerification, ResendVerification, RetryMail,
        SetPassword, SignIn, SignInAnswer, SignInByNumber, StartVerification, UpdateUser,
    },
    supervision::{self, Policy},
};
use serde_json::json;
use tokio::sync::{Notify, Semaphore};

use super::scripted_users::{ada, signed_in};

/// The only key that the scripted Gateway knows, of the application `shop`.
pub const KEY: &str = "fdr_CANARYkeyCANARYkeyCANARYkeyCANARYkeyCANARYk";
pub const ID: &str = "vrf_CANARYid-CANARYid-CANARYid-CANARYid-CANARYi";
/// 2026-11-22T22:59:54.007Z
pub const NOW: Moment = Moment(1_795_388_394_007);

/// What the Gateway was asked, keys and readiness apart.
#[derive(Clone)]
pub enum Seen {
    Start(StartVerification),
    Read(ReadVerification),
    Check(CheckNumber),
    CheckByNumber(CheckByNumber),
    Resend(ResendVerification),
    Cancel(CancelVerification),
    ListMails(ListMails),
    ReadMail(ReadMail),
    RetryMail(RetryMail),
    Inbox(ReadInbox),
    CreateUser(CreateUser),
    ReadUser(ReadUser),
    FindUser(FindUser),
    UpdateUser(UpdateUser),
    DeleteUser(DeleteUser),
    ExportUser(ExportUser),
    SetPassword(SetPassword),
    SignIn(SignIn),
    SignInByNumber(SignInByNumber),
}

/// What it answers.
pub struct Answers {
    pub start: Result<VerificationView, Failure>,
    pub read: Result<VerificationView, Failure>,
    pub check: Result<Approval, Failure>,
    pub cancel: Result<(), Failure>,
    pub mails: Result<MailPage, Failure>,
    pub mail: Result<MailView, Failure>,
    pub user: Result<UserView, Failure>,
    pub sign_in: Result<SignInAnswer, Failure>,
    pub readiness: Result<Vec<NotReady>, Failure>,
    pub inbox: Vec<CapturedMail>,
    /// Whether the application is a test one.
    pub is_test: bool,
    /// A scope that the key lacks.
    pub lacked_scope: Option<Scope>,
    /// It panics instead.
    pub falls: bool,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            start: Ok(pending()),
            read: Ok(pending()),
            check: Ok(approval(None)),
            cancel: Ok(()),
            mails: Ok(MailPage { mails: vec![deferred_mail()], next_cursor: Some("further".to_owned()) }),
            mail: Ok(deferred_mail()),
            user: Ok(ada()),
            sign_in: Ok(signed_in()),
            readiness: Ok(Vec::new()),
            inbox: Vec::new(),
            is_test: false,
            lacked_scope: None,
            falls: false,
        }
    }
}

/// What `GET /v1/system` shows here.
fn system() -> SystemView {
    let gateway = ActorView {
        actor: "gateway",
        place: "cell 1".to_owned(),
        state: "up",
        restarts: 1,
        last_cause: Some("panicked at src/actors/gateway.rs:59:9".to_owned()),
        permits_in_use: 2,
        permits: 1024,
    };
    SystemView { actors: vec![gateway], mails: Some(MailCounts { due: 3, later: 2, failed: 1 }) }
}

/// Shared by the test and the actor that plays it.
#[derive(Clone)]
pub struct Script(Arc<Shared>);

struct Shared {
    answers: Mutex<Answers>,
    seen: Mutex<Vec<Seen>>,
    authentications: Mutex<usize>,
    asked: Notify,
    /// A start is answered while there is a permit.
    gate: Semaphore,
}

impl Script {
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            answers: Mutex::default(),
            seen: Mutex::default(),
            authentications: Mutex::default(),
            asked: Notify::new(),
            gate: Semaphore::new(1),
        }))
    }

    pub fn answers(&self) -> MutexGuard<'_, Answers> {
        self.0.answers.lock().unwrap()
    }

    /// All that was asked since the last call.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.0.seen.lock().unwrap())
    }

    pub fn authentications(&self) -> usize {
        *self.0.authentications.lock().unwrap()
    }

    /// From now on starts are not answered, until [`let_go`](Self::let_go).
    pub fn hold_starts(&self) {
        self.0.gate.try_acquire().unwrap().forget();
    }

    pub fn let_go(&self) {
        self.0.gate.add_permits(1);
    }

    /// Waits until something was asked since the last call.
    pub async fn asked(&self) {
        self.0.asked.notified().await;
    }

    /// Plays the script, under guard, on the current arbiter.
    pub fn asks(&self, permits: u32, is_live: fn() -> bool) -> Asks {
        let (script, authenticating) = (self.clone(), self.clone());
        let gateway = supervision::start("gateway", Policy::default(), permits, |_| {}, |_| ScriptedGateway { script });
        Asks {
            authenticate: Arc::new(move |presented| authenticating.authenticate(presented)),
            start_verification: gateway.asks(),
            read_verification: gateway.asks(),
            check_number: gateway.asks(),
            check_by_number: gateway.asks(),
            resend_verification: gateway.asks(),
            cancel_verification: gateway.asks(),
            list_mails: gateway.asks(),
            read_mail: gateway.asks(),
            retry_mail: gateway.asks(),
            create_user: gateway.asks(),
            read_user: gateway.asks(),
            find_user: gateway.asks(),
            update_user: gateway.asks(),
            delete_user: gateway.asks(),
            export_user: gateway.asks(),
            set_password: gateway.asks(),
            sign_in: gateway.asks(),
            sign_in_by_number: gateway.asks(),
            readiness: gateway.asks(),
            inbox: Some(gateway.asks()),
            system: Arc::new(|| Box::pin(async { system() })),
            published_keys: Arc::new(|| json!({ "keys": [] })),
            is_live: Arc::new(move || Box::pin(async move { is_live() })),
        }
    }

    fn authenticate(&self, presented: &Presented<'_>) -> Result<Principal, Denied> {
        *self.0.authentications.lock().unwrap() += 1;
        let (lacked, is_test) = {
            let answers = self.answers(); // locked once: twice in one statement would wait for itself
            (answers.lacked_scope, answers.is_test)
        };
        let (application, key) = (ApplicationName::parse("shop").unwrap(), ApiKeyGrant::new([7; 32]).label());
        let principal = Principal { application, key, is_test };
        match presented.api_key == KEY {
            true if lacked == Some(presented.scope) => Err(Denied::ScopeMissing(principal, presented.scope)),
            true => Ok(principal),
            false => Err(Denied::Unknown),
        }
    }

    pub(super) fn saw(&self, what: Seen) {
        self.0.seen.lock().unwrap().push(what);
        self.0.asked.notify_one();
        let falls = self.answers().falls;
        assert!(!falls, "the script says so");
    }
}

pub(super) struct ScriptedGateway {
    pub(super) script: Script,
}

impl Actor for ScriptedGateway {
    type Context = Context<Self>;
}

impl Supervised for ScriptedGateway {}

impl Handler<StartVerification> for ScriptedGateway {
    type Result = ResponseFuture<Result<VerificationView, Failure>>;

    fn handle(&mut self, ask: StartVerification, _: &mut Context<Self>) -> Self::Result {
        self.script.saw(Seen::Start(ask));
        let script = self.script.clone();
        Box::pin(async move {
            let _permit = script.0.gate.acquire().await.unwrap();
            script.answers().start.clone()
        })
    }
}

impl Handler<ReadVerification> for ScriptedGateway {
    type Result = Result<VerificationView, Failure>;

    fn handle(&mut self, ask: ReadVerification, _: &mut Context<Self>) -> Self::Result {
        self.script.saw(Seen::Read(ask));
        self.script.answers().read.clone()
    }
}

impl Handler<CheckNumber> for ScriptedGateway {
    type Result = Result<Approval, Failure>;

    fn handle(&mut self, ask: CheckNumber, _: &mut Context<Self>) -> Self::Result {
        self.script.saw(Seen::Check(ask));
        self.script.answers().check.clone()
    }
}

impl Handler<CheckByNumber> for ScriptedGateway {
    type Result = Result<Approval, Failure>;

    fn handle(&mut self, ask: CheckByNumber, _: &mut Context<Self>) -> Self::Result {
        self.script.saw(Seen::CheckByNumber(ask));
        self.script.answers().check.clone()
    }
}

impl Handler<ResendVerification> for ScriptedGateway {
    type Result = Result<VerificationView, Failure>;

    fn handle(&mut self, ask: ResendVerification, _: &mut Context<Self>) -> Self::Result {
        self.script.saw(Seen::Resend(ask));
        self.script.answers().read.clone()
    }
}

impl Handler<CancelVerification> for ScriptedGateway {
    type Result = Result<(), Failure>;

    fn handle(&mut self, ask: CancelVerification, _: &mut Context<Self>) -> Self::Result {
        self.script.saw(Seen::Cancel(ask));
        self.script.answers().cancel.clone()
    }
}

impl Handler<ListMails> for ScriptedGateway {
    type Result = Result<MailPage, Failure>;

    fn handle(&mut self, ask: ListMails, _: &mut Context<Self>) -> Self::Result {
        self.script.saw(Seen::ListMails(ask));
        self.script.answers().mails.clone()
    }
}

impl Handler<ReadMail> for ScriptedGateway {
    type Result = Result<MailView, Failure>;

    fn handle(&mut self, ask: ReadMail, _: &mut Context<Self>) -> Self::Result {
        self.script.saw(Seen::ReadMail(ask));
        self.script.answers().mail.clone()
    }
}

impl Handler<RetryMail> for ScriptedGateway {
    type Result = Result<MailView, Failure>;

    fn handle(&mut self, ask: RetryMail, _: &mut Context<Self>) -> Self::Result {
        self.script.saw(Seen::RetryMail(ask));
        self.script.answers().mail.clone()
    }
}

impl Handler<AskReadiness> for ScriptedGateway {
    type Result = Result<Vec<NotReady>, Failure>;

    fn handle(&mut self, _: AskReadiness, _: &mut Context<Self>) -> Self::Result {
        self.script.answers().readiness.clone()
    }
}

impl Handler<ReadInbox> for ScriptedGateway {
    type Result = Result<Vec<CapturedMail>, Failure>;

    fn handle(&mut self, ask: ReadInbox, _: &mut Context<Self>) -> Self::Result {
        self.script.saw(Seen::Inbox(ask));
        Ok(self.script.answers().inbox.clone())
    }
}

pub fn pending() -> VerificationView {
    VerificationView {
        id: VerificationId::parse(ID).unwrap(),
        status: Status::Pending,
        email: Some(EmailAddress::parse("ada@example.org").unwrap()),
        purpose: Purpose::default(),
        expires_at: NOW,
        approved_at: None,
        attempts_remaining: 5,
        delivery: Some(Delivery {
            status: DeliveryStatus::Queued,
            attempts: 0,
            last_reply: None,
            next_attempt_at: None,
            message_id: "<1@example.org>".to_owned(),
        }),
    }
}

pub fn deferred_mail() -> MailView {
    MailView {
        id: MailId::parse(&format!("msg_{}", "a".repeat(64))).unwrap(),
        delivery: Delivery {
            status: DeliveryStatus::Deferred,
            attempts: 1,
            last_reply: Some("451 later".to_owned()),
            next_attempt_at: Some(NOW),
            message_id: "<1@example.org>".to_owned(),
        },
        purpose: Purpose::default(),
        masked_address: Some("a***@example.org".to_owned()),
        created_at: NOW,
        expires_at: NOW,
    }
}

pub fn approval(token: Option<Token>) -> Approval {
    Approval {
        id: VerificationId::parse(ID).unwrap(),
        email: EmailAddress::parse("ada@example.org").unwrap(),
        purpose: Purpose::default(),
        approved_at: NOW,
        token,
        signed_in: None,
        assertion: None,
    }
}

pub fn refused<T>(refusal: Refusal) -> Result<T, Failure> {
    Err(Failure::Refused(refusal))
}

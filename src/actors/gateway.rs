//! `Gateway`: validates what is asked, asks the store, hands mails over. It owns no I/O; a restart loses nothing.

use std::{rc::Rc, sync::Arc, time::Duration};

use actix::prelude::*;

use self::handing_over::{HandingOver, Room};
use super::asks::{MailAsks, StoreAsks, failure};
use crate::{
    assertions::Assertions,
    domain::{
        Application, ApplicationName, Applications, Approval, Charge, EmailAddress, EndUserIp, IdentityNumber, LeasedMessage,
        Locale, Lookup, Purpose, Refusal, Token, VerificationId, VerificationView,
    },
    live::Live,
    messages::{
        AskMailReadiness, AskReadiness, AskStoreReadiness, CancelVerification, ChargeStart, CheckByNumber, CheckNumber,
        DecideByNumber, DecideCheck, EndVerification, Failure, LookUpVerification, NotReady, OpenVerification, Opened, Probe,
        ReadVerification, RefundStart, ResendMail, ResendVerification, StartVerification,
    },
    passwords::Passwords,
    supervision::{Ask, AskError},
};

mod handing_over;
mod mails;
mod sign_ins;
mod users;

/// How long the store may take: less than HTTP waits, so that its answer is still heard.
const STORE_DEADLINE: Duration = Duration::from_millis(1700);
const READINESS_DEADLINE: Duration = Duration::from_secs(1);

/// See the module.
pub struct Gateway {
    front: Rc<Front>,
}

/// What each ask in hand holds on to.
struct Front {
    applications: Live<Applications>,
    store: StoreAsks,
    mail_readiness: Ask<AskMailReadiness>,
    handing_over: HandingOver,
    passwords: Passwords,
    assertions: Assertions,
}

/// What it proves things with, one for all gateways of a daemon.
#[derive(Clone)]
pub struct Provers {
    /// Hashes and compares passwords.
    pub passwords: Passwords,
    /// Signs that somebody has signed in.
    pub assertions: Assertions,
}

impl Gateway {
    /// A gateway for these applications, to this store and this mailer.
    pub fn new(applications: Live<Applications>, store: StoreAsks, mail: MailAsks, provers: Provers) -> Self {
        let Provers { passwords, assertions } = provers;
        let (mail_readiness, handing_over) = (mail.readiness, HandingOver::new(mail.queued));
        Self { front: Rc::new(Front { applications, store, mail_readiness, handing_over, passwords, assertions }) }
    }
}

/// Answers each message by a function of the front, in a future of its own: asks do not wait for one another.
macro_rules! answer_from_front {
    ($($message:ty => $answer:ident,)+) => {$(
        impl ::actix::Handler<$message> for Gateway {
            type Result = ::actix::ResponseFuture<<$message as ::actix::Message>::Result>;

            fn handle(&mut self, ask: $message, _: &mut Self::Context) -> Self::Result {
                ::fail::fail_point!("gateway.ask");
                ::fail::fail_point!("cell.ends", |_| {
                    ::actix::Arbiter::current().stop();
                    Box::pin(::std::future::pending())
                });
                let front = self.front.clone();
                Box::pin(async move { front.$answer(ask).await })
            }
        }
    )+};
}

use answer_from_front;

impl Actor for Gateway {
    type Context = Context<Self>;
}

impl Supervised for Gateway {
    fn restarting(&mut self, _: &mut Self::Context) {} // what it holds is never changed
}

answer_from_front! {
    StartVerification => start,
    ReadVerification => read,
    CheckNumber => check,
    CheckByNumber => check_by_number,
    ResendVerification => resend,
    CancelVerification => cancel,
}

impl Handler<AskReadiness> for Gateway {
    type Result = ResponseFuture<Result<Vec<NotReady>, Failure>>;

    fn handle(&mut self, _: AskReadiness, _: &mut Self::Context) -> Self::Result {
        let front = self.front.clone();
        Box::pin(async move { Ok(front.not_ready().await) })
    }
}

impl Handler<Probe> for Gateway {
    type Result = ();

    fn handle(&mut self, _: Probe, _: &mut Self::Context) {}
}

impl Front {
    /// No `async fn`, whose future would keep what it was asked beside what it makes of it.
    fn start(&self, ask: StartVerification) -> impl Future<Output = Result<VerificationView, Failure>> {
        let opening = self.opening_at_charges(ask);
        async move {
            let (opening, charges) = opening?;
            self.start_at_a_charge(opening, charges).await
        }
    }

    fn opening_at_charges(&self, ask: StartVerification) -> Result<(Box<OpenVerification>, Vec<Charge>), Refusal> {
        let ip = end_user(ask.context_ip.as_deref())?;
        let application = self.application(&ask.application)?;
        Ok((opening(&application, ask, ip)?, charges(&application, ip)))
    }

    async fn start_at_a_charge(&self, opening: Box<OpenVerification>, charges: Vec<Charge>) -> Result<VerificationView, Failure> {
        if charges.is_empty() {
            return Ok(self.open(opening).await?.verification);
        }
        let application = opening.application.clone();
        let charge = ChargeStart { application: application.clone(), charges: charges.clone() };
        match self.store.charge_start.ask(charge, STORE_DEADLINE).await.map_err(failure) {
            Ok(()) => self.open_charged(opening, RefundStart { application, charges }).await,
            Err(Failure::Refused(spent)) => self.find_repeated(opening, spent).await,
            Err(failure) => Err(failure),
        }
    }

    /// Gives back what the start was charged when it is refused or a repetition.
    async fn open_charged(&self, opening: Box<OpenVerification>, refund: RefundStart) -> Result<VerificationView, Failure> {
        fail::fail_point!("gateway.charge.after");
        let opened = self.open(opening).await;
        let was_needless =
            opened.as_ref().map_or_else(|error| matches!(error, Failure::Refused(_)), |opened| opened.is_repetition);
        if was_needless {
            let _ = self.store.refund_start.ask(refund, STORE_DEADLINE).await; // without an answer they come back by themselves
        }
        Ok(opened?.verification)
    }

    /// A repetition was charged when it was new, and gets its answer although the budget is spent by now.
    async fn find_repeated(&self, opening: Box<OpenVerification>, spent: Refusal) -> Result<VerificationView, Failure> {
        let opening = OpenVerification { refusal: Some(spent), ..*opening };
        Ok(self.store.open.ask(opening, STORE_DEADLINE).await.map_err(failure)?.verification)
    }

    async fn open(&self, mut opening: Box<OpenVerification>) -> Result<Opened, Failure> {
        let room = self.handing_over.room_for(&opening.application, &opening.address);
        opening.with_lease = room.is_some();
        let mut opened = self.store.open.ask(*opening, STORE_DEADLINE).await.map_err(failure)?;
        hand_over(room, opened.message.take());
        Ok(opened)
    }

    async fn resend(&self, ask: ResendVerification) -> Result<VerificationView, Failure> {
        let id = VerificationId::parse(&ask.id).ok_or(Refusal::NotFound)?;
        let mail_domain = self.application(&ask.application)?.from.ascii_domain();
        let room = self.handing_over.room();
        let (application, operation, with_lease) = (ask.application, ask.operation, room.is_some());
        let resend = ResendMail { application, id, mail_domain, with_lease, operation };
        let opened = self.store.resend.ask(resend, STORE_DEADLINE).await.map_err(failure)?;
        hand_over(room, opened.message);
        Ok(opened.verification)
    }

    async fn read(&self, ask: ReadVerification) -> Result<VerificationView, Failure> {
        let id = VerificationId::parse(&ask.id).ok_or(Refusal::NotFound)?;
        let looking = LookUpVerification { application: ask.application, id };
        self.store.look_up.ask(looking, STORE_DEADLINE).await.map_err(failure)
    }

    async fn check(&self, ask: CheckNumber) -> Result<Approval, Failure> {
        let id = VerificationId::parse(&ask.id).ok_or(Refusal::NotFound)?;
        let number = IdentityNumber::parse(&ask.number).map_err(|error| invalid("number", &error))?;
        let is_test = self.application(&ask.application)?.is_test;
        let check = DecideCheck { application: ask.application, id, number, is_test, operation: ask.operation };
        self.store.check.ask(check, STORE_DEADLINE).await.map(|approval| self.assert(approval)).map_err(failure)
    }

    async fn check_by_number(&self, ask: CheckByNumber) -> Result<Approval, Failure> {
        let application = self.application(&ask.application)?;
        if application.lookup != Lookup::Number {
            return Err(Refusal::NotFound.into());
        }
        let number = IdentityNumber::parse(&ask.number).map_err(|error| invalid("number", &error))?;
        if number.digits() != application.limits.digits {
            let mend = format!("must be the {} digits that were mailed", application.limits.digits);
            return Err(invalid("number", &mend).into());
        }
        let check = DecideByNumber { application: ask.application, number, operation: ask.operation };
        self.store.check_by_number.ask(check, STORE_DEADLINE).await.map(|approval| self.assert(approval)).map_err(failure)
    }

    async fn cancel(&self, ask: CancelVerification) -> Result<(), Failure> {
        let id = VerificationId::parse(&ask.id).ok_or(Refusal::NotFound)?;
        let end = EndVerification { application: ask.application, id };
        self.store.end.ask(end, STORE_DEADLINE).await.map_err(failure)
    }

    async fn not_ready(&self) -> Vec<NotReady> {
        let no_answer = |part, error: &AskError<Failure>| NotReady { part, reason: error.reason().to_owned(), is_covered: false };
        let store = self.store.readiness.ask(AskStoreReadiness, READINESS_DEADLINE);
        let mail = self.mail_readiness.ask(AskMailReadiness, READINESS_DEADLINE);
        let (store, mail) = tokio::join!(store, mail);
        let store = store.unwrap_or_else(|error| Some(no_answer("store", &error)));
        let mail = mail.unwrap_or_else(|error| vec![no_answer("mail", &error)]);
        store.into_iter().chain(mail).collect()
    }

    fn application(&self, name: &ApplicationName) -> Result<Arc<Application>, Refusal> {
        let applications = self.applications.now();
        let found = applications.iter().find(|application| application.name == *name);
        found.cloned().ok_or_else(|| invalid("application", &"must be one that is declared"))
    }
}

/// Boxed, because it is handed on a few times.
fn opening(application: &Application, ask: StartVerification, ip: Option<EndUserIp>) -> Result<Box<OpenVerification>, Refusal> {
    let address = EmailAddress::parse(&ask.email).map_err(|error| invalid("email", &error))?;
    let purpose = ask.purpose.map_or_else(|| Ok(Purpose::default()), |text| Purpose::parse(&text));
    let purpose = purpose.map_err(|error| invalid("purpose", &error))?;
    let locale = ask.locale.map_or(Ok(application.locale), |text| Locale::parse(&text));
    let ttl_seconds = application.ttl_seconds(ask.ttl_seconds, &purpose);
    Ok(Box::new(OpenVerification {
        token: ask.token.map(fitting).transpose()?,
        ttl_seconds: ttl_seconds.map_err(|error| invalid("ttl_seconds", &error))?,
        locale: locale.map_err(|error| invalid("locale", &error))?,
        context_ip: ip.map(EndUserIp::canonical),
        is_found_by_number: application.lookup == Lookup::Number,
        is_test: application.is_test,
        digits: application.limits.digits,
        wrong_checks: application.limits.wrong_checks,
        mail_domain: application.from.ascii_domain(),
        application: ask.application,
        operation: ask.operation,
        with_lease: false,
        signs_in: None,
        refusal: None,
        address,
        purpose,
    }))
}

fn end_user(context_ip: Option<&str>) -> Result<Option<EndUserIp>, Refusal> {
    context_ip.map(EndUserIp::parse).transpose().map_err(|error| invalid("context.ip", &error))
}

/// The narrower budget first: an end user who has spent his own takes nothing of his application's.
fn charges(application: &Application, ip: Option<EndUserIp>) -> Vec<Charge> {
    let of_application = application.limits.starts.map(Charge::of_application);
    ip.map(Charge::of_ip).into_iter().chain(of_application).collect()
}

fn fitting(token: Token) -> Result<Token, Refusal> {
    if token.as_str().len() <= Token::LONGEST {
        return Ok(token);
    }
    Err(invalid("token", &format!("must have at most {} bytes", Token::LONGEST)))
}

fn hand_over(room: Option<Room>, message: Option<Box<LeasedMessage>>) {
    if let (Some(room), Some(message)) = (room, message) {
        room.hand_over(message);
    }
}

fn invalid(field: &'static str, mend: &impl ToString) -> Refusal {
    Refusal::FieldInvalid { field, mend: mend.to_string() }
}

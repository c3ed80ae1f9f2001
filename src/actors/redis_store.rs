//! `RedisStore`: records in Redis, over one connection of its cell. A restart loses nothing but the connection.

use std::rc::Rc;

use actix::prelude::*;

use super::store_requests::{self as requests, answer_from_records};
use crate::{
    clock::Clock,
    messages::{
        AskStoreReadiness, BeginSignIn, ChargeStart, ClaimMessages, CountMails, DecideByNumber, DecideCheck, EndVerification,
        Failure, FindMails, FinishSignIn, ForgetUser, GatherUser, KeepUser, LookUpMail, LookUpPassword, LookUpUser,
        LookUpVerification, NotReady, OpenVerification, Probe, RefundStart, ReplacePassword, RequeueMail, ResendMail, ReviseUser,
        SettleMessage,
    },
    store::{
        Vault,
        redis::{Link, Redis, RedisSettings},
    },
};

/// See the module.
pub struct RedisStore {
    settings: RedisSettings,
    vault: Vault,
    clock: Clock,
    /// Made anew by each life.
    link: Rc<Link>,
    records: Rc<Redis>,
}

impl RedisStore {
    /// A store that connects as soon as it is started.
    pub fn new(settings: RedisSettings, vault: Vault, clock: Clock) -> Self {
        let link = Rc::new(Link::new(settings.clone(), vault.fingerprint(), clock.clone()));
        let records = Rc::new(Redis::new(link.clone(), vault.clone()));
        Self { settings, vault, clock, link, records }
    }
}

impl Actor for RedisStore {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let link = self.link.clone();
        ctx.spawn(async move { link.keep_connected().await }.into_actor(self));
    }
}

impl Supervised for RedisStore {
    fn restarting(&mut self, _: &mut Self::Context) {
        *self = Self::new(self.settings.clone(), self.vault.clone(), self.clock.clone());
    }
}

answer_from_records! { RedisStore:
    OpenVerification => requests::open,
    LookUpVerification => requests::look_up,
    DecideCheck => requests::check,
    DecideByNumber => requests::check_by_number,
    ResendMail => requests::resend,
    ChargeStart => requests::charge_start,
    RefundStart => requests::refund_start,
    EndVerification => requests::end,
    FindMails => requests::find_mails,
    LookUpMail => requests::look_up_mail,
    RequeueMail => requests::requeue_mail,
    KeepUser => requests::keep_user,
    LookUpUser => requests::look_up_user,
    LookUpPassword => requests::look_up_password,
    ReviseUser => requests::revise_user,
    ForgetUser => requests::forget_user,
    GatherUser => requests::gather_user,
    BeginSignIn => requests::begin_sign_in,
    FinishSignIn => requests::finish_sign_in,
    ReplacePassword => requests::replace_password,
    ClaimMessages => requests::claim,
    SettleMessage => requests::settle,
    CountMails => requests::count_mails,
}

impl Handler<AskStoreReadiness> for RedisStore {
    type Result = ResponseFuture<Result<Option<NotReady>, Failure>>;

    fn handle(&mut self, _: AskStoreReadiness, _: &mut Self::Context) -> Self::Result {
        let link = self.link.clone();
        Box::pin(async move { Ok(link.why_down().await.map(|reason| NotReady { part: "store", reason, is_covered: false })) })
    }
}

impl Handler<Probe> for RedisStore {
    type Result = ();

    fn handle(&mut self, _: Probe, _: &mut Self::Context) {}
}

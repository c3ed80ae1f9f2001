//! `EmbeddedStore`: records in a redb file. All cells' stores share the one thread that writes it; a restart of one loses nothing.

use std::rc::Rc;

use actix::prelude::*;

use super::store_requests::{self as requests, answer_from_records};
use crate::{
    messages::{
        AskStoreReadiness, BeginSignIn, ChargeStart, ClaimMessages, CountMails, DecideByNumber, DecideCheck, EndVerification,
        Failure, FindMails, FinishSignIn, ForgetUser, GatherUser, KeepUser, LookUpMail, LookUpPassword, LookUpUser,
        LookUpVerification, NotReady, OpenVerification, Probe, RefundStart, ReplacePassword, RequeueMail, ResendMail, ReviseUser,
        SettleMessage,
    },
    store::embedded::Writer,
};

/// See the module.
pub struct EmbeddedStore {
    records: Rc<Writer>,
}

impl EmbeddedStore {
    /// A store that sends what it is asked to this writer.
    pub fn new(writer: Writer) -> Self {
        Self { records: Rc::new(writer) }
    }
}

impl Actor for EmbeddedStore {
    type Context = Context<Self>;
}

impl Supervised for EmbeddedStore {
    fn restarting(&mut self, _: &mut Self::Context) {} // it has no state of its own
}

answer_from_records! { EmbeddedStore:
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

impl Handler<AskStoreReadiness> for EmbeddedStore {
    type Result = ResponseFuture<Result<Option<NotReady>, Failure>>;

    fn handle(&mut self, _: AskStoreReadiness, _: &mut Self::Context) -> Self::Result {
        let records = self.records.clone();
        Box::pin(async move {
            let failed = records.check_file().await.err();
            Ok(failed.map(|error| NotReady { part: "store", reason: error.to_string(), is_covered: false }))
        })
    }
}

impl Handler<Probe> for EmbeddedStore {
    type Result = ();

    fn handle(&mut self, _: Probe, _: &mut Self::Context) {}
}

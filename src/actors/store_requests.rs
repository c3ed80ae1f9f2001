//! What both stores do with what they are asked: translate it into an operation, run it, translate what comes of it.

use crate::domain::{Approval, LeasedMessage, VerificationView};
use crate::{
    domain::Refusal,
    messages::{
        ClaimMessages, DecideCheck, EndVerification, Failure, LookUpVerification, OpenVerification, Opened, SettleMessage,
    },
    store::{
        Records, StoreError,
        operations::{Cancelling, Checking, Reading, Settling, StartRequest, Starting},
    },
};

pub(super) async fn open(records: &impl Records, ask: OpenVerification) -> Result<Opened, Failure> {
    let request = StartRequest {
        application: ask.application,
        address: ask.address,
        token: ask.token,
        purpose: ask.purpose,
        locale: ask.locale,
        ttl_seconds: ask.ttl_seconds,
        digits: ask.digits,
        wrong_checks: ask.wrong_checks,
        mail_domain: ask.mail_domain,
        context_ip: ask.context_ip,
        with_lease: ask.with_lease,
        operation: ask.operation,
    };
    let started = records.run(Starting::new(records.vault(), request)).await.map_err(failure)??;
    Ok(Opened { verification: started.view, message: started.message.map(Box::new) })
}

pub(super) async fn look_up(records: &impl Records, ask: LookUpVerification) -> Result<VerificationView, Failure> {
    let reading = Reading::new(records.vault(), &ask.application, ask.id).ok_or(Refusal::NotFound)?;
    Ok(records.run(reading).await.map_err(failure)??)
}

pub(super) async fn check(records: &impl Records, ask: DecideCheck) -> Result<Approval, Failure> {
    let checking = Checking::new(records.vault(), ask.application, ask.id, &ask.number, &ask.operation);
    Ok(records.run(checking.ok_or(Refusal::NotFound)?).await.map_err(failure)??)
}

pub(super) async fn end(records: &impl Records, ask: EndVerification) -> Result<(), Failure> {
    let cancelling = Cancelling::new(records.vault(), &ask.application, &ask.id).ok_or(Refusal::NotFound)?;
    Ok(records.run(cancelling).await.map_err(failure)??)
}

pub(super) async fn claim(records: &impl Records, ask: ClaimMessages) -> Result<Vec<LeasedMessage>, Failure> {
    records.claim_due(ask.limit).await.map_err(failure)
}

pub(super) async fn settle(records: &impl Records, ask: SettleMessage) -> Result<(), Failure> {
    records.run(Settling::new(ask.key, ask.fence, ask.outcome)).await.map_err(failure)
}

#[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
fn failure(error: StoreError) -> Failure {
    match error {
        StoreError::Unavailable(_) => Failure::Unavailable, // told in the log by whoever lost the connection or the file
        StoreError::Contended => Failure::Overloaded,
        StoreError::Damaged(_) => {
            tracing::error!(cause = %error, "store returned what was not stored");
            Failure::Unavailable
        }
    }
}

/// Answers each message by a function of the actor's `records`, in a future of its own: asks do not wait for one another.
macro_rules! answer_from_records {
    ($actor:ty: $($message:ty => $answer:path,)+) => {$(
        impl ::actix::Handler<$message> for $actor {
            type Result = ::actix::ResponseFuture<<$message as ::actix::Message>::Result>;

            fn handle(&mut self, ask: $message, _: &mut Self::Context) -> Self::Result {
                let records = ::std::clone::Clone::clone(&self.records);
                Box::pin(async move { $answer(&*records, ask).await })
            }
        }
    )+};
}

pub(super) use answer_from_records;

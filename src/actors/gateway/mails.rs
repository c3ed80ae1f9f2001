//! What is asked about mails.

use super::{Front, Gateway, STORE_DEADLINE, answer_from_front, failure, invalid};
use crate::{
    domain::{DeliveryStatus, MailId, MailPage, MailView, Refusal},
    messages::{Failure, FindMails, ListMails, LookUpMail, ReadMail, RequeueMail, RetryMail},
};

/// How far mails are that can be listed.
const LISTED: [DeliveryStatus; 5] =
    [DeliveryStatus::Queued, DeliveryStatus::Sending, DeliveryStatus::Deferred, DeliveryStatus::Failed, DeliveryStatus::Expired];
const MOST_ON_A_PAGE: usize = 100;
const ON_A_PAGE: usize = 50;

answer_from_front! {
    ListMails => list_mails,
    ReadMail => read_mail,
    RetryMail => retry_mail,
}

impl Front {
    async fn list_mails(&self, ask: ListMails) -> Result<MailPage, Failure> {
        let ListMails { application, status, limit, cursor } = ask;
        let status = status.map(|text| listed(&text)).transpose()?;
        let limit = limit.map_or(Ok(ON_A_PAGE), fitting_limit)?;
        let find = FindMails { application, status, limit, cursor };
        self.store.find_mails.ask(find, STORE_DEADLINE).await.map_err(failure)
    }

    async fn read_mail(&self, ask: ReadMail) -> Result<MailView, Failure> {
        let id = MailId::parse(&ask.id).ok_or(Refusal::NotFound)?;
        let looking = LookUpMail { application: ask.application, id };
        self.store.look_up_mail.ask(looking, STORE_DEADLINE).await.map_err(failure)
    }

    async fn retry_mail(&self, ask: RetryMail) -> Result<MailView, Failure> {
        let id = MailId::parse(&ask.id).ok_or(Refusal::NotFound)?;
        let requeue = RequeueMail { application: ask.application, id, operation: ask.operation };
        self.store.requeue_mail.ask(requeue, STORE_DEADLINE).await.map_err(failure)
    }
}

fn listed(text: &str) -> Result<DeliveryStatus, Refusal> {
    let mend = || format!("must be one of {}", LISTED.map(DeliveryStatus::as_str).join(", "));
    LISTED.into_iter().find(|status| status.as_str() == text).ok_or_else(|| invalid("status", &mend()))
}

fn fitting_limit(limit: u64) -> Result<usize, Refusal> {
    let fitting = usize::try_from(limit).ok().filter(|limit| (1..=MOST_ON_A_PAGE).contains(limit));
    fitting.ok_or_else(|| invalid("limit", &format!("must be 1 to {MOST_ON_A_PAGE}")))
}

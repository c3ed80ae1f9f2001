//! Lists of mails, looks at one, and retries: both stores answer in the same way.

use std::time::Duration;

use fiador::{
    domain::{ApplicationName, DeliveryStatus, MailId, MessageOutcome, Refusal},
    messages::{Failure, OpenVerification},
};

use crate::kit::stores::{TestStore, new_operation, on_both_stores, shop};

on_both_stores! {
    mails_are_listed_by_how_far_they_are_and_never_with_a_whole_address,
    a_page_leads_to_the_next_and_all_pages_together_show_each_mail_once,
    another_application_sees_none_of_it_and_can_neither_read_nor_retry_nor_go_on,
    a_retry_makes_a_waiting_mail_due_and_puts_a_failed_one_back_charged_again,
    a_repeated_retry_puts_a_mail_back_once,
    what_was_sent_is_being_sent_or_comes_too_late_is_not_put_back,
    an_expired_mail_says_so_for_an_hour_at_last_without_address,
    a_claim_settles_what_has_expired_and_says_that_there_may_be_more,
}

const DEFERRED: DeliveryStatus = DeliveryStatus::Deferred;
const FAILED: DeliveryStatus = DeliveryStatus::Failed;
const EXPIRED: DeliveryStatus = DeliveryStatus::Expired;

fn refused<T>(refusal: Refusal) -> Result<T, Failure> {
    Err(Failure::Refused(refusal))
}

fn refusal() -> MessageOutcome {
    MessageOutcome::Refused("550 no such user".to_owned())
}

fn put_off() -> MessageOutcome {
    MessageOutcome::Deferred { reply: "451 later".to_owned(), maybe_accepted: false }
}

fn bank() -> ApplicationName {
    ApplicationName::parse("bank").unwrap()
}

/// Opens a verification whose mail waits to be claimed.
async fn queue(store: &TestStore, address: &str) {
    store.open(OpenVerification { with_lease: false, ..TestStore::opening(address) }).await.unwrap();
}

/// The id of the only mail that is so far.
async fn only_id(store: &TestStore, status: DeliveryStatus) -> MailId {
    let [mail] = store.mails(Some(status)).await.try_into().unwrap();
    mail.id
}

async fn mails_are_listed_by_how_far_they_are_and_never_with_a_whole_address(store: TestStore) {
    queue(&store, "queued@example.org").await;
    store.start("sending@example.org").await;
    let (_, deferred) = store.start("deferred@example.org").await;
    store.settle(&deferred, put_off()).await;
    let (_, failed) = store.start("failed@example.org").await;
    store.settle(&failed, refusal()).await;
    let (_, sent) = store.start("sent@example.org").await;
    store.settle(&sent, MessageOutcome::Sent("250 ok".to_owned())).await;

    for (status, letter, reply) in [
        (DeliveryStatus::Queued, "q", None),
        (DeliveryStatus::Sending, "s", None),
        (DEFERRED, "d", Some("451 later")),
        (FAILED, "f", Some("550 no such user")),
    ] {
        let [mail] = store.mails(Some(status)).await.try_into().unwrap();
        assert_eq!(mail.masked_address, Some(format!("{letter}***@example.org")));
        assert_eq!((mail.delivery.status, mail.delivery.last_reply.as_deref()), (status, reply));
        assert_eq!(store.look_up_mail(shop(), &mail.id).await.unwrap(), mail);
    }
    assert_eq!(store.mails(None).await.len(), 4);
}

async fn a_page_leads_to_the_next_and_all_pages_together_show_each_mail_once(store: TestStore) {
    for n in 0..30 {
        let (_, mail) = store.start(&format!("{n}@example.org")).await;
        store.hand.advance(Duration::from_millis(10));
        if n >= 20 {
            store.settle(&mail, refusal()).await;
        }
    }

    let (mut seen, mut cursor) = (vec![], None);
    loop {
        let page = store.page(None, 7, cursor).await.unwrap();
        assert!(page.mails.len() <= 7);
        seen.extend(page.mails);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let created: Vec<_> = seen.iter().map(|mail| mail.created_at).collect();
    assert!(created[..20].is_sorted() && created[20..].is_sorted_by(|one, next| one >= next), "{created:?}");
    seen.sort_by_key(|mail| mail.created_at);
    seen.dedup_by_key(|mail| mail.id.clone());
    assert_eq!(seen.len(), 30);
}

async fn another_application_sees_none_of_it_and_can_neither_read_nor_retry_nor_go_on(store: TestStore) {
    let (_, mail) = store.start("ada@example.org").await;
    store.settle(&mail, refusal()).await;
    queue(&store, "bob@example.org").await;
    let of_bank = OpenVerification { application: bank(), ..TestStore::opening("eve@example.org") };
    store.open(of_bank).await.unwrap();
    let id = only_id(&store, FAILED).await;

    let page = store.page_of(bank(), None, 100, None).await.unwrap();
    assert_eq!(page.mails.iter().map(|mail| mail.masked_address.as_deref().unwrap()).collect::<Vec<_>>(), ["e***@example.org"]);
    assert_eq!(store.look_up_mail(bank(), &id).await, refused(Refusal::NotFound));
    let own = store.page(None, 1, None).await.unwrap().next_cursor;
    for cursor in [own, Some("none".to_owned()), Some(String::new())] {
        let answer = store.page_of(bank(), None, 1, cursor).await;
        assert!(matches!(answer, Err(Failure::Refused(Refusal::FieldInvalid { field: "cursor", .. }))));
    }
}

async fn a_retry_makes_a_waiting_mail_due_and_puts_a_failed_one_back_charged_again(store: TestStore) {
    let (_, mail) = store.start("ada@example.org").await;
    store.settle(&mail, put_off()).await;
    let id = only_id(&store, DEFERRED).await;
    assert!(store.claim(8).await.is_empty());

    store.requeue(&id).await.unwrap();
    let [claimed] = store.claim(8).await.try_into().unwrap();
    assert_eq!((claimed.key, &claimed.message_id), (mail.key, &mail.message_id));
    store.settle(&claimed, refusal()).await;
    assert_eq!(only_id(&store, FAILED).await, id);

    let back = store.requeue(&id).await.unwrap();
    assert_eq!((back.delivery.status, back.delivery.last_reply.as_deref()), (DEFERRED, Some("550 no such user")));
    assert!(store.mails(Some(FAILED)).await.is_empty());
    let at_once = store.open(TestStore::opening("ada@example.org")).await;
    assert!(matches!(at_once, Err(Failure::Refused(Refusal::BudgetSpent { .. }))), "a mail that may go out is charged");
    assert_eq!(store.claim(8).await.len(), 1);
}

async fn a_repeated_retry_puts_a_mail_back_once(store: TestStore) {
    let (_, mail) = store.start("ada@example.org").await;
    store.settle(&mail, refusal()).await;
    let (id, operation) = (only_id(&store, FAILED).await, new_operation());
    store.requeue_as(operation, &id).await.unwrap();
    let [claimed] = store.claim(8).await.try_into().unwrap();
    store.settle(&claimed, refusal()).await;

    assert_eq!(store.requeue_as(operation, &id).await.unwrap().delivery.status, FAILED);
    assert!(store.claim(8).await.is_empty());
}

async fn what_was_sent_is_being_sent_or_comes_too_late_is_not_put_back(store: TestStore) {
    let (_, mail) = store.start("ada@example.org").await;
    let id = only_id(&store, DeliveryStatus::Sending).await;
    assert_eq!(store.requeue(&id).await.unwrap().delivery.status, DeliveryStatus::Sending);
    store.settle(&mail, MessageOutcome::Sent("250 ok".to_owned())).await;
    assert_eq!(store.requeue(&id).await, refused(Refusal::AlreadySent));

    let (canceled, mail) = store.start("bob@example.org").await;
    store.settle(&mail, refusal()).await;
    let id = only_id(&store, FAILED).await;
    store.end(&canceled.id).await.unwrap();
    assert_eq!(store.requeue(&id).await, refused(Refusal::Canceled));

    let (_, mail) = store.start("eve@example.org").await;
    store.settle(&mail, refusal()).await;
    let late = store.mails(Some(FAILED)).await.into_iter().find(|mail| mail.id != id).unwrap();
    store.hand.advance(Duration::from_secs(556));
    assert_eq!(store.requeue(&late.id).await, refused(Refusal::Expired));
}

async fn an_expired_mail_says_so_for_an_hour_at_last_without_address(store: TestStore) {
    queue(&store, "ada@example.org").await;
    store.hand.advance(Duration::from_secs(600));
    let [waiting] = store.mails(Some(EXPIRED)).await.try_into().unwrap();
    assert_eq!(waiting.masked_address.as_deref(), Some("a***@example.org"));

    assert!(store.claim(8).await.is_empty());
    store.hand.advance(Duration::from_secs(60));
    let [settled] = store.mails(Some(EXPIRED)).await.try_into().unwrap();
    assert_eq!((&settled.id, settled.masked_address, settled.delivery), (&waiting.id, None, waiting.delivery));
    assert_eq!(store.look_up_mail(shop(), &waiting.id).await.unwrap().delivery.status, EXPIRED);
    assert_eq!(store.requeue(&waiting.id).await, refused(Refusal::Expired));

    store.hand.advance(Duration::from_secs(3600));
    assert!(store.mails(None).await.is_empty());
    assert_eq!(store.look_up_mail(shop(), &waiting.id).await, refused(Refusal::NotFound));
}

async fn a_claim_settles_what_has_expired_and_says_that_there_may_be_more(store: TestStore) {
    for n in 0..20 {
        queue(&store, &format!("{n}@example.org")).await;
    }
    store.hand.advance(Duration::from_secs(556));
    queue(&store, "ada@example.org").await;

    let mut claimed = vec![];
    loop {
        let some = store.claim_some(8).await;
        claimed.extend(some.messages);
        if !some.may_be_more {
            break;
        }
    }

    assert_eq!(claimed.iter().map(|mail| mail.address.as_str()).collect::<Vec<_>>(), ["ada@example.org"]);
    assert_eq!(store.mails(Some(EXPIRED)).await.len(), 20);
}

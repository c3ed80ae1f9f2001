//! Both stores answer what is asked about users in the same way. Time is moved, never waited for.

use std::time::Duration;

use fiador::{
    domain::{
        ApplicationName, Attributes, Budget, DeliveryStatus, EmailAddress, MailCounts, MessageOutcome, Refusal, Status, UserAt,
    },
    messages::{CountMails, Failure, KeepUser, OpenVerification, ReviseUser},
};
use futures_util::future::join;

use crate::kit::{
    budgets,
    stores::{TestStore, new_operation, on_both_stores, shop},
};

mod passwords;
mod sealed;
mod sign_ins;

const ADA: &str = "ada@example.org";

on_both_stores! {
    a_user_is_kept_once_an_address_and_found_by_its_id_and_its_address,
    another_application_finds_changes_and_forgets_none_of_them,
    a_repetition_finds_its_own_user_and_another_body_is_refused,
    a_repetition_after_its_verification_was_forgotten_starts_no_other,
    of_two_that_keep_one_address_at_once_one_does,
    a_user_is_refused_with_the_mail_that_its_address_may_not_have,
    what_is_given_is_changed_and_the_rest_is_left,
    a_number_that_was_mailed_verifies_its_user_once,
    a_forgotten_user_takes_all_of_its_address_with_it_but_the_budgets,
    all_that_is_kept_is_gathered,
    a_user_stays_however_long_nobody_asks,
}

fn refused<T>(refusal: Refusal) -> Result<T, Failure> {
    Err(Failure::Refused(refusal))
}

fn bank() -> ApplicationName {
    ApplicationName::parse("bank").unwrap()
}

fn at(address: &str) -> UserAt {
    UserAt::Address(EmailAddress::parse(address).unwrap())
}

async fn a_user_is_kept_once_an_address_and_found_by_its_id_and_its_address(store: TestStore) {
    let kept = store.keep(TestStore::keeping(ADA)).await.unwrap();
    assert_eq!((kept.is_repetition, kept.opened.is_none()), (false, true));
    let user = kept.user;

    assert_eq!(store.look_up_user(shop(), UserAt::Id(user.id.clone())).await.unwrap(), user);
    assert_eq!(store.look_up_user(shop(), at("ADA@Example.org")).await.unwrap(), user);
    assert_eq!(store.look_up_user(shop(), at("bob@example.org")).await, refused(Refusal::NotFound));
    assert_eq!(store.keep(TestStore::keeping("Ada@EXAMPLE.org")).await, refused(Refusal::UserExists));
    assert_ne!(store.user("bob@example.org").await.id, user.id);
}

async fn another_application_finds_changes_and_forgets_none_of_them(store: TestStore) {
    let user = store.user(ADA).await;
    let of_bank = store.keep(KeepUser { application: bank(), ..TestStore::keeping(ADA) }).await.unwrap().user;
    let id = UserAt::Id(user.id.clone());

    assert_ne!(of_bank.id, user.id);
    assert_eq!(store.look_up_user(bank(), id.clone()).await, refused(Refusal::NotFound));
    assert_eq!(store.look_up_user(bank(), at(ADA)).await.unwrap(), of_bank);
    assert_eq!(store.begin_of(bank(), id).await, Ok(None));
    let revise = ReviseUser { application: bank(), id: user.id.clone(), attributes: None, locale: Some(None) };
    assert_eq!(store.revise(revise).await, refused(Refusal::NotFound));
    assert_eq!(store.forget(&of_bank.id).await, refused(Refusal::NotFound));
    assert_eq!(store.gather(&of_bank.id).await, refused(Refusal::NotFound));
    assert_eq!(store.look_up_user(shop(), at(ADA)).await.unwrap(), user);
    assert_eq!(store.gather(&user.id).await.unwrap().failed_sign_ins_left, 10);
}

async fn a_repetition_finds_its_own_user_and_another_body_is_refused(store: TestStore) {
    let keep = TestStore::keeping_to_verify(ADA);
    let first = store.keep(keep.clone()).await.unwrap();
    let again = store.keep(keep.clone()).await.unwrap();

    assert_eq!((&again.user, again.is_repetition), (&first.user, true));
    let (first, again) = (first.opened.unwrap(), again.opened.unwrap());
    assert_eq!((again.verification.id, again.message, again.is_repetition), (first.verification.id, None, true));
    for other in [
        KeepUser { attributes: Attributes::default(), ..keep.clone() },
        KeepUser { locale: None, ..keep.clone() },
        KeepUser { password: None, ..keep.clone() },
        KeepUser { verification: None, ..keep.clone() },
    ] {
        assert_eq!(store.keep(other).await, refused(Refusal::IdempotencyMismatch));
    }
    assert_eq!(store.claim(8).await.len(), 1, "one mail for all of them");
}

async fn a_repetition_after_its_verification_was_forgotten_starts_no_other(store: TestStore) {
    let mut keep = TestStore::keeping_to_verify(ADA);
    let user = store.keep(keep.clone()).await.unwrap().user;
    store.hand.advance(Duration::from_secs(24 * 3600));
    keep.verification.as_mut().unwrap().with_lease = true;

    let again = store.keep(keep).await.unwrap();

    assert_eq!((again.user, again.is_repetition), (user, true));
    assert_eq!(again.opened, None, "a number that is kept nowhere");
}

async fn of_two_that_keep_one_address_at_once_one_does(store: TestStore) {
    for round in 0..20 {
        let address = format!("ada{round}@example.org");
        let (one, other) =
            join(store.keep(TestStore::keeping_to_verify(&address)), store.keep(TestStore::keeping_to_verify(&address))).await;

        let (kept, late) = if one.is_ok() { (one, other) } else { (other, one) };
        assert_eq!(late, refused(Refusal::UserExists));
        assert_eq!(store.look_up_user(shop(), at(&address)).await.unwrap(), kept.unwrap().user);
    }
    assert_eq!(store.claim(100).await.len(), 20);
}

async fn a_user_is_refused_with_the_mail_that_its_address_may_not_have(store: TestStore) {
    store.start(ADA).await;

    let spent = refused(budgets::spent(Budget::AddressSends, 30));
    assert_eq!(store.keep(TestStore::keeping_to_verify(ADA)).await, spent);
    assert_eq!(store.look_up_user(shop(), at(ADA)).await, refused(Refusal::NotFound));
    store.hand.advance(Duration::from_secs(30));
    store.keep(TestStore::keeping_to_verify(ADA)).await.unwrap();
}

async fn what_is_given_is_changed_and_the_rest_is_left(store: TestStore) {
    let user = store.user(ADA).await;
    store.hand.advance(Duration::from_secs(1));
    let attributes = Attributes::new(r#"{"plan" :"b","b":1.0}"#.to_owned()).unwrap();
    let revise = ReviseUser { application: shop(), id: user.id.clone(), attributes: Some(attributes.clone()), locale: None };

    let changed = store.revise(revise.clone()).await.unwrap();

    assert_eq!((changed.attributes, changed.locale, changed.created_at), (attributes.clone(), user.locale, user.created_at));
    assert!(changed.updated_at > user.updated_at);
    let locale = ReviseUser { attributes: None, locale: Some(None), ..revise };
    let changed = store.revise(locale.clone()).await.unwrap();
    assert_eq!((&changed.attributes, changed.locale), (&attributes, None));
    let again = store.revise(locale).await.unwrap();
    assert_eq!((again.attributes, again.locale), (changed.attributes, None));
}

async fn a_number_that_was_mailed_verifies_its_user_once(store: TestStore) {
    let kept = store.keep(TestStore::keeping_to_verify(ADA)).await.unwrap();
    let mail = store.claim(8).await.remove(0);
    let approval = store.check(&kept.opened.unwrap().verification.id, mail.digits().unwrap()).await.unwrap();
    let user = store.look_up_user(shop(), at(ADA)).await.unwrap();
    assert_eq!((user.verified_at, approval.signed_in), (Some(approval.approved_at), None));

    store.hand.advance(Duration::from_secs(120));
    let (verification, mail) = store.start(ADA).await;
    store.check(&verification.id, mail.digits().unwrap()).await.unwrap();
    assert_eq!(store.look_up_user(shop(), at(ADA)).await.unwrap(), user, "the first time counts");
}

async fn a_forgotten_user_takes_all_of_its_address_with_it_but_the_budgets(store: TestStore) {
    let kept = store.keep(TestStore::keeping_to_verify(ADA)).await.unwrap();
    store.hand.advance(Duration::from_secs(30));
    let (failed, mail) = store.start(ADA).await;
    store.settle(&mail, MessageOutcome::Refused("550 no".to_owned())).await;
    store.hand.advance(Duration::from_secs(60));
    let by_number = OpenVerification { is_found_by_number: true, digits: 12, ..TestStore::opening(ADA) };
    let found = store.open(by_number).await.unwrap();
    let number = found.message.unwrap().number.unwrap();
    store.change_password(&kept.user.id).await;
    store.begin(ADA).await.unwrap();

    store.forget(&kept.user.id).await.unwrap();

    assert_eq!(store.look_up_user(shop(), at(ADA)).await, refused(Refusal::NotFound));
    assert_eq!(store.forget(&kept.user.id).await, refused(Refusal::NotFound));
    for id in [kept.opened.unwrap().verification.id, failed.id, found.verification.id] {
        assert_eq!(store.look_up(&id).await, refused(Refusal::NotFound));
    }
    assert_eq!(store.check_by_number(number.as_str()).await, refused(Refusal::NumberUnknown));
    store.hand.advance(Duration::from_secs(10));
    assert_eq!((store.mails(None).await, store.claim(8).await), (vec![], vec![]));
    let counts = store.asks.count_mails.ask(CountMails, Duration::from_secs(20)).await.unwrap();
    assert_eq!(counts, MailCounts { due: 0, later: 0, failed: 0 });
    let spent = refused(budgets::spent(Budget::AddressSends, 50));
    assert_eq!(store.open(TestStore::opening(ADA)).await, spent, "the mails that were sent still count");
    let anew = store.user(ADA).await;
    assert_eq!(store.gather(&anew.id).await.unwrap().failed_sign_ins_left, 9);
    assert_ne!(anew.id, kept.user.id);
}

async fn all_that_is_kept_is_gathered(store: TestStore) {
    let kept = store.keep(TestStore::keeping_to_verify(ADA)).await.unwrap();
    store.begin(ADA).await.unwrap();
    store.change_password(&kept.user.id).await;

    let export = store.gather(&kept.user.id).await.unwrap();

    assert_eq!(export.user, store.look_up_user(shop(), at(ADA)).await.unwrap());
    assert_eq!(export.verifications.iter().map(|verification| verification.status).collect::<Vec<_>>(), [Status::Pending]);
    assert_eq!(export.notices.iter().map(|notice| notice.status).collect::<Vec<_>>(), [DeliveryStatus::Queued]);
    assert_eq!((export.mails_asked_at.len(), export.wrong_checks_left, export.failed_sign_ins_left), (1, 10, 10));
    assert!(!format!("{export:?}").contains("argon2id"), "{export:?}");
    store.hand.advance(Duration::from_secs(700)); // its verification is a tombstone
    let export = store.gather(&kept.user.id).await.unwrap();
    assert_eq!((export.verifications[0].status, export.verifications[0].started_at), (Status::Expired, None));
}

async fn a_user_stays_however_long_nobody_asks(store: TestStore) {
    let user = store.user(ADA).await;
    store.hand.advance(Duration::from_secs(20 * 365 * 24 * 3600));

    assert_eq!(store.look_up_user(shop(), at(ADA)).await.unwrap(), user);
    let keep = KeepUser { operation: new_operation(), ..TestStore::keeping(ADA) };
    assert_eq!(store.keep(keep).await, refused(Refusal::UserExists));
}

//! Passwords and the mails that tell of their change, as a store keeps them.

use std::time::Duration;

use fiador::{
    domain::{DeliveryStatus, FirstStep, MessageOutcome, PasswordProof, Purpose, Refusal, Status, UserAt, VerificationId},
    messages::{LookUpPassword, OpenVerification, ReplacePassword},
};

use super::{ADA, refused};
use crate::kit::{
    store_users::{another_hash, hash},
    stores::{TestStore, new_operation, on_both_stores, shop},
};

on_both_stores! {
    a_password_is_replaced_by_its_old_one_alone,
    a_password_is_replaced_by_a_reset_once_within_ten_minutes,
    a_repetition_finds_the_password_set_and_does_nothing_more,
    its_change_is_told_by_a_mail_without_a_number,
    a_notice_that_failed_is_listed_and_tried_again,
    a_notice_is_tried_for_a_day,
    a_test_applications_change_is_told_to_nobody,
    a_change_calls_off_the_sign_ins_that_the_old_password_began,
}

async fn a_password_is_replaced_by_its_old_one_alone(store: TestStore) {
    let user = store.user(ADA).await;
    let wrong = TestStore::replacing(&user.id, PasswordProof::Old(another_hash()));
    assert_eq!(store.replace(wrong).await, refused(Refusal::CredentialsInvalid));
    store.begin(ADA).await.unwrap();
    store.hand.advance(Duration::from_secs(1));

    store.change_password(&user.id).await;

    assert_eq!(store.begin(ADA).await.unwrap().hash, another_hash());
    let changed = store.look_up_user(shop(), UserAt::Id(user.id.clone())).await.unwrap();
    assert!(changed.password_changed_at > user.password_changed_at);
    let late = TestStore::replacing(&user.id, PasswordProof::Old(hash()));
    assert_eq!(store.replace(late).await, refused(Refusal::CredentialsInvalid));
    assert_eq!(store.gather(&user.id).await.unwrap().failed_sign_ins_left, 9, "what was right was given back");
}

async fn approved(store: &TestStore, address: &str, purpose: &str) -> VerificationId {
    let opening = OpenVerification { purpose: Purpose::parse(purpose).unwrap(), ..TestStore::opening(address) };
    let opened = store.open(opening).await.unwrap();
    store.check(&opened.verification.id, opened.message.unwrap().digits().unwrap()).await.unwrap();
    opened.verification.id
}

async fn a_password_is_replaced_by_a_reset_once_within_ten_minutes(store: TestStore) {
    let user = store.user(ADA).await;
    let by = |id: &VerificationId| TestStore::replacing(&user.id, PasswordProof::Verification(id.clone()));
    let of_another = approved(&store, "bob@example.org", "reset-password").await;
    let of_another_purpose = approved(&store, ADA, "sign-in").await;
    for proof in [&of_another, &of_another_purpose] {
        assert_eq!(store.replace(by(proof)).await, refused(Refusal::NotProven));
    }
    let reset = approved(&store, ADA, "reset-password").await;
    assert_eq!(store.replace(by(&reset)).await, Ok(()));
    assert_eq!(store.replace(by(&reset)).await, refused(Refusal::NotProven));
    store.hand.advance(Duration::from_secs(120)); // its tombstone knows as well
    assert_eq!(store.replace(by(&reset)).await, refused(Refusal::NotProven));

    for (seconds, expected) in [(599, Ok(())), (600, refused(Refusal::NotProven))] {
        let reset = approved(&store, ADA, "reset-password").await;
        store.hand.advance(Duration::from_secs(seconds));
        assert_eq!(store.replace(by(&reset)).await, expected, "{seconds}");
    }
}

async fn a_repetition_finds_the_password_set_and_does_nothing_more(store: TestStore) {
    let user = store.user(ADA).await;
    let replacing = TestStore::replacing(&user.id, PasswordProof::Old(hash()));
    let look_up = |operation| LookUpPassword { application: shop(), id: user.id.clone(), operation };
    let set_before = async |operation| store.look_up_password(look_up(operation)).await.unwrap().set_before;
    assert_eq!(set_before(replacing.operation).await, None);

    for _ in 0..2 {
        assert_eq!(store.replace(replacing.clone()).await, Ok(()));
        assert_eq!(store.mails(None).await.len(), 1, "it is told once");
        store.hand.advance(Duration::from_secs(1));
    }

    assert_eq!(set_before(replacing.operation).await, Some(another_hash()));
    assert_eq!(set_before(new_operation()).await, None);
}

async fn its_change_is_told_by_a_mail_without_a_number(store: TestStore) {
    let user = store.user(ADA).await;
    store.change_password(&user.id).await;

    let mails = store.mails(None).await;
    assert_eq!(mails.iter().map(|mail| mail.purpose.as_str()).collect::<Vec<_>>(), ["password-changed"]);
    assert_eq!(mails[0].delivery.status, DeliveryStatus::Queued);
    let notice = store.claim(8).await.remove(0);
    assert_eq!((&notice.number, notice.address.as_str(), notice.purpose.as_str()), (&None, ADA, "password-changed"));
    assert!(store.claim(8).await.is_empty());
    store.settle(&notice, MessageOutcome::Sent("250 ok".to_owned())).await;
    store.hand.advance(Duration::from_secs(3600));
    assert!(store.claim(8).await.is_empty());
    assert!(store.mails(None).await.is_empty());
    store.start(ADA).await; // nobody was charged for it
}

async fn a_notice_that_failed_is_listed_and_tried_again(store: TestStore) {
    let user = store.user(ADA).await;
    store.change_password(&user.id).await;
    let notice = store.claim(8).await.remove(0);
    store.settle(&notice, MessageOutcome::Refused("550 no".to_owned())).await;
    assert!(store.claim(8).await.is_empty());

    let failed = store.mails(Some(DeliveryStatus::Failed)).await;
    assert_eq!(failed.iter().map(|mail| mail.purpose.as_str()).collect::<Vec<_>>(), ["password-changed"]);
    let again = store.requeue(&failed[0].id).await.unwrap();

    assert_eq!(again.delivery.status, DeliveryStatus::Deferred);
    let again = store.claim(8).await.remove(0);
    assert_eq!((again.number, &again.message_id), (None, &notice.message_id));
    assert!(again.fence > notice.fence);
    assert!(store.mails(Some(DeliveryStatus::Failed)).await.is_empty());
}

async fn a_notice_is_tried_for_a_day(store: TestStore) {
    let user = store.user(ADA).await;
    store.change_password(&user.id).await;
    store.hand.advance(Duration::from_secs(24 * 3600 - 75));
    let notice = store.claim(8).await.remove(0);
    store.settle(&notice, MessageOutcome::Returned).await;

    store.hand.advance(Duration::from_secs(31));

    assert!(store.claim(8).await.is_empty());
    let mails = store.mails(Some(DeliveryStatus::Expired)).await;
    assert_eq!(mails.len(), 1);
    assert_eq!(store.requeue(&mails[0].id).await, refused(Refusal::Expired));
}

async fn a_test_applications_change_is_told_to_nobody(store: TestStore) {
    let user = store.user(ADA).await;
    let replacing = TestStore::replacing(&user.id, PasswordProof::Old(hash()));
    store.replace(ReplacePassword { is_test: true, ..replacing }).await.unwrap();

    assert_eq!(store.begin(ADA).await.unwrap().hash, another_hash());
    assert_eq!((store.claim(8).await, store.mails(None).await), (vec![], vec![]));
}

async fn a_change_calls_off_the_sign_ins_that_the_old_password_began(store: TestStore) {
    let user = store.user(ADA).await;
    let opening = OpenVerification { with_lease: false, ..TestStore::opening_sign_in(ADA, FirstStep::Password) };
    let sign_in = store.open(opening).await.unwrap().verification;

    store.change_password(&user.id).await;

    assert_eq!(store.look_up(&sign_in.id).await.unwrap().status, Status::Canceled);
    let claimed = store.claim(8).await;
    assert_eq!(claimed.iter().map(|mail| mail.digits()).collect::<Vec<_>>(), [None], "only the notice is left");
    store.start(ADA).await; // its mail was not sent, so nobody is charged for it
}

//! Sign-ins, as a store decides them.

use std::time::Duration;

use fiador::{
    domain::{Budget, DeliveryStatus, FirstStep, MessageOutcome, PasswordHash, Refusal, SignInMethod, Status, UserAt},
    messages::{FinishSignIn, OpenVerification, Opened},
};
use futures_util::future::join_all;

use super::{ADA, refused};
use crate::kit::{
    budgets,
    store_users::hash,
    stores::{TestStore, new_operation, on_both_stores, other_than, shop},
};

on_both_stores! {
    who_is_unknown_is_charged_as_who_is_known,
    ten_that_begin_at_once_leave_none_and_ten_minutes_bring_one_back,
    a_sign_in_that_is_finished_gives_back_what_it_was_charged,
    a_sign_in_fails_when_the_password_was_changed_meanwhile,
    a_hash_under_raised_parameters_is_kept_from_then_on,
    the_second_step_is_mailed_once_and_signs_in_by_both_methods,
    a_number_alone_signs_in_whoever_is_kept,
    a_decoy_looks_as_a_real_one_and_is_never_claimed_and_charged_alike,
    where_the_number_identifies_a_sign_in_is_found_by_it,
    who_was_forgotten_is_signed_in_by_no_number_that_was_on_its_way,
}

const EVE: &str = "eve@example.org"; // who is not kept

async fn who_is_unknown_is_charged_as_who_is_known(store: TestStore) {
    let user = store.user(ADA).await;
    for left in (0..10).rev() {
        assert!(store.begin(ADA).await.is_some_and(|kept| kept.id == user.id && kept.hash == hash()), "{left}");
        assert_eq!(store.begin(EVE).await, None);
    }
    let anew = store.user(EVE).await;

    for (address, id) in [(ADA, user.id), (EVE, anew.id)] {
        assert_eq!(store.begin(address).await, None);
        assert_eq!(store.begin_of(shop(), UserAt::Id(id.clone())).await, Ok(None));
        assert_eq!(store.gather(&id).await.unwrap().failed_sign_ins_left, 0);
    }
}

async fn ten_that_begin_at_once_leave_none_and_ten_minutes_bring_one_back(store: TestStore) {
    store.user(ADA).await;
    let begun = join_all((0..20).map(|_| store.begin(ADA))).await;
    assert_eq!(begun.iter().flatten().count(), 10);

    store.hand.advance(Duration::from_secs(599));
    assert_eq!(store.begin(ADA).await, None);
    store.hand.advance(Duration::from_secs(1));
    assert!(store.begin(ADA).await.is_some());
    assert_eq!(store.begin(ADA).await, None);
}

async fn a_sign_in_that_is_finished_gives_back_what_it_was_charged(store: TestStore) {
    let user = store.user(ADA).await;
    let mut names = Vec::new();
    for _ in 0..30 {
        let kept = store.begin(ADA).await.expect("it is given back each time");
        let finished = store.finish(TestStore::finishing(&kept)).await.unwrap();
        assert_eq!((finished.opened, &finished.signed_in.methods[..]), (None, &[SignInMethod::Password][..]));
        assert_eq!((finished.signed_in.subject.as_str(), finished.signed_in.audience.as_str()), (user.id.as_str(), "shop"));
        names.push(finished.signed_in.jti);
    }

    names.sort();
    names.dedup();
    assert_eq!(names.len(), 30, "each has a name of its own");
}

async fn a_sign_in_fails_when_the_password_was_changed_meanwhile(store: TestStore) {
    let user = store.user(ADA).await;
    let kept = store.begin(ADA).await.unwrap();
    store.change_password(&user.id).await;

    let second_step = Some(Box::new(TestStore::opening_sign_in(ADA, FirstStep::Password)));
    let late = FinishSignIn { second_step, ..TestStore::finishing(&kept) };
    assert_eq!(store.finish(late).await, refused(Refusal::CredentialsInvalid));
    let kept = store.begin(ADA).await.unwrap();
    store.forget(&user.id).await.unwrap();
    assert_eq!(store.finish(TestStore::finishing(&kept)).await, refused(Refusal::CredentialsInvalid));
    store.user(ADA).await;
    assert_eq!(store.finish(TestStore::finishing(&kept)).await, refused(Refusal::CredentialsInvalid), "it is another user");
}

async fn a_hash_under_raised_parameters_is_kept_from_then_on(store: TestStore) {
    let user = store.user(ADA).await;
    let kept = store.begin(ADA).await.unwrap();
    let raised = PasswordHash("$argon2id$v=19$m=65536,t=3,p=1$salt$raised".to_owned());

    store.finish(FinishSignIn { rehashed: Some(raised.clone()), ..TestStore::finishing(&kept) }).await.unwrap();

    let kept_now = store.begin(ADA).await.unwrap();
    assert_eq!(kept_now.hash, raised);
    assert_eq!(store.look_up_user(shop(), UserAt::Id(user.id.clone())).await.unwrap(), user, "it is the same password");
    assert_eq!(store.finish(TestStore::finishing(&kept)).await, refused(Refusal::CredentialsInvalid));
}

async fn the_second_step_is_mailed_once_and_signs_in_by_both_methods(store: TestStore) {
    let user = store.user(ADA).await;
    let kept = store.begin(ADA).await.unwrap();
    let second_step = Some(Box::new(TestStore::opening_sign_in(ADA, FirstStep::Password)));
    let finish = FinishSignIn { second_step, ..TestStore::finishing(&kept) };
    let opened = store.finish(finish.clone()).await.unwrap().opened.unwrap();
    let mail = opened.message.unwrap();
    let again = store.finish(finish).await.unwrap().opened.unwrap();
    assert_eq!((&again.verification.id, again.message, again.is_repetition), (&opened.verification.id, None, true));

    let number = mail.digits().unwrap();
    store.check(&opened.verification.id, &other_than(number)).await.unwrap_err();
    let operation = new_operation();
    let approval = store.check_as(operation, &opened.verification.id, number).await.unwrap();

    let signed_in = approval.signed_in.clone().unwrap();
    assert_eq!(signed_in.methods, [SignInMethod::Password, SignInMethod::Number]);
    assert_eq!((signed_in.subject.as_str(), signed_in.is_email_verified), (user.id.as_str(), true));
    assert_eq!(store.check_as(operation, &opened.verification.id, number).await.unwrap(), approval);
}

async fn a_number_alone_signs_in_whoever_is_kept(store: TestStore) {
    let user = store.user(ADA).await;
    let opened = store.open(TestStore::opening_sign_in(ADA, FirstStep::None)).await.unwrap();
    let mail = opened.message.unwrap();

    let signed_in = store.check(&opened.verification.id, mail.digits().unwrap()).await.unwrap().signed_in.unwrap();

    assert_eq!((signed_in.subject.as_str(), &signed_in.methods[..]), (user.id.as_str(), &[SignInMethod::Number][..]));
}

async fn a_decoy_looks_as_a_real_one_and_is_never_claimed_and_charged_alike(store: TestStore) {
    store.user(ADA).await;
    let opening = |address| OpenVerification { with_lease: false, ..TestStore::opening_sign_in(address, FirstStep::None) };
    let (real, decoy) = (store.open(opening(ADA)).await.unwrap(), store.open(opening(EVE)).await.unwrap());

    let looks = |opened: &Opened| {
        let view = opened.verification.clone();
        (view.status, view.attempts_remaining, view.purpose, view.delivery.map(|delivery| delivery.status))
    };
    assert_eq!(looks(&real), looks(&decoy));
    let claimed = store.claim(8).await;
    assert_eq!(claimed.iter().map(|mail| mail.address.as_str()).collect::<Vec<_>>(), [ADA]);
    store.settle(&claimed[0], MessageOutcome::Sent("250 ok".to_owned())).await;
    let spent = |seconds| refused::<Option<_>>(budgets::spent(Budget::AddressSends, seconds));
    for address in [ADA, EVE] {
        assert_eq!(store.open(opening(address)).await.map(|opened| opened.message), spent(30), "{address}");
    }
    store.hand.advance(Duration::from_secs(30));
    let resent = [&real, &decoy].map(|opened| opened.verification.id.clone());
    for id in &resent {
        let resent = store.resend_with(new_operation(), id, false).await.unwrap();
        assert_eq!(resent.verification.delivery.unwrap().status, DeliveryStatus::Queued);
    }
    assert_eq!(store.claim(8).await.len(), 1);
    for address in [ADA, EVE] {
        assert_eq!(store.open(opening(address)).await.map(|opened| opened.message), spent(60), "{address}");
    }
    let with_lease = OpenVerification { with_lease: true, ..opening("sue@example.org") };
    assert_eq!(store.open(with_lease).await.unwrap().message, None);
}

async fn where_the_number_identifies_a_sign_in_is_found_by_it(store: TestStore) {
    let user = store.user(ADA).await;
    let opening = |address| {
        let opening = TestStore::opening_sign_in(address, FirstStep::None);
        OpenVerification { is_found_by_number: true, digits: 12, ..opening }
    };
    let number = store.open(opening(ADA)).await.unwrap().message.unwrap().number.unwrap();
    let decoy = store.open(opening(EVE)).await.unwrap();
    assert_eq!(decoy.message, None);

    let approval = store.check_by_number(number.as_str()).await.unwrap();

    assert_eq!(approval.signed_in.unwrap().subject, user.id.as_str());
    assert_eq!(store.check_by_number(&other_than(number.as_str())).await, refused(Refusal::NumberUnknown));
    store.hand.advance(Duration::from_secs(30));
    let second = store.open(opening(EVE)).await.unwrap(); // replaces the first, as a real one would
    assert_eq!(store.look_up(&decoy.verification.id).await.unwrap().status, Status::Canceled);
    assert_eq!(store.look_up(&second.verification.id).await.unwrap().status, Status::Pending);
}

async fn who_was_forgotten_is_signed_in_by_no_number_that_was_on_its_way(store: TestStore) {
    let user = store.user(ADA).await;
    let opened = store.open(TestStore::opening_sign_in(ADA, FirstStep::None)).await.unwrap();
    let mail = opened.message.unwrap();
    store.forget(&user.id).await.unwrap();
    store.user(ADA).await;

    assert_eq!(store.check(&opened.verification.id, mail.digits().unwrap()).await, refused(Refusal::NotFound));
    store.settle(&mail, MessageOutcome::Deferred { reply: "451".to_owned(), maybe_accepted: false }).await;
    store.hand.advance(Duration::from_secs(61));
    assert!(store.claim(8).await.is_empty());
}

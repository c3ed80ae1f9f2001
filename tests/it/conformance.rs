//! Both stores answer the same messages in the same way. Time is moved, never waited for.

use std::time::Duration;

use fiador::{
    domain::{
        Allowance, Budget, Charge, DeliveryStatus, EmailAddress, IdentityNumber, MailCounts, MessageOutcome, Refusal, Status,
        Token,
    },
    messages::{CountMails, Failure, OpenVerification},
};

use futures_util::future::join_all;

use crate::kit::{
    budgets::{self, three_starts},
    stores::{TestStore, new_operation, of_ip, on_both_stores, other_than},
};

on_both_stores! {
    a_number_releases_its_token_only_once,
    a_token_comes_back_byte_for_byte,
    a_verification_without_a_token_is_approved_without_one,
    five_wrong_checks_exhaust_a_verification_and_the_right_number_no_longer_helps,
    an_address_has_ten_wrong_checks_over_all_its_verifications_and_one_back_each_half_hour,
    a_repeated_start_finds_its_own_verification,
    a_repeated_start_with_another_body_is_refused_and_charges_nothing,
    a_start_that_may_open_nothing_finds_its_own_verification_all_the_same,
    a_repeated_check_gets_the_same_answer_for_a_minute_and_is_charged_once,
    no_number_works_after_its_expiry,
    a_canceled_number_does_not_work,
    a_minute_after_the_end_only_the_tombstone_is_left_and_after_an_hour_nothing,
    another_applications_id_leads_nowhere,
    a_mail_is_leased_settled_and_shown_in_delivery,
    mails_are_counted_by_what_becomes_of_them_next,
    a_deferred_mail_is_claimed_again_when_it_is_due,
    a_lapsed_lease_is_claimed_again_and_its_late_settlement_changes_nothing,
    a_settlement_keeps_what_was_done_since_its_lease,
    a_settlement_after_the_end_changes_nothing_of_it,
    a_mail_whose_verification_ended_is_never_claimed,
    a_refused_mail_fails_and_spends_nothing,
    a_second_start_waits_for_its_pause,
    a_resend_mails_the_same_number_at_most_five_times_in_all,
    a_repeated_resend_sends_nothing_more_and_a_mail_on_its_way_is_not_sent_twice,
    what_has_ended_is_not_resent,
    a_number_alone_leads_to_its_verification_once,
    the_newest_start_of_an_address_replaces_the_earlier_where_the_number_identifies,
    a_check_by_number_is_repeated_for_a_minute_by_its_own_operation_alone,
    a_thousand_misses_spend_the_budget_and_then_hits_are_refused_too,
    the_last_miss_that_is_left_is_one_guess_however_many_are_made_at_once,
    an_ip_has_twenty_starts_and_one_back_each_half_minute,
    an_application_has_the_starts_that_it_is_given_and_what_is_refused_takes_nothing,
    a_test_applications_number_is_zeros_and_its_mail_is_never_queued,
}

fn refused<T>(refusal: Refusal) -> Result<T, Failure> {
    Err(Failure::Refused(refusal))
}

async fn a_number_releases_its_token_only_once(store: TestStore) {
    let (verification, mail) = store.start("ada@example.org").await;

    let approval = store.check(&verification.id, mail.digits().unwrap()).await.unwrap();

    assert_eq!(approval.token, Some(Token::Text("tok-1".to_owned())));
    assert_eq!(approval.email, EmailAddress::parse("ada@example.org").unwrap());
    assert_eq!(store.check(&verification.id, mail.digits().unwrap()).await, refused(Refusal::AlreadyApproved));
    assert_eq!(store.look_up(&verification.id).await.unwrap().status, Status::Approved);
}

async fn a_token_comes_back_byte_for_byte(store: TestStore) {
    for (address, token) in [("a@example.org", r#"{ "b":1, "a" :[1.0,"ñ\u00f1"]}"#), ("b@example.org", " \u{0} ")] {
        let token = Token::Json(token.to_owned());
        let opened = store.open(OpenVerification { token: Some(token.clone()), ..TestStore::opening(address) }).await.unwrap();
        let number = opened.message.unwrap().number.unwrap();

        assert_eq!(store.check(&opened.verification.id, number.as_str()).await.unwrap().token, Some(token));
    }
}

async fn a_verification_without_a_token_is_approved_without_one(store: TestStore) {
    let opened = store.open(OpenVerification { token: None, ..TestStore::opening("ada@example.org") }).await.unwrap();
    let number = opened.message.unwrap().number.unwrap();

    assert_eq!(store.check(&opened.verification.id, number.as_str()).await.unwrap().token, None);
}

async fn five_wrong_checks_exhaust_a_verification_and_the_right_number_no_longer_helps(store: TestStore) {
    let (verification, mail) = store.start("ada@example.org").await;
    let wrong = other_than(mail.digits().unwrap());
    for attempts_remaining in (0..5).rev() {
        let answer = store.check(&verification.id, &wrong).await;
        assert_eq!(answer, refused(Refusal::NumberIncorrect { attempts_remaining }));
    }

    assert_eq!(store.check(&verification.id, mail.digits().unwrap()).await, refused(Refusal::Exhausted));
}

async fn an_address_has_ten_wrong_checks_over_all_its_verifications_and_one_back_each_half_hour(store: TestStore) {
    for _ in 0..2 {
        let (verification, mail) = store.start("ada@example.org").await;
        for _ in 0..5 {
            store.check(&verification.id, &other_than(mail.digits().unwrap())).await.unwrap_err();
        }
        store.hand.advance(Duration::from_secs(120));
    }
    let (verification, mail) = store.start("ada@example.org").await;
    assert_eq!(verification.attempts_remaining, 0);
    let spent = store.check(&verification.id, mail.digits().unwrap()).await.unwrap_err();
    assert!(matches!(spent, Failure::Refused(Refusal::BudgetSpent { .. })), "{spent:?}");

    store.hand.advance(Duration::from_secs(1800));
    let (verification, mail) = store.start("ada@example.org").await;
    let wrong = store.check(&verification.id, &other_than(mail.digits().unwrap())).await;
    assert_eq!(wrong, refused(Refusal::NumberIncorrect { attempts_remaining: 0 }));
}

async fn a_repeated_start_finds_its_own_verification(store: TestStore) {
    let opening = TestStore::opening("ada@example.org");
    let first = store.open(opening.clone()).await.unwrap();
    let again = store.open(opening.clone()).await.unwrap();

    assert_eq!(again.verification.id, first.verification.id);
    assert_eq!(again.verification.expires_at, first.verification.expires_at);
    assert_eq!(again.message, None);
    let elsewhere =
        store.open(OpenVerification { address: EmailAddress::parse("eve@example.org").unwrap(), ..opening }).await.unwrap();
    assert_ne!(elsewhere.verification.id, first.verification.id);
}

async fn a_repeated_start_with_another_body_is_refused_and_charges_nothing(store: TestStore) {
    let opening = TestStore::opening("ada@example.org");
    let first = store.open(opening.clone()).await.unwrap();

    for other in [
        OpenVerification { token: None, ..opening.clone() },
        OpenVerification { token: Some(Token::Json("\"tok-1\"".to_owned())), ..opening.clone() },
        OpenVerification { ttl_seconds: 300, ..opening.clone() },
        OpenVerification { context_ip: Some("203.0.113.9".to_owned()), ..opening.clone() },
    ] {
        assert_eq!(store.open(other).await, refused(Refusal::IdempotencyMismatch));
    }
    assert_eq!(store.open(opening).await.unwrap().verification.id, first.verification.id);
}

async fn a_start_that_may_open_nothing_finds_its_own_verification_all_the_same(store: TestStore) {
    let opening = TestStore::opening("ada@example.org");
    let first = store.open(opening.clone()).await.unwrap();
    let spent = budgets::spent(Budget::IpStarts, 30);
    let barred = |opening| OpenVerification { refusal: Some(spent.clone()), ..opening };

    let again = store.open(barred(opening.clone())).await.unwrap();
    assert_eq!((again.verification.id, again.is_repetition), (first.verification.id, true));
    let another_body = OpenVerification { token: None, ..opening };
    assert_eq!(store.open(barred(another_body)).await, refused(Refusal::IdempotencyMismatch));
    let bob = TestStore::opening("bob@example.org");
    assert_eq!(store.open(barred(bob.clone())).await, refused(spent.clone()));
    assert!(!store.open(bob).await.unwrap().is_repetition);
}

async fn a_repeated_check_gets_the_same_answer_for_a_minute_and_is_charged_once(store: TestStore) {
    let (verification, mail) = store.start("ada@example.org").await;
    let (right, wrong) = (mail.digits().unwrap(), other_than(mail.digits().unwrap()));
    let (one, two) = (new_operation(), new_operation());
    for _ in 0..3 {
        let answer = store.check_as(one, &verification.id, &wrong).await;
        assert_eq!(answer, refused(Refusal::NumberIncorrect { attempts_remaining: 4 }));
    }
    assert_eq!(store.check_as(one, &verification.id, right).await, refused(Refusal::IdempotencyMismatch));

    let approval = store.check_as(two, &verification.id, right).await.unwrap();
    store.hand.advance(Duration::from_secs(59));
    assert_eq!(store.check_as(two, &verification.id, right).await.unwrap(), approval);
    assert_eq!(store.check_as(new_operation(), &verification.id, right).await, refused(Refusal::AlreadyApproved));
    assert_eq!(store.check_as(two, &verification.id, &wrong).await, refused(Refusal::IdempotencyMismatch));
    store.hand.advance(Duration::from_secs(1));
    assert_eq!(store.check_as(two, &verification.id, right).await, refused(Refusal::AlreadyApproved));
}

async fn no_number_works_after_its_expiry(store: TestStore) {
    let (verification, mail) = store.start("ada@example.org").await;
    store.hand.advance(Duration::from_secs(600));

    assert_eq!(store.check(&verification.id, mail.digits().unwrap()).await, refused(Refusal::Expired));
    assert_eq!(store.look_up(&verification.id).await.unwrap().status, Status::Expired);
}

async fn a_canceled_number_does_not_work(store: TestStore) {
    let (verification, mail) = store.start("ada@example.org").await;
    store.end(&verification.id).await.unwrap();

    assert_eq!(store.check(&verification.id, mail.digits().unwrap()).await, refused(Refusal::Canceled));
    store.end(&verification.id).await.unwrap();
    assert_eq!(store.look_up(&verification.id).await.unwrap().status, Status::Canceled);
}

async fn a_minute_after_the_end_only_the_tombstone_is_left_and_after_an_hour_nothing(store: TestStore) {
    let (verification, mail) = store.start("ada@example.org").await;
    store.check(&verification.id, mail.digits().unwrap()).await.unwrap();

    store.hand.advance(Duration::from_secs(60));
    let tombstone = store.look_up(&verification.id).await.unwrap();
    assert_eq!((tombstone.status, tombstone.email, tombstone.delivery), (Status::Approved, None, None));
    assert!(tombstone.approved_at.is_some());
    store.hand.advance(Duration::from_secs(3540));
    assert_eq!(store.look_up(&verification.id).await, refused(Refusal::NotFound));
}

async fn another_applications_id_leads_nowhere(store: TestStore) {
    let (verification, mail) = store.start("ada@example.org").await;
    let bank = fiador::domain::ApplicationName::parse("bank").unwrap();
    let deadline = Duration::from_secs(5);

    let looking = fiador::messages::LookUpVerification { application: bank.clone(), id: verification.id.clone() };
    assert!(store.asks.look_up.ask(looking, deadline).await.is_err());
    let end = fiador::messages::EndVerification { application: bank.clone(), id: verification.id.clone() };
    assert!(store.asks.end.ask(end, deadline).await.is_err());
    for _ in 0..6 {
        let (application, id, number) = (bank.clone(), verification.id.clone(), mail.number.clone().unwrap());
        let check = fiador::messages::DecideCheck { application, id, number, is_test: false, operation: new_operation() };
        let answer = store.asks.check.ask(check, deadline).await;
        assert_eq!(answer, Err(fiador::supervision::AskError::Refused(Failure::Refused(Refusal::NotFound))));
    }
    assert!(store.check(&verification.id, mail.digits().unwrap()).await.is_ok());
}

async fn delivery(store: &TestStore, verification: &fiador::domain::VerificationView) -> fiador::domain::Delivery {
    store.look_up(&verification.id).await.unwrap().delivery.unwrap()
}

async fn a_mail_is_leased_settled_and_shown_in_delivery(store: TestStore) {
    let (verification, mail) = store.start("ada@example.org").await;
    assert_eq!(verification.delivery.as_ref().unwrap().status, DeliveryStatus::Queued);
    assert_eq!(delivery(&store, &verification).await.status, DeliveryStatus::Sending);
    assert!(store.claim(8).await.is_empty());

    store.settle(&mail, MessageOutcome::Sent("250 queued".to_owned())).await;
    let sent = delivery(&store, &verification).await;
    assert_eq!((sent.status, sent.attempts, sent.last_reply.as_deref()), (DeliveryStatus::Sent, 1, Some("250 queued")));
    assert_eq!(sent.message_id, mail.message_id);
    store.hand.advance(Duration::from_secs(300));
    assert!(store.claim(8).await.is_empty());
}

async fn mails_are_counted_by_what_becomes_of_them_next(store: TestStore) {
    let counts = async || {
        let MailCounts { due, later, failed } = store.asks.count_mails.ask(CountMails, Duration::from_secs(20)).await.unwrap();
        (due, later, failed)
    };
    let (_, leased) = store.start("ada@example.org").await;
    store.open(OpenVerification { with_lease: false, ..TestStore::opening("bob@example.org") }).await.unwrap();
    assert_eq!(counts().await, (1, 1, 0));

    store.settle(&leased, MessageOutcome::Refused("550 no".to_owned())).await;
    assert_eq!(counts().await, (1, 0, 1));

    store.hand.advance(Duration::from_secs(3601));
    assert_eq!(counts().await, (1, 0, 0));
}

async fn a_deferred_mail_is_claimed_again_when_it_is_due(store: TestStore) {
    let (verification, mail) = store.start("ada@example.org").await;
    let reply = "451 greylisted".to_owned();
    store.settle(&mail, MessageOutcome::Deferred { reply, maybe_accepted: false }).await;

    let deferred = delivery(&store, &verification).await;
    assert_eq!((deferred.status, deferred.attempts), (DeliveryStatus::Deferred, 1));
    assert!(deferred.next_attempt_at.is_some());
    store.hand.advance(Duration::from_secs(2));
    let again = store.claim(8).await;
    assert_eq!((again.len(), &again[0].number, &again[0].message_id), (1, &mail.number, &mail.message_id));
    assert!(again[0].fence > mail.fence);
}

async fn a_lapsed_lease_is_claimed_again_and_its_late_settlement_changes_nothing(store: TestStore) {
    let (verification, mail) = store.start("ada@example.org").await;
    store.hand.advance(Duration::from_secs(61));
    let again = store.claim(8).await;
    assert_eq!(again.len(), 1);

    store.settle(&mail, MessageOutcome::Refused("550 no".to_owned())).await;
    assert_eq!(delivery(&store, &verification).await.status, DeliveryStatus::Sending);
    store.settle(&again[0], MessageOutcome::Sent("250 ok".to_owned())).await;
    assert_eq!(delivery(&store, &verification).await.attempts, 2);
}

async fn a_settlement_keeps_what_was_done_since_its_lease(store: TestStore) {
    let (verification, mail) = store.start("ada@example.org").await;
    store.check(&verification.id, &other_than(mail.digits().unwrap())).await.unwrap_err();

    store.settle(&mail, MessageOutcome::Sent("250 ok".to_owned())).await;

    let view = store.look_up(&verification.id).await.unwrap();
    assert_eq!((view.attempts_remaining, view.delivery.unwrap().status), (4, DeliveryStatus::Sent));
    assert!(store.check(&verification.id, mail.digits().unwrap()).await.is_ok());
}

async fn a_settlement_after_the_end_changes_nothing_of_it(store: TestStore) {
    let (verification, mail) = store.start("ada@example.org").await;
    store.check(&verification.id, mail.digits().unwrap()).await.unwrap();
    store.hand.advance(Duration::from_secs(2 * 3600)); // nothing is left of the record

    store.settle(&mail, MessageOutcome::Sent("250 ok".to_owned())).await;

    assert_eq!(store.look_up(&verification.id).await.err(), Some(Failure::Refused(Refusal::NotFound)));
    store.start("ada@example.org").await;
}

async fn a_mail_whose_verification_ended_is_never_claimed(store: TestStore) {
    let opening = OpenVerification { with_lease: false, ..TestStore::opening("ada@example.org") };
    let opened = store.open(opening).await.unwrap();
    assert!(opened.message.is_none());
    store.end(&opened.verification.id).await.unwrap();

    assert!(store.claim(8).await.is_empty());
    assert_eq!(delivery(&store, &opened.verification).await.status, DeliveryStatus::Dropped);
    store.open(TestStore::opening("ada@example.org")).await.unwrap(); // what was not sent was given back, pause included
}

async fn a_refused_mail_fails_and_spends_nothing(store: TestStore) {
    let (verification, mail) = store.start("ada@example.org").await;
    store.settle(&mail, MessageOutcome::Refused("550 no such user".to_owned())).await;

    assert_eq!(delivery(&store, &verification).await.status, DeliveryStatus::Failed);
    store.start("ada@example.org").await;
}

async fn a_second_start_waits_for_its_pause(store: TestStore) {
    let spent = |retry_after_seconds| refused(budgets::spent(Budget::AddressSends, retry_after_seconds));
    store.start("ada@example.org").await;
    store.hand.advance(Duration::from_secs(9));
    assert_eq!(store.open(TestStore::opening("ADA@Example.org")).await, spent(21));
    store.hand.advance(Duration::from_secs(21));
    store.start("ADA@Example.org").await;
    assert_eq!(store.open(TestStore::opening("ada@example.org")).await, spent(60));
    store.start("bob@example.org").await;
}

async fn a_resend_mails_the_same_number_at_most_five_times_in_all(store: TestStore) {
    let opening = OpenVerification { ttl_seconds: 86_400, ..TestStore::opening("ada@example.org") };
    let opened = store.open(opening).await.unwrap();
    let first = *opened.message.unwrap();
    store.settle(&first, MessageOutcome::Sent("250 ok".to_owned())).await;
    assert!(matches!(store.resend(&opened.verification.id).await, Err(Failure::Refused(Refusal::BudgetSpent { .. }))));

    for _ in 0..4 {
        store.hand.advance(Duration::from_secs(120));
        let again = store.resend(&opened.verification.id).await.unwrap();
        assert_eq!(again.number, first.number);
        assert_ne!(again.message_id, first.message_id);
        store.settle(&again, MessageOutcome::Sent("250 ok".to_owned())).await;
    }
    store.hand.advance(Duration::from_secs(7200));
    let spent = store.resend(&opened.verification.id).await;
    let is_own = |budget| budget == Budget::VerificationSends;
    assert!(matches!(spent, Err(Failure::Refused(Refusal::BudgetSpent { budget, .. })) if is_own(budget)));
    assert!(store.check(&opened.verification.id, first.digits().unwrap()).await.is_ok());
}

async fn a_repeated_resend_sends_nothing_more_and_a_mail_on_its_way_is_not_sent_twice(store: TestStore) {
    let (verification, mail) = store.start("ada@example.org").await;
    let on_its_way = store.resend_as(new_operation(), &verification.id).await.unwrap();
    assert_eq!(on_its_way.message, None);
    assert_eq!(on_its_way.verification.delivery.unwrap().message_id, mail.message_id);

    store.settle(&mail, MessageOutcome::Sent("250 ok".to_owned())).await;
    store.hand.advance(Duration::from_secs(30));
    let operation = new_operation();
    let again = *store.resend_as(operation, &verification.id).await.unwrap().message.unwrap();
    store.settle(&again, MessageOutcome::Sent("250 ok".to_owned())).await;
    let repeated = store.resend_as(operation, &verification.id).await.unwrap();
    assert_eq!((repeated.message, repeated.is_repetition), (None, true));
    assert_eq!(repeated.verification.delivery.unwrap().message_id, again.message_id);
}

async fn what_has_ended_is_not_resent(store: TestStore) {
    let (verification, mail) = store.start("ada@example.org").await;
    store.settle(&mail, MessageOutcome::Sent("250 ok".to_owned())).await;
    store.check(&verification.id, mail.digits().unwrap()).await.unwrap();
    assert_eq!(store.resend(&verification.id).await, refused(Refusal::AlreadyApproved));

    let (canceled, _) = store.start("bob@example.org").await;
    store.end(&canceled.id).await.unwrap();
    assert_eq!(store.resend(&canceled.id).await, refused(Refusal::Canceled));
    let (expired, _) = store.start("eve@example.org").await;
    store.hand.advance(Duration::from_secs(600));
    assert_eq!(store.resend(&expired.id).await, refused(Refusal::Expired));
}

fn found_by_number(address: &str) -> OpenVerification {
    OpenVerification { is_found_by_number: true, digits: 12, ..TestStore::opening(address) }
}

async fn a_number_alone_leads_to_its_verification_once(store: TestStore) {
    let opened = store.open(found_by_number("ada@example.org")).await.unwrap();
    let number = opened.message.unwrap().number.unwrap();
    assert_eq!(number.as_str().len(), 12);

    let approval = store.check_by_number(number.as_str()).await.unwrap();
    assert_eq!(approval.id, opened.verification.id);
    assert_eq!(approval.token, Some(Token::Text("tok-1".to_owned())));
    assert_eq!(store.check_by_number(number.as_str()).await, refused(Refusal::NumberUnknown));
    assert_eq!(store.check_by_number(&other_than(number.as_str())).await, refused(Refusal::NumberUnknown));
}

async fn the_newest_start_of_an_address_replaces_the_earlier_where_the_number_identifies(store: TestStore) {
    let first = store.open(found_by_number("ada@example.org")).await.unwrap();
    let too_soon = store.open(found_by_number("ada@example.org")).await;
    assert!(matches!(too_soon, Err(Failure::Refused(Refusal::BudgetSpent { .. }))));
    assert_eq!(store.look_up(&first.verification.id).await.unwrap().status, Status::Pending);

    store.hand.advance(Duration::from_secs(30));
    let second = store.open(found_by_number("ada@example.org")).await.unwrap();
    let earlier = first.message.unwrap().number.unwrap();
    assert_eq!(store.check_by_number(earlier.as_str()).await, refused(Refusal::NumberUnknown));
    assert_eq!(store.check(&first.verification.id, earlier.as_str()).await, refused(Refusal::Canceled));
    let newest = second.message.unwrap().number.unwrap();
    assert_eq!(store.check_by_number(newest.as_str()).await.unwrap().id, second.verification.id);
}

async fn a_check_by_number_is_repeated_for_a_minute_by_its_own_operation_alone(store: TestStore) {
    let opened = store.open(found_by_number("ada@example.org")).await.unwrap();
    let number = opened.message.unwrap().number.unwrap();
    let operation = new_operation();
    let approval = store.check_by_number_as(operation, number.as_str()).await.unwrap();

    store.hand.advance(Duration::from_secs(59));
    assert_eq!(store.check_by_number_as(operation, number.as_str()).await.unwrap(), approval);
    assert_eq!(store.check_by_number(number.as_str()).await, refused(Refusal::NumberUnknown));
    store.hand.advance(Duration::from_secs(1));
    assert_eq!(store.check_by_number_as(operation, number.as_str()).await, refused(Refusal::NumberUnknown));
}

async fn a_thousand_misses_spend_the_budget_and_then_hits_are_refused_too(store: TestStore) {
    let opened = store.open(found_by_number("ada@example.org")).await.unwrap();
    let number = opened.message.unwrap().number.unwrap();
    for _ in 0..1_000 {
        assert_eq!(store.check_by_number(&other_than(number.as_str())).await, refused(Refusal::NumberUnknown));
    }

    let is_misses = |answer| matches!(answer, Err(Failure::Refused(Refusal::BudgetSpent { budget: Budget::NumberMisses, .. })));
    assert!(is_misses(store.check_by_number(&other_than(number.as_str())).await));
    assert!(is_misses(store.check_by_number(number.as_str()).await));
    store.hand.advance(Duration::from_secs(10));
    assert!(store.check_by_number(number.as_str()).await.is_ok());
}

async fn the_last_miss_that_is_left_is_one_guess_however_many_are_made_at_once(store: TestStore) {
    let opened = join_all((0..50).map(|n| store.open(found_by_number(&format!("ada{n}@example.org"))))).await;
    let numbers: Vec<_> = opened.into_iter().map(|opened| opened.unwrap().message.unwrap().number.unwrap()).collect();
    let wrong = other_than(numbers[0].as_str());
    for _ in 0..90 {
        join_all((0..10).map(|_| store.check_by_number(&wrong))).await; // faster than one after the other
    }
    let retry_after_seconds = loop {
        match store.check_by_number(&wrong).await {
            Err(Failure::Refused(Refusal::BudgetSpent { retry_after_seconds, .. })) => break retry_after_seconds,
            missed => assert_eq!(missed, refused(Refusal::NumberUnknown)),
        }
    };
    store.hand.advance(Duration::from_secs(retry_after_seconds));

    let guesses = std::iter::once(wrong.as_str()).chain(numbers.iter().map(IdentityNumber::as_str));
    let answers = join_all(guesses.map(|guess| store.check_by_number(guess))).await;
    let (first, others) = answers.split_first().unwrap();
    assert_eq!(*first, refused(Refusal::NumberUnknown));
    let released = others.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(released, 0, "guesses that were made before the miss was charged");
}

async fn an_ip_has_twenty_starts_and_one_back_each_half_minute(store: TestStore) {
    for n in 0..20 {
        store.charge_ip(&format!("2001:db8::{n}")).await.unwrap(); // one /64
    }
    let spent = |retry_after_seconds| refused(budgets::spent(Budget::IpStarts, retry_after_seconds));
    store.hand.advance(Duration::from_secs(9));
    assert_eq!(store.charge_ip("2001:db8::ffff").await, spent(21));
    store.charge_ip("2001:db8:0:1::1").await.unwrap();
    store.refund_ip("2001:db8::1").await;
    store.charge_ip("2001:db8::1").await.unwrap();
    store.hand.advance(Duration::from_secs(21));
    store.charge_ip("2001:db8::2").await.unwrap();
}

async fn an_application_has_the_starts_that_it_is_given_and_what_is_refused_takes_nothing(store: TestStore) {
    let both = |ip: &str| vec![of_ip(ip), Charge::of_application(three_starts())];
    let spent = |budget, retry_after_seconds| refused(budgets::spent(budget, retry_after_seconds));
    for _ in 0..20 {
        store.charge_ip("203.0.113.9").await.unwrap();
    }
    for _ in 0..5 {
        assert_eq!(store.charge(both("203.0.113.9")).await, spent(Budget::IpStarts, 30));
    }
    for _ in 0..3 {
        store.charge(both("203.0.113.10")).await.unwrap();
    }
    for _ in 0..20 {
        assert_eq!(store.charge(both("203.0.113.10")).await, spent(Budget::ApplicationStarts, 30));
    }

    store.refund(both("203.0.113.10")).await.unwrap();
    store.charge(both("203.0.113.10")).await.unwrap();
    store.hand.advance(Duration::from_secs(9));
    assert_eq!(store.charge(both("203.0.113.11")).await, spent(Budget::ApplicationStarts, 21));
    let more = Charge::of_application(Allowance::hourly(4, 120));
    store.charge(vec![more]).await.unwrap(); // what the application is given may change at any time
}

async fn a_test_applications_number_is_zeros_and_its_mail_is_never_queued(store: TestStore) {
    let opening = || OpenVerification { is_test: true, ..TestStore::opening("ada@example.org") };
    for _ in 0..20 {
        let opened = store.open(opening()).await.unwrap();
        let id = &opened.verification.id;
        assert_eq!((opened.message, opened.verification.delivery.unwrap().status), (None, DeliveryStatus::Captured));
        for _ in 0..10 {
            assert_eq!(store.resend_as(new_operation(), id).await.unwrap().message, None);
        }
        assert!(store.claim(8).await.is_empty());
        assert_eq!(store.check(id, "00000000").await, refused(Refusal::NotFound)); // as the check of a real one
        assert_eq!(store.check_as_test(id, "00000000").await.unwrap().token, Some(Token::Text("tok-1".to_owned())));
    }
    store.start("ada@example.org").await; // nothing was charged
}

//! The mail of a verification: leases, tries, and what its delivery shows.

use std::time::Duration;

use fiador::domain::{
    Delivery, DeliveryStatus, LeasedMessage, MessageOutcome,
    transitions::{Effect, Start},
};

use super::one_address::{OneAddress, Opened, deferred, perhaps_accepted, refused, request, sent};

/// A start whose mail is under lease.
fn leased() -> (OneAddress, Opened, LeasedMessage) {
    let mut ada = OneAddress::new();
    let opened = ada.start();
    let mail = opened.mail.clone().unwrap();
    (ada, opened, mail)
}

/// A start whose mail waits to be claimed.
fn queued() -> (OneAddress, Opened) {
    let mut ada = OneAddress::new();
    let opened = ada.open(&Start { with_lease: false, ..request(1) }).unwrap();
    (ada, opened)
}

fn shows(delivery: &Delivery) -> (DeliveryStatus, u32, Option<&str>) {
    (delivery.status, delivery.attempts, delivery.last_reply.as_deref())
}

#[test]
fn a_mail_is_queued_then_sending_then_sent() {
    let (mut ada, opened) = queued();
    assert_eq!(shows(&ada.delivery(&opened)), (DeliveryStatus::Queued, 0, None));

    let mail = ada.claim(&opened).unwrap();
    assert_eq!(ada.effects, [Effect::Enqueue(mail.leased_until)]);
    assert_eq!(mail.leased_until, ada.now + Duration::from_secs(60));
    assert_eq!(shows(&ada.delivery(&opened)), (DeliveryStatus::Sending, 0, None));

    ada.settle(&mail, sent());
    assert_eq!(ada.effects, [Effect::Unqueue]);
    assert_eq!(shows(&ada.delivery(&opened)), (DeliveryStatus::Sent, 1, Some("250 queued")));
    assert_eq!(ada.delivery(&opened).message_id, mail.message_id);
}

#[test]
fn a_mail_in_the_dev_inbox_is_captured() {
    let (mut ada, opened, mail) = leased();
    ada.settle(&mail, MessageOutcome::Captured);

    assert_eq!(shows(&ada.delivery(&opened)), (DeliveryStatus::Captured, 1, None));
    assert_eq!(ada.effects, [Effect::Unqueue]);
}

#[test]
fn a_refused_mail_has_failed_and_is_listed() {
    let (mut ada, opened, mail) = leased();
    ada.settle(&mail, refused());

    assert_eq!(shows(&ada.delivery(&opened)), (DeliveryStatus::Failed, 1, Some("550 no such user")));
    assert_eq!(ada.effects, [Effect::Unqueue, Effect::ListAsFailed]);
}

#[test]
fn a_deferred_mail_is_tried_after_1_5_15_60_and_180_seconds() {
    let (mut ada, opened, mut mail) = leased();
    for (tries, pause) in [1, 5, 15, 60, 180, 180].into_iter().enumerate() {
        ada.settle(&mail, deferred());
        let next = ada.now + Duration::from_secs(pause);
        assert_eq!(ada.effects, [Effect::Enqueue(next)]);
        let delivery = ada.delivery(&opened);
        assert_eq!(delivery.next_attempt_at, Some(next));
        assert_eq!(shows(&delivery), (DeliveryStatus::Deferred, u32::try_from(tries).unwrap() + 1, Some("451 later")));

        ada.wait_until_just_before(next);
        assert_eq!((ada.claim(&opened), &ada.effects[..]), (None, &[Effect::Enqueue(next)][..]));
        ada.now = next;
        mail = ada.claim(&opened).unwrap();
    }
}

#[test]
fn a_mail_that_was_not_tried_is_queued_as_before() {
    let (mut ada, opened, mail) = leased();
    ada.settle(&mail, MessageOutcome::Returned);

    assert_eq!(shows(&ada.delivery(&opened)), (DeliveryStatus::Queued, 0, None));
    assert_eq!(ada.effects, [Effect::Enqueue(ada.now)]);
    assert!(ada.claim(&opened).is_some());
}

#[test]
fn a_lease_is_the_only_one_until_it_lapses() {
    let (mut ada, opened, mail) = leased();
    ada.wait_until_just_before(mail.leased_until);
    assert_eq!(ada.claim(&opened), None);

    ada.now = mail.leased_until;
    let again = ada.claim(&opened).unwrap();
    assert_eq!((again.fence, &again.message_id, &again.number), (mail.fence + 1, &mail.message_id, &mail.number));
    assert_eq!(ada.delivery(&opened).attempts, 1);
}

#[test]
fn the_settlement_of_an_old_lease_changes_nothing() {
    let (mut ada, opened, mail) = leased();
    ada.now = mail.leased_until;
    ada.claim(&opened).unwrap();
    let stored = ada.stored.clone();

    for outcome in [sent(), refused(), deferred(), MessageOutcome::Returned, MessageOutcome::Captured] {
        ada.settle(&mail, outcome);
        assert_eq!((&ada.effects[..], &ada.stored), (&[][..], &stored));
    }
}

#[test]
fn a_settled_lease_is_settled_once() {
    let (mut ada, opened, mail) = leased();
    ada.settle(&mail, sent());
    ada.settle(&mail, refused());

    assert_eq!(ada.delivery(&opened).status, DeliveryStatus::Sent);
}

#[test]
fn after_three_leases_without_a_word_a_mail_has_failed() {
    let (mut ada, opened, mut mail) = leased();
    for _ in 0..2 {
        ada.now = mail.leased_until;
        mail = ada.claim(&opened).unwrap();
    }
    ada.now = mail.leased_until;

    assert_eq!(ada.claim(&opened), None);
    assert_eq!(ada.effects, [Effect::Unqueue, Effect::ListAsFailed]);
    let delivery = ada.delivery(&opened);
    assert_eq!((delivery.status, delivery.attempts), (DeliveryStatus::Failed, 3));
}

#[test]
fn after_three_transmissions_that_may_have_been_accepted_a_mail_has_failed() {
    let (mut ada, opened, mut mail) = leased();
    for outcome in [perhaps_accepted(), deferred(), perhaps_accepted(), deferred()] {
        ada.settle(&mail, outcome);
        ada.wait(60);
        mail = ada.claim(&opened).unwrap();
    }
    ada.settle(&mail, perhaps_accepted());

    assert_eq!(ada.effects, [Effect::Unqueue, Effect::ListAsFailed]);
    assert_eq!(ada.delivery(&opened).status, DeliveryStatus::Failed);
}

#[test]
fn a_mail_is_not_claimed_with_less_than_45_seconds_of_its_number_left() {
    let (mut ada, opened) = queued();
    ada.now = opened.view.expires_at - Duration::from_millis(44_999);

    assert_eq!(ada.claim(&opened), None);
    assert_eq!(ada.effects, [Effect::Unqueue, Effect::ListAsFailed]);
    assert_eq!(ada.delivery(&opened).status, DeliveryStatus::Expired);
}

#[test]
fn a_mail_is_claimed_with_45_seconds_of_its_number_left() {
    let (mut ada, opened) = queued();
    ada.now = opened.view.expires_at - Duration::from_secs(45);

    assert!(ada.claim(&opened).is_some());
}

#[test]
fn a_mail_whose_next_try_would_come_too_late_has_expired() {
    let (mut ada, opened, mail) = leased();
    ada.now = opened.view.expires_at - Duration::from_millis(45_999);
    ada.settle(&mail, deferred());

    assert_eq!(ada.effects, [Effect::Unqueue, Effect::ListAsFailed]);
    assert_eq!(shows(&ada.delivery(&opened)), (DeliveryStatus::Expired, 1, Some("451 later")));
}

#[test]
fn a_mail_that_nobody_claims_expires_with_its_number_and_is_listed_whenever_it_is_found() {
    for after_the_expiry in [0, 59, 60, 3000] {
        let (mut ada, opened) = queued();
        ada.now = opened.view.expires_at + Duration::from_secs(after_the_expiry);
        if let Some(delivery) = ada.read(&opened).unwrap().delivery {
            assert_eq!(delivery.status, DeliveryStatus::Expired);
        }

        assert_eq!(ada.claim(&opened), None);
        assert_eq!(ada.effects, [Effect::Unqueue, Effect::ListAsFailed], "{after_the_expiry}");
    }
}

#[test]
fn the_mail_of_what_has_ended_is_dropped_and_never_claimed() {
    let (mut ada, opened) = queued();
    ada.check(&opened, &opened.right).unwrap();

    assert_eq!(ada.delivery(&opened).status, DeliveryStatus::Dropped);
    for seconds in [0, 60, 3600] {
        ada.wait(seconds);
        assert_eq!((ada.claim(&opened), &ada.effects[..]), (None, &[Effect::Unqueue][..]));
    }
}

#[test]
fn a_mail_under_lease_when_its_verification_ends_shows_what_became_of_it() {
    for (outcome, status) in [
        (sent(), DeliveryStatus::Sent),
        (refused(), DeliveryStatus::Failed),
        (deferred(), DeliveryStatus::Dropped),
        (perhaps_accepted(), DeliveryStatus::Dropped),
        (MessageOutcome::Returned, DeliveryStatus::Dropped),
    ] {
        let (mut ada, opened, mail) = leased();
        ada.cancel(&opened).unwrap();
        assert_eq!(ada.delivery(&opened).status, DeliveryStatus::Sending);

        ada.settle(&mail, outcome);
        assert_eq!(ada.delivery(&opened).status, status);
        assert!(!ada.effects.iter().any(|effect| matches!(effect, Effect::Enqueue(_))));
    }
}

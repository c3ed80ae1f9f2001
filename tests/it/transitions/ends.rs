//! How verifications end, what is remembered of them, and when nothing is.

use std::time::Duration;

use fiador::domain::{
    Budget, Moment, Refusal, Status,
    transitions::{Effect, Start},
};

use super::one_address::{OneAddress, WRONG, deferred, request, sent, spent, wrong};

#[test]
fn a_canceled_verification_is_over() {
    let mut ada = OneAddress::new();
    let opened = ada.start();
    ada.cancel(&opened).unwrap();

    assert_eq!(ada.effects, [Effect::Unqueue, Effect::DropToken]);
    assert_eq!(ada.check(&opened, &opened.right), Err(Refusal::Canceled));
    assert_eq!(ada.read(&opened).unwrap().status, Status::Canceled);
}

#[test]
fn canceling_what_has_ended_changes_nothing() {
    let mut ada = OneAddress::new();
    let (approved, expired) = (ada.start_and_pause(), ada.start());
    ada.check(&approved, &approved.right).unwrap();
    ada.wait(600);

    for seconds in [0, 60] {
        ada.wait(seconds);
        for (opened, status) in [(&approved, Status::Approved), (&expired, Status::Expired)] {
            assert_eq!(ada.cancel(opened), Ok(()));
            assert_eq!((&ada.effects[..], ada.read(opened).unwrap().status), (&[][..], status));
        }
    }
}

#[test]
fn what_was_never_started_is_not_found() {
    let mut ada = OneAddress::new();
    let unknown = OneAddress::new().start();
    ada.open(&request(99)).unwrap();

    assert_eq!(ada.cancel(&unknown), Err(Refusal::NotFound));
    assert_eq!(ada.check(&unknown, &unknown.right), Err(Refusal::NotFound));
    assert_eq!(ada.read(&unknown), Err(Refusal::NotFound));
}

#[test]
fn a_send_that_nobody_tried_is_given_back_by_a_cancel() {
    let mut ada = OneAddress::new();
    for n in 1..20 {
        let opened = ada.open(&Start { with_lease: false, ..request(n) }).unwrap();
        ada.cancel(&opened).unwrap();
    }
}

#[test]
fn a_send_under_lease_stays_charged_by_a_cancel_until_it_is_known_not_to_have_happened() {
    let mut ada = OneAddress::new();
    let opened = ada.start();
    ada.cancel(&opened).unwrap();
    assert_eq!(ada.try_start(), spent(Budget::AddressSends, 30));

    ada.settle(opened.mail.as_ref().unwrap(), deferred());
    ada.start();
}

#[test]
fn a_send_that_nobody_tried_is_given_back_by_exhaustion() {
    let mut ada = OneAddress::new();
    let opened = ada.open(&Start { with_lease: false, ..request(99) }).unwrap();
    for _ in 0..5 {
        ada.check(&opened, WRONG).unwrap_err();
    }

    ada.start();
}

#[test]
fn sends_that_nobody_tried_before_they_expired_are_given_back() {
    let mut ada = OneAddress::new();
    for pause in [30, 60, 120, 120, 600] {
        let request = ada.new_request();
        ada.open(&Start { with_lease: false, ..request }).unwrap();
        ada.wait(pause);
    }

    for _ in 0..5 {
        ada.start_and_pause();
    }
}

#[test]
fn what_has_ended_has_no_attempts_left() {
    let mut ada = OneAddress::new();
    let (canceled, expired) = (ada.start_and_pause(), ada.start());
    ada.cancel(&canceled).unwrap();
    assert_eq!(ada.read(&canceled).unwrap().attempts_remaining, 0);

    ada.now = expired.view.expires_at;
    assert_eq!(ada.read(&expired).unwrap().attempts_remaining, 0);
}

#[test]
fn a_minute_after_the_end_address_and_delivery_are_gone() {
    let mut ada = OneAddress::new();
    let opened = ada.start();
    ada.check(&opened, &opened.right).unwrap();
    let approved_at = ada.now;

    ada.wait_until_just_before(approved_at + Duration::from_secs(60));
    assert!(ada.read(&opened).unwrap().email.is_some());
    ada.now = approved_at + Duration::from_secs(60);
    let left = ada.read(&opened).unwrap();
    assert_eq!((left.status, left.email, left.delivery), (Status::Approved, None, None));
    assert_eq!((left.approved_at, left.expires_at), (Some(approved_at), opened.view.expires_at));
}

#[test]
fn an_hour_after_the_end_nothing_is_left() {
    let mut ada = OneAddress::new();
    let opened = ada.start();
    let forgotten_at = opened.view.expires_at + Duration::from_secs(3600);

    ada.wait_until_just_before(forgotten_at);
    assert_eq!(ada.read(&opened).unwrap().status, Status::Expired);
    ada.now = forgotten_at;
    assert_eq!(ada.read(&opened), Err(Refusal::NotFound));
}

#[test]
fn the_newest_sixteen_ends_are_remembered_whether_a_minute_has_passed_or_not() {
    let mut ada = OneAddress::new();
    let mut ended = Vec::new();
    for wait in [0, 70, 0] {
        ada.wait(wait);
        for _ in 0..9 {
            let opened = ada.start();
            ada.check(&opened, &opened.right).unwrap();
            ended.push(opened);
            ada.now = ada.now + Duration::from_millis(1);
        }
    }

    let remembered: Vec<_> = ended.iter().map(|opened| ada.read(opened).is_ok()).collect();
    assert_eq!(remembered, [[false; 11].as_slice(), &[true; 16]].concat());
}

#[test]
fn many_ends_never_push_out_what_is_pending() {
    let mut ada = OneAddress::new();
    let pending = ada.start_and_pause();
    for _ in 0..40 {
        let opened = ada.start();
        ada.check(&opened, &opened.right).unwrap();
    }

    ada.check(&pending, &pending.right).unwrap();
}

#[test]
fn a_record_is_kept_until_nothing_in_it_matters() {
    let mut ada = OneAddress::new();
    assert_eq!(ada.record().keep_until(), Moment::default());

    let opened = ada.start();
    ada.settle(opened.mail.as_ref().unwrap(), sent());
    assert_eq!(ada.record().keep_until(), opened.view.expires_at + Duration::from_secs(3600));
    for _ in 0..3 {
        ada.check(&opened, WRONG).unwrap_err();
    }
    assert_eq!(ada.record().keep_until(), ada.now + Duration::from_secs(3 * 1800));
}

#[test]
fn a_budget_outlives_all_that_was_charged_to_it() {
    let mut ada = OneAddress::new();
    for _ in 0..2 {
        let opened = ada.start_and_pause();
        for _ in 0..5 {
            ada.check(&opened, WRONG).unwrap_err();
        }
    }
    ada.wait(3 * 3600 - 240);

    let opened = ada.start();
    assert_eq!(opened.view.attempts_remaining, 5);
    for attempts_remaining in (0..5).rev() {
        assert_eq!(ada.check(&opened, WRONG), wrong(attempts_remaining));
    }
    ada.wait(30);
    assert_eq!(ada.start().view.attempts_remaining, 0);
}

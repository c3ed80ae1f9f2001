//! Presenting numbers: once the right one, a few times a wrong one.

use std::time::Duration;

use fiador::domain::{Budget, Refusal, Status, transitions::Effect};

use super::one_address::{OneAddress, Opened, WRONG, spent, wrong};

/// In seconds, as `with_ten_wrong_checks` leaves it.
const HALF_AN_HOUR_AFTER_THE_FIRST: u64 = 1800 - 120;

/// Uses up the address's ten wrong checks, and leaves a verification that none was spent on.
fn with_ten_wrong_checks() -> (OneAddress, Opened) {
    let mut ada = OneAddress::new();
    for _ in 0..2 {
        let opened = ada.start_and_pause();
        for _ in 0..5 {
            ada.check(&opened, WRONG).unwrap_err();
        }
    }
    let opened = ada.start();
    (ada, opened)
}

#[test]
fn the_right_number_approves_once() {
    let mut ada = OneAddress::new();
    let opened = ada.start();
    ada.wait(5);

    let approved = ada.check(&opened, &opened.right).unwrap();
    assert_eq!((approved.email.as_str(), approved.purpose.as_str()), ("ada@example.org", "sign-in"));
    assert_eq!((approved.approved_at, approved.has_token), (ada.now, true));
    assert_eq!(ada.effects, [Effect::Unqueue, Effect::KeepToken(ada.now + Duration::from_secs(60))]);
    assert_eq!(ada.check(&opened, &opened.right), Err(Refusal::AlreadyApproved));
}

#[test]
fn a_wrong_number_is_charged_and_the_right_one_still_holds() {
    let mut ada = OneAddress::new();
    let opened = ada.start();
    for attempts_remaining in (1..5).rev() {
        assert_eq!(ada.check(&opened, WRONG), wrong(attempts_remaining));
        assert_eq!(ada.read(&opened).unwrap().attempts_remaining, attempts_remaining);
    }

    ada.check(&opened, &opened.right).unwrap();
}

#[test]
fn after_five_wrong_numbers_the_right_one_no_longer_helps() {
    let mut ada = OneAddress::new();
    let opened = ada.start();
    for attempts_remaining in (0..5).rev() {
        assert_eq!(ada.check(&opened, WRONG), wrong(attempts_remaining));
    }

    assert_eq!(ada.effects, [Effect::Unqueue, Effect::DropToken]);
    assert_eq!(ada.check(&opened, &opened.right), Err(Refusal::Exhausted));
    assert_eq!(ada.read(&opened).unwrap().status, Status::Exhausted);
}

#[test]
fn an_address_has_ten_wrong_checks_over_all_its_verifications() {
    let (mut ada, opened) = with_ten_wrong_checks();

    assert_eq!(opened.view.attempts_remaining, 0);
    assert_eq!(ada.check(&opened, WRONG), spent(Budget::AddressChecks, HALF_AN_HOUR_AFTER_THE_FIRST));
}

#[test]
fn a_spent_address_refuses_the_right_number_too_and_charges_nothing() {
    let (mut ada, opened) = with_ten_wrong_checks();
    for _ in 0..3 {
        assert_eq!(ada.check(&opened, &opened.right), spent(Budget::AddressChecks, HALF_AN_HOUR_AFTER_THE_FIRST));
    }

    ada.wait(HALF_AN_HOUR_AFTER_THE_FIRST);
    let later = ada.start();
    ada.check(&later, &later.right).unwrap();
}

#[test]
fn one_wrong_check_comes_back_each_half_hour() {
    let (mut ada, _) = with_ten_wrong_checks();
    ada.wait(HALF_AN_HOUR_AFTER_THE_FIRST);

    for _ in 0..3 {
        let opened = ada.start();
        assert_eq!(ada.check(&opened, WRONG), wrong(0));
        assert_eq!(ada.check(&opened, WRONG), spent(Budget::AddressChecks, 1800));
        ada.wait(1800);
    }
}

#[test]
fn the_lesser_of_both_budgets_is_what_remains() {
    let mut ada = OneAddress::new();
    for wrong_checks in [4, 4] {
        let opened = ada.start_and_pause();
        for _ in 0..wrong_checks {
            ada.check(&opened, WRONG).unwrap_err();
        }
    }
    let opened = ada.start();

    assert_eq!(opened.view.attempts_remaining, 2);
    assert_eq!(ada.check(&opened, WRONG), wrong(1));
}

#[test]
fn the_same_operation_gets_the_same_answer_and_is_charged_once() {
    let mut ada = OneAddress::new();
    let opened = ada.start();
    let (one, two) = (ada.new_operation(), ada.new_operation());
    for _ in 0..3 {
        assert_eq!(ada.check_as(one, &opened, WRONG), wrong(4));
    }
    assert_eq!(ada.check_as(two, &opened, WRONG), wrong(3));

    assert_eq!(ada.check_as(one, &opened, WRONG), wrong(4));
    assert_eq!(ada.read(&opened).unwrap().attempts_remaining, 3);
}

#[test]
fn another_number_under_the_same_operation_is_neither_compared_nor_charged() {
    let mut ada = OneAddress::new();
    let opened = ada.start();
    let (one, two) = (ada.new_operation(), ada.new_operation());
    ada.check_as(one, &opened, WRONG).unwrap_err();

    for number in [opened.right.as_str(), "11111111", "123456"] {
        assert_eq!(ada.check_as(one, &opened, number), Err(Refusal::IdempotencyMismatch));
    }
    assert_eq!(ada.read(&opened).unwrap().attempts_remaining, 4);
    ada.check_as(two, &opened, &opened.right).unwrap();
    assert_eq!(ada.check_as(two, &opened, WRONG), Err(Refusal::IdempotencyMismatch));
}

#[test]
fn the_same_operation_gets_its_approval_again_for_a_minute() {
    let mut ada = OneAddress::new();
    let opened = ada.start();
    let operation = ada.new_operation();
    let approved = ada.check_as(operation, &opened, &opened.right);

    ada.wait_until_just_before(approved.as_ref().unwrap().approved_at + Duration::from_secs(60));
    assert_eq!(ada.check_as(operation, &opened, &opened.right), approved);
    assert_eq!(ada.effects, []);
    assert_eq!(ada.check(&opened, &opened.right), Err(Refusal::AlreadyApproved));
    ada.now = ada.now + Duration::from_millis(1);
    assert_eq!(ada.check_as(operation, &opened, &opened.right), Err(Refusal::AlreadyApproved));
}

#[test]
fn an_operation_that_was_refused_for_a_spent_budget_is_decided_anew() {
    let (mut ada, opened) = with_ten_wrong_checks();
    let operation = ada.new_operation();
    ada.check_as(operation, &opened, &opened.right).unwrap_err();
    ada.wait(HALF_AN_HOUR_AFTER_THE_FIRST);
    let later = ada.start();

    ada.check_as(operation, &later, &later.right).unwrap();
}

#[test]
fn the_fifth_wrong_answer_is_repeated_too() {
    let mut ada = OneAddress::new();
    let opened = ada.start();
    let operation = ada.new_operation();
    for _ in 0..4 {
        ada.check(&opened, WRONG).unwrap_err();
    }

    assert_eq!(ada.check_as(operation, &opened, WRONG), wrong(0));
    assert_eq!(ada.check_as(operation, &opened, WRONG), wrong(0));
}

#[test]
fn a_number_of_another_length_burns_nothing() {
    let mut ada = OneAddress::new();
    let opened = ada.start();
    for number in ["123456", "1234567890"] {
        let refusal = ada.check(&opened, number).unwrap_err();
        assert!(matches!(refusal, Refusal::FieldInvalid { field: "number", .. }), "{refusal:?}");
    }

    assert_eq!(ada.read(&opened).unwrap().attempts_remaining, 5);
}

#[test]
fn a_number_holds_until_the_exact_moment_of_its_expiry() {
    let mut ada = OneAddress::new();
    let (in_time, late) = (ada.start_and_pause(), ada.start());

    ada.wait_until_just_before(in_time.view.expires_at);
    ada.check(&in_time, &in_time.right).unwrap();
    ada.now = late.view.expires_at;
    assert_eq!(ada.check(&late, &late.right), Err(Refusal::Expired));
    assert_eq!(ada.effects, []);
}

#[test]
fn a_number_is_of_its_own_verification_only() {
    let mut ada = OneAddress::new();
    let (first, second) = (ada.start_and_pause(), ada.start());

    assert_eq!(ada.check(&second, &first.right), wrong(4));
    ada.check(&second, &second.right).unwrap();
    ada.check(&first, &first.right).unwrap();
}

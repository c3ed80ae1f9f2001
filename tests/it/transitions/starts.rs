//! Opening verifications: repetitions, and how many mails an address may be sent.

use std::time::Duration;

use fiador::domain::{
    Budget, Refusal, Status,
    transitions::{Effect, Start},
};

use super::one_address::{OneAddress, Opened, perhaps_accepted, refused, request, sent, spent};

/// Starts as soon as the pause allows.
fn start_five(ada: &mut OneAddress) -> Vec<Opened> {
    let pauses = [30, 60, 120, 120, 120];
    pauses
        .map(|pause| {
            let opened = ada.start();
            ada.wait(pause);
            opened
        })
        .to_vec()
}

#[test]
fn a_start_queues_its_mail_and_stores_its_token() {
    let mut ada = OneAddress::new();
    let opened = ada.start();

    assert_eq!((opened.view.status, opened.view.attempts_remaining), (Status::Pending, 5));
    assert_eq!(opened.view.expires_at, ada.now + Duration::from_secs(600));
    let mail = opened.mail.unwrap();
    assert_eq!(mail.digits().unwrap(), opened.right);
    assert_eq!(ada.effects, [Effect::Enqueue(mail.leased_until), Effect::StoreToken(opened.view.expires_at)]);
}

#[test]
fn a_start_without_lease_or_token_leaves_its_mail_to_whoever_claims_it() {
    let mut ada = OneAddress::new();
    let opened = ada.open(&Start { with_lease: false, has_token: false, ..request(1) }).unwrap();

    assert_eq!((opened.mail, &ada.effects[..]), (None, &[Effect::Enqueue(ada.now)][..]));
}

#[test]
fn a_repeated_start_finds_its_own_verification() {
    let mut ada = OneAddress::new();
    let first = ada.open(&request(1)).unwrap();
    ada.wait(1);
    let again = ada.open(&request(1)).unwrap();

    assert_eq!((&again.view.id, again.view.expires_at, again.mail), (&first.view.id, first.view.expires_at, None));
    assert_eq!(ada.effects, []);
    ada.check(&first, &first.right).unwrap();
    assert_eq!(ada.open(&request(1)).unwrap().view.status, Status::Approved);
}

#[test]
fn a_repeated_start_with_another_body_is_refused_even_after_the_end() {
    let mut ada = OneAddress::new();
    let other = Start { fingerprint: [2; 16], ..request(1) };
    ada.open(&request(1)).unwrap();

    assert_eq!(ada.open(&other), Err(Refusal::IdempotencyMismatch));
    ada.wait(660);
    assert_eq!(ada.open(&other), Err(Refusal::IdempotencyMismatch));
    assert_eq!(ada.open(&request(1)).unwrap().view.status, Status::Expired);
}

#[test]
fn an_hour_after_its_end_the_same_start_opens_anew() {
    let mut ada = OneAddress::new();
    let first = ada.open(&request(1)).unwrap();
    ada.now = first.view.expires_at + Duration::from_secs(3600);
    let anew = ada.open(&request(1)).unwrap();

    assert_eq!((&anew.view.id, anew.view.status), (&first.view.id, Status::Pending));
}

#[test]
fn a_repeat_waits_30_then_60_then_120_seconds() {
    let mut ada = OneAddress::new();
    for pause in [30, 60, 120, 120] {
        ada.start();
        assert_eq!(ada.try_start(), spent(Budget::AddressSends, pause));
        ada.wait(pause - 1);
        assert_eq!(ada.try_start(), spent(Budget::AddressSends, 1));
        ada.wait(1);
    }
}

#[test]
fn an_address_is_sent_five_mails_at_once_and_one_more_each_hour() {
    let mut ada = OneAddress::new();
    let first = start_five(&mut ada)[0].mail.clone().unwrap().started_at;

    for hours in 1..4 {
        ada.wait_until_just_before(first + Duration::from_secs(3600) * hours);
        assert_eq!(ada.try_start(), spent(Budget::AddressSends, 1));
        ada.wait(1);
        ada.start();
        ada.wait(120);
    }
}

#[test]
fn whoever_waits_as_long_as_told_may_start() {
    let mut ada = OneAddress::new();
    let mut waits = 0;
    while waits < 100 {
        match ada.try_start() {
            Ok(opened) => ada.now = opened.view.expires_at.min(ada.now + Duration::from_secs(waits % 7)),
            Err(Refusal::BudgetSpent { retry_after_seconds, .. }) => {
                ada.wait(retry_after_seconds);
                ada.start();
                waits += 1;
            }
            Err(refusal) => panic!("{refusal:?}"),
        }
    }
}

#[test]
fn a_hundred_thousand_starts_in_a_day_send_29_mails() {
    let mut ada = OneAddress::new();
    let begin = ada.now;
    let mut mails = 0;
    for attempt in 0..=100_000_u64 {
        ada.now = begin + Duration::from_millis(864 * attempt);
        mails += u32::from(ada.try_start().is_ok());
    }

    assert_eq!(mails, 29);
}

#[test]
fn an_approval_gives_back_its_send_and_its_pause() {
    let mut ada = OneAddress::new();
    for _ in 0..20 {
        let opened = ada.start();
        ada.settle(opened.mail.as_ref().unwrap(), sent());
        ada.check(&opened, &opened.right).unwrap();
    }
}

#[test]
fn an_approval_gives_back_one_send_only_once() {
    let mut ada = OneAddress::new();
    let opened = start_five(&mut ada).pop().unwrap();
    let operation = ada.new_operation();
    for _ in 0..3 {
        ada.check_as(operation, &opened, &opened.right).unwrap();
    }

    ada.start();
    ada.wait(120);
    assert!(ada.try_start().is_err());
}

#[test]
fn a_mail_that_was_refused_gives_back_its_send_and_its_pause() {
    let mut ada = OneAddress::new();
    for _ in 0..8 {
        let opened = ada.start();
        ada.settle(opened.mail.as_ref().unwrap(), refused());
    }
}

#[test]
fn a_mail_that_may_have_arrived_before_it_was_refused_stays_charged() {
    let mut ada = OneAddress::new();
    let opened = ada.start();
    ada.settle(opened.mail.as_ref().unwrap(), perhaps_accepted());
    ada.wait(1);
    let again = ada.claim(&opened).unwrap();
    ada.settle(&again, refused());

    assert_eq!(ada.try_start(), spent(Budget::AddressSends, 29));
}

#[test]
fn ten_verifications_may_be_pending_at_once() {
    let mut ada = OneAddress::new();
    let start = |ada: &mut OneAddress| {
        let opened = ada.try_start()?;
        ada.settle(opened.mail.as_ref().unwrap(), refused()); // so that the budget of sends does not come first
        ada.wait(1);
        Ok(opened)
    };
    let pending: Vec<_> = (0..10).map(|_| start(&mut ada).unwrap()).collect();

    assert_eq!(start(&mut ada), spent(Budget::AddressPending, 590));
    ada.cancel(&pending[4]).unwrap();
    start(&mut ada).unwrap();
    assert_eq!(start(&mut ada), spent(Budget::AddressPending, 589));
    ada.wait(589);
    start(&mut ada).unwrap();
}

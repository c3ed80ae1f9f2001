//! Of a test application no mail is queued or charged; everything else is as with a real one.

use fiador::domain::{
    Budget, DeliveryStatus, Refusal, Status,
    transitions::{Effect, Resend, resend},
};

use super::one_address::{OneAddress, Opened, WRONG, message_id, spent, wrong};

fn ask_for_another_mail(ada: &mut OneAddress, opened: &Opened) -> Result<DeliveryStatus, Refusal> {
    let operation = u128::from(ada.new_operation()).to_be_bytes();
    let message_id = message_id(1_000);
    let request =
        Resend { id: opened.view.id.clone(), key: opened.key, operation, handle: [7; 16], message_id, with_lease: true };
    let outcome = resend(ada.record(), &request, ada.now);
    let mailing = ada.commit(outcome)?;
    assert_eq!((mailing.message, ada.effects.as_slice()), (None, [].as_slice()));
    Ok(mailing.view.delivery.unwrap().status)
}

#[test]
fn no_mail_is_queued_leased_or_charged_and_delivery_says_why() {
    let mut ada = OneAddress::of_a_test_application();
    for _ in 0..10 {
        let opened = ada.start();
        assert_eq!((opened.mail, ada.effects.as_slice()), (None, [Effect::StoreToken(opened.view.expires_at)].as_slice()));
        let delivery = opened.view.delivery.unwrap();
        assert_eq!((delivery.status, delivery.attempts), (DeliveryStatus::Captured, 0));
        assert_eq!(delivery.last_reply.as_deref(), Some("none is sent: this is a test application"));
    }

    assert_eq!(ada.try_start(), spent(Budget::AddressPending, 600));
    ada.wait(600);
    ada.is_test = false;
    ada.start();
}

#[test]
fn asking_for_another_mail_sends_none_however_often() {
    let mut ada = OneAddress::of_a_test_application();
    let opened = ada.start();
    for _ in 0..300 {
        assert_eq!(ask_for_another_mail(&mut ada, &opened), Ok(DeliveryStatus::Captured));
    }
    assert_eq!(ada.claim(&opened), None);

    ada.check(&opened, &opened.right).unwrap();
    assert_eq!(ask_for_another_mail(&mut ada, &opened), Err(Refusal::AlreadyApproved));
}

#[test]
fn its_numbers_are_checked_and_run_out_as_real_ones() {
    let mut ada = OneAddress::of_a_test_application();
    let (exhausted, canceled, approved, expired) = (ada.start(), ada.start(), ada.start(), ada.start());

    for left in (0..5).rev() {
        assert_eq!(ada.check(&exhausted, WRONG), wrong(left));
    }
    assert_eq!(ada.check(&exhausted, &exhausted.right), Err(Refusal::Exhausted));
    ada.cancel(&canceled).unwrap();
    assert_eq!(ada.check(&canceled, &canceled.right), Err(Refusal::Canceled));
    ada.check(&approved, &approved.right).unwrap();
    assert_eq!(ada.check(&approved, &approved.right), Err(Refusal::AlreadyApproved));
    ada.now = expired.view.expires_at;
    assert_eq!(ada.check(&expired, &expired.right), Err(Refusal::Expired));
    assert_eq!(ada.read(&expired).unwrap().status, Status::Expired);
}

#[test]
fn what_it_left_behind_opens_nothing_once_the_application_is_a_real_one() {
    let mut ada = OneAddress::of_a_test_application();
    let opened = ada.start();
    ada.is_test = false;

    assert_eq!(ada.check(&opened, &opened.right), Err(Refusal::NotFound));
    ada.is_test = true;
    ada.check(&opened, &opened.right).unwrap();
}

#[test]
fn what_a_real_application_left_behind_takes_its_own_number_still() {
    let mut ada = OneAddress::new();
    let opened = ada.start();
    ada.is_test = true;

    assert_eq!(ada.check(&opened, WRONG), wrong(4));
    ada.check(&opened, &opened.right).unwrap();
}

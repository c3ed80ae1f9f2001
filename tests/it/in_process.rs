//! What HTTP can do, a message can do.

use std::time::Duration;

use fiador::{
    domain::{Budget, DeliveryStatus, Refusal, Status, Token},
    messages::{AskReadiness, Failure, StartVerification},
    testing::TestService,
};

fn refused<T>(refusal: Refusal) -> Result<T, Failure> {
    Err(Failure::Refused(refusal))
}

#[actix::test]
async fn a_number_releases_its_token_only_once() {
    let service = TestService::start().await;
    let verification = service.start_verification("ada@example.org", "tok-1").await.unwrap();
    let number = service.mailed_number("ada@example.org").await;

    let approval = service.check(&verification.id, &number).await.unwrap();
    assert_eq!(approval.token, Some(Token::Text("tok-1".to_owned())));
    assert_eq!(service.check(&verification.id, &number).await, refused(Refusal::AlreadyApproved));
    assert_eq!(service.read(&verification.id).await.unwrap().status, Status::Approved);
}

#[actix::test]
async fn a_number_may_be_typed_with_spaces_and_dashes() {
    let service = TestService::start().await;
    let verification = service.start_verification("ada@example.org", "tok-1").await.unwrap();
    let number = service.mailed_number("ada@example.org").await;

    let typed = format!(" {}-{} {} ", &number[..2], &number[2..5], &number[5..]);
    assert!(service.check(&verification.id, &typed).await.is_ok());
}

#[actix::test]
async fn a_number_of_another_length_burns_nothing() {
    let service = TestService::start().await;
    let verification = service.start_verification("ada@example.org", "tok-1").await.unwrap();

    for number in ["123456", "1234567890", "12345", "1234567x", "ada@example.org", ""] {
        let answer = service.check(&verification.id, number).await;
        assert!(matches!(answer, Err(Failure::Refused(Refusal::FieldInvalid { field: "number", .. }))), "{number}: {answer:?}");
    }
    assert_eq!(service.read(&verification.id).await.unwrap().attempts_remaining, 5);
}

#[actix::test]
async fn a_canceled_verification_is_over_and_a_mail_that_went_out_stays_charged() {
    let service = TestService::start().await;
    let verification = service.start_verification("ada@example.org", "tok-1").await.unwrap();
    let number = service.mailed_number("ada@example.org").await;
    service.cancel(&verification.id).await.unwrap();

    assert_eq!(service.check(&verification.id, &number).await, refused(Refusal::Canceled));
    let too_soon = service.start_verification("ada@example.org", "tok-2").await;
    assert_eq!(too_soon, refused(Refusal::BudgetSpent { budget: Budget::AddressSends, retry_after_seconds: 30 }));
    service.advance(Duration::from_secs(30));
    assert!(service.start_verification("ada@example.org", "tok-2").await.is_ok());
}

#[actix::test]
async fn what_a_start_asks_for_is_validated_and_holds() {
    let service = TestService::start().await;
    let start = |change: fn(&mut StartVerification)| {
        let mut start = service.starting("ada@example.org");
        change(&mut start);
        let ask = service.service().asks();
        async move { ask.ask(start, Duration::from_secs(5)).await }
    };
    let field_of = |answer| match answer {
        Err(fiador::supervision::AskError::Refused(Failure::Refused(Refusal::FieldInvalid { field, .. }))) => field,
        other => panic!("{other:?}"),
    };

    assert_eq!(field_of(start(|start| start.email = "Ada <ada@example.org>".to_owned()).await), "email");
    assert_eq!(field_of(start(|start| start.purpose = Some("Sign In".to_owned())).await), "purpose");
    assert_eq!(field_of(start(|start| start.locale = Some("fr".to_owned())).await), "locale");
    assert_eq!(field_of(start(|start| start.ttl_seconds = Some(59)).await), "ttl_seconds");
    assert_eq!(field_of(start(|start| start.ttl_seconds = Some(601)).await), "ttl_seconds");
    assert_eq!(field_of(start(|start| start.ttl_seconds = Some(u64::MAX)).await), "ttl_seconds");
    assert_eq!(field_of(start(|start| start.context_ip = Some("203.0.113.9:80".to_owned())).await), "context.ip");
    assert_eq!(field_of(start(|start| start.token = Some(Token::Text("x".repeat(8 * 1024 + 1)))).await), "token");

    let day = start(|start| {
        start.purpose = Some("confirm-address".to_owned());
        start.ttl_seconds = Some(86_400);
        start.locale = Some("es".to_owned());
        start.context_ip = Some("203.0.113.9".to_owned());
    });
    let verification = day.await.unwrap();
    assert_eq!(verification.purpose.as_str(), "confirm-address");
    assert!(service.mails("ada@example.org").await[0].text.contains("código"));
    service.advance(Duration::from_secs(86_399));
    assert_eq!(service.read(&verification.id).await.unwrap().status, Status::Pending);
    service.advance(Duration::from_secs(1));
    assert_eq!(service.read(&verification.id).await.unwrap().status, Status::Expired);
}

#[actix::test]
async fn a_mail_in_the_dev_inbox_is_captured_in_delivery() {
    let service = TestService::start().await;
    let verification = service.start_verification("ada@example.org", "tok-1").await.unwrap();
    let mails = service.mails("ada@example.org").await;

    let is_settled = |view: &fiador::domain::VerificationView| view.delivery.as_ref().unwrap().status == DeliveryStatus::Captured;
    while !is_settled(&service.read(&verification.id).await.unwrap()) {} // each turn awaits the store
    assert_eq!(Some(mails[0].id.as_str()), verification.delivery.as_ref().map(|delivery| delivery.message_id.as_str()));
}

#[actix::test]
async fn a_service_that_runs_is_ready() {
    let service = TestService::start().await;

    assert_eq!(service.service().asks().ask(AskReadiness, Duration::from_secs(5)).await, Ok(Vec::new()));
}

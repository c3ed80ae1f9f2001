//! What HTTP can do, a message can do.

use std::{net::Ipv4Addr, time::Duration};

use fiador::{
    api_key::ApiKey,
    clock::Clock,
    domain::{
        ApiKeyGrant, ApplicationName, Budget, DeliveryStatus, Denied, Locale, Presented, Principal, Purpose, Refusal, Scope,
        Status, Token, TtlLimits,
    },
    messages::{AskReadiness, Failure, StartVerification},
    supervision::AskError,
    testing::TestService,
};

use crate::kit::budgets::{spent, three_starts};

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
    assert_eq!(too_soon, refused(spent(Budget::AddressSends, 30)));
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
    assert_eq!(field_of(start(|start| start.locale = Some("f".to_owned())).await), "locale");
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
async fn a_number_holds_as_long_as_its_purpose_says() {
    let ttl = TtlLimits { default_seconds: 120, longest_seconds: 300 };
    let service = TestService::start_with(|application| {
        application.purposes.insert(Purpose::parse("invite").unwrap(), ttl);
    });
    let service = service.await;
    let start = async |purpose: &str, ttl_seconds: Option<u64>| {
        let email = format!("{purpose}-{}@example.org", ttl_seconds.unwrap_or_default());
        let start = StartVerification { purpose: Some(purpose.to_owned()), ttl_seconds, ..service.starting(&email) };
        service.service().asks().ask(start, Duration::from_secs(5)).await
    };
    let now = start("sign-in", Some(60)).await.unwrap().expires_at - Duration::from_secs(60); // the clock stands still
    let life = async |purpose: &str, ttl_seconds| start(purpose, ttl_seconds).await.unwrap().expires_at.since(now).as_secs();
    let mend = async |purpose: &str, ttl_seconds| match start(purpose, ttl_seconds).await {
        Err(AskError::Refused(Failure::Refused(Refusal::FieldInvalid { field: "ttl_seconds", mend }))) => mend,
        other => panic!("{other:?}"),
    };

    assert_eq!(life("invite", None).await, 120);
    assert_eq!(life("invite", Some(300)).await, 300);
    assert_eq!(life("sign-in", None).await, 600);
    assert_eq!(life("confirm-address", Some(86_400)).await, 86_400);
    assert_eq!(mend("invite", Some(301)).await, "must be 60 to 300 for invite");
    assert_eq!(mend("invite", Some(59)).await, "must be 60 to 300 for invite");
    assert_eq!(mend("close-account", Some(601)).await, "must be 60 to 600 for close-account");
}

#[actix::test]
async fn a_language_without_templates_is_no_mistake_but_a_word_that_is_no_language_is() {
    let service = TestService::start_with(|application| application.locale = Locale::ES).await;
    let start = async |locale: &str| {
        let start = StartVerification { locale: Some(locale.to_owned()), ..service.starting(&format!("{locale}@example.org")) };
        service.service().asks().ask(start, Duration::from_secs(5)).await
    };

    for (locale, words) in [("es-MX", "Tu código"), ("en-GB", "Your code"), ("fr", "Tu código")] {
        start(locale).await.unwrap();
        let mails = service.mails(&format!("{locale}@example.org")).await;
        assert!(mails[0].text.starts_with(words), "{locale}: {}", mails[0].text);
    }
    let refusal = start("spanish").await.unwrap_err();
    assert!(format!("{refusal:?}").contains("must be a language tag such as en or es-MX"), "{refusal:?}");
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

/// A start of an address from an end user's IP address.
async fn start_from(
    service: &TestService,
    ip: &str,
    start: StartVerification,
) -> Result<fiador::domain::VerificationView, Failure> {
    let start = StartVerification { context_ip: Some(ip.to_owned()), ..start };
    service.service().asks().ask(start, Duration::from_secs(5)).await.map_err(|error| match error {
        fiador::supervision::AskError::Refused(failure) => failure,
        other => panic!("{other}"),
    })
}

#[actix::test]
async fn an_end_users_ip_is_charged_for_what_it_starts_and_for_nothing_else() {
    let service = TestService::start().await;
    let first = service.starting("ada@example.org");
    start_from(&service, "203.0.113.9", first.clone()).await.unwrap();
    for _ in 0..30 {
        // a repetition, a pause that is not over, a value that is not allowed
        start_from(&service, "203.0.113.9", first.clone()).await.unwrap();
        start_from(&service, "203.0.113.9", service.starting("ada@example.org")).await.unwrap_err();
        start_from(&service, "203.0.113.9", service.starting("nobody")).await.unwrap_err();
    }
    for n in 1..20 {
        start_from(&service, "203.0.113.9", service.starting(&format!("ada{n}@example.org"))).await.unwrap();
    }

    let one_too_many = start_from(&service, "203.0.113.9", service.starting("bob@example.org")).await;
    assert_eq!(one_too_many, refused(spent(Budget::IpStarts, 30)));
    start_from(&service, "203.0.113.10", service.starting("bob@example.org")).await.unwrap();
    service.advance(Duration::from_secs(30));
    start_from(&service, "203.0.113.9", service.starting("eve@example.org")).await.unwrap();
}

#[actix::test]
async fn an_application_is_charged_for_what_it_starts_where_it_is_given_a_budget_and_its_end_users_are_not_when_it_is_spent() {
    let service = TestService::start_with(|application| application.limits.starts = Some(three_starts())).await;
    let first = service.starting("ada@example.org");
    let start = async |start| start_from(&service, "203.0.113.9", start).await;
    start(first.clone()).await.unwrap();
    for _ in 0..4 {
        // a repetition, a pause that is not over, a value that is not allowed
        start(first.clone()).await.unwrap();
        start(service.starting("ada@example.org")).await.unwrap_err();
        start(service.starting("nobody")).await.unwrap_err();
    }
    for n in 1..3 {
        service.start_verification(&format!("ada{n}@example.org"), "tok-1").await.unwrap();
    }

    for n in 0..20 {
        let one_too_many = start(service.starting(&format!("bob{n}@example.org"))).await;
        assert_eq!(one_too_many, refused(spent(Budget::ApplicationStarts, 30)));
    }
    service.advance(Duration::from_secs(30));
    start(service.starting("eve@example.org")).await.unwrap();
}

#[actix::test]
async fn a_repeated_start_is_answered_while_its_ip_has_no_starts_left() {
    let service = TestService::start().await;
    let first = service.starting("ada@example.org");
    let opened = start_from(&service, "203.0.113.9", first.clone()).await.unwrap();
    for n in 1..20 {
        start_from(&service, "203.0.113.9", service.starting(&format!("ada{n}@example.org"))).await.unwrap();
    }

    let spent = refused(spent(Budget::IpStarts, 30));
    assert_eq!(start_from(&service, "203.0.113.9", service.starting("bob@example.org")).await, spent);
    let again = start_from(&service, "203.0.113.9", first.clone()).await.unwrap();
    assert_eq!((again.id, again.expires_at), (opened.id, opened.expires_at));
    let another_body = StartVerification { token: Some(Token::Text("tok-2".to_owned())), ..first };
    assert_eq!(start_from(&service, "203.0.113.9", another_body).await, refused(Refusal::IdempotencyMismatch));
}

#[actix::test]
async fn the_same_number_is_mailed_again_on_request() {
    let service = TestService::start().await;
    let verification = service.start_verification("ada@example.org", "tok-1").await.unwrap();
    let number = service.mailed_number("ada@example.org").await;
    let is_settled = |view: &fiador::domain::VerificationView| view.delivery.as_ref().unwrap().status == DeliveryStatus::Captured;
    while !is_settled(&service.read(&verification.id).await.unwrap()) {} // each turn awaits the store
    service.advance(Duration::from_secs(30));

    let again = service.resend(&verification.id).await.unwrap();
    assert_ne!(again.delivery, verification.delivery);
    while service.mails("ada@example.org").await.len() < 2 {} // each turn awaits the Mailer
    assert_eq!(service.mailed_number("ada@example.org").await, number);
    assert!(service.check(&verification.id, &number).await.is_ok());
}

#[actix::test]
async fn a_key_opens_what_it_is_granted_until_it_runs_out() {
    let key = ApiKey::draw();
    let expires_at = Some(Clock::system().now() + Duration::from_secs(3600));
    let grant = ApiKeyGrant { expires_at, ..ApiKeyGrant::new(key.hash()) };
    let label = grant.label();
    let service = TestService::start_with(|application| application.keys = vec![grant]).await;
    let authenticate = service.service().authenticate();
    let present = |api_key: &str, scope| authenticate(&Presented { api_key, from: Ipv4Addr::LOCALHOST.into(), scope });
    let principal = Principal { application: ApplicationName::parse("test").unwrap(), key: label, is_test: false };

    assert_eq!(present(key.as_str(), Scope::CheckNumbers), Ok(principal.clone()));
    assert_eq!(present(ApiKey::draw().as_str(), Scope::CheckNumbers), Err(Denied::Unknown));
    let lacking = Denied::ScopeMissing(principal.clone(), Scope::Admin);
    assert_eq!(present(key.as_str(), Scope::Admin), Err(lacking));
    service.advance(Duration::from_secs(3600));
    assert_eq!(present(key.as_str(), Scope::CheckNumbers), Err(Denied::Expired(principal)));
}

//! Users, their credentials and sign-ins, by messages.

use std::time::Duration;

use actix::{dev::ToEnvelope, prelude::*};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use fiador::{
    actors::Gateway,
    domain::{Budget, DeliveryStatus, OperationId, Refusal, SecondStep, SignInMethod, Status, UserView},
    messages::{
        CheckNumber, CreateUser, CreatedUser, DeleteUser, ExportUser, Failure, FindUser, PresentedProof, ReadUser, SetPassword,
        SignIn, SignInAnswer, SignInByNumber, StartVerification, UpdateUser,
    },
    supervision::AskError,
    testing::TestService,
};
use serde_json::Value;

use crate::kit::{budgets::spent, stores::new_operation};

const ADA: &str = "ada@example.org";
const PASSWORD: &str = "correct horse battery staple";
const ANOTHER: &str = "a longer one that nobody else has";

fn refused<T>(refusal: Refusal) -> Result<T, Failure> {
    Err(Failure::Refused(refusal))
}

async fn ask<M, T>(service: &TestService, message: M) -> Result<T, Failure>
where
    Gateway: Handler<M>,
    <Gateway as Actor>::Context: ToEnvelope<Gateway, M>,
    M: Message<Result = Result<T, Failure>> + Send + 'static,
    T: Send + 'static,
{
    match service.service().asks().ask(message, Duration::from_secs(20)).await {
        Ok(answer) => Ok(answer),
        Err(AskError::Refused(failure)) => Err(failure),
        Err(error) => panic!("the Gateway did not answer: {error}"),
    }
}

fn creating(service: &TestService, email: &str) -> CreateUser {
    CreateUser {
        application: service.application().clone(),
        email: email.to_owned(),
        password: Some(PASSWORD.to_owned().into()),
        attributes: Some(r#"{"plan": "a"}"#.to_owned()),
        locale: Some("es".to_owned()),
        is_verified: true,
        operation: new_operation(),
    }
}

async fn create(service: &TestService, email: &str) -> CreatedUser {
    ask(service, creating(service, email)).await.unwrap()
}

async fn read(service: &TestService, id: &str) -> Result<UserView, Failure> {
    ask(service, ReadUser { application: service.application().clone(), id: id.to_owned() }).await
}

fn setting(service: &TestService, user: &UserView, password: &str, proof: PresentedProof) -> SetPassword {
    let (application, id, password) = (service.application().clone(), user.id.as_str().to_owned(), password.to_owned().into());
    SetPassword { application, id, password, proof, operation: new_operation() }
}

fn old(password: &str) -> PresentedProof {
    PresentedProof::OldPassword(password.to_owned().into())
}

async fn without_second_step() -> TestService {
    TestService::start_with(|application| application.second_step = SecondStep::None).await
}

async fn delete(service: &TestService, user: &UserView) -> Result<(), Failure> {
    ask(service, DeleteUser { application: service.application().clone(), id: user.id.as_str().to_owned() }).await
}

fn claims(assertion: &str) -> Value {
    let body = assertion.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap()
}

#[actix::test]
async fn a_user_is_found_by_id_and_address_and_verified_by_the_number_that_was_mailed() {
    let service = TestService::start().await;
    let CreatedUser { user, verification } = create(&service, ADA).await;
    assert_eq!((user.email.as_str(), user.attributes.as_str(), user.verified_at), (ADA, r#"{"plan": "a"}"#, None));
    let verification = verification.unwrap();
    assert_eq!((verification.purpose.as_str(), verification.status), ("confirm-address", Status::Pending));

    let number = service.mailed_number(ADA).await;
    let approval = service.check(&verification.id, &number).await.unwrap();

    assert_eq!((approval.signed_in, approval.assertion), (None, None)); // confirming is no sign-in
    let found = read(&service, user.id.as_str()).await.unwrap();
    assert_eq!(found.verified_at, Some(approval.approved_at));
    let find = FindUser { application: service.application().clone(), email: "ADA@Example.org".to_owned() };
    assert_eq!(ask(&service, find).await.unwrap(), found);
    assert!(service.mails(ADA).await[0].subject.contains("código"), "its mails are in its language");
}

#[actix::test]
async fn an_address_has_one_user_and_a_repetition_finds_it() {
    let service = TestService::start().await;
    let creating = creating(&service, ADA);
    let created = ask(&service, creating.clone()).await.unwrap();

    assert_eq!(ask(&service, creating.clone()).await.unwrap().user, created.user);
    let other_body = CreateUser { attributes: None, ..creating.clone() };
    assert_eq!(ask(&service, other_body).await, refused(Refusal::IdempotencyMismatch));
    let other_operation = CreateUser { operation: new_operation(), email: "Ada@EXAMPLE.org".to_owned(), ..creating };
    assert_eq!(ask(&service, other_operation).await, refused(Refusal::UserExists));
    assert_eq!(service.mails(ADA).await.len(), 1);
}

#[actix::test]
async fn attributes_and_language_change_and_nothing_else() {
    let service = TestService::start().await;
    let user = create(&service, ADA).await.user;
    service.advance(Duration::from_secs(1));
    let update = UpdateUser {
        application: service.application().clone(),
        id: user.id.as_str().to_owned(),
        attributes: Some(r#"{"plan":"b"}"#.to_owned()),
        locale: Some(None),
    };

    let changed = ask(&service, update.clone()).await.unwrap();

    assert_eq!((changed.attributes.as_str(), changed.locale, changed.created_at), (r#"{"plan":"b"}"#, None, user.created_at));
    assert!(changed.updated_at > user.updated_at);
    let untouched = UpdateUser { attributes: None, locale: None, ..update.clone() };
    assert_eq!(ask(&service, untouched).await.unwrap().attributes, changed.attributes);
    let too_long = UpdateUser { attributes: Some(format!(r#"{{"a":"{}"}}"#, "x".repeat(4096))), ..update };
    assert!(matches!(ask(&service, too_long).await, Err(Failure::Refused(Refusal::FieldInvalid { field: "attributes", .. }))));
}

#[actix::test]
async fn a_deleted_user_leaves_nothing_but_budgets() {
    let service = TestService::start().await;
    let CreatedUser { user, verification } = create(&service, ADA).await;
    let number = service.mailed_number(ADA).await;

    delete(&service, &user).await.unwrap();

    assert_eq!(read(&service, user.id.as_str()).await, refused(Refusal::NotFound));
    assert_eq!(delete(&service, &user).await, refused(Refusal::NotFound));
    let verification = verification.unwrap();
    assert_eq!(service.read(&verification.id).await, refused(Refusal::NotFound));
    assert_eq!(service.check(&verification.id, &number).await, refused(Refusal::NotFound));
    assert_eq!(service.sign_in(ADA, PASSWORD).await, refused(Refusal::CredentialsInvalid));
    // the mail that was sent is still charged: the next one has to wait
    let again = ask(&service, creating(&service, ADA)).await;
    assert_eq!(again, refused(spent(Budget::AddressSends, 30)));
    service.advance(Duration::from_secs(30));
    assert_ne!(create(&service, ADA).await.user.id, user.id);
}

#[actix::test]
async fn an_export_has_all_that_is_kept_and_no_hash() {
    let service = TestService::start().await;
    let user = create(&service, ADA).await.user;
    service.mailed_number(ADA).await;
    service.sign_in(ADA, "a wrong one").await.unwrap_err();

    let export = ExportUser { application: service.application().clone(), id: user.id.as_str().to_owned() };
    let export = ask(&service, export).await.unwrap();

    assert_eq!(export.user, user);
    assert_eq!((export.verifications.len(), export.verifications[0].status), (1, Status::Pending));
    assert_eq!((export.mails_asked_at.len(), export.wrong_checks_left, export.failed_sign_ins_left), (1, 10, 9));
    assert!(!format!("{export:?}").contains("argon2"), "{export:?}");
}

#[actix::test]
async fn the_right_password_is_followed_by_a_number_whose_approval_carries_the_assertion() {
    let service = TestService::start().await;
    let user = service.create_user(ADA, PASSWORD).await.unwrap();

    let SignInAnswer::NumberSent(verification) = service.sign_in(ADA, PASSWORD).await.unwrap() else { panic!("no number") };
    assert_eq!(verification.purpose.as_str(), "sign-in");
    let number = service.mailed_number(ADA).await;
    let check = CheckNumber {
        application: service.application().clone(),
        id: verification.id.as_str().to_owned(),
        number: number.into(),
        operation: new_operation(),
    };
    let approval = ask(&service, check.clone()).await.unwrap();

    let signed_in = approval.signed_in.clone().unwrap();
    assert_eq!((signed_in.subject.as_str(), signed_in.audience.as_str()), (user.id.as_str(), "test"));
    assert_eq!(signed_in.methods, [SignInMethod::Password, SignInMethod::Number]);
    let claims = claims(approval.assertion.as_deref().unwrap());
    assert_eq!((&claims["sub"], &claims["aud"]), (&user.id.as_str().into(), &"test".into()));
    assert_eq!((claims["email_verified"].as_bool(), &claims["amr"]), (Some(true), &serde_json::json!(["pwd", "otp"])));
    assert_eq!(ask(&service, check).await.unwrap(), approval, "a repetition gets the same assertion");
}

#[actix::test]
async fn without_a_second_step_the_right_password_signs_in() {
    let service = without_second_step().await;
    let user = service.create_user(ADA, PASSWORD).await.unwrap();

    let SignInAnswer::SignedIn(signed_in) = service.sign_in(ADA, PASSWORD).await.unwrap() else { panic!("a number") };

    let claims = claims(&signed_in.assertion);
    assert_eq!((claims["sub"].as_str(), claims["email_verified"].as_bool()), (Some(user.id.as_str()), Some(false)));
    assert_eq!(claims["amr"], serde_json::json!(["pwd"]));
    assert!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap() <= 600);
    let SignInAnswer::SignedIn(again) = service.sign_in(ADA, PASSWORD).await.unwrap() else { panic!("a number") };
    assert_ne!(again.signed_in.jti, signed_in.signed_in.jti);
}

#[actix::test]
async fn an_unknown_address_a_wrong_password_and_none_at_all_get_the_same_answer() {
    let service = without_second_step().await;
    service.create_user(ADA, PASSWORD).await.unwrap();
    ask(&service, CreateUser { password: None, ..creating(&service, "bob@example.org") }).await.unwrap();

    for (email, password) in [(ADA, ANOTHER), ("eve@example.org", PASSWORD), ("bob@example.org", PASSWORD), (ADA, "")] {
        assert_eq!(service.sign_in(email, password).await, refused(Refusal::CredentialsInvalid), "{email}");
    }
}

#[actix::test]
async fn ten_failures_slow_an_address_down_and_never_lock_it() {
    let service = without_second_step().await;
    service.create_user(ADA, PASSWORD).await.unwrap();
    for _ in 0..10 {
        assert_eq!(service.sign_in(ADA, ANOTHER).await, refused(Refusal::CredentialsInvalid));
    }
    assert_eq!(service.sign_in(ADA, PASSWORD).await, refused(Refusal::CredentialsInvalid), "nobody is told that it is right");
    assert!(service.sign_in_by_number(ADA).await.is_ok(), "who reads the mails is not kept out");

    service.advance(Duration::from_secs(600));

    assert!(service.sign_in(ADA, PASSWORD).await.is_ok());
    assert!(service.sign_in(ADA, PASSWORD).await.is_ok(), "what was right is given back");
}

#[actix::test]
async fn twenty_failures_slow_an_end_users_address_down_whomever_he_tries() {
    let service = without_second_step().await;
    let sign_in = |email: String| SignIn {
        application: service.application().clone(),
        email,
        password: PASSWORD.to_owned().into(),
        context_ip: Some("203.0.113.9".to_owned()),
        operation: new_operation(),
    };
    service.create_user(ADA, PASSWORD).await.unwrap();
    assert!(ask(&service, sign_in(ADA.to_owned())).await.is_ok());
    for guess in 0..20 {
        assert_eq!(ask(&service, sign_in(format!("u{guess}@example.org"))).await, refused(Refusal::CredentialsInvalid));
    }

    assert_eq!(ask(&service, sign_in(ADA.to_owned())).await, refused(spent(Budget::IpSignIns, 30)));
}

#[actix::test]
async fn a_number_alone_signs_in_who_is_kept_and_looks_the_same_for_who_is_not() {
    let service = TestService::start().await;
    service.create_user(ADA, PASSWORD).await.unwrap();
    let of_ada = service.sign_in_by_number(ADA).await.unwrap();
    let of_nobody = service.sign_in_by_number("eve@example.org").await.unwrap();

    assert_eq!(of_ada.delivery.as_ref().unwrap().status, DeliveryStatus::Queued);
    assert_eq!(of_nobody.delivery.as_ref().unwrap().status, DeliveryStatus::Queued);
    assert_eq!((of_ada.expires_at, of_ada.attempts_remaining), (of_nobody.expires_at, of_nobody.attempts_remaining));
    let number = service.mailed_number(ADA).await;
    assert_eq!(service.mails("eve@example.org").await.len(), 0);
    let wrong = service.check(&of_nobody.id, &number).await;
    assert_eq!(wrong, refused(Refusal::NumberIncorrect { attempts_remaining: 4 }));
    let approval = service.check(&of_ada.id, &number).await.unwrap();
    assert_eq!(claims(&approval.assertion.unwrap())["amr"], serde_json::json!(["otp"]));
    let again = service.sign_in_by_number("eve@example.org").await;
    assert_eq!(again, refused(spent(Budget::AddressSends, 30)), "it is charged as if a mail had been sent");
}

#[actix::test]
async fn a_password_is_changed_by_the_old_one_and_the_user_is_told() {
    let service = without_second_step().await;
    let user = service.create_user(ADA, PASSWORD).await.unwrap();
    assert_eq!(ask(&service, setting(&service, &user, ANOTHER, old("a wrong one"))).await, refused(Refusal::CredentialsInvalid));

    ask(&service, setting(&service, &user, ANOTHER, old(PASSWORD))).await.unwrap();

    assert_eq!(service.sign_in(ADA, PASSWORD).await, refused(Refusal::CredentialsInvalid));
    assert!(service.sign_in(ADA, ANOTHER).await.is_ok());
    let mails = service.mails(ADA).await;
    assert_eq!(mails.iter().map(|mail| mail.subject.as_str()).collect::<Vec<_>>(), ["Your Test password was changed"]);
    assert!(mails[0].text.contains("If you did not change it"), "{}", mails[0].text);
}

#[actix::test]
async fn a_reset_sets_a_password_once_and_only_for_its_own_address_and_purpose() {
    let service = without_second_step().await;
    let user = service.create_user(ADA, PASSWORD).await.unwrap();
    let approved = async |email: &str, purpose: &str| {
        let start = StartVerification { purpose: Some(purpose.to_owned()), ..service.starting(email) };
        let verification = ask(&service, start).await.unwrap();
        service.check(&verification.id, &service.mailed_number(email).await).await.unwrap();
        PresentedProof::Verification(verification.id.as_str().to_owned())
    };
    let set =
        async |password: &str, proof: &PresentedProof| ask(&service, setting(&service, &user, password, proof.clone())).await;

    for proof in [approved("eve@example.org", "reset-password").await, approved(ADA, "sign-in").await] {
        assert_eq!(set(ANOTHER, &proof).await, refused(Refusal::NotProven));
    }
    service.advance(Duration::from_secs(60));
    let proof = approved(ADA, "reset-password").await;
    service.advance(Duration::from_secs(120)); // only the tombstone is left
    assert_eq!(set(ANOTHER, &proof).await, Ok(()));
    assert_eq!(set("yet another, longer one", &proof).await, refused(Refusal::NotProven));
    assert!(service.sign_in(ADA, ANOTHER).await.is_ok());

    let late = approved(ADA, "reset-password").await;
    service.advance(Duration::from_secs(600));
    assert_eq!(set(PASSWORD, &late).await, refused(Refusal::NotProven));
}

#[actix::test]
async fn a_changed_password_calls_off_the_sign_ins_that_wait_for_their_number() {
    let service = TestService::start().await;
    let user = service.create_user(ADA, PASSWORD).await.unwrap();
    let SignInAnswer::NumberSent(verification) = service.sign_in(ADA, PASSWORD).await.unwrap() else { panic!("no number") };
    let number = service.mailed_number(ADA).await;

    ask(&service, setting(&service, &user, ANOTHER, old(PASSWORD))).await.unwrap();

    assert_eq!(service.check(&verification.id, &number).await, refused(Refusal::Canceled));
}

#[actix::test]
async fn passwords_that_are_easily_guessed_are_refused_wherever_they_are_set() {
    let service = TestService::start().await;
    for password in ["short", "password123", "ada@example.org!", &"x".repeat(257)] {
        let refusal = service.create_user(ADA, password).await.unwrap_err();
        assert!(matches!(refusal, Failure::Refused(Refusal::FieldInvalid { field: "password", .. })), "{password}: {refusal:?}");
    }
    let user = service.create_user(ADA, PASSWORD).await.unwrap();
    let refusal = ask(&service, setting(&service, &user, "password123", old(PASSWORD))).await.unwrap_err();
    assert!(matches!(refusal, Failure::Refused(Refusal::FieldInvalid { field: "password", .. })), "{refusal:?}");
}

#[actix::test]
async fn a_sign_in_that_is_asked_for_again_sends_no_second_mail() {
    let service = TestService::start().await;
    service.create_user(ADA, PASSWORD).await.unwrap();
    let operation: OperationId = new_operation();
    let sign_in = SignIn {
        application: service.application().clone(),
        email: ADA.to_owned(),
        password: PASSWORD.to_owned().into(),
        context_ip: None,
        operation,
    };
    let by_number =
        SignInByNumber { application: service.application().clone(), email: ADA.to_owned(), context_ip: None, operation };

    let first = ask(&service, sign_in.clone()).await.unwrap();

    let (SignInAnswer::NumberSent(first), SignInAnswer::NumberSent(again)) = (first, ask(&service, sign_in).await.unwrap())
    else {
        panic!("no number")
    };
    assert_eq!(first.id, again.id);
    assert_eq!(ask(&service, by_number).await, refused(Refusal::IdempotencyMismatch));
    assert_eq!(service.mails(ADA).await.len(), 1);
}

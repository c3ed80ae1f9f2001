//! Whoever is unknown, has no password, presents the wrong one or too many of them costs as much as who is right.

use std::time::Duration;

use actix::prelude::*;
use fiador::{
    actors::Gateway,
    domain::{Refusal, UserView},
    messages::{CreateUser, CreatedUser, Failure, PresentedProof, SetPassword, SignIn},
    supervision::AskError,
};

use crate::kit::{
    gateways::{Letterbox, LoneGateway},
    stores::{new_operation, shop},
};

const ADA: &str = "ada@example.org";
const PASSWORD: &str = "correct horse battery staple";
const ANOTHER: &str = "a longer one that nobody else has";
const PATIENCE: Duration = Duration::from_secs(60);

/// A Gateway whose runs of Argon2id are counted.
struct Counted(LoneGateway);

impl Counted {
    async fn start() -> Self {
        Self(LoneGateway::beside(Letterbox::answering(Ok(()))).await)
    }

    /// The answer, and how often Argon2id ran for it.
    async fn ask<M, T>(&self, message: M) -> (Result<T, Failure>, u64)
    where
        Gateway: Handler<M>,
        M: Message<Result = Result<T, Failure>> + Send + 'static,
        <Gateway as Actor>::Context: actix::dev::ToEnvelope<Gateway, M>,
        T: Send + 'static,
    {
        let before = self.0.passwords.runs();
        let answer = match self.0.gateway.asks().ask(message, PATIENCE).await {
            Ok(answer) => Ok(answer),
            Err(AskError::Refused(failure)) => Err(failure),
            Err(error) => panic!("the Gateway did not answer: {error}"),
        };
        (answer, self.0.passwords.runs() - before)
    }

    async fn create(&self, email: &str, password: Option<&str>) -> UserView {
        let create = CreateUser {
            application: shop(),
            email: email.to_owned(),
            password: password.map(|text| text.to_owned().into()),
            attributes: None,
            locale: None,
            is_verified: false,
            operation: new_operation(),
        };
        let CreatedUser { user, .. } = self.ask(create).await.0.unwrap();
        user
    }

    /// Whether it signs in, and the runs it takes.
    async fn sign_in(&self, email: &str, password: &str) -> (Result<(), Failure>, u64) {
        let (email, password) = (email.to_owned(), password.to_owned().into());
        let sign_in = SignIn { application: shop(), email, password, context_ip: None, operation: new_operation() };
        let (answer, runs) = self.ask(sign_in).await;
        (answer.map(drop), runs)
    }

    async fn set_password(&self, user: &UserView, old: &str) -> (Result<(), Failure>, u64) {
        let (id, password) = (user.id.as_str().to_owned(), ANOTHER.to_owned().into());
        let proof = PresentedProof::OldPassword(old.to_owned().into());
        self.ask(SetPassword { application: shop(), id, password, proof, operation: new_operation() }).await
    }
}

#[actix::test]
async fn each_sign_in_that_fails_takes_as_many_runs_as_one_that_does_not() {
    let counted = Counted::start().await;
    counted.create(ADA, Some(PASSWORD)).await;
    counted.create("bob@example.org", None).await;
    assert_eq!(counted.sign_in(ADA, PASSWORD).await, (Ok(()), 1));
    let too_long = "x".repeat(100_000);

    for (email, password) in
        [("eve@example.org", PASSWORD), (ADA, ANOTHER), ("bob@example.org", PASSWORD), (ADA, ""), (ADA, &too_long)]
    {
        let invalid = Err(Failure::Refused(Refusal::CredentialsInvalid));
        assert_eq!(counted.sign_in(email, password).await, (invalid, 1), "{email}");
    }
}

#[actix::test]
async fn whoever_has_failed_too_often_is_compared_all_the_same() {
    let counted = Counted::start().await;
    let ada = counted.create(ADA, Some(PASSWORD)).await;
    let invalid = || Err(Failure::Refused(Refusal::CredentialsInvalid));
    for address in [ADA, "eve@example.org"] {
        for _ in 0..10 {
            assert_eq!(counted.sign_in(address, ANOTHER).await, (invalid(), 1));
        }
        assert_eq!(counted.sign_in(address, PASSWORD).await, (invalid(), 1), "{address} is blocked");
    }
    assert_eq!(counted.set_password(&ada, PASSWORD).await, (invalid(), 1));
}

#[actix::test]
async fn a_password_is_hashed_only_for_who_has_proven_the_old_one() {
    let counted = Counted::start().await;
    let ada = counted.create(ADA, Some(PASSWORD)).await;

    assert_eq!(counted.set_password(&ada, ANOTHER).await, (Err(Failure::Refused(Refusal::CredentialsInvalid)), 1));
    assert_eq!(counted.set_password(&ada, PASSWORD).await, (Ok(()), 2));
    assert_eq!(counted.sign_in(ADA, ANOTHER).await, (Ok(()), 1));
}

//! Signing users in.

use super::{Front, Gateway, STORE_DEADLINE, answer_from_front, charges, end_user, failure, hand_over, invalid, opening};
use crate::{
    domain::{
        Application, Approval, Charge, EmailAddress, FirstStep, OperationId, Refusal, SecondStep, UserAt, VerificationView,
    },
    messages::{
        Failure, FinishSignIn, FinishedSignIn, OpenVerification, SignIn, SignInAnswer, SignInByNumber, StartVerification,
        UserSignedIn,
    },
};

answer_from_front! {
    SignIn => sign_in,
    SignInByNumber => sign_in_by_number,
}

impl Front {
    /// Charged is what a failure costs its end user's IP address, and what a second step costs the application; given back is what
    /// did not come about.
    async fn sign_in(&self, ask: SignIn) -> Result<SignInAnswer, Failure> {
        let application = self.application(&ask.application)?;
        let of_failure: Vec<Charge> = end_user(ask.context_ip.as_deref())?.map(Charge::of_sign_in).into_iter().collect();
        let of_start = if application.second_step == SecondStep::Number { charges(&application, None) } else { Vec::new() };
        let charged = [of_failure.clone(), of_start.clone()].concat();
        self.charge(&application.name, &charged).await?;
        let finished = self.finish(&application, ask).await;
        let needless = match &finished {
            Ok(finished) if is_repetition(finished) => charged,
            Ok(_) => of_failure,
            Err(Failure::Refused(Refusal::CredentialsInvalid)) => of_start,
            Err(Failure::Refused(_) | Failure::Overloaded) => charged,
            Err(Failure::Unavailable) => Vec::new(),
        };
        self.refund(&application.name, needless).await;
        let FinishedSignIn { signed_in, opened } = finished?;
        Ok(match opened {
            Some(opened) => SignInAnswer::NumberSent(opened.verification),
            None => SignInAnswer::SignedIn(UserSignedIn { assertion: self.assertions.sign(&signed_in), signed_in }),
        })
    }

    async fn finish(&self, application: &Application, ask: SignIn) -> Result<FinishedSignIn, Failure> {
        let address = EmailAddress::parse(&ask.email).map_err(|error| invalid("email", &error))?;
        let second_step = second_step(application, &ask)?;
        let (user, room) = (UserAt::Address(address.clone()), self.admit()?);
        let (id, (hash, rehashed)) = self.compare(&application.name, user, ask.password, room).await?;
        let room = self.handing_over.room_for(&application.name, &address);
        let second_step = second_step.map(|mut opening| {
            opening.with_lease = room.is_some();
            opening
        });
        let finish = FinishSignIn { application: ask.application, id, hash, rehashed, second_step };
        let mut finished = self.store.finish_sign_in.ask(finish, STORE_DEADLINE).await.map_err(failure)?;
        hand_over(room, finished.opened.as_mut().and_then(|opened| opened.message.take()));
        Ok(finished)
    }

    async fn sign_in_by_number(&self, ask: SignInByNumber) -> Result<VerificationView, Failure> {
        let application = self.application(&ask.application)?;
        let ip = end_user(ask.context_ip.as_deref())?;
        let start = starting(&application, ask.email, ask.context_ip, ask.operation);
        let mut opening = opening(&application, start, ip)?;
        opening.signs_in = Some(FirstStep::None);
        self.start_at_a_charge(opening, charges(&application, ip)).await
    }

    /// The approval of a sign-in, with its assertion.
    pub(super) fn assert(&self, approval: Approval) -> Approval {
        let assertion = approval.signed_in.as_ref().map(|signed_in| self.assertions.sign(signed_in));
        Approval { assertion, ..approval }
    }
}

fn second_step(application: &Application, ask: &SignIn) -> Result<Option<Box<OpenVerification>>, Refusal> {
    if application.second_step == SecondStep::None {
        return Ok(None);
    }
    let start = starting(application, ask.email.clone(), None, ask.operation);
    let mut opening = opening(application, start, None)?;
    opening.signs_in = Some(FirstStep::Password);
    Ok(Some(opening))
}

fn starting(application: &Application, email: String, context_ip: Option<String>, operation: OperationId) -> StartVerification {
    StartVerification { context_ip, ..StartVerification::new(application.name.clone(), email, operation) }
}

fn is_repetition(finished: &FinishedSignIn) -> bool {
    finished.opened.as_ref().is_some_and(|opened| opened.is_repetition)
}

//! `/v1/sign-ins`: by password, and by number alone, for keys with the scope `users`.

use std::sync::Arc;

use http::{Method, StatusCode, header::LOCATION};
use serde::Serialize;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    body,
    caller::{authenticate, operation_of},
    members::Members,
    problem::Problem,
    reply::{Rfc3339, json},
    routes::{Api, Call, answer, call},
    test_mark::TestMark,
    trail::{Action, Trail},
    verifications::{VerificationBody, context_ip, location},
};
use crate::{
    domain::VerificationView,
    messages::{SignIn, SignInAnswer, SignInByNumber, UserSignedIn},
};

pub(super) fn routes(api: &Arc<Api>) -> BoxedFilter<(Response,)> {
    let api = api.clone();
    let with_api = warp::any().map(move || api.clone());
    let by_password = warp::path!("v1" / "sign-ins").and(with_api.clone()).and(call()).then(answer_by_password);
    let by_number = warp::path!("v1" / "sign-ins" / "number").and(with_api).and(call()).then(answer_by_number);
    by_password.or(by_number).unify().boxed()
}

async fn answer_by_password(api: Arc<Api>, call: Call) -> Response {
    answer(match call.method {
        Method::POST => sign_in(&api, call).await,
        _ => Err(Problem::method_not_allowed("POST")),
    })
}

async fn answer_by_number(api: Arc<Api>, call: Call) -> Response {
    answer(match call.method {
        Method::POST => sign_in_by_number(&api, call).await,
        _ => Err(Problem::method_not_allowed("POST")),
    })
}

async fn sign_in(api: &Api, call: Call) -> Result<Response, Problem> {
    let application = authenticate(api, &call, Action::SignIn)?;
    let body = body::read(&call.headers, call.body, api.limits.body_time).await?;
    let operation = operation_of(&call.headers)?;
    let mut members = Members::of_body(&body)?;
    let sign_in = SignIn {
        application,
        email: members.required_string("email")?,
        password: members.required_secret("password")?,
        context_ip: context_ip(&mut members)?,
        operation,
    };
    members.finish()?;
    call.trail.email(&sign_in.email);
    Ok(match api.asks.sign_in.ask(sign_in, api.limits.ask_time).await? {
        SignInAnswer::SignedIn(user) => {
            call.trail.user(&user.signed_in.subject);
            json(StatusCode::OK, &call.test_mark.on(SignedInBody::from(&user)))
        }
        SignInAnswer::NumberSent(verification) => number_sent(&call.trail, &call.test_mark, &verification),
    })
}

async fn sign_in_by_number(api: &Api, call: Call) -> Result<Response, Problem> {
    let application = authenticate(api, &call, Action::SignInByNumber)?;
    let body = body::read(&call.headers, call.body, api.limits.body_time).await?;
    let operation = operation_of(&call.headers)?;
    let mut members = Members::of_body(&body)?;
    let sign_in = SignInByNumber {
        application,
        email: members.required_string("email")?,
        context_ip: context_ip(&mut members)?,
        operation,
    };
    members.finish()?;
    call.trail.email(&sign_in.email);
    let verification = api.asks.sign_in_by_number.ask(sign_in, api.limits.ask_time).await?;
    Ok(number_sent(&call.trail, &call.test_mark, &verification))
}

fn number_sent(trail: &Trail, test_mark: &TestMark, verification: &VerificationView) -> Response {
    trail.view(verification);
    let mut response = json(StatusCode::ACCEPTED, &test_mark.on(VerificationBody::from(verification)));
    response.headers_mut().insert(LOCATION, location(verification));
    response
}

#[derive(Serialize)]
struct SignedInBody<'a> {
    user: &'a str,
    email: &'a str,
    signed_in_at: Rfc3339,
    assertion: &'a str,
}

impl<'a> From<&'a UserSignedIn> for SignedInBody<'a> {
    fn from(UserSignedIn { signed_in, assertion }: &'a UserSignedIn) -> Self {
        Self { user: &signed_in.subject, email: &signed_in.email, signed_in_at: Rfc3339(signed_in.at), assertion }
    }
}

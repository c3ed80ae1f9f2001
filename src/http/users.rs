//! `/v1/users`: those whom an application lets us keep, for keys with the scope `users`. Never a hash.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header::LOCATION};
use serde::Serialize;
use serde_json::value::RawValue;
use warp::{Filter, Reply, filters::BoxedFilter, reply::Response};

use super::{
    body,
    caller::{authenticate, operation_of},
    members::Members,
    problem::{Code, Problem},
    query::{Parameters, Query, query},
    reply::{Rfc3339, json},
    routes::{Api, Call, answer, call},
    test_mark::TestMark,
    trail::{Action, Trail},
    verifications::{DeliveryBody, VerificationBody, status_word},
};
use crate::{
    domain::{ApplicationName, Attributes, ExportedVerification, Locale, OperationId, UserExport, UserView},
    messages::{CreateUser, CreatedUser, DeleteUser, ExportUser, FindUser, PresentedProof, ReadUser, SetPassword, UpdateUser},
};

pub(super) fn routes(api: &Arc<Api>) -> BoxedFilter<(Response,)> {
    let api = api.clone();
    let with_api = warp::any().map(move || api.clone());
    let all = warp::path!("v1" / "users").and(with_api.clone()).and(call()).and(query()).then(answer_all);
    let one = warp::path!("v1" / "users" / String).and(with_api.clone()).and(call()).then(answer_one);
    let exports = warp::path!("v1" / "users" / String / "export").and(with_api.clone()).and(call()).then(answer_exports);
    let passwords = warp::path!("v1" / "users" / String / "password").and(with_api).and(call()).then(answer_passwords);
    all.or(one).unify().or(exports).unify().or(passwords).unify().boxed()
}

async fn answer_all(api: Arc<Api>, call: Call, query: Option<Query>) -> Response {
    answer(match call.method {
        Method::POST => create(&api, call).await,
        Method::GET | Method::HEAD => find(&api, &call, query).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD, POST")),
    })
}

async fn answer_one(id: String, api: Arc<Api>, call: Call) -> Response {
    answer(match call.method {
        Method::GET | Method::HEAD => read(&api, &call, id).await,
        Method::PATCH => update(&api, call, id).await,
        Method::DELETE => delete(&api, &call, id).await,
        _ => Err(Problem::method_not_allowed("DELETE, GET, HEAD, PATCH")),
    })
}

async fn answer_exports(id: String, api: Arc<Api>, call: Call) -> Response {
    answer(match call.method {
        Method::GET | Method::HEAD => export(&api, &call, id).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

async fn answer_passwords(id: String, api: Arc<Api>, call: Call) -> Response {
    answer(match call.method {
        Method::POST => set_password(&api, call, id).await,
        _ => Err(Problem::method_not_allowed("POST")),
    })
}

async fn create(api: &Api, call: Call) -> Result<Response, Problem> {
    let application = authenticate(api, &call, Action::CreateUser)?;
    let body = body::read(&call.headers, call.body, api.limits.body_time).await?;
    let operation = operation_of(&call.headers)?;
    let create = create_in(&body, application, operation)?;
    call.trail.email(&create.email);
    let CreatedUser { user, verification } = api.asks.create_user.ask(create, api.limits.ask_time).await?;
    call.trail.user_view(&user);
    let created = CreatedBody { user: UserBody::from(&user), verification: verification.as_ref().map(VerificationBody::from) };
    let mut response = json(StatusCode::CREATED, &call.test_mark.on(created));
    response.headers_mut().insert(LOCATION, location(&user));
    Ok(response)
}

/// What a body asks for.
fn create_in(body: &[u8], application: ApplicationName, operation: OperationId) -> Result<CreateUser, Problem> {
    let mut members = Members::of_body(body)?;
    let create = CreateUser {
        application,
        email: members.required_string("email")?,
        password: members.optional_secret("password")?,
        attributes: members.optional_object_text("attributes")?,
        locale: members.optional_string("locale")?,
        is_verified: members.optional_bool("verify")?.unwrap_or(true),
        operation,
    };
    members.finish()?;
    Ok(create)
}

fn location(user: &UserView) -> HeaderValue {
    let path = format!("/v1/users/{}", user.id.as_str());
    HeaderValue::from_str(&path).expect("an id is base64url")
}

async fn find(api: &Api, call: &Call, query: Option<Query>) -> Result<Response, Problem> {
    let application = authenticate(api, call, Action::ReadUser)?;
    let mut parameters = Parameters::of(query)?;
    let find = FindUser { application, email: parameters.required("email")? };
    parameters.finish("email")?;
    call.trail.email(&find.email);
    let user = api.asks.find_user.ask(find, api.limits.ask_time).await?;
    Ok(shown(&call.trail, &call.test_mark, &user))
}

async fn read(api: &Api, call: &Call, id: String) -> Result<Response, Problem> {
    call.trail.user(&id);
    let application = authenticate(api, call, Action::ReadUser)?;
    let user = api.asks.read_user.ask(ReadUser { application, id }, api.limits.ask_time).await?;
    Ok(shown(&call.trail, &call.test_mark, &user))
}

async fn update(api: &Api, call: Call, id: String) -> Result<Response, Problem> {
    call.trail.user(&id);
    let application = authenticate(api, &call, Action::UpdateUser)?;
    let body = body::read(&call.headers, call.body, api.limits.body_time).await?;
    let mut members = Members::of_body(&body)?;
    members.refuse("email", "cannot be changed: a user with another address is another user, so create that one")?;
    let attributes = members.optional_object_text("attributes")?;
    let locale = members.optional_nullable_string("locale")?;
    members.finish()?;
    let update = UpdateUser { application, id, attributes, locale };
    let user = api.asks.update_user.ask(update, api.limits.ask_time).await?;
    Ok(shown(&call.trail, &call.test_mark, &user))
}

fn shown(trail: &Trail, test_mark: &TestMark, user: &UserView) -> Response {
    trail.user_view(user);
    json(StatusCode::OK, &test_mark.on(UserBody::from(user)))
}

async fn delete(api: &Api, call: &Call, id: String) -> Result<Response, Problem> {
    call.trail.user(&id);
    let application = authenticate(api, call, Action::DeleteUser)?;
    let delete = DeleteUser { application, id };
    api.asks.delete_user.ask(delete, api.limits.ask_time).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn export(api: &Api, call: &Call, id: String) -> Result<Response, Problem> {
    call.trail.user(&id);
    let application = authenticate(api, call, Action::ExportUser)?;
    let export = ExportUser { application, id };
    let export = api.asks.export_user.ask(export, api.limits.ask_time).await?;
    call.trail.user_view(&export.user);
    Ok(json(StatusCode::OK, &call.test_mark.on(ExportBody::from(&export))))
}

async fn set_password(api: &Api, call: Call, id: String) -> Result<Response, Problem> {
    call.trail.user(&id);
    let application = authenticate(api, &call, Action::SetPassword)?;
    let body = body::read(&call.headers, call.body, api.limits.body_time).await?;
    let operation = operation_of(&call.headers)?;
    let mut members = Members::of_body(&body)?;
    let password = members.required_secret("password")?;
    let proof = proof(&mut members)?;
    members.finish()?;
    let set = SetPassword { application, id, password, proof, operation };
    api.asks.set_password.ask(set, api.limits.ask_time).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn proof(members: &mut Members<'_>) -> Result<PresentedProof, Problem> {
    match (members.optional_secret("old_password")?, members.optional_string("verification")?) {
        (Some(old), None) => Ok(PresentedProof::OldPassword(old)),
        (None, Some(id)) => Ok(PresentedProof::Verification(id)),
        _ => {
            let detail = "old_password or verification must be there, and not both";
            Err(Problem::new(Code::FieldMissing, detail).with("field", "old_password"))
        }
    }
}

#[derive(Serialize)]
struct CreatedBody<'a> {
    #[serde(flatten)]
    user: UserBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification: Option<VerificationBody<'a>>,
}

#[derive(Serialize)]
struct UserBody<'a> {
    id: &'a str,
    email: &'a str,
    attributes: AttributesBody<'a>,
    locale: Option<&'a str>,
    created_at: Rfc3339,
    updated_at: Rfc3339,
    verified_at: Option<Rfc3339>,
    /// Null: it has none.
    password_changed_at: Option<Rfc3339>,
}

impl<'a> From<&'a UserView> for UserBody<'a> {
    fn from(view: &'a UserView) -> Self {
        Self {
            id: view.id.as_str(),
            email: view.email.as_str(),
            attributes: AttributesBody::from(&view.attributes),
            locale: view.locale.as_ref().map(Locale::as_str),
            created_at: Rfc3339(view.created_at),
            updated_at: Rfc3339(view.updated_at),
            verified_at: view.verified_at.map(Rfc3339),
            password_changed_at: view.password_changed_at.map(Rfc3339),
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum AttributesBody<'a> {
    Json(&'a RawValue),
    /// Only in process can text that is no JSON have been kept as such.
    Text(&'a str),
}

impl<'a> From<&'a Attributes> for AttributesBody<'a> {
    fn from(attributes: &'a Attributes) -> Self {
        serde_json::from_str(attributes.as_str()).map_or(Self::Text(attributes.as_str()), Self::Json)
    }
}

#[derive(Serialize)]
struct ExportBody<'a> {
    user: UserBody<'a>,
    verifications: Vec<ExportedBody<'a>>,
    /// Mails that tell of a change, while they are on their way.
    notices: Vec<DeliveryBody<'a>>,
    /// When each of the last hour's mails to the address was asked for.
    mails_asked_at: Vec<Rfc3339>,
    wrong_checks_left: u32,
    failed_sign_ins_left: u32,
}

impl<'a> From<&'a UserExport> for ExportBody<'a> {
    fn from(export: &'a UserExport) -> Self {
        Self {
            user: UserBody::from(&export.user),
            verifications: export.verifications.iter().map(ExportedBody::from).collect(),
            notices: export.notices.iter().map(DeliveryBody::from).collect(),
            mails_asked_at: export.mails_asked_at.iter().copied().map(Rfc3339).collect(),
            wrong_checks_left: export.wrong_checks_left,
            failed_sign_ins_left: export.failed_sign_ins_left,
        }
    }
}

#[derive(Serialize)]
struct ExportedBody<'a> {
    status: &'static str,
    purpose: &'a str,
    started_at: Option<Rfc3339>,
    expires_at: Rfc3339,
    ends_at: Rfc3339,
    delivery: Option<DeliveryBody<'a>>,
}

impl<'a> From<&'a ExportedVerification> for ExportedBody<'a> {
    fn from(verification: &'a ExportedVerification) -> Self {
        Self {
            status: status_word(verification.status),
            purpose: verification.purpose.as_str(),
            started_at: verification.started_at.map(Rfc3339),
            expires_at: Rfc3339(verification.expires_at),
            ends_at: Rfc3339(verification.ends_at),
            delivery: verification.delivery.as_ref().map(DeliveryBody::from),
        }
    }
}

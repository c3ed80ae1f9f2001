//! What a daemon is doing for a user when it dies, and what comes of it.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{
    promises::{nothing_is_left, the_one_number},
    scene::{A_LEASE_LATER, NOW, Scene, TWO_LEASES_LATER},
};
use crate::kit::{caller::Caller, http::Reply};

const ADA: &str = "ada@example.org";
const PASSWORD: &str = "correct horse battery staple";
const ANOTHER: &str = "a longer one that nobody else has";

/// A user is there with the verification of its address, or neither is; asked again it is the same.
pub async fn sign_up(mut scene: Scene, place: &str) {
    let acknowledged = scene.dies_when_asked(place, NOW, |caller| caller.signing_up(true)).await;

    let daemon = scene.start(A_LEASE_LATER).await;

    let caller = scene.caller(&daemon);
    let user = Reply::to(caller.signing_up(true)).await;
    for reply in acknowledged.iter().chain([&user]) {
        assert_eq!((reply.status, &reply.json()["id"]), (201, &user.json()["id"]), "{}", reply.text);
        assert_eq!(reply.json()["verification"]["id"], user.json()["verification"]["id"]);
    }
    let verification = user.json()["verification"]["id"].as_str().unwrap().to_owned();
    approve(&mut scene, &caller, &verification).await;
    assert!(caller.get(&user_path(&user.id())).await.json()["verified_at"].is_string());
    assert_eq!(Reply::to(caller.signing_in(PASSWORD)).await.status, 202);
}

/// The second step is there with its mail, or the password is asked for again; its approval gives one assertion.
pub async fn sign_in(mut scene: Scene, place: &str) {
    signed_up(&scene).await;
    let acknowledged = scene.dies_when_asked(place, NOW, |caller| caller.signing_in(PASSWORD)).await;

    let daemon = scene.start(A_LEASE_LATER).await;

    let caller = scene.caller(&daemon);
    let again = Reply::to(caller.signing_in(PASSWORD)).await;
    for reply in acknowledged.iter().chain([&again]) {
        assert_eq!((reply.status, reply.id()), (202, again.id()), "{}", reply.text);
    }
    let approval = approve(&mut scene, &caller, &again.id()).await;
    assert!(approval["assertion"].is_string(), "{approval}");
    nothing_is_left(&scene, &caller).await;
}

/// One of both passwords holds; asked again it is the new one, and a mail tells of it.
pub async fn password_change(mut scene: Scene, place: &str) {
    let id = signed_up(&scene).await;
    let acknowledged = scene.dies_when_asked(place, NOW, |caller| caller.changing_password(&id)).await;

    let daemon = scene.start(A_LEASE_LATER).await;

    let caller = scene.caller(&daemon);
    if acknowledged.is_some() {
        Reply::to(caller.signing_in(PASSWORD)).await.problem(401, "credentials-invalid");
    }
    for _ in 0..2 {
        assert_eq!(Reply::to(caller.changing_password(&id)).await.status, 204);
    }
    Reply::to(caller.signing_in(PASSWORD)).await.problem(401, "credentials-invalid");
    let told = scene.sink.next_mail().await;
    assert!(told.content.contains("password"), "{}", told.content);
    let new = caller.post("/v1/sign-ins", json!({"email": ADA, "password": ANOTHER}).to_string());
    assert_eq!(Reply::to(new).await.status, 202);
}

/// All of the address is there, or nothing; asked again it is nothing.
pub async fn forgetting(mut scene: Scene, place: &str) {
    let id = signed_up(&scene).await;
    let daemon = scene.start(NOW).await;
    let caller = scene.caller(&daemon);
    let started = Reply::to(caller.starting(&Value::Null)).await.id();
    caller.until_mail_is("sent", &started).await;
    let number = the_one_number(&scene.new_mails().await);
    daemon.kill().await;
    let acknowledged = scene.dies_when_asked(place, A_LEASE_LATER, |caller| caller.forgetting(&id)).await;

    let daemon = scene.start(TWO_LEASES_LATER).await;

    let caller = scene.caller(&daemon);
    let (user, verification) = (caller.get(&user_path(&id)).await.status, caller.read(&started).await.status);
    assert_eq!(user, verification);
    if acknowledged.is_some() {
        assert_eq!(user, 404);
    }
    assert_eq!(Reply::to(caller.forgetting(&id)).await.status, if user == 404 { 404 } else { 204 });
    caller.get(&user_path(&id)).await.problem(404, "not-found");
    caller.check(&started, &number).await.problem(404, "not-found");
    nothing_is_left(&scene, &caller).await;
}

/// The id of a user without a verification.
async fn signed_up(scene: &Scene) -> String {
    let daemon = scene.start(NOW).await;
    let user = Reply::to(scene.caller(&daemon).signing_up(false)).await;
    assert_eq!(user.status, 201, "{}", user.text);
    daemon.kill().await;
    user.id()
}

async fn approve(scene: &mut Scene, caller: &Caller, verification: &str) -> Value {
    caller.until_mail_is("sent", verification).await;
    let number = the_one_number(&scene.new_mails().await);
    let approval = caller.check(verification, &number).await;
    assert_eq!(approval.status, 200, "{}", approval.text);
    approval.json()
}

fn user_path(id: &str) -> String {
    format!("/v1/users/{id}")
}

impl Caller {
    fn signing_up(&self, verify: bool) -> RequestBuilder {
        let body = json!({"email": ADA, "password": PASSWORD, "verify": verify}).to_string();
        self.post("/v1/users", body).header("Idempotency-Key", "sign-up")
    }

    fn signing_in(&self, password: &str) -> RequestBuilder {
        let body = json!({"email": ADA, "password": password}).to_string();
        self.post("/v1/sign-ins", body).header("Idempotency-Key", "sign-in")
    }

    fn changing_password(&self, id: &str) -> RequestBuilder {
        let body = json!({"password": ANOTHER, "old_password": PASSWORD}).to_string();
        self.post(&format!("{}/password", user_path(id)), body).header("Idempotency-Key", "change")
    }

    fn forgetting(&self, id: &str) -> RequestBuilder {
        self.request(Method::DELETE, &user_path(id))
    }
}

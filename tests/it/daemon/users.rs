//! Users of a real daemon: made, verified, signed in with an assertion that others verify, told of changes, forgotten.

use fiador::api_key::ApiKey;
use reqwest::Method;
use serde_json::{Value, json};

use crate::kit::{
    caller::{Caller, number_in},
    daemon::{Daemon, Home, application_whose_key},
    http::Reply,
    pyjwt::verified,
    redis::TestRedis,
};

const DEV: &str = "[dev]\ninbox = true\n";
const ADA: &str = "ada@example.org";
const PASSWORD: &str = "correct horse battery staple";
const ANOTHER: &str = "a longer one that nobody else has";
const RELOADED: &str = "configuration reloaded";

fn on(server: &TestRedis) -> String {
    format!("[store]\nredis_url = \"{}\"\n{DEV}", server.url())
}

/// What a key needs for all that is called here.
const SCOPES: &str = ", scopes = [\"users\", \"verifications:start\", \"verifications:check\", \"verifications:read\"]";

/// Writes a configuration with the application `shop`, of which `more` is said.
fn declare(home: &Home, config: &str, key: &str, more: &str) {
    home.write("config.toml", &format!("{config}{}{more}\n", application_whose_key("shop", key, SCOPES)));
}

/// A directory with that application; its key.
fn home_with(config: &str, more: &str) -> (Home, String) {
    let (home, key) = (Home::new(), ApiKey::draw().as_str().to_owned());
    declare(&home, config, &key, more);
    (home, key)
}

impl Caller {
    async fn post_to(&self, path: &str, body: Value) -> Reply {
        Reply::to(self.post(path, body.to_string())).await
    }

    async fn create_user(&self, body: Value) -> Value {
        let reply = self.post_to("/v1/users", body).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        reply.json()
    }

    /// The id of a user with that password, whose address is not verified.
    async fn create_unverified(&self, email: &str) -> String {
        let body = json!({"email": email, "password": PASSWORD, "verify": false});
        self.create_user(body).await["id"].as_str().unwrap().to_owned()
    }

    async fn sign_in(&self, password: &str) -> Reply {
        self.post_to("/v1/sign-ins", json!({"email": ADA, "password": password})).await
    }

    /// The mails to this address, once there are so many; the newest first.
    async fn mails(&self, count: usize) -> Vec<Value> {
        loop {
            let mails = self.get(&format!("/dev/inbox/messages?to={ADA}&wait_seconds=30")).await.json();
            let mails = mails.as_array().unwrap().clone();
            if mails.len() >= count {
                return mails;
            }
        }
    }

    /// The approval of a sign-in by its password and its number, which is in the newest of so many mails.
    async fn sign_in_fully(&self, password: &str, mails: usize) -> Value {
        let sent = self.sign_in(password).await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        let number = number_in(self.mails(mails).await[0]["text"].as_str().unwrap());
        let approved = self.check(&sent.id(), &number).await;
        assert_eq!(approved.status, 200, "{}", approved.text);
        approved.json()
    }
}

/// The whole life of a user, with a crash in its middle.
async fn live(home: &Home, key: &str) {
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, key);
    let body = json!({"email": ADA, "password": PASSWORD, "attributes": {"plan": "a"}});
    let user = caller.create_user(body).await;
    let path = format!("/v1/users/{}", user["id"].as_str().unwrap());
    caller.post_to("/v1/users", json!({"email": "ADA@Example.org"})).await.problem(409, "user-exists");
    let number = caller.mailed_number(ADA).await;
    assert_eq!(caller.check(user["verification"]["id"].as_str().unwrap(), &number).await.status, 200);
    assert!(caller.get(&path).await.json()["verified_at"].is_string());

    daemon.kill().await;
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, key);
    caller.sign_in(ANOTHER).await.problem(401, "credentials-invalid");
    let approved = caller.sign_in_fully(PASSWORD, 1).await;
    let claims = verified(&daemon, approved["assertion"].as_str().unwrap()).await.unwrap();
    assert_eq!((&claims["sub"], &claims["email"], &claims["email_verified"]), (&user["id"], &json!(ADA), &json!(true)));
    assert_eq!((&claims["amr"], &claims["aud"]), (&json!(["pwd", "otp"]), &json!("shop")));

    let proof = json!({"password": ANOTHER, "old_password": PASSWORD});
    assert_eq!(caller.post_to(&format!("{path}/password"), proof).await.status, 204);
    let told = caller.mails(2).await;
    assert!(told[0]["text"].as_str().unwrap().contains("If you did not change it"), "{}", told[0]);
    caller.sign_in(PASSWORD).await.problem(401, "credentials-invalid");

    assert_eq!(Reply::to(caller.request(Method::DELETE, &path)).await.status, 204);
    caller.get(&path).await.problem(404, "not-found");
    caller.get(&format!("/v1/users?email={ADA}")).await.problem(404, "not-found");
    caller.sign_in(ANOTHER).await.problem(401, "credentials-invalid");
    let verification = user["verification"]["id"].as_str().unwrap();
    caller.read(verification).await.problem(404, "not-found");
    daemon.kill().await;
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, key);
    caller.get(&path).await.problem(404, "not-found");
    assert_ne!(caller.create_unverified(ADA).await, user["id"].as_str().unwrap());
}

#[tokio::test]
async fn a_user_lives_through_all_on_the_embedded_store() {
    let (home, key) = home_with(DEV, "");

    live(&home, &key).await;
}

#[tokio::test]
async fn a_user_lives_through_all_on_redis_and_nothing_of_it_is_left() {
    let server = TestRedis::start();
    let (home, key) = home_with(&on(&server), "");

    live(&home, &key).await;

    let records = server.keys().into_iter().filter(|key| key.windows(2).any(|pair| pair == b"}a")).count();
    assert_eq!(records, 1, "of the one who was made at last");
}

#[tokio::test]
async fn who_was_made_on_one_daemon_signs_in_on_another() {
    let server = TestRedis::start();
    let (home, key) = home_with(&on(&server), "");
    let daemon = home.start().await;
    let other_home = home.beside();
    let other = other_home.start().await;
    let (caller, other_caller) = (Caller::of(&daemon, &key), Caller::of(&other, &key));
    let id = caller.create_unverified(ADA).await;

    let sent = other_caller.sign_in(PASSWORD).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let number = number_from_either(&caller, &other_caller).await;
    let approved = caller.check(&sent.id(), &number).await.json();

    for daemon in [&daemon, &other] {
        let claims = verified(daemon, approved["assertion"].as_str().unwrap()).await.unwrap();
        assert_eq!(claims["sub"], id);
    }
}

/// Either daemon may have sent the mail, and each has an inbox of its own.
async fn number_from_either(one: &Caller, other: &Caller) -> String {
    loop {
        for caller in [one, other] {
            let mails = caller.get(&format!("/dev/inbox/messages?to={ADA}")).await.json();
            if let Some(text) = mails[0]["text"].as_str() {
                return number_in(text);
            }
        }
    }
}

#[tokio::test]
async fn whether_a_number_follows_is_the_newest_configurations_word() {
    let (home, key) = home_with(DEV, "second_step = \"none\"");
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    let id = caller.create_unverified(ADA).await;

    let signed_in = caller.sign_in(PASSWORD).await;
    assert_eq!((signed_in.status, &signed_in.json()["user"]), (200, &json!(id)));
    let claims = verified(&daemon, signed_in.json()["assertion"].as_str().unwrap()).await.unwrap();
    assert_eq!((&claims["amr"], &claims["email_verified"]), (&json!(["pwd"]), &json!(false)));
    declare(&home, DEV, &key, "");
    daemon.hang_up().await;
    daemon.until_logged(RELOADED).await;
    assert_eq!(caller.sign_in_fully(PASSWORD, 1).await["email"], ADA);
    declare(&home, DEV, &key, "second_step = \"none\"");
    daemon.hang_up().await;
    daemon.until_logged_times(2, RELOADED).await;
    assert_eq!(caller.sign_in(PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_password_is_set_once_by_a_request_that_is_repeated() {
    let (home, key) = home_with(DEV, "second_step = \"none\"");
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    let path = format!("/v1/users/{}/password", caller.create_unverified(ADA).await);
    let set = async |password: &str, operation: &str| {
        let body = json!({"password": password, "old_password": PASSWORD}).to_string();
        Reply::to(caller.post(&path, body).header("Idempotency-Key", operation)).await
    };

    for _ in 0..2 {
        assert_eq!(set(ANOTHER, "change-1").await.status, 204);
    }
    set("a third one that nobody has", "change-1").await.problem(422, "idempotency-mismatch");
    set(ANOTHER, "change-2").await.problem(401, "credentials-invalid");

    assert_eq!(caller.mails(1).await.len(), 1, "it is told once");
    assert_eq!(caller.sign_in(ANOTHER).await.status, 200);
}

#[tokio::test]
async fn a_user_is_made_once_by_a_request_that_is_repeated_with_the_same_password() {
    let (home, key) = home_with(DEV, "");
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    let create = async |password: &str| {
        let body = json!({"email": ADA, "password": password}).to_string();
        Reply::to(caller.post("/v1/users", body).header("Idempotency-Key", "create")).await
    };

    let created = create(PASSWORD).await;
    assert_eq!((create(PASSWORD).await.status, create(PASSWORD).await.id()), (201, created.id()));
    create(ANOTHER).await.problem(422, "idempotency-mismatch");
}

#[tokio::test]
async fn who_reads_the_mailbox_signs_in_although_others_guess() {
    let (home, key) = home_with(DEV, "second_step = \"none\"");
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    let id = caller.create_unverified(ADA).await;
    let guess = async || {
        for _ in 0..11 {
            caller.sign_in(ANOTHER).await.problem(401, "credentials-invalid");
        }
        caller.sign_in(PASSWORD).await.problem(401, "credentials-invalid");
    };
    guess().await;

    let reset = caller.post_to("/v1/verifications", json!({"email": ADA, "purpose": "reset-password"})).await.id();
    let number = number_in(caller.mails(1).await[0]["text"].as_str().unwrap());
    assert_eq!(caller.check(&reset, &number).await.status, 200);
    let proof = json!({"password": ANOTHER, "verification": reset}).to_string();
    let set = async || {
        Reply::to(caller.post(&format!("/v1/users/{id}/password"), proof.clone()).header("Idempotency-Key", "reset")).await.status
    };
    assert_eq!([set().await, set().await], [204, 204], "set, and found set");

    assert_eq!(caller.sign_in(ANOTHER).await.status, 200);
}

#[tokio::test]
async fn a_test_applications_users_sign_in_with_zeros_and_are_told_nothing() {
    let (home, key) = home_with(DEV, "test = true");
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    let created = caller.post_to("/v1/users", json!({"email": ADA, "password": PASSWORD})).await;
    assert_eq!((created.status, created.header("fiador-test"), &created.json()["test"]), (201, Some("true"), &json!(true)));
    let user = created.json();

    for _ in 0..12 {
        let sent = caller.sign_in(PASSWORD).await;
        assert_eq!((sent.status, sent.header("fiador-test")), (202, Some("true")));
        let approved = caller.check(&sent.id(), "00000000").await;
        assert!(approved.json()["assertion"].is_string(), "{}", approved.text);
    }
    let path = format!("/v1/users/{}/password", user["id"].as_str().unwrap());
    let changed = caller.post_to(&path, json!({"password": ANOTHER, "old_password": PASSWORD})).await;
    assert_eq!((changed.status, changed.header("fiador-test")), (204, Some("true")));
    let refused = caller.sign_in(PASSWORD).await;
    assert_eq!(refused.problem(401, "credentials-invalid")["test"], true);
    assert_eq!(caller.get("/dev/inbox/messages").await.json(), json!([]));
    drop(daemon);
}

/// The members of a line of the audit log that tell what came of what.
fn told(line: &Value) -> (&str, Option<u64>, Option<&str>, Option<&str>) {
    (line["event"].as_str().unwrap(), line["status"].as_u64(), line["code"].as_str(), line["address"].as_str())
}

async fn audited(home: &Home, mut daemon: Daemon) -> Vec<Value> {
    daemon.terminate().await;
    assert_eq!(daemon.ended().await, Some(0));
    home.read("audit.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn what_is_done_with_users_is_written_down_without_a_password() {
    let (home, key) = home_with(&format!("{DEV}[audit]\nto = \"./audit.jsonl\"\n"), "");
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    let id = caller.create_unverified(ADA).await;
    caller.sign_in(ANOTHER).await;
    caller.sign_in_fully(PASSWORD, 1).await;
    caller.post_to("/v1/sign-ins/number", json!({"email": "nobody@example.org"})).await;
    let path = format!("/v1/users/{id}");
    caller.post_to(&format!("{path}/password"), json!({"password": ANOTHER, "old_password": PASSWORD})).await;
    caller.post_to(&format!("{path}/password"), json!({"password": ANOTHER, "old_password": PASSWORD})).await;
    caller.get(&format!("/v1/users?email={ADA}")).await;
    caller.get(&format!("{path}/export")).await;
    Reply::to(caller.request(Method::DELETE, &path)).await;

    let lines = audited(&home, daemon).await;

    let masked = Some("a***@example.org");
    let expected = [
        ("daemon.started", None, None, None),
        ("user.create", Some(201), None, masked),
        ("sign-in", Some(401), Some("credentials-invalid"), masked),
        ("sign-in", Some(202), None, masked),
        ("verification.check", Some(200), None, masked),
        ("sign-in.number", Some(202), None, Some("n***@example.org")),
        ("user.password", Some(204), None, None),
        ("user.password", Some(401), Some("credentials-invalid"), None),
        ("user.read", Some(200), None, masked),
        ("user.export", Some(200), None, masked),
        ("user.delete", Some(204), None, None),
        ("daemon.stopped", None, None, None),
    ];
    assert_eq!(lines.iter().map(told).collect::<Vec<_>>(), expected);
    let user = lines[1]["user"].as_str().expect("a hash of its id");
    for at in [4, 6, 7, 8, 9, 10] {
        assert_eq!(lines[at]["user"], user, "{}", lines[at]);
    }
    for at in [2, 3, 5] {
        assert_eq!(lines[at].get("user"), None, "{}", lines[at]);
    }
    let text = home.read("audit.jsonl");
    for secret in [id.as_str(), PASSWORD, ANOTHER, "argon2", "ada@", &key] {
        assert!(!text.contains(secret), "{secret:?} in {text}");
    }
}

#[tokio::test]
async fn a_sign_in_without_a_second_step_is_written_down_with_who_it_was() {
    let (home, key) = home_with(&format!("{DEV}[audit]\nto = \"./audit.jsonl\"\n"), "second_step = \"none\"");
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    caller.create_unverified(ADA).await;
    assert_eq!(caller.sign_in(PASSWORD).await.status, 200);

    let lines = audited(&home, daemon).await;

    assert_eq!(told(&lines[2]), ("sign-in", Some(200), None, Some("a***@example.org")));
    assert!(lines[2]["user"].is_string());
    assert_eq!(lines[2]["user"], lines[1]["user"]);
}

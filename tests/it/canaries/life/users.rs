//! Users with secrets: all that is asked about them.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Life, digits_in};
use crate::kit::{
    caller::{Caller, other_than},
    http::Reply,
    pyjwt::KEYS,
};

const PASSWORD: &str = "canary+password/of-una?1";
const NEW_PASSWORD: &str = "canary+password/of-una?2";
const ADDRESS: &str = "Canary.una+tag@example.org";
const ATTRIBUTES: &str = "canary+attribute/of-una?";
const NOBODY: &str = "canary.nemo+tag@example.org";
/// What callers are told of her.
const KNOWN: [&str; 3] = ["una's address", "una's user id", "una's attributes"];

impl Life<'_> {
    /// Everything but the address of who is kept last is gone before the scan.
    pub(super) async fn use_users(&mut self, caller: &Caller) {
        for (name, secret) in [
            ("una's password", PASSWORD),
            ("una's new password", NEW_PASSWORD),
            ("una's address", ADDRESS),
            ("una's attributes", ATTRIBUTES),
            ("nemo's address", NOBODY),
            ("a hash", "$argon2id$v="),
        ] {
            self.witness.canaries.plant(name, secret);
        }
        let path = self.create_una(caller).await;
        self.look_at_una(caller, &path).await;
        self.sign_una_in(caller).await;
        self.change_unas_password(caller, &path).await;
        self.look_at_mails(caller).await;
        self.ask("a deletion", caller.request(Method::DELETE, &path), &[]).await;
        self.ask("after it", caller.request(Method::GET, &path), &[]).await.problem(404, "not-found");
        let another = json!({"email": ADDRESS, "password": PASSWORD, "attributes": {"is": ATTRIBUTES}, "verify": false});
        let stays = Reply::to(caller.post("/v1/users", another.to_string())).await;
        self.plant_user("una's second user id", &stays);
        self.witness.note("who stays", stays, &["una's address", "una's second user id", "una's attributes"]);
    }

    fn plant_user(&mut self, name: &str, created: &Reply) {
        assert_eq!(created.status, 201, "{}", created.text);
        let id = created.id();
        self.witness.canaries.plant(name, &id);
        self.witness.canaries.plant(name, id.strip_prefix("usr_").unwrap());
    }

    fn plant_verification(&mut self, name: &str, id: &str) {
        self.witness.canaries.plant(name, id);
        self.witness.canaries.plant(name, id.strip_prefix("vrf_").unwrap());
    }

    /// The path of a user whose address is verified.
    async fn create_una(&mut self, caller: &Caller) -> String {
        let body = json!({"email": ADDRESS, "password": PASSWORD, "attributes": {"is": ATTRIBUTES}});
        let created = Reply::to(caller.post("/v1/users", body.to_string())).await;
        self.plant_user("una's user id", &created);
        let (user, verification) = (created.id(), created.json()["verification"]["id"].as_str().unwrap().to_owned());
        self.plant_verification("una's id", &verification);
        self.witness.note("a user", created, &["una's address", "una's user id", "una's attributes", "una's id"]);
        let number = self.take_number("una's number").await;
        self.ask("her approval", caller.checking(&verification, &number), &["una's address", "una's id"]).await;
        self.ask("her again", caller.post("/v1/users", body.to_string()), &[]).await.problem(409, "user-exists");
        for password in [json!(ADDRESS), json!("short"), json!([PASSWORD])] {
            let body = json!({"email": NOBODY, "password": password, "attributes": {"is": ATTRIBUTES}});
            let refused = self.ask("no password", caller.post("/v1/users", body.to_string()), &[]).await;
            assert!([400, 422].contains(&refused.status) || password == ADDRESS, "{}", refused.text);
        }
        format!("/v1/users/{user}")
    }

    /// The number in the next mail, which is hers.
    async fn take_number(&mut self, name: &'static str) -> String {
        let mail = self.sink.next_mail().await;
        let number = digits_in(&mail.content);
        self.witness.canaries.plant(name, &number);
        self.keep_mail(&mail, &["una's address", name]);
        number
    }

    async fn look_at_una(&mut self, caller: &Caller, path: &str) {
        let by_address = format!("/v1/users?email={}", ADDRESS.replace('+', "%2B"));
        for path in [path, &by_address, &format!("{path}/export")] {
            self.ask("a look at her", caller.request(Method::GET, path), &KNOWN).await;
        }
        let revising = |body: Value| {
            let request = caller.request(Method::PATCH, path).header("Content-Type", "application/json");
            request.body(body.to_string())
        };
        self.ask("a change", revising(json!({"attributes": {"is": ATTRIBUTES, "again": 1}})), &KNOWN).await;
        self.ask("another address", revising(json!({"email": NOBODY})), &[]).await.problem(422, "field-invalid");
        self.ask("a query", caller.request(Method::GET, &format!("{by_address}&{ATTRIBUTES}={PASSWORD}")), &[]).await;
        let keys = caller.request(Method::GET, KEYS).send().await.unwrap();
        self.witness.keep("the published keys", keys.bytes().await.unwrap().to_vec(), &[]);
    }

    async fn sign_una_in(&mut self, caller: &Caller) {
        let sign_in = |password: &str| caller.post("/v1/sign-ins", json!({"email": ADDRESS, "password": password}).to_string());
        self.ask("a wrong one", sign_in(NEW_PASSWORD), &[]).await.problem(401, "credentials-invalid");
        let sent = Reply::to(sign_in(PASSWORD)).await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        let id = sent.id();
        self.plant_verification("una's sign-in", &id);
        self.witness.note("a sign-in", sent, &["una's address", "una's sign-in"]);
        let number = self.take_number("una's second number").await;
        self.ask("a wrong number", caller.checking(&id, &other_than(&number)), &[]).await.problem(422, "number-incorrect");
        let approved = Reply::to(caller.checking(&id, &number)).await;
        let assertion = approved.json()["assertion"].as_str().unwrap().to_owned();
        self.witness.canaries.plant("una's assertion", &assertion);
        self.witness.canaries.plant("una's assertion", assertion.rsplit('.').next().unwrap());
        let known = ["una's address", "una's sign-in", "una's user id", "una's assertion"];
        self.witness.note("her assertion", approved, &known);

        let by_number = caller.post("/v1/sign-ins/number", json!({"email": NOBODY}).to_string());
        let sent = Reply::to(by_number).await;
        let id = sent.id();
        self.plant_verification("nemo's id", &id);
        self.witness.note("nobody's sign-in", sent, &["nemo's address", "nemo's id"]);
    }

    async fn change_unas_password(&mut self, caller: &Caller, path: &str) {
        let set = |proof: &str, value: &str| {
            let body = json!({ "password": NEW_PASSWORD, proof: value });
            caller.post(&format!("{path}/password"), body.to_string())
        };
        self.ask("a wrong proof", set("old_password", NEW_PASSWORD), &[]).await.problem(401, "credentials-invalid");
        let unknown = format!("vrf_{}A", "a".repeat(42));
        self.ask("no proof", set("verification", &unknown), &[]).await.problem(409, "not-proven");
        assert_eq!(self.ask("a new password", set("old_password", PASSWORD), &[]).await.status, 204);
        let notice = self.sink.next_mail().await;
        self.keep_mail(&notice, &["una's address"]);
    }

    /// Of the mails that failed before, and of whichever are on their way.
    async fn look_at_mails(&mut self, caller: &Caller) {
        let page = self.ask("/v1/messages", caller.request(Method::GET, "/v1/messages"), &[]).await.json();
        let mails = page["messages"].as_array().unwrap();
        assert!(!mails.is_empty(), "{page}");
        for mail in mails {
            let path = format!("/v1/messages/{}", mail["id"].as_str().unwrap());
            self.ask("a mail", caller.request(Method::GET, &path), &[]).await;
        }
        self.ask("no mail", caller.request(Method::GET, &format!("/v1/messages?cursor={PASSWORD}")), &[]).await;
    }
}

//! An application that calls a real daemon over HTTP.

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::{daemon::Daemon, http::Reply};

pub struct Caller {
    client: Client,
    base: String,
    key: String,
}

impl Caller {
    /// The application that has this key.
    pub fn of(daemon: &Daemon, key: &str) -> Self {
        let client = Client::builder().no_proxy().build().unwrap();
        Self { client, base: format!("http://{}", daemon.address), key: key.to_owned() }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.key)
    }

    pub fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.request(Method::POST, path).header("Content-Type", "application/json").body(body)
    }

    pub async fn get(&self, path: &str) -> Reply {
        Reply::to(self.request(Method::GET, path)).await
    }

    /// Asks for a verification of `body`.
    pub async fn start(&self, body: &Value) -> Reply {
        Reply::to(self.post("/v1/verifications", body.to_string())).await
    }

    /// The id of a new verification of this address, with a token.
    pub async fn start_for(&self, email: &str) -> String {
        let reply = self.start(&json!({"email": email, "token": "tok-1"})).await;
        assert_eq!(reply.status, 202, "{}", reply.text);
        reply.id()
    }

    pub async fn read(&self, id: &str) -> Reply {
        self.get(&format!("/v1/verifications/{id}")).await
    }

    pub fn checking(&self, id: &str, number: &str) -> RequestBuilder {
        self.post(&format!("/v1/verifications/{id}/check"), json!({"number": number}).to_string())
    }

    pub async fn check(&self, id: &str, number: &str) -> Reply {
        Reply::to(self.checking(id, number)).await
    }

    /// How many wrong checks the verification still has.
    pub async fn attempts_remaining(&self, id: &str) -> Value {
        self.read(id).await.json()["attempts_remaining"].take()
    }

    /// The number in the newest mail to this address, from the dev inbox; waits for it.
    pub async fn mailed_number(&self, email: &str) -> String {
        let reply = self.get(&format!("/dev/inbox/messages?to={email}&wait_seconds=30")).await;
        number_in(reply.json()[0]["text"].as_str().unwrap())
    }
}

/// The number in a mail: it stands alone on a line.
pub fn number_in(mail: &str) -> String {
    let is_number = |line: &&str| line.len() == 8 && line.bytes().all(|byte| byte.is_ascii_digit());
    mail.lines().find(is_number).unwrap_or_else(|| panic!("no number in {mail}")).to_owned()
}

/// Another number than this one.
pub fn other_than(number: &str) -> String {
    let last = if number.ends_with('1') { '2' } else { '1' };
    format!("{}{last}", &number[..number.len() - 1])
}

impl Reply {
    /// The id of the verification that it is about.
    pub fn id(&self) -> String {
        self.json()["id"].as_str().unwrap().to_owned()
    }
}

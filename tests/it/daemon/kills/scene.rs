//! A daemon's surroundings, which outlive it: its directory, its store, the mail server.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use fiador::{api_key::ApiKey, mail::smtp::SmtpTls};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::kit::{
    caller::Caller,
    daemon::{Daemon, Home, application_whose_key, killed},
    http::Reply,
    redis::TestRedis,
    smtp_sink::{PASSWORD, SmtpSink, Taken, USER},
};

/// Longer than any of this takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// How far the clock of a daemon is ahead, in seconds: each later one is ahead of those before it.
pub const NOW: u32 = 0;
/// Longer than the lease of a mail, and the pause before a resend.
pub const A_LEASE_LATER: u32 = 61;
pub const TWO_LEASES_LATER: u32 = 122;
pub const THREE_LEASES_LATER: u32 = 183;
/// Every number has expired, and its tombstone still stands.
pub const AFTER_THE_END: u32 = 800;

const SCOPES: &str = r#", scopes = ["verifications:start", "verifications:check", "verifications:read", "messages", "users"]"#;

pub struct Scene {
    pub home: Home,
    pub sink: SmtpSink,
    key: String,
    _redis: Option<TestRedis>,
}

impl Scene {
    pub async fn embedded() -> Self {
        Self::set("", None).await
    }

    pub async fn redis() -> Self {
        let server = TestRedis::start();
        Self::set(&format!("[store]\nredis_url = \"{}\"", server.url()), Some(server)).await
    }

    async fn set(store: &str, redis: Option<TestRedis>) -> Self {
        let (home, key, sink) = (Home::new(), ApiKey::draw().as_str().to_owned(), SmtpSink::start(SmtpTls::StartTls).await);
        let smtp = format!(
            "[[smtp]]\nhost = \"localhost\"\nport = {}\nuser = \"{USER}\"\npassword_file = \"smtp-password\"\nfrom = \"fiador@example.org\"",
            sink.settings().port,
        );
        home.write("config.toml", &format!("{store}\n{smtp}\n{}", application_whose_key("shop", &key, SCOPES)));
        home.write("smtp-password", PASSWORD);
        let certificate = BASE64.encode(&sink.settings().extra_roots[0]);
        home.write("smtp.pem", &format!("-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n"));
        Self { home, sink, key, _redis: redis }
    }

    /// A daemon that is ready.
    pub async fn start(&self, ahead: u32) -> Daemon {
        let daemon = self.home.start_with(&environment(&ahead.to_string(), "")).await;
        let caller = self.caller(&daemon);
        let is_ready = async { while caller.get("/health/ready").await.status != 200 {} };
        timeout(PATIENCE, is_ready).await.expect("it becomes ready");
        daemon
    }

    /// One that will die there.
    pub async fn start_dying_at(&self, place: &str, ahead: u32) -> Daemon {
        self.home.start_with(&environment(&ahead.to_string(), place)).await
    }

    /// Asks one that dies there; what it has answered before, if it has.
    pub async fn dies_when_asked(&self, place: &str, ahead: u32, ask: impl FnOnce(&Caller) -> RequestBuilder) -> Option<Reply> {
        let dying = self.start_dying_at(place, ahead).await;
        let acknowledged = answer(ask(&self.caller(&dying))).await;
        dying.killed().await;
        match place {
            "http.request.before" | "http.reply.before" => assert!(acknowledged.is_none()),
            "http.connection.ended" => assert!(acknowledged.is_some()),
            _ => {} // its answer may have overtaken its death
        }
        acknowledged
    }

    /// Returns once one that was asked for nothing, or to do what `arguments` say, has died there.
    pub async fn dies_at(&self, place: &str, ahead: u32, arguments: &[&str]) {
        killed(&mut self.home.begin(arguments, &environment(&ahead.to_string(), place))).await;
    }

    pub fn caller(&self, daemon: &Daemon) -> Caller {
        Caller::of(daemon, &self.key)
    }

    /// The mails that the server has taken, and was not asked for before.
    pub async fn new_mails(&mut self) -> Vec<Taken> {
        let mut mails = Vec::new();
        while self.sink.mails_left() > 0 {
            mails.push(self.sink.next_mail().await);
        }
        mails
    }
}

fn environment<'a>(ahead: &'a str, place: &'a str) -> Vec<(&'static str, &'a str)> {
    let mut environment = vec![("FIADOR_TESTING_CLOCK_AHEAD_SECONDS", ahead), ("SSL_CERT_FILE", "smtp.pem")];
    if !place.is_empty() {
        environment.push(("FIADOR_TESTING_DIES_AT", place));
    }
    environment
}

/// The answer, if it came whole.
async fn answer(request: RequestBuilder) -> Option<Reply> {
    let response = request.send().await.ok()?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Some(Reply::new(status, headers, response.text().await.ok()?))
}

/// What the scene's application asks for; asked again under the same key it is the same operation.
impl Caller {
    pub fn starting(&self, context: &Value) -> RequestBuilder {
        let mut body = json!({"email": "ada@example.org", "token": "tok-1"});
        body.as_object_mut().unwrap().extend(context.as_object().cloned().unwrap_or_default());
        self.post("/v1/verifications", body.to_string()).header("Idempotency-Key", "start")
    }

    pub fn checking_once(&self, id: &str, number: &str) -> RequestBuilder {
        self.checking(id, number).header("Idempotency-Key", "check")
    }

    pub fn resending(&self, id: &str) -> RequestBuilder {
        self.request(Method::POST, &format!("/v1/verifications/{id}/resend")).header("Idempotency-Key", "resend")
    }

    pub fn canceling(&self, id: &str) -> RequestBuilder {
        self.request(Method::DELETE, &format!("/v1/verifications/{id}"))
    }

    /// Returns once its mail stands so.
    pub async fn until_mail_is(&self, status: &str, id: &str) {
        let stands_so = async { while self.read(id).await.json()["delivery"]["status"] != status {} };
        let in_time = timeout(PATIENCE, stands_so).await;
        assert!(in_time.is_ok(), "its mail is not {status}: {}", self.read(id).await.text);
    }
}

//! A whole Fiador behind a real socket, with some applications.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc, time::Duration};

use fiador::{
    api_key::{ApiKey, key_hash_to_text},
    app::Service,
    audit::AuditLog,
    clock::Clock,
    http::{Acceptor, Asks, Front, Limits, SystemView, cell},
    mail::smtp::SmtpTls,
    messages::AskReadiness,
};
use futures_util::FutureExt;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::spawn_local;

use crate::kit::{
    http::{LOOPBACK, Reply},
    place::Place,
    smtp_sink::SmtpSink,
    stores::until,
};

const DEADLINE: Duration = Duration::from_secs(20);

/// An application and what is said of it. Two by id, one of them for tests; two by number.
pub const APPLICATIONS: &[(&str, &str)] =
    &[("shop", ""), ("ci", "test = true"), ("legacy", NUMBER), ("viejo", "lookup = \"number\"\nsecond_step = \"none\"")];
const NUMBER: &str = "lookup = \"number\"";

/// All but `admin`, which is not an application's.
const SCOPES: [&str; 5] = ["verifications:start", "verifications:check", "verifications:read", "messages", "users"];

/// A key for each of the [`APPLICATIONS`], the same in all worlds.
#[derive(Clone)]
pub struct Keys(Vec<String>);

impl Keys {
    pub fn draw() -> Self {
        Self(APPLICATIONS.iter().map(|_| ApiKey::draw().as_str().to_owned()).collect())
    }
}

pub struct World {
    _service: Service,
    /// It takes what is ASCII alone.
    sink: RefCell<SmtpSink>,
    /// By `Message-ID`, of the mails that were taken from the sink so far.
    numbers: RefCell<BTreeMap<String, String>>,
    keys: Keys,
    base: String,
    client: Client,
    _place: Place,
}

impl World {
    /// One with those applications of which `is_there`.
    pub async fn start(clock: Clock, store: &str, keys: &Keys, is_there: impl Fn(usize) -> bool) -> Self {
        let place = Place::new();
        let there = (0..APPLICATIONS.len()).filter(|&by| is_there(by)).map(|by| declaration(by, &keys.0[by]));
        let applications: String = there.collect();
        let sink = SmtpSink::start(SmtpTls::None).await;
        let smtp = format!("[[smtp]]\nhost = \"localhost\"\nport = {}\ntls = \"none\"\n", sink.settings().port);
        let head = format!("data_dir = \"{}\"\n{store}{smtp}", place.path("data").display());
        place.write("config.toml", &format!("{head}{applications}"), 0o644);
        let service = Service::start(&place.load().unwrap(), clock).await.unwrap();
        let readiness = service.asks();
        until(async || readiness.ask(AskReadiness, DEADLINE).await == Ok(Vec::new())).await;
        let base = serve(Front::new(asks(&service), Limits::default(), AuditLog::off())).await;
        let (client, keys) = (Client::builder().no_proxy().build().unwrap(), keys.clone());
        Self { _service: service, sink: RefCell::new(sink), numbers: RefCell::default(), keys, base, client, _place: place }
    }

    pub fn request(&self, by: usize, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.keys.0[by])
    }

    pub async fn get(&self, by: usize, path: &str) -> Value {
        Reply::to(self.request(by, Method::GET, path)).await.json()
    }

    /// Returns once all mails are sent, or are not going to be. One that failed and is retried counts as deferred.
    pub async fn settle(&self, by: usize) {
        for status in ["queued", "deferred", "sending"] {
            let path = format!("/v1/messages?status={status}");
            until(async || self.get(by, &path).await["messages"] == json!([])).await;
        }
    }

    /// How it went with its mail, once that is sent or is not going to be: one that looks queued then is nobody's.
    pub async fn settled_delivery(&self, by: usize, id: &str) -> Value {
        self.settle(by).await;
        self.get(by, &format!("/v1/verifications/{id}")).await["delivery"].take()
    }

    /// The number in a mail that was sent.
    pub fn number_in(&self, message_id: &str) -> Option<String> {
        while self.sink.borrow().mails_left() > 0 {
            let mail = self.sink.borrow_mut().next_mail().now_or_never().unwrap();
            let is_number = |line: &&str| line.len() >= 8 && line.bytes().all(|b| b.is_ascii_digit());
            if let Some(number) = mail.content.lines().find(is_number) {
                self.numbers.borrow_mut().insert(mail.header("Message-ID").remove(0), number.to_owned());
            }
        }
        self.numbers.borrow().get(message_id).cloned()
    }

    /// The id of a mail that failed.
    pub async fn failed_mail(&self, by: usize, message_id: &str) -> Option<String> {
        let page = self.get(by, "/v1/messages?status=failed&limit=100").await;
        let mail = page["messages"].as_array().unwrap().iter().find(|mail| mail["message_id"] == message_id)?;
        Some(mail["id"].as_str().unwrap().to_owned())
    }
}

fn declaration(by: usize, key: &str) -> String {
    let ((name, more), hash) = (APPLICATIONS[by], key_hash_to_text(&ApiKey::parse(key).unwrap().hash()));
    format!(
        "[[applications]]\nname = {name:?}\nkeys = [{{ hash = {hash:?}, scopes = {SCOPES:?} }}]\nfrom = \"no-reply@example.org\"\n{more}\n"
    )
}

fn asks(service: &Service) -> Asks {
    Asks {
        authenticate: service.authenticate(),
        start_verification: service.asks(),
        read_verification: service.asks(),
        check_number: service.asks(),
        check_by_number: service.asks(),
        resend_verification: service.asks(),
        cancel_verification: service.asks(),
        list_mails: service.asks(),
        read_mail: service.asks(),
        retry_mail: service.asks(),
        create_user: service.asks(),
        read_user: service.asks(),
        find_user: service.asks(),
        update_user: service.asks(),
        delete_user: service.asks(),
        export_user: service.asks(),
        set_password: service.asks(),
        sign_in: service.asks(),
        sign_in_by_number: service.asks(),
        readiness: service.asks(),
        inbox: None,
        system: Arc::new(|| Box::pin(async { SystemView { actors: Vec::new(), mails: None } })),
        published_keys: Arc::new(|| json!({ "keys": [] })),
        is_live: Arc::new(|| Box::pin(async { true })),
    }
}

async fn serve(front: Front) -> String {
    let acceptor = Acceptor::bind(LOOPBACK.parse().unwrap(), Limits::default()).await.unwrap();
    let base = format!("http://{}", acceptor.local_address());
    let (port, connections) = cell(|| true);
    spawn_local(connections.serve(front, Limits::default()));
    spawn_local(acceptor.run(vec![port], std::future::pending()));
    base
}

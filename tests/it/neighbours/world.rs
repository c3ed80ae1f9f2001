//! A whole Fiador behind a real socket, with some applications.

use std::{sync::Arc, time::Duration};

use fiador::{
    api_key::{ApiKey, key_hash_to_text},
    app::Service,
    audit::AuditLog,
    clock::Clock,
    http::{Acceptor, Asks, Front, Limits, SystemView, cell},
    messages::{AskReadiness, ReadInbox},
};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::spawn_local;

use crate::kit::{
    http::{LOOPBACK, Reply},
    place::Place,
    stores::until,
};

const DEADLINE: Duration = Duration::from_secs(20);

/// An application and what is said of it. Two by id, one of them for tests; two by number.
pub const APPLICATIONS: &[(&str, &str)] =
    &[("shop", ""), ("ci", "test = true"), ("legacy", "lookup = \"number\""), ("viejo", "lookup = \"number\"")];

/// A key for each of the [`APPLICATIONS`], the same in all worlds.
#[derive(Clone)]
pub struct Keys(Vec<String>);

impl Keys {
    pub fn draw() -> Self {
        Self(APPLICATIONS.iter().map(|_| ApiKey::draw().as_str().to_owned()).collect())
    }
}

pub struct World {
    service: Service,
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
        let head = format!("data_dir = \"{}\"\n{store}[dev]\ninbox = true\n", place.path("data").display());
        place.write("config.toml", &format!("{head}{applications}"), 0o644);
        let service = Service::start(&place.load().unwrap(), clock).await.unwrap();
        let readiness = service.asks();
        until(async || readiness.ask(AskReadiness, DEADLINE).await == Ok(Vec::new())).await;
        let base = serve(Front::new(asks(&service), Limits::default(), AuditLog::off())).await;
        Self { service, keys: keys.clone(), base, client: Client::builder().no_proxy().build().unwrap(), _place: place }
    }

    pub fn request(&self, by: usize, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.keys.0[by])
    }

    pub async fn read(&self, by: usize, id: &str) -> Value {
        Reply::to(self.request(by, Method::GET, &format!("/v1/verifications/{id}"))).await.json()
    }

    /// Returns once its mail is in the inbox, or is not going to be; the number in it.
    pub async fn mailed_number(&self, by: usize, id: &str) -> Option<String> {
        let mut delivery = Value::Null;
        until(async || {
            delivery = self.read(by, id).await["delivery"].take();
            delivery["status"] != "queued" && delivery["status"] != "sending"
        })
        .await;
        let read = ReadInbox { to: None, wait_seconds: 0 };
        let mails = self.service.inbox().unwrap().ask(read, DEADLINE).await.unwrap();
        let mail = mails.iter().find(|mail| delivery["message_id"] == mail.id.as_str())?;
        let is_number = |line: &&str| line.len() >= 8 && line.bytes().all(|b| b.is_ascii_digit());
        mail.text.lines().find(is_number).map(str::to_owned)
    }
}

fn declaration(by: usize, key: &str) -> String {
    let ((name, more), hash) = (APPLICATIONS[by], key_hash_to_text(&ApiKey::parse(key).unwrap().hash()));
    format!("[[applications]]\nname = {name:?}\nkeys = [{{ hash = {hash:?} }}]\nfrom = \"no-reply@example.org\"\n{more}\n")
}

fn asks(service: &Service) -> Asks {
    Asks {
        authenticate: service.asks(),
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
        inbox: service.inbox(),
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

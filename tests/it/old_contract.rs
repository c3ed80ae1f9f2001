//! The old contract, over real sockets and a real store: its statuses and texts, and none of its holes.

use std::time::Duration;

use fiador::{
    app::Service,
    audit::AuditLog,
    clock::{Clock, Hand},
    config::Config,
    domain::{Application, ApplicationName, EmailAddress, Limits, Lookup},
    http::{Acceptor, CompatAsks, Front, Limits as HttpLimits, cell},
    messages::ReadInbox,
};
use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::task::spawn_local;

use crate::kit::{http::LOOPBACK, post};

struct OldServer {
    base: String,
    service: Service,
    hand: Hand,
    client: reqwest::Client,
    _directory: TempDir,
}

type Answer = (u16, String);

impl OldServer {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::manual();
        let limits = Limits { digits: Lookup::NUMBER_DIGITS, ..Limits::default() };
        let name = ApplicationName::parse("viejo").unwrap();
        let application = Application { name: name.clone(), lookup: Lookup::Number, limits, ..post::application() };
        let data_dir = directory.path().to_owned();
        let config = Config { data_dir, applications: vec![application], demo_sender: None, ..Config::default() };
        let service = Service::start(&config, clock).await.unwrap();
        let asks = CompatAsks { application: name, start_verification: service.asks(), check_by_number: service.asks() };
        let limits = HttpLimits::default();
        let acceptor = Acceptor::bind(LOOPBACK.parse().unwrap(), limits).await.unwrap();
        let base = format!("http://{}", acceptor.local_address());
        let (port, connections) = cell(|| true);
        spawn_local(connections.serve(Front::compat(asks, limits, AuditLog::off()), limits));
        spawn_local(acceptor.run(vec![port], std::future::pending()));
        Self { base, service, hand, client: reqwest::Client::new(), _directory: directory }
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        let response = self.send(path, body).await;
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn send(&self, path: &str, body: &str) -> reqwest::Response {
        let request = self.client.post(format!("{}{path}", self.base)).header("Content-Type", "application/json");
        request.body(body.to_owned()).send().await.unwrap()
    }

    async fn register(&self, address: &str, token: &str) -> Answer {
        self.post("/registrar", &format!(r#"{{"correo":"{address}","token":"{token}"}}"#)).await
    }

    async fn validate(&self, number: &str) -> Answer {
        self.post("/validar", &format!(r#"{{"numero":"{number}"}}"#)).await
    }

    /// The number in the newest mail to this address, once there are so many.
    async fn number(&self, address: &str, mails: usize) -> String {
        EmailAddress::parse(address).unwrap();
        loop {
            let read = ReadInbox { to: Some(address.to_owned()), wait_seconds: 5 };
            let found = self.service.inbox().unwrap().ask(read, Duration::from_secs(10)).await.unwrap();
            if found.len() == mails {
                return found[0]
                    .text
                    .lines()
                    .find(|line| line.bytes().all(|b| b.is_ascii_digit()) && line.len() == 12)
                    .unwrap()
                    .to_owned();
            }
        }
    }
}

fn answer(status: u16, text: &str) -> Answer {
    (status, text.to_owned())
}

#[actix::test]
async fn a_registered_token_comes_back_for_its_number_once() {
    let old = OldServer::start().await;

    assert_eq!(old.register("ada@example.org", "tok-1").await, answer(200, "correo y token registrados"));
    let number = old.number("ada@example.org", 1).await;
    assert_eq!(old.validate(&number).await, answer(200, r#"{"token":"tok-1"}"#));
    assert_eq!(old.validate(&number).await, answer(400, "no hay token"));
}

#[actix::test]
async fn a_second_registration_is_mailed_anew_and_replaces_the_first() {
    let old = OldServer::start().await;
    old.register("ada@example.org", "tok-1").await;
    let first = old.number("ada@example.org", 1).await;
    assert_eq!(old.register("ada@example.org", "tok-2").await, answer(429, "demasiados intentos"));

    old.hand.advance(Duration::from_secs(30));
    assert_eq!(old.register("ada@example.org", "tok-2").await.0, 200);
    let second = old.number("ada@example.org", 2).await;
    assert_eq!(old.validate(&first).await, answer(400, "no hay token"));
    assert_eq!(old.validate(&second).await, answer(200, r#"{"token":"tok-2"}"#));
}

#[actix::test]
async fn a_registration_too_soon_is_told_when_and_by_which_budget() {
    let old = OldServer::start().await;
    old.register("ada@example.org", "tok-1").await;
    old.hand.advance(Duration::from_secs(9));

    let refused = old.send("/registrar", r#"{"correo":"ada@example.org","token":"tok-2"}"#).await;
    assert_eq!(refused.status(), 429);
    for (name, value) in [
        ("retry-after", "21"),
        ("ratelimit-policy", r#""address-sends";q=5;w=18000"#),
        ("ratelimit", r#""address-sends";r=0;t=21"#),
    ] {
        assert_eq!(refused.headers()[name], value, "{name}");
    }
}

#[actix::test]
async fn a_number_holds_for_five_minutes() {
    let old = OldServer::start().await;
    old.register("ada@example.org", "tok-1").await;
    let number = old.number("ada@example.org", 1).await;
    old.hand.advance(Duration::from_secs(300));

    assert_eq!(old.validate(&number).await, answer(400, "no hay token"));
}

#[actix::test]
async fn what_is_no_live_number_has_no_token_whatever_it_is() {
    let old = OldServer::start().await;
    old.register("ada@example.org", "tok-1").await;
    old.number("ada@example.org", 1).await;

    for text in ["ada@example.org", "tok-1", "", "000000000000", "1234", "*", "{a}", "ada", "123456789012345678"] {
        assert_eq!(old.validate(text).await, answer(400, "no hay token"), "{text}");
    }
}

#[actix::test]
async fn bodies_of_another_form_are_refused_and_register_nothing() {
    let old = OldServer::start().await;
    for body in [
        "",
        "{",
        "[]",
        "null",
        r#"{"correo":"ada@example.org"}"#,
        r#"{"correo":"ada@example.org","token":1}"#,
        r#"{"correo":"ada@example.org","token":"t","more":1}"#,
        r#"{"correo":null,"token":"t"}"#,
        r#"{"correo":"ada","token":"t"}"#,
        r#"{"correo":"ada@example.org","correo":"eve@example.org","token":"t"}"#,
    ] {
        assert_eq!(old.post("/registrar", body).await, answer(400, "wrong Json format"), "{body}");
    }
    for body in ["", "[]", r#"{"numero":1}"#, r#"{"numero":"1","more":"2"}"#, r#"{"number":"1"}"#] {
        assert_eq!(old.post("/validar", body).await, answer(400, "wrong Json format"), "{body}");
    }
    assert_eq!(old.register("ada@example.org", "tok-1").await.0, 200);
    old.number("ada@example.org", 1).await;
}

#[actix::test]
async fn four_simultaneous_checks_release_once() {
    let old = OldServer::start().await;
    old.register("ada@example.org", "tok-1").await;
    let number = old.number("ada@example.org", 1).await;

    let answers = join_all((0..4).map(|_| old.validate(&number))).await;
    let released = answers.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!(released, 1, "{answers:?}");
}

//! The life of a daemon with secrets: all it can be asked, and all that can go wrong with it.

mod users;

use std::fs;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use fiador::{api_key::ApiKey, mail::smtp::SmtpTls};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::witness::Witness;
use crate::kit::{
    caller::{Caller, other_than},
    daemon::{Daemon, Home, application_whose_key},
    http::Reply,
    redis::TestRedis,
    scrape::{MEASURED, Scrape},
    smtp_sink::{Answer, PASSWORD, SmtpSink, Step, Taken, USER},
};

/// Pages that tell of nobody, and of no secret.
const PAGES: [&str; 5] = ["/health/live", "/health/ready", "/v1/system", "/dev/inbox", "/"];
/// What of a daemon's directory is a secret's own place: the end of the path, and the secret.
const OWN_PLACES: [(&str, &str); 3] =
    [("data/keyring.toml", "key ring"), ("smtp-password", "SMTP password"), ("redis-password", "Redis password")];
const TRACE_ALL: (&str, &str) = ("RUST_LOG", "trace");
/// All that an application may do.
const SCOPES: &str =
    ", scopes = [\"verifications:start\", \"verifications:check\", \"verifications:read\", \"users\", \"messages\"]";
const PANIC: &str = "canary+panic/message";

pub struct Setting<'a> {
    /// The configuration of the store.
    pub store: String,
    /// The server behind it, and its user's password.
    pub redis: Option<(&'a TestRedis, &'a str)>,
    pub log_format: &'static str,
}

struct Life<'a> {
    home: Home,
    sink: SmtpSink,
    keys: [String; 3],
    redis: Option<&'a TestRedis>,
    witness: Witness,
}

/// One that has a mail.
struct Person {
    id: String,
    number: String,
}

/// Lives it, and scans all that is left of it.
pub async fn live(setting: Setting<'_>) -> Witness {
    let mut life = Life::prepare(&setting).await;
    let daemon = life.home.start_with(&[TRACE_ALL, MEASURED]).await;
    life.plant_ring();
    life.use_all(&daemon).await;
    life.use_the_old_contract(&daemon).await;
    let sue = life.is_killed_in_the_middle(daemon).await;
    life.falls_and_expires(&sue).await;
    life.scan();
    life.witness
}

impl<'a> Life<'a> {
    async fn prepare(setting: &Setting<'a>) -> Self {
        let sink = SmtpSink::start(SmtpTls::None).await;
        let keys = [(); 3].map(|()| ApiKey::draw().as_str().to_owned());
        let home = Home::new();
        let (store, format) = (&setting.store, setting.log_format);
        let mail = format!(
            "[[smtp]]\nhost = \"localhost\"\nport = {}\ntls = \"none\"\nuser = \"{USER}\"\npassword_file = \"smtp-password\"\nfrom = \"no-reply@shop.example\"",
            sink.settings().port
        );
        let applications = [
            application_whose_key("shop", &keys[0], SCOPES),
            application_whose_key("viejo", &keys[1], "") + "lookup = \"number\"\n",
            application_whose_key("reader", &keys[2], ", scopes = [\"verifications:read\", \"admin\"]"),
        ];
        let config = format!(
            "{store}[log]\nlevel = \"trace\"\nformat = \"{format}\"\n[audit]\nto = \"./audit.jsonl\"\n\
             [compat]\nlisten = \"127.0.0.1:0\"\napplication = \"viejo\"\n{mail}\n{}",
            applications.concat()
        );
        home.write("config.toml", &config);
        home.write("smtp-password", PASSWORD);
        let mut witness = Witness::default();
        witness.canaries.plant("SMTP password", PASSWORD);
        witness.canaries.plant("panic", PANIC);
        for key in &keys {
            witness.canaries.plant("API key", key);
        }
        if let Some((_, password)) = setting.redis {
            home.write("redis-password", password);
            witness.canaries.plant("Redis password", password);
        }
        Self { home, sink, keys, redis: setting.redis.map(|(server, _)| server), witness }
    }

    /// As its file writes it, and as it is used.
    fn plant_ring(&mut self) {
        let file = self.home.read("data/keyring.toml");
        let texts: Vec<&str> = file.split('"').filter(|text| text.len() == 43).collect();
        assert!(texts.len() >= 2, "the ring has a naming and a sealing key");
        for text in texts {
            self.witness.canaries.plant("key ring", text);
            self.witness.canaries.plant("key ring", URL_SAFE_NO_PAD.decode(text).unwrap());
        }
    }

    async fn ask(&mut self, place: &str, request: RequestBuilder, allowed: &[&str]) -> Reply {
        self.witness.note(place, Reply::to(request).await, allowed)
    }

    /// Keeps the mail, in which address and number may be.
    fn keep_mail(&mut self, mail: &Taken, allowed: &[&str]) {
        let text = format!("{}\n{}\n{}", mail.sender, mail.recipient, mail.content);
        self.witness.keep("the mail", text.into_bytes(), allowed);
    }

    /// A verification of this person, its mail taken.
    async fn start(&mut self, caller: &Caller, name: &'static str) -> Person {
        let (address, token) = (format!("Canary.{name}+tag@example.org"), format!("canary-token/{name}+?"));
        let (address_of, token_of) = (format!("{name}'s address"), format!("{name}'s token"));
        self.witness.canaries.plant(&address_of, &address);
        self.witness.canaries.plant(&token_of, &token);
        let body = json!({"email": address, "token": token, "context": {"ip": "203.0.113.9"}}).to_string();
        let started = Reply::to(caller.post("/v1/verifications", body)).await;
        assert_eq!(started.status, 202, "{}", started.text);
        let id = started.id();
        let id_of = format!("{name}'s id");
        self.witness.canaries.plant(&id_of, &id);
        self.witness.canaries.plant(&id_of, id.strip_prefix("vrf_").unwrap());
        self.witness.note("a start", started, &[&address_of, &id_of]);
        let mail = self.sink.next_mail().await;
        let number = digits_in(&mail.content);
        let number_of = format!("{name}'s number");
        self.witness.canaries.plant(&number_of, &number);
        self.keep_mail(&mail, &[&address_of, &number_of]);
        Person { id, number }
    }

    /// Every call, with every answer that it has.
    async fn use_all(&mut self, daemon: &Daemon) {
        let caller = Caller::of(daemon, &self.keys[0].clone());
        self.approve(&caller).await;
        self.exhaust(&caller).await;
        self.cancel(&caller).await;
        self.refuse_mails(&caller).await;
        self.use_users(&caller).await;
        self.send_nonsense(daemon, &caller).await;
        self.lose_redis(&caller).await;
        self.look_at_all_pages(daemon).await;
    }

    async fn look_at_all_pages(&mut self, daemon: &Daemon) {
        let admin = Caller::of(daemon, &self.keys[2]);
        for page in PAGES {
            self.ask(page, admin.request(Method::GET, page), &[]).await;
        }
        let metrics = Scrape::of(daemon).await.0;
        assert!(metrics.contains("fiador_requests_total"));
        self.witness.keep("/metrics", metrics.into_bytes(), &[]);
    }

    async fn approve(&mut self, caller: &Caller) {
        let operation = "canary-operation+1/?";
        self.witness.canaries.plant("operation", operation);
        let ada = self.start(caller, "ada").await;
        let [address, id, token] = ["address", "id", "token"].map(|what| format!("ada's {what}"));
        let known = [address.as_str(), id.as_str()];
        let check = |number: &str| caller.checking(&ada.id, number).header("Idempotency-Key", operation);

        self.ask("a wrong check", caller.checking(&ada.id, &other_than(&ada.number)), &[]).await.problem(422, "number-incorrect");
        self.ask("a read", caller.request(Method::GET, &format!("/v1/verifications/{}", ada.id)), &known).await;
        for _ in 0..2 {
            self.ask("a right check", check(&ada.number), &[&address, &id, &token]).await;
        }
        self.ask("another number", check(&other_than(&ada.number)), &[]).await.problem(422, "idempotency-mismatch");
        self.ask("one too many", caller.checking(&ada.id, &ada.number), &[]).await.problem(409, "already-approved");
    }

    async fn exhaust(&mut self, caller: &Caller) {
        let bob = self.start(caller, "bob").await;
        for _ in 0..5 {
            self.ask("a wrong check", caller.checking(&bob.id, &other_than(&bob.number)), &[]).await;
        }
        self.ask("after five", caller.checking(&bob.id, &bob.number), &[]).await.problem(410, "exhausted");
    }

    async fn cancel(&mut self, caller: &Caller) {
        let eve = self.start(caller, "eve").await;
        let path = format!("/v1/verifications/{}", eve.id);
        while caller.read(&eve.id).await.json()["delivery"]["status"] != "sent" {}
        self.ask("a resend too soon", caller.post(&format!("{path}/resend"), ""), &[]).await.problem(429, "budget-spent");
        self.ask("a cancel", caller.request(Method::DELETE, &path), &[]).await;
        self.ask("after the cancel", caller.checking(&eve.id, &eve.number), &[]).await.problem(410, "canceled");
    }

    /// A mail server that repeats what it was told in what it says.
    async fn refuse_mails(&mut self, caller: &Caller) {
        let numbers_before = self.sink.numbers().len();
        for (name, step) in [("rob", Step::Rcpt), ("dot", Step::Dot)] {
            let (address, id) = (format!("{name}'s address"), format!("{name}'s id"));
            self.witness.canaries.plant(&address, format!("canary.{name}@example.org"));
            for refusal in ["450 4.7.1 later", "550 5.7.1 never"] {
                self.sink.script(step, Answer::Echo(refusal));
            }
            let started = caller.start(&json!({"email": format!("canary.{name}@example.org")})).await;
            self.witness.canaries.plant(&id, started.id());
            loop {
                let read = caller.read(&started.id()).await;
                let status = read.json()["delivery"]["status"].as_str().unwrap().to_owned();
                self.witness.note("a refused mail", read, &[&address, &id]);
                if status == "failed" {
                    break;
                }
            }
        }
        for number in self.sink.numbers().drain(numbers_before..) {
            self.witness.canaries.plant("a number", number);
        }
    }

    async fn send_nonsense(&mut self, daemon: &Daemon, caller: &Caller) {
        let address = "canary.nobody@example.org";
        self.witness.canaries.plant("nobody's address", address);
        let posts = [
            format!("{{\"email\":\"{address}\""),
            format!("{{\"token\":\"{address}\"}}"),
            format!("{{\"email\":\"{address}\",\"{address}\":1}}"),
            format!("{{\"email\":[\"{address}\"]}}"),
            format!("{{\"email\":\"{address}\",\"email\":\"{address}\"}}"),
            format!("{{\"email\":\"{address}\\r\\nBcc: {address}\"}}"),
            format!("{{\"email\":\"{address}\",\"locale\":\"{address}\"}}"),
            format!("{{\"email\":\"{address}\",\"purpose\":\"{address}\"}}"),
            format!("{{\"email\":\"{address}\",\"token\":\"{}\"}}", address.repeat(4_000)),
        ];
        for body in posts {
            let reply = self.ask(&body[..body.len().min(80)], caller.post("/v1/verifications", body.clone()), &[]).await;
            assert!((400..500).contains(&reply.status), "{}", reply.text);
        }
        let other = [
            caller.post("/v1/verifications", address).header("Content-Type", "text/plain").header("X-Canary", address),
            caller.post("/v1/verifications", "{}").header("Idempotency-Key", format!("{address} {address}")),
            caller.request(Method::PUT, "/v1/verifications"),
            caller.request(Method::GET, &format!("/{address}?q={address}")),
            caller.request(Method::GET, &format!("/v1/verifications/{address}")),
            caller.checking(address, address),
            Caller::of(daemon, &format!("fdr_{address}")).request(Method::GET, "/v1/verifications/vrf_A"),
            Caller::of(daemon, &self.keys[2]).post("/v1/verifications", json!({"email": address}).to_string()),
            Caller::of(daemon, &self.keys[1]).post("/v1/verifications/check", json!({"number": "135791357913"}).to_string()),
        ];
        for request in other {
            let reply = self.ask("nonsense", request, &[]).await;
            assert!((400..500).contains(&reply.status), "{}", reply.text);
        }
    }

    async fn lose_redis(&mut self, caller: &Caller) {
        let Some(server) = self.redis else { return };
        server.freeze();
        let path = format!("/v1/verifications/vrf_{}A", "a".repeat(42));
        let lost = caller.post("/v1/verifications", json!({"email": "canary.nobody@example.org"}).to_string());
        self.ask("without Redis", lost, &[]).await.problem(503, "unavailable");
        self.ask("without Redis", caller.request(Method::GET, "/health/ready"), &[]).await;
        server.thaw();
        while caller.get(&path).await.status == 503 {}
    }

    async fn use_the_old_contract(&mut self, daemon: &Daemon) {
        let address = daemon.logged_address("old contract is served").await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let post = |path: &str, body: String| {
            client.post(format!("http://{address}{path}")).header("Content-Type", "application/json").body(body)
        };
        let (correo, token) = ("canary.vieja@example.org", "canary-token-vieja");
        self.witness.canaries.plant("vieja's address", correo);
        self.witness.canaries.plant("vieja's token", token);

        let body = json!({"correo": correo, "token": token}).to_string();
        self.ask("/registrar", post("/registrar", body.clone()), &[]).await;
        let mail = self.sink.next_mail().await;
        let number = digits_in(&mail.content);
        self.witness.canaries.plant("vieja's number", &number);
        self.keep_mail(&mail, &["vieja's address", "vieja's number"]);
        self.ask("/registrar too soon", post("/registrar", body), &[]).await;
        for wrong in [correo, token, "123456789012"] {
            self.ask("/validar of nothing", post("/validar", json!({"numero": wrong}).to_string()), &[]).await;
        }
        self.ask("/validar", post("/validar", json!({"numero": number}).to_string()), &["vieja's token"]).await;
        self.ask("/validar of no form", post("/validar", format!("{{\"numero\":[\"{number}\"]}}")), &[]).await;
    }

    /// A person whose daemon dies after the mail.
    async fn is_killed_in_the_middle(&mut self, daemon: Daemon) -> Person {
        let sue = self.start(&Caller::of(&daemon, &self.keys[0]), "sue").await;
        let said = [daemon.printed(), daemon.logged()].concat().join("\n");
        assert!(said.contains("a mail is done with"), "it logs at all");
        self.witness.keep("what the first daemon said", said.into_bytes(), &[]);
        daemon.kill().await;
        sue
    }

    /// A daemon whose Gateway panics, when the number has expired.
    async fn falls_and_expires(&mut self, sue: &Person) {
        let panics = ("FAILPOINTS", "gateway.ask=1*panic(canary+panic/message)->off");
        let later = ("FIADOR_TESTING_CLOCK_AHEAD_SECONDS", "700");
        let mut daemon = self.home.start_with(&[TRACE_ALL, MEASURED, panics, later]).await;
        let caller = Caller::of(&daemon, &self.keys[0]);

        self.ask("a Gateway that falls", caller.checking(&sue.id, &sue.number), &[]).await.problem(503, "unavailable");
        let expired = loop {
            let reply = self.ask("after the fall", caller.checking(&sue.id, &sue.number), &[]).await;
            if reply.status != 503 {
                break reply;
            }
        };
        expired.problem(410, "expired");
        self.look_at_all_pages(&daemon).await;
        daemon.terminate().await;
        assert_eq!(daemon.ended().await, Some(0));
        let said = [daemon.printed(), daemon.logged()].concat().join("\n");
        assert!(said.contains("panicked"), "it fell at all");
        self.witness.keep("what the second daemon said", said.into_bytes(), &[]);
    }

    fn scan(&self) {
        self.witness.scan();
        let scanner = self.witness.canaries.scanner();
        scanner.assert_none_under(&self.home.path(""), &OWN_PLACES);
        assert!(fs::metadata(self.home.path("audit.jsonl")).unwrap().len() > 1_000, "the audit log was written");
        for (end, name) in OWN_PLACES {
            let Ok(bytes) = fs::read(self.home.path(end)) else { continue };
            assert!(scanner.found_in(&bytes).iter().any(|(found, _)| *found == name), "the scan finds {name} in {end}");
        }
    }
}

/// The number in a mail: it stands alone on a line.
fn digits_in(mail: &str) -> String {
    let is_number = |line: &&str| line.len() >= 8 && line.bytes().all(|byte| byte.is_ascii_digit());
    mail.lines().find(is_number).expect("the mail has a number").to_owned()
}

//! Makes each call twice: where all applications are, and where its own is alone. The answers are to be the same.

use fiador::clock::{Clock, Hand};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{
    Call, Number, Step, Whose,
    routes::{
        ALL, BY_NUMBER, CHECKS, EXPORTS, MAIL, MAILS, NUMBER_SIGN_INS, ONE, PASSWORDS, RESENDS, RETRIES, SIGN_INS, SYSTEM, USER,
        USERS,
    },
    world::{APPLICATIONS, Keys, World},
};
use crate::kit::http::Reply;

/// What differs between two worlds, whoever is in them: what is random, and the time. Of these is only compared whether they are
/// null.
const CHANCE: &[&str] = &[
    "id",
    "user",
    "assertion",
    "message_id",
    "request_id",
    "created_at",
    "started_at",
    "updated_at",
    "verified_at",
    "signed_in_at",
    "password_changed_at",
    "ends_at",
    "expires_at",
    "approved_at",
    "retry_after_seconds",
];
/// Of these nothing is.
const TIMING: &[&str] = &["next_cursor", "next_attempt_at"];
const SECRETS: [&str; 2] = ["correct horse battery staple", "a longer one that nobody else has"];

/// What is known of it in the world that is asked.
type Mine = fn(&Started) -> &Known;

pub struct Player {
    together: World,
    /// By application.
    alone: Vec<World>,
    hand: Hand,
    histories: usize,
    /// By application, in the order of their starts.
    started: Vec<Vec<Started>>,
    /// By application, in the order in which they were made; their verifications are those of their address.
    users: Vec<Vec<Started>>,
}

/// A verification, or a user, in both worlds.
#[derive(Clone)]
struct Started {
    together: Known,
    alone: Known,
}

#[derive(Clone, Default)]
struct Known {
    id: String,
    number: String,
    /// Its mail's, if that failed.
    mail: Option<String>,
}

impl Known {
    /// Once its mail is on its way, or is not going to be.
    async fn of(world: &World, by: usize, id: &str) -> Self {
        let delivery = world.settled_delivery(by, id).await;
        let message_id = delivery["message_id"].as_str().unwrap_or_default();
        let number = if APPLICATIONS[by].0 == "ci" { Some("00000000".to_owned()) } else { world.number_in(message_id) };
        let mail = if delivery["status"] == "failed" { world.failed_mail(by, message_id).await } else { None };
        Self { id: id.to_owned(), number: number.unwrap_or_else(|| "11111111".to_owned()), mail }
    }

    async fn seen_in(&self, world: &World, by: usize) -> Value {
        world.get(by, &format!("/v1/verifications/{}", self.id)).await
    }
}

impl Player {
    /// `store` says in which store a world is, for each another.
    pub async fn new(clock: Clock, hand: Hand, store: impl Fn(usize) -> String) -> Self {
        let (keys, count) = (Keys::draw(), APPLICATIONS.len());
        let together = World::start(clock.clone(), &store(count), &keys, |_| true).await;
        let mut alone = Vec::new();
        for by in 0..count {
            alone.push(World::start(clock.clone(), &store(by), &keys, |it| it == by).await);
        }
        Self { together, alone, hand, histories: 0, started: Vec::new(), users: Vec::new() }
    }

    /// On addresses of its own.
    pub async fn play(&mut self, steps: &[Step]) {
        self.histories += 1;
        self.started = vec![Vec::new(); APPLICATIONS.len()];
        self.users = vec![Vec::new(); APPLICATIONS.len()];
        for step in steps {
            match step {
                Step::Wait(span) => self.hand.advance(*span),
                Step::Call(call) => self.call(call).await,
            }
        }
        for (by, started) in self.started.iter().enumerate() {
            for Started { together, alone } in started {
                let (together, alone) = (together.seen_in(&self.together, by), alone.seen_in(&self.alone[by], by));
                assert_eq!(without_chance(together.await), without_chance(alone.await), "{}", APPLICATIONS[by].0);
            }
        }
    }

    async fn call(&mut self, call: &Call) {
        let together = Reply::to(self.request(&self.together, call, |started| &started.together)).await;
        let alone = Reply::to(self.request(&self.alone[call.by], call, |started| &started.alone)).await;

        assert_eq!(said(&together), said(&alone), "{} by {}", call.route.0, APPLICATIONS[call.by].0);
        match (call.route.0, together.status) {
            (ALL | SIGN_INS | NUMBER_SIGN_INS, 202) => self.note_start(call.by, &together.id(), &alone.id()).await,
            (RESENDS | RETRIES, 202) | (PASSWORDS, 204) => self.settle_all(call.by).await,
            (USERS, 201) => self.note_user(call.by, &together.json(), &alone.json()).await,
            _ => {}
        }
    }

    async fn note_start(&mut self, by: usize, together: &str, alone: &str) {
        let (together, alone) = (Known::of(&self.together, by, together), Known::of(&self.alone[by], by, alone));
        note(&mut self.started[by], Started { together: together.await, alone: alone.await });
    }

    async fn note_user(&mut self, by: usize, together: &Value, alone: &Value) {
        let known = |user: &Value| Known { id: user["id"].as_str().unwrap().to_owned(), ..Known::default() };
        note(&mut self.users[by], Started { together: known(together), alone: known(alone) });
        if let (Some(together), Some(alone)) = (together["verification"]["id"].as_str(), alone["verification"]["id"].as_str()) {
            self.note_start(by, together, alone).await;
        }
    }

    /// So that how far a mail is does not depend on who was faster.
    async fn settle_all(&self, by: usize) {
        self.together.settle(by).await;
        self.alone[by].settle(by).await;
    }

    /// `GET /v1/system` is of no application, and their keys have no scope for it.
    fn request(&self, world: &World, call: &Call, mine: Mine) -> RequestBuilder {
        let request = world.request(call.by, call.route.1.clone(), &self.path(call, mine));
        let request = match call.idempotency_key {
            Some(key) => request.header("Idempotency-Key", format!("history-{}-key-{key}", self.histories)),
            None => request,
        };
        match self.body(call, mine) {
            Some(body) => request.header("Content-Type", "application/json").body(body.to_string()),
            None => request,
        }
    }

    fn path(&self, call: &Call, mine: Mine) -> String {
        let named = known(&self.started, call, call.id_of, mine);
        let id = match call.route.0 {
            MAIL | RETRIES => named.and_then(|known| known.mail.as_deref()).unwrap_or("msg_none"),
            USER | EXPORTS | PASSWORDS => {
                known(&self.users, call, call.id_of, mine).map_or("usr_none", |known| known.id.as_str())
            }
            _ => named.map_or("vrf_none", |known| known.id.as_str()),
        };
        match (call.route.0, &call.route.1) {
            (MAILS, _) => "/v1/messages?limit=100".to_owned(),
            (USERS, &(Method::GET | Method::HEAD)) => format!("{USERS}?email={}", self.email(call)),
            (path, _) => path.replace("{}", id),
        }
    }

    fn body(&self, call: &Call, mine: Mine) -> Option<Value> {
        let (email, own) = (self.email(call), format!("of {}", APPLICATIONS[call.by].0));
        let [password, other] = if call.is_first_secret { SECRETS } else { [SECRETS[1], SECRETS[0]] };
        let context = call.ip.map_or_else(|| json!({}), |ip| json!({ "ip": format!("203.0.113.{ip}") }));
        match (call.route.0, &call.route.1) {
            (ALL, &Method::POST) => {
                let purpose = if call.is_first_secret { "sign-in" } else { "reset-password" };
                Some(json!({ "email": email, "token": own, "purpose": purpose, "context": context }))
            }
            (BY_NUMBER | CHECKS, &Method::POST) => Some(json!({ "number": self.number(call, mine) })),
            (USERS, &Method::POST) => {
                let attributes = json!({ "own": own });
                Some(json!({ "email": email, "password": password, "attributes": attributes, "verify": call.ip.is_none() }))
            }
            (USER, &Method::PATCH) => Some(json!({ "attributes": { "own": own, "again": true } })),
            (PASSWORDS, &Method::POST) => Some(match call.number {
                Number::Of(whose) => {
                    let proof = known(&self.started, call, whose, mine).map_or("vrf_none", |known| known.id.as_str());
                    json!({ "password": password, "verification": proof })
                }
                Number::Zeros(_) | Number::Ones(_) => json!({ "password": password, "old_password": other }),
            }),
            (SIGN_INS, &Method::POST) => Some(json!({ "email": email, "password": password, "context": context })),
            (NUMBER_SIGN_INS, &Method::POST) => Some(json!({ "email": email, "context": context })),
            (RESENDS | RETRIES, &Method::POST)
            | (ONE | USER, &(Method::GET | Method::HEAD | Method::DELETE))
            | (USERS | EXPORTS, &(Method::GET | Method::HEAD))
            | (MAILS | MAIL | SYSTEM, _) => None,
            (path, method) => panic!("nobody knows how to try {method} {path}"),
        }
    }

    fn email(&self, call: &Call) -> String {
        let ada = ["ada", "eve", "ñandú"][usize::from(call.address)];
        format!("{ada}.{}@example.org", self.histories)
    }

    fn number(&self, call: &Call, mine: Mine) -> String {
        match call.number {
            Number::Of(whose) => {
                known(&self.started, call, whose, mine).map_or_else(|| "11111111".to_owned(), |known| known.number.clone())
            }
            Number::Zeros(digits) => "0".repeat(digits),
            Number::Ones(digits) => "1".repeat(digits),
        }
    }
}

/// Another's is that of the world where there are others: alone, it is something that nobody knows.
fn known<'a>(of_all: &'a [Vec<Started>], call: &Call, whose: Whose, mine: Mine) -> Option<&'a Known> {
    let started = of_all[whose.by].iter().rev().nth(whose.ago)?;
    Some(if whose.by == call.by { mine(started) } else { &started.together })
}

fn note(known: &mut Vec<Started>, started: Started) {
    if known.iter().all(|known| known.together.id != started.together.id) {
        known.push(started);
    }
}

/// A reply as far as chance and time leave it.
fn said(reply: &Reply) -> (u16, Value, [Option<String>; 2]) {
    let body = if reply.text.is_empty() { Value::Null } else { without_chance(reply.json()) };
    let headers = ["ratelimit-policy", "fiador-test"].map(|name| reply.header(name).map(str::to_owned));
    (reply.status, body, headers)
}

/// Lists are in an order of their own.
fn without_chance(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(name, _)| !TIMING.contains(&name.as_str()));
            Value::Object(kept.map(|(name, value)| without_chance_in(name, value)).collect())
        }
        Value::Array(values) => {
            let mut values: Vec<Value> = values.into_iter().map(without_chance).collect();
            values.sort_by_key(Value::to_string);
            Value::Array(values)
        }
        other => other,
    }
}

fn without_chance_in(name: String, value: Value) -> (String, Value) {
    let value = match value {
        Value::Array(times) if name == "mails_asked_at" => json!(times.len()),
        value if CHANCE.contains(&name.as_str()) && !value.is_object() => json!(value.is_null()),
        value => without_chance(value),
    };
    (name, value)
}

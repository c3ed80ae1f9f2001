//! Makes each call twice: where all applications are, and where its own is alone. The answers are to be the same.

use fiador::clock::{Clock, Hand};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{
    Call, Number, Step, Whose,
    routes::{ALL, BY_NUMBER, CHECKS, MAIL, MAILS, ONE, RESENDS, RETRIES, SYSTEM},
    world::{APPLICATIONS, Keys, World},
};
use crate::kit::http::Reply;

/// What differs between two worlds, whoever is in them: what is random, and the time.
const RANDOM: &[&str] = &["id", "expires_at", "approved_at", "request_id", "retry_after_seconds", "message_id"];

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
}

/// A verification in both worlds.
#[derive(Clone)]
struct Started {
    together: Known,
    alone: Known,
}

#[derive(Clone)]
struct Known {
    id: String,
    number: String,
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
        Self { together, alone, hand, histories: 0, started: Vec::new() }
    }

    /// On addresses of its own.
    pub async fn play(&mut self, steps: &[Step]) {
        self.histories += 1;
        self.started = vec![Vec::new(); APPLICATIONS.len()];
        for step in steps {
            match step {
                Step::Wait(span) => self.hand.advance(*span),
                Step::Call(call) => self.call(call).await,
            }
        }
        for (by, started) in self.started.iter().enumerate() {
            for Started { together, alone } in started {
                let (together, alone) = (self.together.read(by, &together.id), self.alone[by].read(by, &alone.id));
                assert_eq!(without_chance(together.await), without_chance(alone.await), "{}", APPLICATIONS[by].0);
            }
        }
    }

    async fn call(&mut self, call: &Call) {
        let together = Reply::to(self.request(&self.together, call, |started| &started.together)).await;
        let alone = Reply::to(self.request(&self.alone[call.by], call, |started| &started.alone)).await;

        assert_eq!(said(&together), said(&alone), "{} by {}", call.route.0, APPLICATIONS[call.by].0);
        if call.route.0 == ALL && together.status == 202 {
            self.note_start(call.by, &together.id(), &alone.id()).await;
        }
        if call.route.0 == RESENDS && together.status == 202 {
            self.together.mailed_number(call.by, &together.id()).await;
            self.alone[call.by].mailed_number(call.by, &alone.id()).await;
        }
    }

    async fn note_start(&mut self, by: usize, together: &str, alone: &str) {
        let known = async |world: &World, id: &str| {
            let number = world.mailed_number(by, id).await.unwrap_or_else(|| "00000000".to_owned());
            Known { id: id.to_owned(), number }
        };
        let started = Started { together: known(&self.together, together).await, alone: known(&self.alone[by], alone).await };
        if self.started[by].iter().all(|known| known.together.id != together) {
            self.started[by].push(started);
        }
    }

    /// `GET /v1/system` is of no application; for it and for `/v1/messages` their keys have no scope.
    fn request(&self, world: &World, call: &Call, mine: Mine) -> RequestBuilder {
        let id = self.known(call, call.id_of, mine).map_or("vrf_none", |known| known.id.as_str());
        let body = match (call.route.0, &call.route.1) {
            (ALL, &Method::POST) => Some(self.start(call)),
            (BY_NUMBER | CHECKS, &Method::POST) => Some(json!({ "number": self.number(call, mine) })),
            (RESENDS, &Method::POST)
            | (ONE, &(Method::GET | Method::HEAD | Method::DELETE))
            | (SYSTEM | MAILS | MAIL | RETRIES, _) => None,
            (path, method) => panic!("nobody knows how to try {method} {path}"),
        };
        let request = world.request(call.by, call.route.1.clone(), &call.route.0.replace("{}", id));
        let request = match call.idempotency_key {
            Some(key) => request.header("Idempotency-Key", format!("history-{}-key-{key}", self.histories)),
            None => request,
        };
        match body {
            Some(body) => request.header("Content-Type", "application/json").body(body.to_string()),
            None => request,
        }
    }

    fn start(&self, call: &Call) -> Value {
        let email = format!("ada{}.{}@example.org", call.address, self.histories);
        let mut start = json!({ "email": email, "token": format!("of {}", APPLICATIONS[call.by].0) });
        if let Some(ip) = call.ip {
            start["context"] = json!({ "ip": format!("203.0.113.{ip}") });
        }
        start
    }

    fn number(&self, call: &Call, mine: Mine) -> String {
        match call.number {
            Number::Of(whose) => {
                self.known(call, whose, mine).map_or_else(|| "11111111".to_owned(), |known| known.number.clone())
            }
            Number::Zeros(digits) => "0".repeat(digits),
            Number::Ones(digits) => "1".repeat(digits),
        }
    }

    /// Another's is that of the world where there are others: alone, it is something that nobody knows.
    fn known(&self, call: &Call, whose: Whose, mine: Mine) -> Option<&Known> {
        let started = self.started[whose.by].iter().rev().nth(whose.ago)?;
        Some(if whose.by == call.by { mine(started) } else { &started.together })
    }
}

/// A reply as far as chance and time leave it.
fn said(reply: &Reply) -> (u16, Value, [Option<String>; 2]) {
    let body = if reply.text.is_empty() { Value::Null } else { without_chance(reply.json()) };
    let headers = ["ratelimit-policy", "fiador-test"].map(|name| reply.header(name).map(str::to_owned));
    (reply.status, body, headers)
}

fn without_chance(mut body: Value) -> Value {
    for member in RANDOM {
        body.as_object_mut().unwrap().remove(*member);
    }
    if let Some(delivery) = body.get_mut("delivery") {
        delivery.as_object_mut().unwrap().remove("message_id");
    }
    body
}

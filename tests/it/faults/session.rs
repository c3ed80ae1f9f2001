//! What is done with one address: drawn from the seed, over either daemon, several things at once now and then.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use fastrand::Rng;
use futures_util::future::join_all;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::{
    client::{self, Request, number_body},
    clock::pass,
    history::{Answer, Ask, Event, Key, Story, token_of},
    world::World,
};

/// Longer than a daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// How often an unknown outcome is asked for again, with the same key.
const MOST_TRIES: usize = 6;
const MOST_EVENTS: usize = 100;

/// One address, and those who ask about it.
pub struct Session {
    world: Arc<World>,
    client: Client,
    address: String,
    by_number: bool,
    rng: Mutex<Rng>,
    events: Mutex<Vec<Event>>,
    /// What is known of its verifications, by the keys of their starts: ids and numbers.
    ids: Mutex<HashMap<Key, String>>,
    numbers: Mutex<HashMap<Key, String>>,
    next_key: Mutex<Key>,
}

impl Session {
    pub fn new(world: Arc<World>, client: Client, index: u64, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let (address, by_number) = (format!("a{index}@example.org"), rng.u8(..4) == 0);
        Self {
            world,
            client,
            address,
            by_number,
            rng: rng.into(),
            events: Mutex::default(),
            ids: Mutex::default(),
            numbers: Mutex::default(),
            next_key: Mutex::default(),
        }
    }

    pub fn story(&self) -> Story {
        let events = self.events.lock().unwrap().clone();
        Story { address: self.address.clone(), by_number: self.by_number, events }
    }

    /// Until the campaign closes, or what was drawn is done.
    pub async fn play(&self) {
        let mut rng = self.fork();
        for _ in 0..rng.usize(1..4) {
            let Some(verification) = self.start(&mut rng).await else { return };
            for _ in 0..rng.usize(1..7) {
                if self.world.is_closing() || self.is_full() {
                    return;
                }
                self.act(verification, &mut rng).await;
                pass(Duration::from_millis(rng.u64(..80))).await;
            }
        }
    }

    /// Asks for a verification, now and then twice at once; none when nobody acknowledged it, or nobody cares for it.
    async fn start(&self, rng: &mut Rng) -> Option<Key> {
        let ttl_seconds = if rng.u8(..3) == 0 { 60 } else { 600 };
        let key = self.new_key();
        let ask = Ask::Start { key, ttl_seconds };
        if rng.u8(..4) == 0 {
            join_all([self.ask(0, &ask, PATIENCE), self.ask(1, &ask, PATIENCE)]).await;
        }
        self.insist(&ask, rng).await;
        self.id(key)?;
        let is_left_alone = rng.u8(..4) == 0;
        if is_left_alone {
            return None;
        }
        // a mail that does not come is resent, or done without
        for _ in 0..2 {
            if self.await_number(key, Duration::from_millis(rng.u64(500..4_000))).await.is_some() {
                break;
            }
            self.insist(&Ask::Resend { verification: key, key: self.new_key() }, rng).await;
        }
        Some(key)
    }

    async fn await_number(&self, of: Key, patience: Duration) -> Option<()> {
        let known: Vec<String> = self.numbers().values().cloned().collect();
        let ids = self.message_ids(of);
        let is_its = |number: &str, id: &String| ids.contains(id) && !known.iter().any(|known| known == number);
        let mail = self.world.office.wait(&self.address, patience, |mail| is_its(&mail.number, &mail.message_id)).await?;
        self.numbers().insert(of, mail.number);
        Some(())
    }

    fn message_ids(&self, of: Key) -> Vec<String> {
        let story = self.story();
        let deliveries = story.of(of).filter_map(Event::view).filter_map(|view| view.delivery.clone());
        deliveries.map(|delivery| delivery.message_id).collect()
    }

    async fn act(&self, verification: Key, rng: &mut Rng) {
        let wrong = |key| Ask::Check { verification, key, is_right: false };
        match rng.u8(..20) {
            0..5 => drop(self.insist(&wrong(self.new_key()), rng).await),
            5..7 => {
                let asks: Vec<Ask> = (0..rng.usize(2..7)).map(|_| wrong(self.new_key())).collect();
                self.at_once(&asks, rng).await;
            }
            7..11 => {
                let asks: Vec<Ask> = (0..rng.usize(1..4)).filter_map(|_| self.right(verification, rng)).collect();
                self.at_once(&asks, rng).await;
            }
            11 => {
                let asks = [Some(Ask::Cancel { verification }), self.right(verification, rng)];
                self.at_once(&asks.into_iter().flatten().collect::<Vec<_>>(), rng).await;
            }
            12 => drop(self.insist(&Ask::Cancel { verification }, rng).await),
            13 => drop(self.insist(&Ask::Resend { verification, key: self.new_key() }, rng).await),
            14 => self.present_after_the_end(verification, rng).await,
            15..18 => self.repeat(rng).await,
            _ => drop(self.insist(&Ask::Read { verification }, rng).await),
        }
    }

    /// Presents its number, if a mail told it.
    fn right(&self, verification: Key, rng: &mut Rng) -> Option<Ask> {
        self.numbers().get(&verification)?;
        let key = self.new_key();
        let is_by_number = self.by_number && rng.bool();
        Some(if is_by_number {
            Ask::CheckByNumber { verification, key }
        } else {
            Ask::Check { verification, key, is_right: true }
        })
    }

    /// An old operation again, whatever was answered.
    async fn repeat(&self, rng: &mut Rng) {
        let asks: Vec<Ask> = self.story().events.into_iter().map(|event| event.ask).collect();
        if let Some(ask) = rng.choice(asks) {
            self.insist(&ask, rng).await;
        }
    }

    async fn present_after_the_end(&self, verification: Key, rng: &mut Rng) {
        let Some(expires_at) = self.story().expires_at(verification) else { return };
        let now = || self.world.time.now();
        let is_too_long = expires_at > now() + 65_000;
        while !is_too_long && !self.world.is_closing() && now() <= expires_at + 1_500 {
            pass(Duration::from_millis(100)).await;
        }
        if let Some(ask) = self.right(verification, rng).filter(|_| !is_too_long) {
            self.insist(&ask, rng).await;
        }
    }

    async fn at_once(&self, asks: &[Ask], rng: &mut Rng) {
        let mut forks: Vec<Rng> = asks.iter().map(|_| rng.fork()).collect();
        join_all(asks.iter().zip(&mut forks).map(|(ask, rng)| self.insist(ask, rng))).await;
    }

    /// With the same key until the outcome is known, as an application should; sometimes impatiently, and not for ever.
    pub async fn insist(&self, ask: &Ask, rng: &mut Rng) -> Answer {
        let mut answer = Answer::NothingDone;
        for _ in 0..MOST_TRIES {
            let patience = if rng.u8(..20) == 0 { Duration::from_millis(rng.u64(1..60)) } else { PATIENCE };
            answer = self.ask(rng.usize(..2), ask, patience).await;
            let is_known = !matches!(answer, Answer::Unknown(_) | Answer::NothingDone);
            let gives_up = rng.u8(..5) == 0;
            if is_known || gives_up || self.is_full() {
                return answer;
            }
            pass(Duration::from_millis(rng.u64(50..600))).await;
        }
        answer
    }

    /// Once, at that daemon.
    pub async fn ask(&self, daemon: usize, ask: &Ask, patience: Duration) -> Answer {
        let Some(request) = self.request(daemon, ask) else { return Answer::NothingDone };
        let asked_at = self.world.time.now();
        let answer = client::ask(&self.client, request, patience).await;
        if let (Ask::Start { key, .. }, Answer::Viewed(view)) = (ask, &answer) {
            self.ids.lock().unwrap().insert(*key, view.id.clone());
        }
        let event = Event { asked_at, answered_at: self.world.time.now(), daemon, ask: ask.clone(), answer: answer.clone() };
        self.events.lock().unwrap().push(event);
        answer
    }

    fn request(&self, daemon: usize, ask: &Ask) -> Option<Request> {
        let path = |verification: Key, more: &str| Some(format!("/v1/verifications/{}{more}", self.id(verification)?));
        let (method, path, body): (Method, String, Option<Value>) = match *ask {
            Ask::Start { key, ttl_seconds } => {
                let token = token_of(&self.address, key);
                let body = json!({ "email": self.address, "token": token, "ttl_seconds": ttl_seconds });
                (Method::POST, "/v1/verifications".to_owned(), Some(body))
            }
            Ask::Check { verification, key, is_right } => {
                let number = if is_right { self.number(verification)? } else { self.other_number(verification, key) };
                (Method::POST, path(verification, "/check")?, Some(number_body(&number)))
            }
            Ask::CheckByNumber { verification, .. } => {
                let body = number_body(&self.number(verification)?);
                (Method::POST, "/v1/verifications/check".to_owned(), Some(body))
            }
            Ask::Resend { verification, .. } => (Method::POST, path(verification, "/resend")?, None),
            Ask::Cancel { verification } => (Method::DELETE, path(verification, "")?, None),
            Ask::Read { verification } => (Method::GET, path(verification, "")?, None),
        };
        let key = match *ask {
            Ask::Start { key, .. } | Ask::Check { key, .. } | Ask::CheckByNumber { key, .. } | Ask::Resend { key, .. } => {
                Some(key)
            }
            Ask::Cancel { .. } | Ask::Read { .. } => None,
        };
        Some(Request {
            method,
            url: self.world.url(daemon, &path),
            api_key: self.world.keys[usize::from(self.by_number)].clone(),
            idempotency_key: key.map(|key| format!("{}:{key}", self.address)),
            body,
        })
    }

    /// A number that is not its own: that of another verification of its address, or one of nobody, the same for the same key.
    fn other_number(&self, verification: Key, key: Key) -> String {
        let digits = if self.by_number { 12 } else { 8 };
        let numbers = self.numbers();
        let own = numbers.get(&verification).cloned().unwrap_or_default();
        let of_another =
            numbers.iter().find(|(of, number)| **of < verification && **number != own).map(|(_, number)| number.clone());
        if let Some(number) = of_another.filter(|_| key.is_multiple_of(3)) {
            return number;
        }
        let last = if own.ends_with('0') { '1' } else { '0' };
        format!("{:0>width$}{last}", 1_000_000 + key, width = digits - 1)
    }

    pub fn new_key(&self) -> Key {
        let mut next = self.next_key.lock().unwrap();
        *next += 1;
        *next
    }

    fn fork(&self) -> Rng {
        self.rng.lock().unwrap().fork()
    }

    fn id(&self, verification: Key) -> Option<String> {
        self.ids.lock().unwrap().get(&verification).cloned()
    }

    fn number(&self, verification: Key) -> Option<String> {
        self.numbers().get(&verification).cloned()
    }

    fn numbers(&self) -> std::sync::MutexGuard<'_, HashMap<Key, String>> {
        self.numbers.lock().unwrap()
    }

    fn is_full(&self) -> bool {
        self.events.lock().unwrap().len() >= MOST_EVENTS
    }
}

/// What is done when all has come to rest.
impl Session {
    /// Reads a verification, in the place of what was read of it before and told the same.
    pub async fn look_again(&self, verification: Key, patience: Duration) {
        let ask = Ask::Read { verification };
        for daemon in [0, 1, 0, 1] {
            let answer = self.ask(daemon, &ask, patience).await;
            if !matches!(answer, Answer::Unknown(_) | Answer::NothingDone) {
                self.forget_but_the_last(&answer);
                return;
            }
        }
    }

    /// Of reads one after the other that were answered the same, the last says all.
    fn forget_but_the_last(&self, answer: &Answer) {
        let mut events = self.events.lock().unwrap();
        let Some(last) = events.pop() else { return };
        if events.last().is_some_and(|before| before.ask == last.ask && before.answer == *answer) {
            events.pop();
        }
        events.push(last);
    }

    /// A start, its mail and its number, all at one daemon.
    pub async fn play_once(&self, daemon: usize, patience: Duration) -> Result<(), String> {
        let verification = self.new_key();
        let start = self.ask(daemon, &Ask::Start { key: verification, ttl_seconds: 600 }, patience).await;
        if !matches!(start, Answer::Viewed(_)) {
            return Err(format!("a start was answered {start:?}"));
        }
        self.await_number(verification, Duration::from_secs(10)).await.ok_or("no mail came")?;
        let check = Ask::Check { verification, key: self.new_key(), is_right: true };
        let answer = self.ask(daemon, &check, patience).await;
        if matches!(answer, Answer::Approved { .. }) { Ok(()) } else { Err(format!("a check was answered {answer:?}")) }
    }
}

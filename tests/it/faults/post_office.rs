//! The SMTP server of the campaign: it does as its mood is, and keeps the books on every mail that came as far as its dot.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use fastrand::Rng;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::{
    clock::{Time, pass},
    history::Ms,
};

/// Where in the dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Mail,
    Rcpt,
    Data,
    Dot,
}

/// What it does with mails. All but refusing hits two of three mails, by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Kind,
    /// Nobody listens.
    Refuses,
    /// 451 at that phase.
    Defers(Phase),
    /// 550 at that phase.
    Rejects(Phase),
    /// Hangs up in the middle of the mail.
    DropsInData,
    /// Hangs up after the dot, without a word: it may have taken the mail.
    DropsAfterDot,
    /// Takes half a second for each answer.
    Slow,
    /// Says nothing more at that phase, until its mood changes.
    Stalls(Phase),
}

/// A mail that came whole.
#[derive(Clone, Debug)]
pub struct Transmission {
    pub came_at: Ms,
    pub recipient: String,
    pub message_id: String,
    pub number: String,
    /// Some: it was answered so. None: it may have been accepted.
    pub accepted: Option<bool>,
}

pub struct PostOffice {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    time: Time,
    rng: Mutex<Rng>,
    mood: watch::Sender<Mood>,
    books: Mutex<HashMap<String, Vec<Transmission>>>,
    arrivals: watch::Sender<usize>,
}

impl PostOffice {
    pub async fn open(time: Time, rng: Rng) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mood, arrivals) = (watch::Sender::new(Mood::Kind), watch::Sender::default());
        let shared = Arc::new(Shared { time, rng: rng.into(), mood, books: Mutex::default(), arrivals });
        tokio::spawn(listen(listener, port, shared.clone()));
        Self { port, shared }
    }

    pub fn becomes(&self, mood: Mood) {
        self.shared.mood.send_replace(mood);
    }

    /// What came for this address, in order.
    pub fn mails_to(&self, address: &str) -> Vec<Transmission> {
        self.shared.books().get(address).cloned().unwrap_or_default()
    }

    /// How many mails came whole.
    pub fn mails(&self) -> usize {
        *self.shared.arrivals.borrow()
    }

    /// Returns once something has come for this address that `is_awaited`; none when that takes longer than `patience`.
    pub async fn wait(
        &self,
        address: &str,
        patience: Duration,
        is_awaited: impl Fn(&Transmission) -> bool,
    ) -> Option<Transmission> {
        let mut arrivals = self.shared.arrivals.subscribe();
        let found = || self.mails_to(address).into_iter().find(&is_awaited);
        tokio::time::timeout(patience, async {
            loop {
                arrivals.borrow_and_update();
                if let Some(mail) = found() {
                    return Some(mail);
                }
                arrivals.changed().await.ok()?;
            }
        })
        .await
        .ok()
        .flatten()
    }
}

impl Shared {
    fn books(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<Transmission>>> {
        self.books.lock().unwrap()
    }

    fn note(&self, transmission: Transmission) {
        self.books().entry(transmission.recipient.clone()).or_default().push(transmission);
        self.arrivals.send_modify(|count| *count += 1);
    }

    /// The mood that the next mail meets.
    fn drawn_mood(&self) -> Mood {
        let is_hit = self.rng.lock().unwrap().u8(..3) > 0;
        if is_hit { *self.mood.borrow() } else { Mood::Kind }
    }

    async fn until_mood_is_not(&self, mood: Mood) {
        let _ = self.mood.subscribe().wait_for(|now| *now != mood).await;
    }
}

async fn listen(listener: TcpListener, port: u16, shared: Arc<Shared>) {
    let mut listener = Some(listener);
    let mut moods = shared.mood.subscribe();
    loop {
        let refuses = *moods.borrow_and_update() == Mood::Refuses;
        if refuses {
            drop(listener.take());
            shared.until_mood_is_not(Mood::Refuses).await;
        }
        let open = match listener.take() {
            Some(open) => open,
            None => TcpListener::bind(("127.0.0.1", port)).await.unwrap(),
        };
        tokio::select! {
            _ = moods.changed() => {}
            client = open.accept() => {
                if let Ok((client, _)) = client {
                    tokio::spawn(serve(client, shared.clone()));
                }
            }
        }
        listener = Some(open);
    }
}

/// One connection. `None` everywhere means that it is over.
async fn serve(client: TcpStream, shared: Arc<Shared>) -> Option<()> {
    let _ = client.set_nodelay(true);
    let takes_groups = shared.rng.lock().unwrap().bool();
    let mut session =
        Session { stream: BufReader::new(client), shared, mood: Mood::Kind, recipient: String::new(), awaited: "MAIL" };
    session.say("220 post office").await?;
    loop {
        let line = session.hear().await?;
        match line.get(..4).unwrap_or_default() {
            "EHLO" if takes_groups => session.say("250-post office\r\n250-PIPELINING\r\n250 8BITMIME").await?,
            "EHLO" => session.say("250-post office\r\n250 8BITMIME").await?,
            "MAIL" => {
                session.mood = session.shared.drawn_mood();
                session.awaited = if session.reach(Phase::Mail, "250 ok").await? { "RCPT" } else { "MAIL" };
            }
            verb @ ("RCPT" | "DATA") if verb != session.awaited => session.say("503 not now").await?,
            "RCPT" => {
                let address = line.split(['<', '>']).nth(1).unwrap_or_default();
                address.clone_into(&mut session.recipient);
                if session.reach(Phase::Rcpt, "250 ok").await? {
                    session.awaited = "DATA";
                }
            }
            "DATA" => session.take_mail().await?,
            "QUIT" => return session.say("221 bye").await,
            _ => session.say("250 ok").await?,
        }
    }
}

struct Session {
    stream: BufReader<TcpStream>,
    shared: Arc<Shared>,
    mood: Mood,
    recipient: String,
    /// The command of a mail that may come.
    awaited: &'static str,
}

impl Session {
    async fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.ok()?;
        line.strip_suffix("\r\n").map(str::to_owned)
    }

    async fn say(&mut self, reply: &str) -> Option<()> {
        if self.mood == Mood::Slow {
            pass(Duration::from_millis(500)).await;
        }
        self.stream.write_all(format!("{reply}\r\n").as_bytes()).await.ok()
    }

    /// Answers as usual, or as the mood is; whether that was positive.
    async fn reach(&mut self, phase: Phase, usual: &str) -> Option<bool> {
        match self.mood {
            Mood::Defers(at) if at == phase => self.say("451 later").await.map(|()| false),
            Mood::Rejects(at) if at == phase => self.say("550 no").await.map(|()| false),
            Mood::Stalls(at) if at == phase => {
                self.shared.until_mood_is_not(self.mood).await;
                None
            }
            Mood::DropsAfterDot if phase == Phase::Dot => None,
            _ => self.say(usual).await.map(|()| true),
        }
    }

    async fn take_mail(&mut self) -> Option<()> {
        if !self.reach(Phase::Data, "354 go on").await? {
            return Some(());
        }
        let (mut message_id, mut number) = (String::new(), String::new());
        loop {
            let line = self.hear().await?;
            if line == "." {
                break;
            }
            if let Some(id) = line.strip_prefix("Message-ID: ") {
                id.clone_into(&mut message_id);
            }
            if self.mood == Mood::DropsInData && !message_id.is_empty() {
                return None;
            }
            if line.len() >= 8 && line.bytes().all(|byte| byte.is_ascii_digit()) {
                number = line;
            }
        }
        let accepted = match self.mood {
            Mood::Defers(Phase::Dot) | Mood::Rejects(Phase::Dot) => Some(false),
            Mood::DropsAfterDot | Mood::Stalls(Phase::Dot) => None,
            _ => Some(true),
        };
        let recipient = self.recipient.clone();
        self.shared.note(Transmission { came_at: self.shared.time.now(), recipient, message_id, number, accepted });
        self.reach(Phase::Dot, "250 taken").await.map(drop)
    }
}

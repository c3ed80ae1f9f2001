//! An SMTP server that does as the test says: it answers, stalls or hangs up at any step, and shows what it was told.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use fiador::mail::smtp::{SmtpLimits, SmtpSettings, SmtpTls};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

pub use super::{
    smtp_places::Excess,
    smtp_script::{Answer, POISON, Step},
};
use super::{smtp_places::Places, smtp_script::Script};

pub const USER: &str = "fiador";
pub const PASSWORD: &str = "open sesame";

/// A mail that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The argument of MAIL.
    pub sender: String,
    /// The argument of RCPT.
    pub recipient: String,
    /// Head and body, without the dots of transparency.
    pub content: String,
}

impl Taken {
    /// The values of a header, folded lines joined.
    pub fn header(&self, name: &str) -> Vec<String> {
        let head = self.content.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ").replace("\r\n\t", " ");
        let prefix = format!("{}:", name.to_lowercase());
        let values = head.lines().filter(|line| line.to_lowercase().starts_with(&prefix));
        values.map(|line| line[prefix.len()..].trim().to_owned()).collect()
    }
}

pub struct SmtpSink {
    port: u16,
    tls: SmtpTls,
    root: CertificateDer<'static>,
    shared: Arc<Shared>,
    mails: mpsc::UnboundedReceiver<Taken>,
    accepting: JoinHandle<()>,
}

struct Shared {
    script: Script,
    places: Places,
    heard: watch::Sender<Vec<String>>,
    connections: Mutex<usize>,
    mails: mpsc::UnboundedSender<Taken>,
    numbers: Mutex<Vec<String>>,
    acceptor: TlsAcceptor,
    tls: SmtpTls,
}

impl SmtpSink {
    pub async fn start(tls: SmtpTls) -> Self {
        let (root, acceptor) = certificate();
        let (sender, mails) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            script: Script::default(),
            places: Places::default(),
            heard: watch::Sender::default(),
            connections: Mutex::default(),
            mails: sender,
            numbers: Mutex::default(),
            acceptor,
            tls,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Self { port, tls, root, shared, mails, accepting }
    }

    /// Goes away.
    pub fn stop_listening(&self) {
        self.accepting.abort();
    }

    /// Comes back to where it was.
    pub async fn listen_again(&mut self) {
        self.accepting = tokio::spawn(accept(TcpListener::bind(("127.0.0.1", self.port)).await.unwrap(), self.shared.clone()));
    }

    /// How to reach it.
    pub fn settings(&self) -> SmtpSettings {
        SmtpSettings {
            host: "localhost".to_owned(),
            port: self.port,
            tls: self.tls,
            allow_plaintext: false,
            user: None,
            password: None,
            extra_roots: vec![self.root.clone()],
            limits: SmtpLimits::default(),
        }
    }

    /// How to reach it when it is going to stall: no step may take longer than a second.
    pub fn impatient_settings(&self) -> SmtpSettings {
        let second = Duration::from_secs(1);
        let limits = SmtpLimits { connect: second, command: second, after_final_dot: second, whole: second * 10 };
        SmtpSettings { limits, ..self.settings() }
    }

    /// How to reach it with an account.
    pub fn settings_with_account(&self) -> SmtpSettings {
        SmtpSettings { user: Some(USER.to_owned()), password: Some(Zeroizing::new(PASSWORD.to_owned())), ..self.settings() }
    }

    /// Answers so the next time that `step` is reached, after what was scripted for it before.
    pub fn script(&self, step: Step, answer: Answer) {
        self.shared.script.add(step, answer);
    }

    pub fn says(&self, step: Step, reply: &'static str) {
        self.script(step, Answer::Say(reply));
    }

    /// Puts each mail off once, but those to a [`POISON`] address.
    pub fn greylists(&self) {
        self.shared.script.greylist();
    }

    /// Answers so to every mail to a [`POISON`] address, at `step`; at MAIL, to every one from such an address.
    pub fn spoils(&self, step: Step, answer: Answer) {
        self.shared.script.spoil(step, answer);
    }

    /// Serves no more than so many connections at once.
    pub fn allows(&self, connections: usize, excess: Excess) {
        self.shared.places.bound(connections, excess);
    }

    pub async fn next_mail(&mut self) -> Taken {
        self.mails.recv().await.unwrap()
    }

    /// The numbers in all mails that came, taken or not.
    pub fn numbers(&self) -> Vec<String> {
        self.shared.numbers.lock().unwrap().clone()
    }

    /// Mails that were taken and not yet awaited.
    pub fn mails_left(&self) -> usize {
        self.mails.len()
    }

    /// Every command it was told, in order.
    pub fn heard(&self) -> Vec<String> {
        self.shared.heard.borrow().clone()
    }

    pub fn has_heard(&self, verb: &str) -> bool {
        self.heard().iter().any(|command| command.starts_with(verb))
    }

    /// Waits until it was told so often.
    pub async fn until_heard(&self, verb: &str, count: usize) {
        let has_come = |heard: &Vec<String>| heard.iter().filter(|command| command.starts_with(verb)).count() >= count;
        self.shared.heard.subscribe().wait_for(has_come).await.unwrap();
    }

    /// Whether all that was scripted has happened.
    pub fn has_followed_the_script(&self) -> bool {
        self.shared.script.is_over()
    }

    pub fn connections(&self) -> usize {
        *self.shared.connections.lock().unwrap()
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A self-signed certificate for `localhost`, as root and as what a server shows.
fn certificate() -> (CertificateDer<'static>, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let root = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![root.clone()], key)
        .unwrap();
    (root, TlsAcceptor::from(Arc::new(config)))
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut sessions = tokio::task::JoinSet::new(); // aborted with this task
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        *shared.connections.lock().unwrap() += 1;
        sessions.spawn(serve(socket, shared.clone()));
    }
}

/// One connection. `None` everywhere means that it is over.
async fn serve(mut socket: TcpStream, shared: Arc<Shared>) -> Option<()> {
    let _place = shared.places.take(&mut socket).await?;
    if shared.tls == SmtpTls::Implicit {
        let stream = shared.acceptor.accept(socket).await.ok()?;
        return Session::new(stream, &shared, true).talk(true).await.map(drop);
    }
    let must_secure = Session::new(&mut socket, &shared, false).talk(true).await?;
    if must_secure {
        let stream = shared.acceptor.accept(socket).await.ok()?;
        Session::new(stream, &shared, true).talk(false).await?;
    }
    Some(())
}

struct Session<'a, S> {
    stream: BufReader<S>,
    shared: &'a Shared,
    is_secure: bool,
    sender: String,
    recipient: String,
    /// The line of digits in the newest mail.
    number: String,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Session<'a, S> {
    fn new(stream: S, shared: &'a Shared, is_secure: bool) -> Self {
        Self {
            stream: BufReader::new(stream),
            shared,
            is_secure,
            sender: String::new(),
            recipient: String::new(),
            number: String::new(),
        }
    }

    /// Until the end; `true` when the client is to start TLS.
    async fn talk(&mut self, greets: bool) -> Option<bool> {
        if greets {
            self.answer(Step::Greeting, "220 sink").await?;
        }
        loop {
            let line = self.listen().await?;
            self.shared.heard.send_modify(|heard| heard.push(line.clone()));
            let (verb, rest) = line.split_at(line.find([' ', ':']).unwrap_or(line.len()));
            match verb.to_uppercase().as_str() {
                "EHLO" => self.answer(Step::Ehlo, self.offer()).await?,
                "STARTTLS" => {
                    self.answer(Step::StartTls, "220 go ahead").await?;
                    return Some(true);
                }
                "AUTH" => self.log_in(rest.trim()).await?,
                "MAIL" => {
                    rest.clone_into(&mut self.sender);
                    self.recipient.clear();
                    self.number.clear();
                    self.answer(Step::Mail, "250 2.1.0 sender ok").await?;
                }
                "RCPT" => {
                    rest.clone_into(&mut self.recipient);
                    self.answer(Step::Rcpt, "250 2.1.5 recipient ok").await?;
                }
                "DATA" => self.take_mail().await?,
                "RSET" => self.answer(Step::Rset, "250 reset").await?,
                "NOOP" => self.answer(Step::Noop, "250 noop").await?,
                "QUIT" => {
                    self.answer(Step::Quit, "221 bye").await?;
                    return Some(false);
                }
                _ => self.say("500 what").await?,
            }
        }
    }

    fn offer(&self) -> &'static str {
        let wants_tls = self.shared.tls == SmtpTls::StartTls && !self.is_secure;
        if wants_tls { "250-sink\r\n250-STARTTLS\r\n250 8BITMIME" } else { "250-sink\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME" }
    }

    /// Only AUTH PLAIN with an initial response.
    async fn log_in(&mut self, argument: &str) -> Option<()> {
        let right = format!("PLAIN {}", BASE64.encode(format!("\0{USER}\0{PASSWORD}")));
        let reply = if argument == right { "235 2.7.0 welcome" } else { "535 5.7.8 wrong credentials" };
        self.answer(Step::Auth, reply).await
    }

    async fn take_mail(&mut self) -> Option<()> {
        if !self.answer_positive(Step::Data, "354 go on").await? {
            return Some(());
        }
        let mut content = String::new();
        loop {
            let line = self.listen().await?;
            if line == "." {
                break;
            }
            content.push_str(line.strip_prefix('.').unwrap_or(&line));
            content.push_str("\r\n");
        }
        let is_number = |line: &&str| line.len() >= 6 && line.bytes().all(|byte| byte.is_ascii_digit());
        content.lines().find(is_number).unwrap_or_default().clone_into(&mut self.number);
        self.shared.numbers.lock().unwrap().push(self.number.clone());
        let mail = Taken { sender: self.sender.clone(), recipient: self.recipient.clone(), content };
        if !self.shared.script.has(Step::Dot, &self.recipient) {
            self.shared.mails.send(mail).ok()?;
        }
        self.answer(Step::Dot, "250 2.0.0 queued as 4711").await
    }

    async fn listen(&mut self) -> Option<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.ok()?;
        line.strip_suffix("\r\n").map(str::to_owned)
    }

    async fn answer(&mut self, step: Step, usual: &'static str) -> Option<()> {
        self.answer_positive(step, usual).await.map(drop)
    }

    async fn answer_positive(&mut self, step: Step, usual: &'static str) -> Option<bool> {
        let address = if step == Step::Mail { &self.sender } else { &self.recipient };
        match self.shared.script.take(step, address).unwrap_or(Answer::Say(usual)) {
            Answer::Say(reply) => {
                self.say(reply).await?;
                Some(reply.starts_with(['2', '3']))
            }
            Answer::Bytes(bytes) => self.write(bytes).await.map(|()| false),
            Answer::Echo(reply) => {
                let reply = format!("{reply} to {}: {}", self.recipient, self.number);
                self.say(&reply).await.map(|()| false)
            }
            Answer::Forever(text) => self.repeat(text).await,
            Answer::Drip(text) => self.drip(text).await,
            Answer::Late(span) => {
                if timeout(span, self.stall()).await.is_ok() {
                    return None; // the client was less patient
                }
                self.say(usual).await.map(|()| usual.starts_with(['2', '3']))
            }
            Answer::HangUp => None,
            Answer::Stall => self.stall().await,
        }
    }

    async fn say(&mut self, reply: &str) -> Option<()> {
        self.write(format!("{reply}\r\n").as_bytes()).await
    }

    /// Until nobody listens any more.
    async fn repeat(&mut self, text: &str) -> Option<bool> {
        let much = text.repeat(64 * 1024 / text.len());
        loop {
            self.write(much.as_bytes()).await?;
        }
    }

    /// Until the client hangs up.
    async fn stall(&mut self) -> Option<bool> {
        tokio::io::copy(&mut self.stream, &mut tokio::io::sink()).await.ok()?;
        None
    }

    async fn drip(&mut self, text: &str) -> Option<bool> {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        for byte in text.bytes().cycle() {
            ticks.tick().await;
            self.write(&[byte]).await?;
        }
        None
    }

    async fn write(&mut self, bytes: &[u8]) -> Option<()> {
        self.stream.write_all(bytes).await.ok()?;
        self.stream.flush().await.ok()
    }
}

//! An SMTP server that does as the test says: it answers, stalls or hangs up at any step, and shows what it was told.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fiador::mail::smtp::{SmtpLimits, SmtpSettings, SmtpTls};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

pub use super::{
    smtp_places::Excess,
    smtp_script::{Answer, POISON, Step},
};
use super::{smtp_places::Places, smtp_script::Script, smtp_session::Session};

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

pub(super) struct Shared {
    pub(super) script: Script,
    places: Places,
    pub(super) heard: watch::Sender<Vec<String>>,
    connections: Mutex<usize>,
    pub(super) mails: mpsc::UnboundedSender<Taken>,
    pub(super) numbers: Mutex<Vec<String>>,
    acceptor: TlsAcceptor,
    pub(super) tls: SmtpTls,
    pub(super) takes_groups: AtomicBool,
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
            takes_groups: AtomicBool::new(false),
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

    /// Takes commands in groups from now on (PIPELINING).
    pub fn takes_groups(self) -> Self {
        self.shared.takes_groups.store(true, Ordering::Relaxed);
        self
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

/// A server that takes one command after another, and one that takes them in groups.
pub async fn both_sinks() -> [SmtpSink; 2] {
    [SmtpSink::start(SmtpTls::None).await, SmtpSink::start(SmtpTls::None).await.takes_groups()]
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

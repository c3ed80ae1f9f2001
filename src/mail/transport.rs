//! The two ways a mail can go.

use std::sync::Arc;

use super::{
    answers::Answers,
    connecting::Server,
    inbox::Inbox,
    leash::Leash,
    providers::Providers,
    rendering::Mail,
    smtp::{SmtpLine, SmtpSettings},
};
use crate::domain::MessageOutcome;

pub use super::connecting::SmtpSetupError;

/// Where mails go, as configured; opens a [`Transport`] for each worker. Clones share what is known of the servers.
#[derive(Clone, Debug)]
pub struct Route(Way);

#[derive(Clone, Debug)]
enum Way {
    Smtp(Arc<Providers>),
    Memory(Inbox),
}

impl Route {
    /// To the first of `servers` that takes mails. Reads the trusted roots.
    ///
    /// # Errors
    /// [`SmtpSetupError`], which says what is to be mended.
    pub fn smtp(servers: Vec<SmtpSettings>) -> Result<Self, SmtpSetupError> {
        let servers: Vec<Server> = servers.into_iter().map(Server::new).collect::<Result<_, _>>()?;
        Ok(Self(Way::Smtp(Arc::new(Providers::new(servers)))))
    }

    /// Into the dev inbox.
    pub fn memory(inbox: Inbox) -> Self {
        Self(Way::Memory(inbox))
    }

    /// The dev inbox, if mails go there.
    pub fn inbox(&self) -> Option<&Inbox> {
        match &self.0 {
            Way::Memory(inbox) => Some(inbox),
            Way::Smtp(_) => None,
        }
    }

    /// A transport of its own for one worker; connects when it is first needed.
    pub fn open(&self) -> Transport {
        match &self.0 {
            Way::Smtp(providers) => Transport::Smtp(Box::new(SmtpLine::new(providers.clone()))),
            Way::Memory(inbox) => Transport::Memory(inbox.clone()),
        }
    }

    /// Whether mails can be tried at present.
    pub fn takes_mails(&self) -> bool {
        match &self.0 {
            Way::Smtp(providers) => providers.take_mails(),
            Way::Memory(_) => true,
        }
    }

    /// The outcome of a try while none can be made: what a transport's would be.
    pub fn held(&self) -> Option<MessageOutcome> {
        (!self.takes_mails()).then(|| Answers::default().outcome())
    }

    /// Returns when the next mail may be tried, or none can be: at a server in doubt they are begun one after another.
    pub async fn next_turn(&self) {
        match &self.0 {
            Way::Smtp(providers) => providers.next_turn().await,
            Way::Memory(_) => {}
        }
    }

    /// How many connections may carry mails at once, as far as is known.
    pub fn connections(&self) -> usize {
        match &self.0 {
            Way::Smtp(providers) => providers.connections(),
            Way::Memory(_) => usize::MAX,
        }
    }

    /// Each server that takes no mails, or where they break off, and why; for the operator, without address.
    pub fn alarms(&self) -> Vec<String> {
        match &self.0 {
            Way::Smtp(providers) => providers.iter().filter_map(|provider| provider.breaker.alarm()).collect(),
            Way::Memory(_) => Vec::new(),
        }
    }

    /// All servers, for [`Self::probe`].
    pub fn servers(&self) -> Vec<usize> {
        match &self.0 {
            Way::Smtp(providers) => (0..providers.len()).collect(),
            Way::Memory(_) => Vec::new(),
        }
    }

    /// Those that whoever asks has to probe now: they take no mails, and their time has come.
    pub fn due_probes(&self) -> Vec<usize> {
        match &self.0 {
            Way::Smtp(providers) => providers.due_probes(),
            Way::Memory(_) => Vec::new(),
        }
    }

    /// Connects to one server and hangs up; whether it could. What is known of it changes with that.
    pub async fn probe(&self, server: usize) -> bool {
        match &self.0 {
            Way::Smtp(providers) => providers.probe(server).await,
            Way::Memory(_) => true,
        }
    }

    /// Returns when a server that took no mails was reached, or has taken one, since the last call.
    pub async fn recovered(&self) {
        match &self.0 {
            Way::Smtp(providers) => providers.recovered().await,
            Way::Memory(_) => std::future::pending().await,
        }
    }
}

/// One worker's way out.
#[derive(Debug)]
pub enum Transport {
    /// A connection to an SMTP server.
    Smtp(Box<SmtpLine>),
    /// The dev inbox.
    Memory(Inbox),
}

impl Transport {
    /// One try to hand over `mail`, which may be given up by its leash.
    pub async fn attempt(&mut self, mail: &Mail, leash: &Leash) -> MessageOutcome {
        match self {
            Self::Smtp(line) => line.attempt(mail, leash).await,
            Self::Memory(inbox) => {
                inbox.capture(mail);
                MessageOutcome::Captured
            }
        }
    }

    /// Whether it can be used for a mail without a new connection.
    pub fn is_connected(&self) -> bool {
        match self {
            Self::Smtp(line) => line.is_connected(),
            Self::Memory(_) => true,
        }
    }

    /// Whether it holds a connection that nobody has used for long.
    pub fn is_stale(&self) -> bool {
        match self {
            Self::Smtp(line) => line.is_stale(),
            Self::Memory(_) => false,
        }
    }

    /// Hangs up.
    pub async fn close(&mut self) {
        match self {
            Self::Smtp(line) => line.close().await,
            Self::Memory(_) => {}
        }
    }
}

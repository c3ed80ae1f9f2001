//! The two ways a mail can go.

use std::sync::Arc;

use super::{
    connecting::Server,
    inbox::Inbox,
    rendering::Mail,
    smtp::{SmtpLine, SmtpSettings},
};
use crate::domain::MessageOutcome;

pub use super::connecting::SmtpSetupError;

/// Where mails go, as configured; opens a [`Transport`] for each worker.
#[derive(Clone, Debug)]
pub struct Route(Way);

#[derive(Clone, Debug)]
enum Way {
    Smtp(Arc<[Server]>),
    Memory(Inbox),
}

impl Route {
    /// To the first of `servers` that takes a connection. Reads the trusted roots.
    ///
    /// # Errors
    /// [`SmtpSetupError`], which says what is to be mended.
    pub fn smtp(servers: Vec<SmtpSettings>) -> Result<Self, SmtpSetupError> {
        let servers: Vec<Server> = servers.into_iter().map(Server::new).collect::<Result<_, _>>()?;
        Ok(Self(Way::Smtp(servers.into())))
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
            Way::Smtp(servers) => Transport::Smtp(Box::new(SmtpLine::new(servers.clone()))),
            Way::Memory(inbox) => Transport::Memory(inbox.clone()),
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
    /// One try to hand over `mail`.
    pub async fn send(&mut self, mail: &Mail) -> MessageOutcome {
        match self {
            Self::Smtp(line) => line.send(mail).await,
            Self::Memory(inbox) => {
                inbox.capture(mail);
                MessageOutcome::Captured
            }
        }
    }

    /// Connects if need be.
    ///
    /// # Errors
    /// Why it could not, for the operator; without address.
    pub async fn reach(&mut self) -> Result<(), String> {
        match self {
            Self::Smtp(line) => line.reach().await,
            Self::Memory(_) => Ok(()),
        }
    }

    /// Why the last attempt to connect failed; none when it did not. Without address.
    pub fn trouble(&self) -> Option<&str> {
        match self {
            Self::Smtp(line) => line.trouble(),
            Self::Memory(_) => None,
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

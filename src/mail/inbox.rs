//! The dev inbox: mails in memory instead of in the post.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::timeout};

use super::rendering::Mail;
use crate::domain::{EmailAddress, Moment};

/// How many mails it keeps; the oldest go first.
pub const CAPACITY: usize = 1_000;

/// A mail that was caught.
#[derive(Clone, PartialEq, Eq)]
pub struct InboxMail {
    /// Its `Message-ID`, angle brackets included.
    pub id: String,
    /// To whom, as given.
    pub to: EmailAddress,
    /// Its subject.
    pub subject: String,
    /// Its text part.
    pub text: String,
    /// Its HTML part.
    pub html: String,
    /// When it was caught.
    pub received_at: Moment,
}

impl fmt::Debug for InboxMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InboxMail")
    }
}

/// The newest [`CAPACITY`] mails. Clones share them, so that they outlive a restart of the Mailer.
#[derive(Clone)]
pub struct Inbox {
    shared: Arc<Shared>,
}

struct Shared {
    /// Newest first.
    mails: Mutex<VecDeque<InboxMail>>,
    /// How many mails ever came; wakes whoever waits for the next.
    arrivals: watch::Sender<u64>,
    now: Box<dyn Fn() -> Moment + Send + Sync>,
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inbox")
    }
}

impl Inbox {
    /// An empty inbox that stamps mails with what `now` says.
    pub fn new(now: impl Fn() -> Moment + Send + Sync + 'static) -> Self {
        let shared = Shared { mails: Mutex::default(), arrivals: watch::Sender::new(0), now: Box::new(now) };
        Self { shared: Arc::new(shared) }
    }

    /// Keeps `mail`. A mail that is there already, by its `Message-ID`, is replaced: it is another try.
    pub fn capture(&self, mail: &Mail) {
        let caught = InboxMail {
            id: mail.message_id.clone(),
            to: mail.to.clone(),
            subject: mail.subject.clone(),
            text: mail.text.clone(),
            html: mail.html.clone(),
            received_at: (self.shared.now)(),
        };
        let mut mails = self.mails();
        mails.retain(|earlier| earlier.id != caught.id);
        mails.push_front(caught);
        mails.truncate(CAPACITY);
        drop(mails);
        self.shared.arrivals.send_modify(|count| *count += 1);
    }

    /// The mails to `to`, to anyone when none, newest first.
    pub fn read(&self, to: Option<&EmailAddress>) -> Vec<InboxMail> {
        let wanted = to.map(EmailAddress::normalised);
        let is_wanted = |mail: &&InboxMail| wanted.as_ref().is_none_or(|wanted| mail.to.normalised() == *wanted);
        self.mails().iter().filter(is_wanted).cloned().collect()
    }

    /// Like [`Self::read`], but waits for at most `patience` until there is one.
    pub async fn wait(&self, to: Option<&EmailAddress>, patience: Duration) -> Vec<InboxMail> {
        let mut arrivals = self.shared.arrivals.subscribe();
        let first = async {
            loop {
                arrivals.borrow_and_update();
                let mails = self.read(to);
                if !mails.is_empty() || arrivals.changed().await.is_err() {
                    return mails;
                }
            }
        };
        timeout(patience, first).await.unwrap_or_default()
    }

    fn mails(&self) -> MutexGuard<'_, VecDeque<InboxMail>> {
        // no code that can panic runs while it is locked, and half a list would still be a list
        self.shared.mails.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

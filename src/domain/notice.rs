use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    ApplicationName, EmailAddress, KeyedHash, LeasedMessage, Locale, MailId, MailView, MessageId, MessageKey, Moment, Purpose,
    QueuedMessage, verification::REMEMBERED,
};

/// How long a notice may be on its way: whoever was not told within a day is not told by mail.
const LIFE: Duration = Duration::from_secs(24 * 3600);

/// A mail that carries no number: it tells of a change that its reader may not have made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Names it among its address's mails.
    pub key: KeyedHash,
    /// Whose it is.
    pub application: ApplicationName,
    /// To whom.
    pub address: EmailAddress,
    /// In which language.
    pub locale: Locale,
    /// The mail.
    pub message: QueuedMessage,
    /// Until when it is tried.
    pub expires_at: Moment,
}

impl Notice {
    /// That the password was changed, due at once.
    pub fn of_password(
        key: KeyedHash,
        application: ApplicationName,
        address: EmailAddress,
        locale: Locale,
        message_id: MessageId,
        now: Moment,
    ) -> Self {
        let message = QueuedMessage::uncharged(message_id, now);
        Self { key, application, address, locale, message, expires_at: now + LIFE }
    }

    /// Whether somebody may still ask for it: it waits, is being sent, or failed lately.
    pub fn matters(&self, now: Moment) -> bool {
        let is_open = self.message.due_at().is_some() || self.message.has_failed();
        is_open && now < self.forgotten_at()
    }

    /// When nobody asks for it any more.
    pub fn forgotten_at(&self) -> Moment {
        self.expires_at + REMEMBERED
    }

    /// Leases its mail; none when nobody is to send it.
    pub fn lease_message(&mut self, handle: [u8; 16], now: Moment) -> Option<LeasedMessage> {
        self.message.due_at()?;
        let leased_until = self.message.lease(now);
        Some(LeasedMessage {
            key: MessageKey { handle, verification: self.key },
            fence: self.message.fence(),
            tries: self.message.tries(),
            leased_until,
            leased_at: now,
            application: self.application.clone(),
            address: self.address.clone(),
            number: None,
            purpose: Purpose::password_changed(),
            locale: self.locale,
            started_at: self.message.created_at,
            queued_at: self.message.created_at,
            expires_at: self.expires_at,
            message_id: self.message.message_id.written(),
            written: None,
        })
    }

    /// As its application sees it.
    pub fn mail_view(&self, id: &MailId) -> MailView {
        MailView {
            id: id.clone(),
            delivery: self.message.view(),
            purpose: Purpose::password_changed(),
            masked_address: Some(self.address.masked()),
            created_at: self.message.created_at,
            expires_at: self.expires_at,
        }
    }
}

//! Messages and applications to write mails for.

use std::{collections::BTreeMap, time::Duration};

use fiador::{
    domain::{
        Application, ApplicationName, EmailAddress, IdentityNumber, LeasedMessage, Limits, Locale, Lookup, MessageKey,
        MessageOutcome, Moment, Purpose, SecondStep,
    },
    mail::{
        leash::Leash,
        rendering::{Mail, Renderer},
        transport::Transport,
    },
};

pub const NUMBER: &str = "40718293";
pub const MESSAGE_ID: &str = "<3f0c9a.1@mail.example.com>";

pub fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

pub fn application() -> Application {
    Application {
        name: ApplicationName::parse("shop").unwrap(),
        display_name: "Corner Shop".to_owned(),
        keys: vec![],
        locale: Locale::EN,
        from: address("codes@shop.example"),
        reply_to: Some(address("help@shop.example")),
        lookup: Lookup::Id,
        number_in_subject: false,
        second_step: SecondStep::Number,
        is_test: false,
        limits: Limits::default(),
        purposes: BTreeMap::new(),
    }
}

/// A mail with a fresh lease of a minute.
pub fn message(to: &str) -> LeasedMessage {
    let started_at = Moment(1_767_225_600_000); // 2026-01-01T00:00:00Z
    LeasedMessage {
        key: MessageKey { handle: [1; 16], verification: [2; 16] },
        fence: 1,
        tries: 0,
        leased_until: started_at + Duration::from_secs(60),
        leased_at: started_at,
        application: ApplicationName::parse("shop").unwrap(),
        address: address(to),
        number: Some(IdentityNumber::parse(NUMBER).unwrap()),
        purpose: Purpose::default(),
        locale: Locale::EN,
        started_at,
        queued_at: started_at,
        expires_at: started_at + Duration::from_secs(600),
        message_id: MESSAGE_ID.to_owned(),
        written: None,
    }
}

pub fn mail(to: &str) -> Mail {
    Renderer::default().render(&message(to), &application()).unwrap()
}

pub trait SendUnhurried {
    /// A try that nobody gives up.
    fn send(&mut self, mail: &Mail) -> impl Future<Output = MessageOutcome>;
}

impl SendUnhurried for Transport {
    async fn send(&mut self, mail: &Mail) -> MessageOutcome {
        self.attempt(mail, &Leash::default()).await
    }
}

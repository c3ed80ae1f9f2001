//! What a mail server may answer, and what any address makes of a mail: see [`crate::fuzzing`].

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, LazyLock},
};

use lettre::transport::smtp::{authentication::Mechanism, client::AsyncSmtpConnection, commands::Rcpt, extension::ClientId};
use tokio::io::DuplexStream;
use zeroize::Zeroizing;

use super::{
    answers::Answers,
    connecting::ask_for_tls,
    dialog::{Aside, Dialog},
    handover::Connection,
    leash::Leash,
    rendering::{Mail, Renderer},
    reply::{Deadline, presentable},
    smtp::{SmtpLimits, SmtpSettings, SmtpTls},
};
use crate::domain::{
    Application, ApplicationName, EmailAddress, IdentityNumber, LeasedMessage, Limits, Locale, Lookup, MessageKey,
    MessageOutcome, Moment, Purpose, SecondStep,
};

const NUMBER: &str = "12345678";
const PASSWORD: &str = "hush-hush-of-nobody";
/// The lines of a mail's head, in the order of their names.
const HEADERS: [&str; 8] = ["Auto-Submitted", "Content-Type", "Date", "From", "MIME-Version", "Message-ID", "Subject", "To"];

static RENDERER: LazyLock<Renderer> = LazyLock::new(Renderer::default);

/// Speaks to a server over `stream`: asks it for TLS in clear, or logs in and hands over a mail, as over TLS.
///
/// # Panics
/// When what is kept of its answers is more than may be kept.
pub(crate) async fn speak_over(mut stream: DuplexStream, in_clear: bool) {
    let (hello, settings) = (ClientId::default(), settings());
    if in_clear {
        if let Err(trouble) = ask_for_tls(&mut stream, &hello).await {
            may_be_kept(&presentable(&trouble.to_string(), None, &settings.logins()));
        }
        return;
    }
    let aside = Arc::new(Aside::default());
    let dialog = Dialog::new(stream, SocketAddr::from((Ipv4Addr::LOCALHOST, 25)), b"", aside.clone());
    let Ok(mut connection) = AsyncSmtpConnection::connect_with_transport(Box::new(dialog), &hello).await else { return };
    let credentials = settings.credentials().expect("they are given");
    let _ = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await; // it may go on without
    let ada = EmailAddress::parse("ada@example.org").expect("it is an address");
    match send_over(Connection::new(connection, aside, Arc::default(), settings.limits), &settings, &mail_to(ada)).await {
        MessageOutcome::Sent(reply)
        | MessageOutcome::Refused(reply)
        | MessageOutcome::Held(reply)
        | MessageOutcome::Deferred { reply, .. } => {
            assert!(!reply.contains(NUMBER), "{reply:?}");
            may_be_kept(&reply);
        }
        other => panic!("{other:?} is not what a server says"),
    }
}

/// One try, after which the connection is made ready for another one.
async fn send_over(mut connection: Connection, settings: &SmtpSettings, mail: &Mail) -> MessageOutcome {
    let leash = Leash::default();
    let deadline = Deadline::after(settings.limits.whole, &leash);
    let result = connection.hand_over(mail, deadline).await;
    connection.reset(deadline).await;
    let mut answers = Answers::default();
    answers.take(result, |text| settings.kept(text, mail.number.as_ref())).unwrap_or_else(|| answers.outcome())
}

fn may_be_kept(reply: &str) {
    assert!(reply.chars().count() <= 200 && !reply.contains(char::is_control), "{reply:?}");
    assert!(!reply.contains('@') && !reply.contains(PASSWORD), "{reply:?}");
}

fn settings() -> SmtpSettings {
    SmtpSettings {
        host: "smtp.example.org".to_owned(),
        port: 587,
        tls: SmtpTls::StartTls,
        allow_plaintext: false,
        user: Some("ada".to_owned()),
        password: Some(Zeroizing::new(PASSWORD.to_owned())),
        extra_roots: Vec::new(),
        limits: SmtpLimits::default(),
    }
}

/// Writes a mail to `address`: it has our headers and no others, and goes to that address alone.
///
/// # Panics
/// When that does not hold.
pub(crate) fn has_our_headers_alone(address: EmailAddress) {
    let (for_smtp, mail) = (address.for_smtp(), mail_to(address));
    let text = String::from_utf8_lossy(&mail.bytes).into_owned();
    let (head, _) = text.split_once("\r\n\r\n").expect("a mail has a head and a body");
    let lines: Vec<&str> = head.split("\r\n").collect();
    assert!(!lines.iter().any(|line| line.contains(['\r', '\n', '\0'])), "{head:?}");
    let mut names: Vec<&str> =
        lines.iter().filter(|line| !line.starts_with([' ', '\t'])).filter_map(|line| Some(line.split_once(':')?.0)).collect();
    names.sort_unstable();
    assert_eq!(names, HEADERS, "{head:?}");
    let recipients: Vec<String> = mail.envelope.to().iter().map(ToString::to_string).collect();
    assert_eq!(recipients, [for_smtp.as_str()]);
    let command = Rcpt::new(mail.envelope.to()[0].clone(), vec![]).to_string();
    assert_eq!(command, format!("RCPT TO:<{for_smtp}>\r\n"));
}

fn mail_to(address: EmailAddress) -> Mail {
    let message = LeasedMessage {
        key: MessageKey { handle: [1; 16], verification: [3; 16] },
        fence: 1,
        tries: 0,
        leased_until: Moment(60_000),
        leased_at: Moment(0),
        queued_at: Moment(0),
        application: ApplicationName::parse("shop").expect("it is a word"),
        address,
        number: Some(IdentityNumber::parse(NUMBER).expect("it is 8 digits")),
        purpose: Purpose::default(),
        locale: Locale::EN,
        started_at: Moment(0),
        expires_at: Moment(600_000),
        message_id: "<m-1@example.org>".to_owned(),
        written: None,
    };
    RENDERER.render(&message, &application()).expect("every address that is taken can be written to")
}

fn application() -> Application {
    Application {
        is_test: false,
        name: ApplicationName::parse("shop").expect("it is a word"),
        display_name: "The Shop".to_owned(),
        keys: Vec::new(),
        locale: Locale::EN,
        from: EmailAddress::parse("no-reply@example.org").expect("it is an address"),
        reply_to: None,
        lookup: Lookup::Id,
        number_in_subject: false,
        second_step: SecondStep::Number,
        limits: Limits::default(),
        purposes: BTreeMap::new(),
    }
}

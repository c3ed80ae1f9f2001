//! Whatever an address is made of, it is refused or carried whole: one mail, to it alone, with no header of its own.

use std::collections::BTreeSet;

use fiador::{
    domain::{EmailAddress, MessageOutcome},
    mail::{rendering::Renderer, smtp::SmtpTls, transport::Route},
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use crate::kit::{
    post::{SendUnhurried, application, mail, message},
    smtp_sink::{SmtpSink, Step, Taken},
};

const TRIES: usize = 2_000;

/// Pieces that mean something to SMTP, to a header, to MIME or to a terminal, between letters.
fn hostile_address() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => "[a-z0-9+_-]{1,4}",
        1 => prop::sample::select(vec![
            "\r\n", "\n", "\r", "\0", "\r\nRCPT TO:<eve@example.org>\r\n", "\r\nBcc: eve@example.org", "\n.\n", "%0d%0aBcc:",
            "\\r\\n", "=0D=0A", "=?utf-8?q?=0D=0ABcc:?=", "\u{85}", "\u{2028}", "\u{2029}", "\u{1b}[2J", "\t", " ", "\"", "'", "<",
            ">", "(", ")", ",", ";", ":", "@", "{", "}", "*", "$", "`", "|", "~", "^", "!", "#", "%", "&", "/", "=", "?", "ä",
            "\u{202e}", "\u{fe0f}", "\u{ff20}", ".", "..",
        ])
        .prop_map(str::to_owned),
    ];
    (prop::collection::vec(piece, 1..6), prop::sample::select(vec!["example.org", "exämple.org", "a.b\r\n.c", "[127.0.0.1]", ""]))
        .prop_map(|(local, domain)| format!("{}@{domain}", local.concat()))
}

fn header_names(mail: &Taken) -> Vec<String> {
    let head = mail.content.split("\r\n\r\n").next().unwrap();
    let starts = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
    starts.map(|line| line.split(':').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn no_address_adds_a_mail_a_recipient_or_a_header() {
    let mut sink = SmtpSink::start(SmtpTls::None).await;
    sink.says(Step::Ehlo, "250-sink\r\n250-SMTPUTF8\r\n250 8BITMIME");
    let mut transport = Route::smtp(vec![sink.settings()]).unwrap().open();
    transport.send(&mail("ada@example.org")).await;
    let expected = header_names(&sink.next_mail().await);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);

    let mut carried = BTreeSet::new();
    for _ in 0..TRIES {
        let address = hostile_address().new_tree(&mut runner).unwrap().current();
        if EmailAddress::parse(&address).is_err() || !carried.insert(address.clone()) {
            continue;
        }
        let Ok(mail) = Renderer::default().render(&message(&address), &application()) else {
            panic!("{address:?} is taken for an address, but no mail can carry it");
        };
        assert!(!address.contains(char::is_control), "{address:?}");
        let outcome = transport.send(&mail).await;
        assert!(matches!(outcome, MessageOutcome::Sent(_)), "{address:?}: {outcome:?}");
        let taken = sink.next_mail().await;
        assert_eq!(header_names(&taken), expected, "{address:?}");
        let recipient = taken.recipient.strip_prefix(" TO:<").and_then(|rest| rest.strip_suffix('>')).unwrap();
        assert_eq!(recipient.split_once('@').unwrap().0, address.split_once('@').unwrap().0);
    }
    assert!(carried.len() > 100, "{} addresses were carried", carried.len());
    assert_eq!(sink.mails_left(), 0);
    let verbs: BTreeSet<String> = sink.heard().iter().map(|line| line.split([' ', ':']).next().unwrap().to_owned()).collect();
    assert_eq!(verbs, ["DATA", "EHLO", "MAIL", "RCPT"].map(str::to_owned).into());
    let recipients = sink.heard().iter().filter(|line| line.starts_with("RCPT")).count();
    assert_eq!(recipients, carried.len() + 1);
}

//! Mails that spoil their dialogs, new ones and at every retry, and the others beside them.

use std::time::Duration;

use fiador::mail::smtp::SmtpTls;
use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use crate::kit::{
    caller::Caller,
    daemon::Home,
    smtp_sink::{Answer, POISON, SmtpSink, Step},
};

/// Far less than a mail that hangs takes (20 s), far more than one that does not.
const AT_ONCE: Duration = Duration::from_secs(8);

fn home_of(sink: &SmtpSink) -> (Home, String) {
    Home::with_application(&format!(
        "[[smtp]]\nhost = \"localhost\"\nport = {}\ntls = \"none\"\nfrom = \"no-reply@shop.example\"",
        sink.settings().port,
    ))
}

async fn start_poisons(caller: &Caller, count: usize) {
    let starts = (0..count).map(async |n| drop(caller.start_for(&format!("{POISON}{n}@example.org")).await));
    stream::iter(starts).buffer_unordered(16).collect::<Vec<()>>().await;
}

/// Whether each of the mails started while `poisons` spoil their dialogs comes at once, until these were tried `tries` times
/// each.
async fn others_come_at_once(step: Step, answer: Answer, poisons: usize, tries: usize) {
    let mut sink = SmtpSink::start(SmtpTls::None).await;
    sink.spoils(step, answer.clone());
    let (home, key) = home_of(&sink);
    let poisoner = home.declare_another_application();
    home.write("config.toml", &format!("{}\nfrom = \"{POISON}@forum.example\"\n", home.read("config.toml")));
    let daemon = home.start().await;
    let (caller, poisoner) = (Caller::of(&daemon, &key), Caller::of(&daemon, &poisoner));
    start_poisons(&poisoner, poisons).await;

    let mut others = 0;
    while others == 0
        || sink.heard().iter().filter(|command| command.starts_with("MAIL") && command.contains(POISON)).count() < poisons * tries
    {
        let address = format!("ada{others}@example.org");
        caller.start_for(&address).await;
        let mail = timeout(AT_ONCE, sink.next_mail()).await;
        let mail = mail.unwrap_or_else(|_| panic!("{address} waited for {answer:?} at {step:?}"));
        assert!(mail.recipient.contains(&address), "{} came before {address}", mail.recipient);
        let ready = caller.get("/health/ready").await;
        assert_eq!(ready.status, 200, "{}", ready.text);
        others += 1;
    }
}

#[tokio::test]
async fn mails_that_break_off_after_the_final_dot_delay_no_others() {
    others_come_at_once(Step::Dot, Answer::HangUp, 40, 2).await;
}

#[tokio::test]
async fn mails_that_hang_delay_no_others_that_are_tried_again() {
    let mut sink = SmtpSink::start(SmtpTls::None).await;
    sink.spoils(Step::Dot, Answer::Stall);
    sink.greylists();
    let (home, key) = home_of(&sink);
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    start_poisons(&caller, 30).await;
    sink.until_heard("DATA", 30 * 2).await; // all of them hang again

    for n in 0..10 {
        let address = format!("ada{n}@example.org");
        caller.start_for(&address).await;
        let mail = timeout(AT_ONCE, sink.next_mail()).await.unwrap_or_else(|_| panic!("{address} waited"));
        assert!(mail.recipient.contains(&address));
    }
}

#[tokio::test]
async fn mails_whose_sender_ends_the_session_delay_no_others() {
    others_come_at_once(Step::Mail, Answer::HangUp, 40, 2).await;
}

#[tokio::test]
async fn mails_that_end_the_session_at_their_recipient_delay_no_others() {
    others_come_at_once(Step::Rcpt, Answer::Say("421 4.3.2 closing"), 40, 2).await;
}

#[tokio::test]
async fn mails_that_hang_after_the_final_dot_delay_no_others() {
    others_come_at_once(Step::Dot, Answer::Stall, 30, 1).await;
}

#[tokio::test]
async fn mails_that_hang_at_their_recipient_delay_no_others_when_they_are_tried_again() {
    others_come_at_once(Step::Rcpt, Answer::Stall, 10, 2).await;
}

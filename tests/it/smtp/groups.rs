//! Servers that take commands in groups (PIPELINING).

use std::time::Duration;

use fiador::{
    domain::MessageOutcome,
    mail::{smtp::SmtpTls, transport::Route},
};

use super::{sent, transport};
use crate::kit::{
    post::{SendUnhurried, mail},
    smtp_sink::{Answer, SmtpSink, Step},
};

#[tokio::test]
async fn a_server_that_takes_groups_is_told_all_before_the_mail_at_once() {
    for tls in [SmtpTls::None, SmtpTls::StartTls, SmtpTls::Implicit] {
        let mut sink = SmtpSink::start(tls).await.takes_groups();
        let mut transport = transport(sink.settings());
        transport.send(&mail("ada@example.org")).await;
        sink.script(Step::Mail, Answer::IfToldTogetherWith("DATA"));

        assert_eq!(transport.send(&mail("bob@example.org")).await, sent(), "{tls:?}");

        assert_eq!(sink.connections(), 1);
        assert_eq!(sink.next_mail().await.recipient, " TO:<ada@example.org>");
        assert_eq!(sink.next_mail().await.recipient, " TO:<bob@example.org>");
    }
}

#[tokio::test]
async fn a_server_that_awaits_a_mail_it_has_refused_is_left() {
    let mut sink = SmtpSink::start(SmtpTls::None).await.takes_groups();
    let mut transport = transport(sink.settings());
    sink.says(Step::Rcpt, "550 5.1.1 no such user\r\n354 go on all the same");

    assert_eq!(transport.send(&mail("ada@example.org")).await, MessageOutcome::Refused("550 5.1.1 no such user".to_owned()));
    assert_eq!(transport.send(&mail("bob@example.org")).await, sent());

    assert_eq!(sink.connections(), 2);
    assert_eq!(sink.next_mail().await.recipient, " TO:<bob@example.org>");
    assert_eq!(sink.numbers().len(), 1, "the refused mail was not sent");
}

#[tokio::test]
async fn a_server_may_take_as_long_for_a_group_as_for_its_commands() {
    let sink = SmtpSink::start(SmtpTls::None).await.takes_groups();
    sink.script(Step::Mail, Answer::Late(Duration::from_millis(1_500)));

    let outcome = transport(sink.impatient_settings()).send(&mail("ada@example.org")).await;

    assert_eq!(outcome, sent(), "a second is allowed for each command");
}

#[tokio::test]
async fn a_server_that_loses_three_groups_in_a_row_is_told_one_command_after_another_from_then_on() {
    let sink = SmtpSink::start(SmtpTls::None).await.takes_groups();
    let route = Route::smtp(vec![sink.impatient_settings()]).unwrap();
    let lost = MessageOutcome::Deferred { reply: "RCPT took too long".to_owned(), maybe_accepted: false };

    for loses in [true, false, true, true, true] {
        if loses {
            sink.script(Step::Mail, Answer::AndForget);
        }
        route.next_turn().await;
        let outcome = route.open().send(&mail("ada@example.org")).await;
        assert_eq!(outcome, if loses { lost.clone() } else { sent() });
    }

    sink.script(Step::Mail, Answer::AndForget);
    route.next_turn().await;
    assert_eq!(route.open().send(&mail("ada@example.org")).await, sent());
}

#[tokio::test]
async fn a_connection_that_died_between_mails_says_nothing_of_groups() {
    let sink = SmtpSink::start(SmtpTls::None).await.takes_groups();
    let mut transport = transport(sink.settings());
    assert_eq!(transport.send(&mail("ada@example.org")).await, sent());
    sink.script(Step::Mail, Answer::HangUp);
    sink.script(Step::Mail, Answer::IfToldTogetherWith("DATA"));

    assert_eq!(transport.send(&mail("ada@example.org")).await, sent());
}

#[tokio::test]
async fn a_group_that_is_slow_on_a_used_connection_is_waited_for() {
    let sink = SmtpSink::start(SmtpTls::None).await.takes_groups();
    let mut transport = transport(sink.settings());
    assert_eq!(transport.send(&mail("ada@example.org")).await, sent());
    sink.script(Step::Mail, Answer::Late(Duration::from_secs(4)));

    assert_eq!(transport.send(&mail("ada@example.org")).await, sent());
    assert_eq!(sink.connections(), 1);
}

#[tokio::test]
async fn each_answer_to_a_group_may_be_as_long_as_one_alone() {
    let sink = SmtpSink::start(SmtpTls::None).await.takes_groups();
    for (step, code) in [(Step::Mail, 250), (Step::Rcpt, 250), (Step::Data, 354)] {
        let line = format!("{code}-one more line\r\n");
        sink.says(step, format!("{}{code} ok", line.repeat(60)).leak());
    }

    assert_eq!(transport(sink.settings()).send(&mail("ada@example.org")).await, sent());
}

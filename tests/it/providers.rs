//! Several servers in their order: which one a mail goes to, and when it is the next one's.

use fiador::{
    domain::MessageOutcome,
    mail::{smtp::SmtpTls, transport::Route},
};

use crate::kit::{
    post::{SendUnhurried, mail},
    smtp_sink::{Answer, SmtpSink, Step},
};

async fn two_sinks() -> (SmtpSink, SmtpSink, Route) {
    let (first, second) = (SmtpSink::start(SmtpTls::None).await, SmtpSink::start(SmtpTls::None).await);
    let route = Route::smtp(vec![first.impatient_settings(), second.impatient_settings()]).unwrap();
    (first, second, route)
}

async fn send(route: &Route) -> MessageOutcome {
    route.open().send(&mail("ada@example.org")).await
}

fn is_sent(outcome: &MessageOutcome) -> bool {
    matches!(outcome, MessageOutcome::Sent(_))
}

#[tokio::test]
async fn mails_go_to_the_first_server_as_long_as_it_takes_them() {
    let (mut first, second, route) = two_sinks().await;

    assert!(is_sent(&send(&route).await) && is_sent(&send(&route).await));

    first.next_mail().await;
    first.next_mail().await;
    assert_eq!(second.connections(), 0);
}

#[tokio::test]
async fn what_one_server_may_not_have_taken_goes_to_the_next_in_the_same_try() {
    let answers = [Answer::HangUp, Answer::Stall, Answer::Say("421 4.3.2 closing"), Answer::Say("451 4.3.0 later")];
    for step in [Step::Greeting, Step::Mail, Step::Rcpt, Step::Data] {
        for answer in answers.clone() {
            let (first, mut second, route) = two_sinks().await;
            first.script(step, answer.clone());

            assert!(is_sent(&send(&route).await), "{answer:?} at {step:?}");

            second.next_mail().await;
            assert_eq!((first.mails_left(), second.mails_left()), (0, 0));
        }
    }
}

#[tokio::test]
async fn what_one_server_may_have_taken_or_refuses_for_good_goes_to_no_other() {
    for (step, answer) in [
        (Step::Dot, Answer::HangUp),
        (Step::Dot, Answer::Stall),
        (Step::Rcpt, Answer::Say("550 5.1.1 no such user")),
        (Step::Dot, Answer::Say("554 5.7.1 no")),
    ] {
        let (first, second, route) = two_sinks().await;
        first.script(step, answer.clone());

        let outcome = send(&route).await;

        let is_over = matches!(outcome, MessageOutcome::Refused(_) | MessageOutcome::Deferred { maybe_accepted: true, .. });
        assert!(is_over && second.connections() == 0, "{answer:?} at {step:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_server_that_was_out_of_reach_is_not_tried_until_a_probe_reaches_it_and_then_preferred_again() {
    let (mut first, mut second, route) = two_sinks().await;
    first.says(Step::Greeting, "421 4.3.2 not now");
    let mut worker = route.open();

    for _ in 0..2 {
        assert!(is_sent(&worker.send(&mail("ada@example.org")).await));
        second.next_mail().await;
    }
    assert_eq!(first.connections(), 1);
    assert_eq!(route.alarms(), ["localhost: 421 4.3.2 not now"]);

    assert!(route.probe(0).await);
    assert!(is_sent(&worker.send(&mail("ada@example.org")).await));
    first.next_mail().await;
    assert!(second.has_heard("QUIT"));
}

#[tokio::test]
async fn a_refused_login_holds_its_server_and_no_mail() {
    let (first, mut second) = (SmtpSink::start(SmtpTls::StartTls).await, SmtpSink::start(SmtpTls::None).await);
    first.says(Step::Auth, "535 5.7.8 wrong credentials");
    let route = Route::smtp(vec![first.settings_with_account(), second.settings()]).unwrap();

    assert!(is_sent(&send(&route).await));

    second.next_mail().await;
    assert_eq!(route.alarms(), ["localhost: 535 5.7.8 wrong credentials"]);
    assert!(route.takes_mails());
    drop(second);
    for _ in 0..3 {
        // it took a mail a moment ago: one refused connection says little
        assert!(matches!(send(&route).await, MessageOutcome::Held(_)));
    }
    assert!(!route.takes_mails());
}

#[tokio::test]
async fn when_both_put_a_mail_off_it_is_the_last_word_that_counts() {
    let (first, second, route) = two_sinks().await;
    first.says(Step::Rcpt, "450 4.2.0 greylisted");
    second.says(Step::Rcpt, "452 4.2.2 full");

    let outcome = send(&route).await;

    assert_eq!(outcome, MessageOutcome::Deferred { reply: "452 4.2.2 full".to_owned(), maybe_accepted: false });
    assert!(route.takes_mails());
}

#[tokio::test]
async fn an_address_beyond_ascii_goes_to_whichever_server_takes_it_and_fails_only_where_none_does() {
    let beyond = mail("ädä@example.org");
    let (_first, mut second, route) = two_sinks().await;
    second.says(Step::Ehlo, "250-sink\r\n250-SMTPUTF8\r\n250 8BITMIME");

    assert!(is_sent(&route.open().send(&beyond).await));
    second.next_mail().await;
    let refused = route.open().send(&beyond).await;
    assert!(matches!(&refused, MessageOutcome::Refused(reply) if reply.contains("SMTPUTF8")), "{refused:?}");
    drop(second);
    assert!(matches!(route.open().send(&beyond).await, MessageOutcome::Held(_)));
}

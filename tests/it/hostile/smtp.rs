//! A mail server that wants the number in clear, lies about what it did, or never comes to an end.

use std::time::{Duration, Instant};

use fiador::{
    domain::MessageOutcome,
    mail::{
        smtp::{SmtpSettings, SmtpTls},
        transport::{Route, Transport},
    },
};
use futures_util::future::join_all;

use crate::kit::{
    caller::{Caller, number_in},
    daemon::Home,
    post::{NUMBER, SendUnhurried, mail},
    smtp_sink::{Answer, SmtpSink, Step, both_sinks},
};

/// Memory beyond what a daemon had before, in KiB: what it may need for eight mails at work, and far less than a flood has.
const MOST_GROWTH_KIB: u64 = 24 * 1024;

const NO_REPLIES: [Answer; 16] = [
    Answer::Forever("a"),
    Answer::Forever("250-x\r\n"),
    Answer::Forever("250-x\n"),
    Answer::Forever("\r\n"),
    Answer::Forever("\u{e4}"),
    Answer::Drip("250-never\r\n"),
    Answer::Drip("a"),
    Answer::Say("999 what"),
    Answer::Say("abc what"),
    Answer::Say("25"),
    Answer::Say("-250 ok"),
    Answer::Say("250-one\r\n550 other"),
    Answer::Say("2500 ok"),
    Answer::Bytes(b"250 \xff\xfe\r\n"),
    Answer::Bytes(b"250 ok\n"),
    Answer::Bytes(b"\0\0\0\0"),
];

fn transport(settings: SmtpSettings) -> Transport {
    Route::smtp(vec![settings]).unwrap().open()
}

/// With an account, and no step longer than a second.
fn impatient_with_account(sink: &SmtpSink) -> SmtpSettings {
    SmtpSettings { limits: sink.impatient_settings().limits, ..sink.settings_with_account() }
}

/// What becomes of as many mails as there are answers, sent at once to a server that gives each of them one at this step.
async fn sent_to(sink: &SmtpSink, step: Step, answers: &[Answer]) -> Vec<MessageOutcome> {
    for answer in answers {
        sink.script(step, answer.clone());
    }
    let sending = answers.iter().map(async |_| {
        // each with a breaker of its own, so that none is spared its answer because of another's
        let route = Route::smtp(vec![impatient_with_account(sink)]).unwrap();
        let asked_at = Instant::now();
        let outcome = route.open().send(&mail("ada@example.org")).await;
        assert!(asked_at.elapsed() < Duration::from_secs(8), "{outcome:?} at {step:?}: {:?}", asked_at.elapsed());
        outcome
    });
    join_all(sending).await
}

fn is_put_off(outcome: &MessageOutcome) -> bool {
    matches!(outcome, MessageOutcome::Held(_) | MessageOutcome::Deferred { maybe_accepted: false, .. })
}

#[tokio::test]
async fn nothing_is_said_in_clear_to_a_server_that_does_not_come_to_tls() {
    let refusals = [
        (Step::Ehlo, Answer::Say("250-sink\r\n250 AUTH PLAIN LOGIN")),
        (Step::Ehlo, Answer::Say("250 sink")),
        (Step::Ehlo, Answer::Say("250-sink\r\n250 XSTARTTLS")),
        (Step::Ehlo, Answer::Say("502 what is EHLO")),
        (Step::StartTls, Answer::Say("454 4.7.0 no certificate today")),
        (Step::StartTls, Answer::Say("530 5.7.0 first AUTH PLAIN")),
        (Step::StartTls, Answer::Say("220 go ahead\r\n250-sink\r\n250 AUTH PLAIN")),
        (Step::StartTls, Answer::Say("220 go ahead\r\n235 you are logged in")),
    ];
    let steps = [Step::Greeting, Step::Ehlo, Step::StartTls].map(async |step| {
        let sink = SmtpSink::start(SmtpTls::StartTls).await;
        let refusals = refusals.iter().filter(|(at, _)| *at == step).map(|(_, answer)| answer.clone());
        let answers: Vec<Answer> = NO_REPLIES.into_iter().chain(refusals).collect();

        for outcome in sent_to(&sink, step, &answers).await {
            assert!(is_put_off(&outcome), "{outcome:?} at {step:?}");
        }
        let in_clear = sink.heard();
        let is_harmless = |line: &String| line.starts_with("EHLO ") || line == "STARTTLS";
        assert!(in_clear.len() <= 2 * answers.len() && in_clear.iter().all(is_harmless), "at {step:?}: {in_clear:?}");
    });
    join_all(steps).await;
}

#[tokio::test]
async fn an_answer_that_is_none_or_without_end_delays_the_mail_and_ends_the_connection_in_time() {
    let steps = [Step::Greeting, Step::Ehlo, Step::Auth, Step::Mail, Step::Rcpt, Step::Data].map(async |step| {
        for sink in both_sinks().await {
            for outcome in sent_to(&sink, step, &NO_REPLIES).await {
                assert!(is_put_off(&outcome) && !format!("{outcome:?}").contains(NUMBER), "{outcome:?} at {step:?}");
            }
            assert_eq!(sink.mails_left(), 0, "{step:?}");
        }
    });
    join_all(steps).await;
}

#[tokio::test]
async fn an_end_of_the_mail_that_is_not_answered_may_have_been_one() {
    for sink in both_sinks().await {
        for outcome in sent_to(&sink, Step::Dot, &NO_REPLIES).await {
            assert!(matches!(outcome, MessageOutcome::Deferred { maybe_accepted: true, .. }), "{outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_code_that_belongs_elsewhere_sends_no_mail() {
    let tries = [
        (Step::Mail, "354 go on"),
        (Step::Rcpt, "354 go on"),
        (Step::Rcpt, "334 VXNlcm5hbWU6"),
        (Step::Data, "250 taken already"),
        (Step::Data, "220 hello"),
    ]
    .map(async |(step, reply)| {
        for sink in both_sinks().await {
            let outcomes = sent_to(&sink, step, &[Answer::Say(reply)]).await;
            assert!(outcomes.iter().all(is_put_off), "{reply} at {step:?}: {outcomes:?}");
            assert_eq!(sink.mails_left(), 0, "{reply} at {step:?}");
        }
    });
    join_all(tries).await;
}

/// One answer too many moves all that follow by one: the end of the next mail must not be taken for granted by it.
#[tokio::test]
async fn answers_that_come_before_the_question_do_not_make_a_mail_sent() {
    for step in [Step::Greeting, Step::Ehlo, Step::Mail, Step::Rcpt, Step::Dot] {
        for sink in both_sinks().await {
            let mut transport = transport(sink.impatient_settings());
            sink.says(step, "250 first\r\n250 and one more");

            let outcomes = [transport.send(&mail("ada@example.org")).await, transport.send(&mail("bob@example.org")).await];
            let sent = outcomes.iter().filter(|outcome| matches!(outcome, MessageOutcome::Sent(_))).count();
            // at the dot the sink drops the mail that its scripted answer is for
            let taken = sink.mails_left() + usize::from(step == Step::Dot);
            assert!(sent <= taken, "{step:?}: {outcomes:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_too_many_before_a_mail_does_not_stand_for_its_end() {
    for sink in both_sinks().await {
        let mut transport = transport(sink.impatient_settings());
        sink.says(Step::Data, "354 go on\r\n250 2.0.0 taken");
        sink.says(Step::Dot, "554 5.7.1 no");

        let outcome = transport.send(&mail("ada@example.org")).await;
        assert!(is_put_off(&outcome), "{outcome:?}");
        assert_eq!(sink.numbers(), [""; 0], "it was sent");
        assert_eq!(transport.send(&mail("bob@example.org")).await, MessageOutcome::Refused("554 5.7.1 no".to_owned()));
    }
}

#[tokio::test]
async fn a_server_that_never_hangs_up_is_hung_up_on() {
    for farewell in [Answer::Stall, Answer::Drip("221-bye\r\n"), Answer::Forever("221-bye\r\n"), Answer::Forever("a")] {
        let sink = SmtpSink::start(SmtpTls::None).await;
        let mut transport = transport(sink.settings());
        assert!(matches!(transport.send(&mail("ada@example.org")).await, MessageOutcome::Sent(_)));
        sink.script(Step::Quit, farewell.clone());

        let closes_at = Instant::now();
        transport.close().await;
        assert!(closes_at.elapsed() < Duration::from_secs(3), "{farewell:?}");
    }
}

#[tokio::test]
async fn floods_of_a_mail_server_cost_a_daemon_no_memory_and_no_other_mail() {
    let mut sink = SmtpSink::start(SmtpTls::None).await;
    let (home, key) = Home::with_application(&format!(
        "[[smtp]]\nhost = \"localhost\"\nport = {}\ntls = \"none\"\nfrom = \"no-reply@shop.example\"",
        sink.settings().port
    ));
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    caller.start_for("first@example.org").await;
    sink.next_mail().await;
    let before = daemon.peak_kib();

    let floods = [
        (Step::Greeting, "220-x\r\n"),
        (Step::Ehlo, "250-X-ANOTHER-EXTENSION\r\n"),
        (Step::Mail, "a"),
        (Step::Rcpt, "250-x\r\n"),
        (Step::Data, "354-x\r\n"),
        (Step::Dot, "250-"),
    ];
    for (step, flood) in floods {
        sink.script(step, Answer::Forever(flood));
    }
    let addresses = (0..8).map(|i| format!("ada{i}@example.org"));
    join_all(addresses.map(async |address| caller.start_for(&address).await)).await;
    for _ in 0..8 {
        let mail = sink.next_mail().await;
        assert_eq!(number_in(&mail.content).len(), 8);
    }
    assert!(sink.has_followed_the_script(), "not every flood was met");

    let growth = daemon.peak_kib() - before;
    assert!(growth < MOST_GROWTH_KIB, "{growth} KiB more");
    assert!(!daemon.logged().iter().any(|line| line.contains("panicked")));
}

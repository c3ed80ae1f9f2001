//! The way of one mail to an SMTP server, and what becomes of it when the server is not as it should be.

use std::time::Duration;

use fiador::{
    domain::MessageOutcome,
    mail::{
        leash::Leash,
        smtp::{SmtpLimits, SmtpSettings, SmtpTls},
        transport::{Route, Transport},
    },
};
use tokio::time::timeout;

use crate::kit::{
    post::{MESSAGE_ID, NUMBER, SendUnhurried, mail},
    smtp_server::SmtpServer,
    smtp_sink::{Answer, SmtpSink, Step, both_sinks},
};

mod groups;

fn transport(settings: SmtpSettings) -> Transport {
    Route::smtp(vec![settings]).unwrap().open()
}

async fn send_once(sink: &SmtpSink) -> MessageOutcome {
    transport(sink.settings()).send(&mail("ada@example.org")).await
}

fn deferred(reply: &str) -> MessageOutcome {
    MessageOutcome::Deferred { reply: reply.to_owned(), maybe_accepted: false }
}

/// What becomes of a mail that no server could be tried with: which and why is the operator's to know.
fn held() -> MessageOutcome {
    MessageOutcome::Held("no mail server can be used at present".to_owned())
}

fn sent() -> MessageOutcome {
    MessageOutcome::Sent("250 2.0.0 queued as 4711".to_owned())
}

#[tokio::test]
async fn a_mail_reaches_the_server_whole() {
    let mut sink = SmtpSink::start(SmtpTls::None).await;

    assert_eq!(send_once(&sink).await, sent());

    let taken = sink.next_mail().await;
    assert_eq!(taken.sender, " FROM:<codes@shop.example>");
    assert_eq!(taken.recipient, " TO:<ada@example.org>");
    assert_eq!(taken.header("Message-ID"), [MESSAGE_ID]);
    assert_eq!(taken.header("To"), ["ada@example.org"]);
    assert!(taken.content.contains(&format!("\r\n{NUMBER}\r\n")), "{}", taken.content);
}

#[tokio::test]
async fn a_worker_uses_its_connection_again() {
    for mut sink in both_sinks().await {
        let mut transport = transport(sink.settings());
        let refusals = [
            (Step::Mail, "451 4.3.0 try later"),
            (Step::Rcpt, "450 4.2.0 greylisted"),
            (Step::Data, "451 4.3.2 not now"),
            (Step::Dot, "452 4.3.1 no space"),
        ];

        for (step, reply) in refusals {
            sink.says(step, reply);
            assert_eq!(transport.send(&mail("ada@example.org")).await, deferred(reply));
            assert_eq!(transport.send(&mail("ada@example.org")).await, sent(), "after a refusal at {step:?}");
        }

        assert_eq!(sink.connections(), 1);
        assert_eq!(sink.next_mail().await.header("Message-ID"), sink.next_mail().await.header("Message-ID"));
    }
}

#[tokio::test]
async fn a_connection_that_died_between_mails_is_replaced_at_once() {
    for end in [Answer::HangUp, Answer::Say("421 4.4.2 idle for too long")] {
        for mut sink in both_sinks().await {
            let mut transport = transport(sink.settings());
            transport.send(&mail("ada@example.org")).await;
            sink.script(Step::Mail, end.clone());

            assert_eq!(transport.send(&mail("ada@example.org")).await, sent());

            assert_eq!(sink.connections(), 2);
            sink.next_mail().await;
            sink.next_mail().await;
            assert_eq!(sink.mails_left(), 0);
        }
    }
}

#[tokio::test]
async fn a_lasting_refusal_of_the_mail_is_final() {
    for step in [Step::Mail, Step::Rcpt, Step::Data, Step::Dot] {
        for sink in both_sinks().await {
            sink.says(step, "550 5.1.1 no such user");

            assert_eq!(send_once(&sink).await, MessageOutcome::Refused("550 5.1.1 no such user".to_owned()), "{step:?}");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_told_whatever_the_server_does_then() {
    for sink in both_sinks().await {
        sink.says(Step::Rcpt, "550 5.1.1 no such user");
        sink.script(Step::Rset, Answer::Stall);

        let told = timeout(Duration::from_secs(5), send_once(&sink)).await;
        assert_eq!(told, Ok(MessageOutcome::Refused("550 5.1.1 no such user".to_owned())));
    }
}

#[tokio::test]
async fn a_passing_refusal_is_tried_again_later() {
    for step in [Step::Mail, Step::Rcpt, Step::Data, Step::Dot] {
        for sink in both_sinks().await {
            sink.says(step, "451 4.3.0 try later");

            assert_eq!(send_once(&sink).await, deferred("451 4.3.0 try later"), "{step:?}");
        }
    }
}

#[tokio::test]
async fn a_refusal_of_us_is_the_operators_and_not_the_mails() {
    for (step, reply) in [
        (Step::Greeting, "554 5.7.1 you are blocked"),
        (Step::Ehlo, "550 5.7.1 who are you"),
        (Step::StartTls, "554 5.7.3 no tls today"),
        (Step::Auth, "535 5.7.8 wrong credentials"),
        (Step::Auth, "454 4.7.0 ask again later"),
        (Step::Mail, "530 5.7.0 authentication required"),
    ] {
        let sink = SmtpSink::start(SmtpTls::StartTls).await;
        let route = Route::smtp(vec![sink.settings_with_account()]).unwrap();
        sink.says(step, reply);

        assert_eq!(route.open().send(&mail("ada@example.org")).await, held(), "{step:?}");

        assert_eq!(route.alarms(), [format!("localhost: {reply}")]);
        assert!(route.probe(0).await);
        assert_eq!(route.open().send(&mail("ada@example.org")).await, sent());
        assert_eq!(route.alarms(), [""; 0]);
    }
}

#[tokio::test]
async fn a_mail_counts_as_maybe_accepted_only_after_the_final_dot() {
    let mut faults = vec![(Step::Dot, Answer::Say("354 again?")), (Step::Data, Answer::Say("250 and now?"))];
    for step in [Step::Greeting, Step::Ehlo, Step::Mail, Step::Rcpt, Step::Data, Step::Dot] {
        faults.extend([Answer::HangUp, Answer::Stall, Answer::Say("what?")].map(|answer| (step, answer)));
    }
    let of_groups = faults.clone().into_iter().map(|(step, answer)| (step, answer, true));
    let faults = faults.into_iter().map(|(step, answer)| (step, answer, false)).chain(of_groups);
    let tries = faults.map(async |(step, answer, in_groups)| {
        let sink = SmtpSink::start(SmtpTls::None).await;
        let sink = if in_groups { sink.takes_groups() } else { sink };
        sink.script(step, answer.clone());
        (step, answer, transport(sink.impatient_settings()).send(&mail("ada@example.org")).await)
    });

    for (step, answer, outcome) in futures_util::future::join_all(tries).await {
        let had_a_connection = !matches!(step, Step::Greeting | Step::Ehlo);
        match outcome {
            MessageOutcome::Held(_) => assert!(!had_a_connection, "{answer:?} at {step:?}"),
            MessageOutcome::Deferred { maybe_accepted, .. } => {
                assert!(had_a_connection, "{answer:?} at {step:?}");
                assert_eq!(maybe_accepted, step == Step::Dot, "{answer:?} at {step:?}");
            }
            other => panic!("{answer:?} at {step:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn no_try_takes_longer_than_the_whole_limit() {
    let sink = SmtpSink::start(SmtpTls::None).await;
    sink.script(Step::Dot, Answer::Stall);
    let limits =
        SmtpLimits { after_final_dot: Duration::from_secs(60), whole: Duration::from_millis(200), ..SmtpLimits::default() };
    let mut transport = transport(SmtpSettings { limits, ..sink.settings() });

    let outcome = transport.send(&mail("ada@example.org")).await;

    assert_eq!(outcome, MessageOutcome::Deferred { reply: "the final dot took too long".to_owned(), maybe_accepted: true });
}

#[tokio::test]
async fn a_try_that_is_given_up_ends_where_it_is_and_says_so() {
    for (step, name) in [(Step::Mail, "MAIL"), (Step::Rcpt, "RCPT"), (Step::Data, "DATA"), (Step::Dot, "the final dot")] {
        for (hanging, is_group) in both_sinks().await.into_iter().zip([false, true]) {
            let other = SmtpSink::start(SmtpTls::None).await;
            let mut transport = Route::smtp(vec![hanging.settings(), other.settings()]).unwrap().open();
            assert_eq!(transport.send(&mail("ada@example.org")).await, sent()); // it hangs on a connection that was used before
            hanging.script(step, Answer::Stall);
            let leash = Leash::default();

            let outcome = {
                let hanging_mail = mail("ada@example.org");
                let a_try = transport.attempt(&hanging_mail, &leash);
                let giving_up = async {
                    hanging.until_heard("MAIL", 2).await;
                    while !hanging.has_followed_the_script() {
                        tokio::task::yield_now().await;
                    }
                    leash.give_up();
                };
                tokio::join!(a_try, giving_up).0
            };

            let MessageOutcome::Deferred { reply, maybe_accepted } = outcome else { panic!("{outcome:?}") };
            assert!(reply.ends_with(" took too long, and others waited"), "{reply}");
            assert!(is_group || reply.starts_with(name), "{reply}"); // in a group the answer before it may not have been heard
            assert_eq!(maybe_accepted, step == Step::Dot);
            assert_eq!((hanging.connections(), other.connections()), (1, 0), "it goes nowhere else");
            assert_eq!(transport.send(&mail("ada@example.org")).await, sent());
            assert_eq!(hanging.connections(), 2, "that connection is not used again");
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_greet_is_said_to_be_one() {
    let sink = SmtpSink::start(SmtpTls::None).await;
    sink.script(Step::Greeting, Answer::Stall);
    let route = Route::smtp(vec![sink.impatient_settings()]).unwrap();
    assert_eq!(route.open().send(&mail("ada@example.org")).await, held());
    assert_eq!(route.alarms(), ["localhost: the greeting or EHLO took too long"]);
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_named_to_the_operator_alone() {
    let sink = SmtpSink::start(SmtpTls::None).await;
    let settings = sink.settings();
    drop(sink);
    let route = Route::smtp(vec![settings]).unwrap();

    assert_eq!(route.open().send(&mail("ada@example.org")).await, held());

    let [trouble] = route.alarms().try_into().unwrap();
    assert!(trouble.starts_with("localhost: "), "{trouble}");
    assert!(!route.probe(0).await);
}

#[tokio::test]
async fn credentials_are_sent_inside_tls() {
    for tls in [SmtpTls::StartTls, SmtpTls::Implicit] {
        let mut sink = SmtpSink::start(tls).await;

        assert_eq!(transport(sink.settings_with_account()).send(&mail("ada@example.org")).await, sent(), "{tls:?}");

        sink.next_mail().await;
        assert!(sink.has_heard("AUTH PLAIN"));
    }
}

#[tokio::test]
async fn nothing_is_said_to_a_server_whose_starttls_was_stripped() {
    let sink = SmtpSink::start(SmtpTls::StartTls).await;
    sink.says(Step::Ehlo, "250-sink\r\n250 AUTH PLAIN LOGIN");

    let route = Route::smtp(vec![sink.settings_with_account()]).unwrap();

    assert_eq!(route.open().send(&mail("ada@example.org")).await, held());

    assert_eq!(route.alarms(), ["localhost: the server does not offer STARTTLS"]);
    assert_eq!(sink.heard().len(), 1, "more than EHLO: {:?}", sink.heard());
}

#[tokio::test]
async fn answers_put_in_front_of_the_encrypted_ones_are_noticed() {
    let sink = SmtpSink::start(SmtpTls::StartTls).await;
    sink.says(Step::StartTls, "220 go ahead\r\n250 AUTH PLAIN");

    let route = Route::smtp(vec![sink.settings_with_account()]).unwrap();

    assert_eq!(route.open().send(&mail("ada@example.org")).await, held());

    assert_eq!(route.alarms(), ["localhost: the server said more than its answer to STARTTLS"]);
    assert!(!sink.has_heard("AUTH") && !sink.has_heard("MAIL"));
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_or_names_another_host_is_refused() {
    for tls in [SmtpTls::StartTls, SmtpTls::Implicit] {
        let (sink, other) = (SmtpSink::start(tls).await, SmtpSink::start(tls).await);
        let untrusted = SmtpSettings { extra_roots: other.settings().extra_roots, ..sink.settings() };
        let other_name = SmtpSettings { host: "127.0.0.1".to_owned(), ..sink.settings() };

        for settings in [untrusted, other_name] {
            let outcome = transport(settings).send(&mail("ada@example.org")).await;
            assert_eq!(outcome, held());
        }
        assert!(!sink.has_heard("AUTH") && !sink.has_heard("MAIL"));
    }
}

#[tokio::test]
async fn a_local_part_beyond_ascii_needs_a_server_that_takes_it() {
    let mut sink = SmtpSink::start(SmtpTls::None).await;
    let outcome = transport(sink.settings()).send(&mail("ädä@example.org")).await;
    assert!(matches!(&outcome, MessageOutcome::Refused(reply) if reply.contains("SMTPUTF8")), "{outcome:?}");
    assert!(!sink.has_heard("MAIL"));

    sink.says(Step::Ehlo, "250-sink\r\n250-SMTPUTF8\r\n250 8BITMIME");
    assert_eq!(transport(sink.settings()).send(&mail("ädä@example.org")).await, sent());

    let taken = sink.next_mail().await;
    assert_eq!(taken.recipient, " TO:<ädä@example.org>");
    assert!(taken.sender.contains(" SMTPUTF8"), "{}", taken.sender);
    assert_eq!(taken.header("To"), ["ädä@example.org"]);
}

#[tokio::test]
async fn what_the_server_says_is_kept_without_address_and_number() {
    let sink = SmtpSink::start(SmtpTls::None).await;
    sink.says(Step::Dot, "554-5.7.1 <ada@example.org> gets no\r\n554 5.7.1 mails with 40718293 in them");

    assert_eq!(
        send_once(&sink).await,
        MessageOutcome::Refused("554 5.7.1 <[address]> gets no mails with [number] in them".to_owned())
    );
}

#[tokio::test]
async fn what_the_server_says_of_a_login_is_kept_without_it() {
    for (step, reply) in [
        (Step::Auth, "535 5.7.8 wrong: AGZpYWRvcgBvcGVuIHNlc2FtZQ=="),
        (Step::Auth, "535 5.7.8 open sesame is not fiador's, nor is b3BlbiBzZXNhbWU="),
        (Step::Mail, "450 4.7.0 open sesame, said fiador"),
    ] {
        let sink = SmtpSink::start(SmtpTls::None).await;
        sink.says(step, reply);
        let route = Route::smtp(vec![sink.settings_with_account()]).unwrap();

        let kept = match route.open().send(&mail("ada@example.org")).await {
            MessageOutcome::Deferred { reply, .. } | MessageOutcome::Held(reply) => reply,
            other => panic!("{other:?}"),
        };

        let told = format!("{kept} {:?}", route.alarms());
        assert!(told.contains("[login]"), "{told}");
        let secrets = ["sesame", "AGZpYWRv", "b3BlbiB"];
        assert!(!secrets.iter().any(|secret| told.contains(secret)), "{told}");
    }
}

#[tokio::test]
async fn a_real_server_takes_a_mail_over_starttls_with_auth() {
    let mut server = SmtpServer::start().await;
    let mut transport = transport(server.settings());

    for to in ["ada@example.org", "ädä@exämple.org"] {
        assert_eq!(transport.send(&mail(to)).await, MessageOutcome::Sent("250 2.0.0 taken".to_owned()));
        let report = server.next_report().await;
        assert_eq!(report["tls"], true);
        assert_eq!(report["user"], "fiador");
        assert_eq!(report["sender"], "codes@shop.example");
        assert_eq!(report["recipients"][0], mail(to).envelope.to()[0].to_string());
        assert!(report["content"].as_str().unwrap().contains(&format!("\r\n{NUMBER}\r\n")), "{report}");
    }
    transport.close().await;
    server.stop().await;
}

#[tokio::test]
async fn settings_show_no_password() {
    let shown = format!("{:?}", SmtpSink::start(SmtpTls::None).await.settings_with_account());

    assert!(!shown.contains("sesame"), "{shown}");
}

//! The Mailer between a store and a server.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::prelude::*;
use fiador::{
    actors::mailer::{MAX_HANDED_OVER, MAX_SENDS, Mailer},
    domain::{ApplicationName, LeasedMessage, MessageOutcome, Moment, Refusal},
    live::Live,
    mail::{
        inbox::{CAPACITY, Inbox},
        rendering::Renderer,
        smtp::SmtpTls,
        transport::Route,
    },
    messages::{AskMailReadiness, Drain, Failure, MailQueued, NotReady, ReadInbox},
    supervision::{AskError, Guarded, Policy, start},
};

use crate::kit::{
    fake_store::{Asked, FakeStore, StoreHandle},
    post::{MESSAGE_ID, NUMBER, address, application, mail, message},
    smtp_sink::{Answer, SmtpSink, Step},
};

/// Longer than any test.
const PATIENCE: Duration = Duration::from_secs(120);

fn start_mailer(route: Route, store: &StoreHandle) -> Guarded<Mailer> {
    let mailer = Mailer::new(
        route,
        Live::new(vec![Arc::new(application())]),
        Live::new(Renderer::default()),
        store.claim(),
        store.settle(),
    );
    start("mailer", Policy::default(), MAX_HANDED_OVER, |_| {}, |_| mailer)
}

fn inbox() -> Inbox {
    Inbox::new(|| Moment(1_767_225_601_000))
}

fn with_fence(fence: u32) -> LeasedMessage {
    LeasedMessage { fence, ..message("ada@example.org") }
}

async fn hand_over(mailer: &Guarded<Mailer>, message: LeasedMessage) -> Result<(), AskError<Failure>> {
    mailer.asks().ask(MailQueued { message: Box::new(message) }, PATIENCE).await
}

async fn read_inbox(mailer: &Guarded<Mailer>, to: &str, wait_seconds: u64) -> Result<Vec<String>, AskError<Failure>> {
    let question = ReadInbox { to: Some(to.to_owned()), wait_seconds };
    let mails = mailer.asks().ask(question, PATIENCE).await?;
    Ok(mails.into_iter().map(|mail| mail.to).collect())
}

#[actix::test]
async fn a_mail_that_is_handed_over_is_captured_and_settled_before_the_answer() {
    let mut store = FakeStore::start(vec![], 0);
    let mailer = start_mailer(Route::memory(inbox()), &store);

    hand_over(&mailer, with_fence(3)).await.unwrap();

    assert_eq!(store.next_settlement().await, (3, MessageOutcome::Captured));
    let mails = mailer.asks().ask(ReadInbox { to: None, wait_seconds: 0 }, PATIENCE).await.unwrap();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].id, MESSAGE_ID);
    assert_eq!(mails[0].received_at, Moment(1_767_225_601_000));
    assert!(mails[0].text.contains(NUMBER) && !mails[0].html.is_empty());
}

#[actix::test]
async fn due_mails_are_claimed_without_being_handed_over_and_never_more_than_workers() {
    tokio::time::pause();
    let due = (0..20).map(with_fence).collect();
    let mut store = FakeStore::start(due, 0);
    let _mailer = start_mailer(Route::memory(inbox()), &store);

    let mut settled = vec![];
    while settled.len() < 20 {
        match store.next().await {
            Asked::Claim(limit) => assert!((1..=MAX_SENDS).contains(&limit), "{limit}"),
            Asked::Settle(fence, outcome) => settled.push((fence, outcome)),
        }
    }

    settled.sort_by_key(|(fence, _)| *fence);
    assert_eq!(settled, (0..20).map(|fence| (fence, MessageOutcome::Captured)).collect::<Vec<_>>());
}

#[actix::test]
async fn a_settlement_is_repeated_until_the_store_is_back() {
    tokio::time::pause();
    let mut store = FakeStore::start(vec![], 3);
    let mailer = start_mailer(Route::memory(inbox()), &store);

    hand_over(&mailer, with_fence(1)).await.unwrap();

    for _ in 0..4 {
        assert_eq!(store.next_settlement().await, (1, MessageOutcome::Captured));
    }
}

/// Else who asks for a mail would wait for the store to note what became of others.
#[actix::test]
async fn mails_that_only_wait_to_be_settled_fill_no_hand() {
    tokio::time::pause();
    let mut store = FakeStore::start(vec![], usize::MAX);
    let mailer = start_mailer(Route::memory(inbox()), &store);
    let tell = |fence| mailer.asks().reserve().unwrap().tell(MailQueued { message: Box::new(with_fence(fence)) });
    let (many, all) = (MAX_HANDED_OVER * 3 / 4, MAX_HANDED_OVER);
    let (mut unsettled, mut tried) = (Vec::new(), HashSet::new());

    for more in [0..many, many..all] {
        unsettled.extend(more.map(tell));
        while tried.len() < unsettled.len() {
            let (fence, outcome) = store.next_settlement().await;
            assert_eq!(outcome, MessageOutcome::Captured, "{fence}");
            tried.insert(fence);
        }
    }
}

#[actix::test]
async fn a_settlement_is_given_up_when_the_lease_has_run_out() {
    tokio::time::pause();
    let store = FakeStore::start(vec![], usize::MAX);
    let mailer = start_mailer(Route::memory(inbox()), &store);
    let handed_over_at = tokio::time::Instant::now();

    hand_over(&mailer, with_fence(1)).await.unwrap();

    let took = handed_over_at.elapsed();
    assert!((Duration::from_secs(50)..=Duration::from_secs(60)).contains(&took), "{took:?}");
}

#[actix::test]
async fn a_mail_with_too_little_of_its_lease_left_is_given_back_untried() {
    let inbox = inbox();
    let mut store = FakeStore::start(vec![], 0);
    let mailer = start_mailer(Route::memory(inbox.clone()), &store);
    let leased_at = message("ada@example.org").leased_at;
    let nearly_over = LeasedMessage { leased_until: leased_at + Duration::from_secs(39), ..with_fence(1) };

    hand_over(&mailer, nearly_over).await.unwrap();

    assert_eq!(store.next_settlement().await, (1, MessageOutcome::Returned));
    assert!(inbox.read(None).is_empty());
}

#[actix::test]
async fn a_mail_that_panics_harms_no_other() {
    let was_poisoned = AtomicBool::new(false);
    let poison_once = move || {
        assert!(was_poisoned.swap(true, Ordering::Relaxed), "poison");
        Moment(0)
    };
    let mut store = FakeStore::start(vec![], 0);
    let mailer = start_mailer(Route::memory(Inbox::new(poison_once)), &store);

    hand_over(&mailer, with_fence(1)).await.unwrap();
    hand_over(&mailer, with_fence(2)).await.unwrap();

    let internal_error = MessageOutcome::Deferred { reply: "internal error".to_owned(), maybe_accepted: true };
    assert_eq!(store.next_settlement().await, (1, internal_error));
    assert_eq!(store.next_settlement().await, (2, MessageOutcome::Captured));
    assert_eq!(mailer.report().borrow().restarts, 0);
}

#[actix::test]
async fn a_mail_of_an_application_that_is_gone_is_refused() {
    let mut store = FakeStore::start(vec![], 0);
    let mailer = start_mailer(Route::memory(inbox()), &store);
    let orphan = LeasedMessage { application: ApplicationName::parse("gone").unwrap(), ..with_fence(1) };

    hand_over(&mailer, orphan).await.unwrap();

    assert_eq!(store.next_settlement().await, (1, MessageOutcome::Refused("application is not declared".to_owned())));
}

#[actix::test]
async fn while_no_server_can_be_used_a_mail_is_put_back_unwritten() {
    let sink = SmtpSink::start(SmtpTls::None).await;
    let mut store = FakeStore::start(vec![], 0);
    let mailer = start_mailer(Route::smtp(vec![sink.settings()]).unwrap(), &store);
    drop(sink);
    for fence in 1..=3 {
        hand_over(&mailer, with_fence(fence)).await.unwrap();
        assert!(matches!(store.next_settlement().await, (_, MessageOutcome::Held(_))));
    }
    // it would be refused as soon as it were to be written
    let orphan = LeasedMessage { application: ApplicationName::parse("gone").unwrap(), ..with_fence(4) };

    hand_over(&mailer, orphan).await.unwrap();

    assert!(matches!(store.next_settlement().await, (4, MessageOutcome::Held(_))));
}

#[actix::test]
async fn nothing_is_claimed_while_no_server_can_be_reached() {
    let mut sink = SmtpSink::start(SmtpTls::None).await;
    sink.says(Step::Greeting, "421 closed");
    sink.says(Step::Greeting, "421 still closed");
    let mut store = FakeStore::start(vec![with_fence(1)], 0);
    let _mailer = start_mailer(Route::smtp(vec![sink.settings()]).unwrap(), &store);

    assert_eq!(store.next().await, Asked::Claim(MAX_SENDS));

    assert_eq!(sink.connections(), 3);
    assert!(matches!(store.next_settlement().await, (1, MessageOutcome::Sent(_))));
    sink.next_mail().await;
}

#[actix::test]
async fn a_server_that_is_back_is_found_out_with_one_mail_and_then_gets_all() {
    let mut sink = SmtpSink::start(SmtpTls::None).await;
    sink.says(Step::Greeting, "421 closed");
    let mut store = FakeStore::start((1..=100).map(with_fence).collect(), 0);
    let _mailer = start_mailer(Route::smtp(vec![sink.settings()]).unwrap(), &store);

    let mut tried_at_once = vec![];
    let mut sent = 0;
    while sent + tried_at_once.len() < 100 {
        match store.next_settlement().await {
            (_, MessageOutcome::Sent(_)) => sent += 1,
            (fence, MessageOutcome::Held(_)) => tried_at_once.push(fence),
            (fence, other) => panic!("{fence}: {other:?}"),
        }
    }

    assert!(tried_at_once.len() < MAX_SENDS, "{tried_at_once:?}");
    for _ in 0..sent {
        sink.next_mail().await;
    }
}

#[actix::test]
async fn readiness_says_of_each_server_why_it_takes_no_mails_and_whether_another_does() {
    let (first, second) = (SmtpSink::start(SmtpTls::StartTls).await, SmtpSink::start(SmtpTls::None).await);
    for _ in 0..10 {
        first.says(Step::Auth, "535 5.7.8 wrong credentials of ops@example.org");
    }
    let mut store = FakeStore::start(vec![], 0);
    let route = Route::smtp(vec![first.settings_with_account(), second.settings()]).unwrap();
    let mailer = start_mailer(route, &store);
    let refused =
        NotReady { part: "mail", reason: "localhost: 535 5.7.8 wrong credentials of [address]".to_owned(), is_covered: true };

    hand_over(&mailer, with_fence(1)).await.unwrap();
    assert!(matches!(store.next_settlement().await, (1, MessageOutcome::Sent(_))));
    let first_alone = mailer.asks().ask(AskMailReadiness, PATIENCE).await.unwrap();
    assert_eq!(first_alone, std::slice::from_ref(&refused));

    drop(second);
    for fence in 2..=4 {
        hand_over(&mailer, with_fence(fence)).await.unwrap();
        assert!(matches!(store.next_settlement().await, (_, MessageOutcome::Held(_))));
    }
    let both = mailer.asks().ask(AskMailReadiness, PATIENCE).await.unwrap();
    assert_eq!(both[0], NotReady { is_covered: false, ..refused });
    assert!(both.len() == 2 && !both[1].is_covered, "{both:?}");
}

/// A mail that its server never answers for, at the head of the queue.
#[actix::test]
async fn poison_at_the_head_of_the_queue_delays_no_other_mail() {
    let mut sink = SmtpSink::start(SmtpTls::None).await;
    sink.script(Step::Dot, Answer::Stall);
    sink.says(Step::Rcpt, "250 ok");
    sink.says(Step::Rcpt, "550 5.1.1 no such user");
    sink.script(Step::Rcpt, Answer::HangUp);
    let mut store = FakeStore::start((1..=50).map(with_fence).collect(), 0);
    let _mailer = start_mailer(Route::smtp(vec![sink.settings()]).unwrap(), &store);

    let mut outcomes = vec![];
    while outcomes.len() < 49 {
        outcomes.push(store.next_settlement().await.1);
    }

    // all but the one that hangs, while that one still does
    let sent = outcomes.iter().filter(|outcome| matches!(outcome, MessageOutcome::Sent(_))).count();
    assert_eq!(sent, 47, "{outcomes:?}");
    for _ in 0..sent {
        sink.next_mail().await;
    }
}

#[actix::test]
async fn a_drain_finishes_what_is_begun_and_gives_back_the_rest() {
    let sink = SmtpSink::start(SmtpTls::None).await;
    for _ in 0..MAX_SENDS {
        sink.script(Step::Dot, Answer::Stall);
    }
    let mut store = FakeStore::start(vec![], 0);
    let mailer = start_mailer(Route::smtp(vec![sink.impatient_settings()]).unwrap(), &store);
    assert_eq!(store.next().await, Asked::Claim(MAX_SENDS)); // from here on all workers are idle
    for fence in 1..=10 {
        drop(mailer.asks().reserve().unwrap().tell(MailQueued { message: Box::new(with_fence(fence)) }));
    }

    sink.until_heard("DATA", MAX_SENDS).await;
    mailer.asks().ask(Drain, PATIENCE).await.unwrap();

    let mut settled = vec![];
    for _ in 1..=10 {
        settled.push(store.next_settlement().await);
    }
    settled.sort_by_key(|(fence, _)| *fence);
    for (fence, outcome) in settled {
        let was_begun = matches!(outcome, MessageOutcome::Deferred { maybe_accepted: true, .. });
        let was_given_back = outcome == MessageOutcome::Returned;
        assert!(if fence <= 8 { was_begun } else { was_given_back }, "{fence}: {outcome:?}");
    }
    assert_eq!(hand_over(&mailer, with_fence(11)).await, Err(AskError::Refused(Failure::Unavailable)));
    assert_eq!(store.next_settlement().await, (11, MessageOutcome::Returned));
}

/// Makes the Mailer panic.
#[derive(Message)]
#[rtype(result = "Result<(), Failure>")]
struct Crash;

impl Handler<Crash> for Mailer {
    type Result = Result<(), Failure>;

    fn handle(&mut self, _: Crash, _: &mut Self::Context) -> Self::Result {
        panic!("as the test says");
    }
}

#[actix::test]
async fn after_a_restart_the_mailer_claims_and_takes_mails_as_before() {
    let inbox = inbox();
    inbox.capture(&mail("eve@example.org"));
    let mut store = FakeStore::start(vec![], 0);
    let mailer = start_mailer(Route::memory(inbox), &store);
    assert_eq!(store.next().await, Asked::Claim(MAX_SENDS));

    assert_eq!(mailer.asks().ask(Crash, PATIENCE).await, Err(AskError::Crashed));
    mailer.report().wait_for(|report| report.restarts == 1 && report.health == fiador::supervision::Health::Up).await.unwrap();

    hand_over(&mailer, LeasedMessage { message_id: "<2@x>".to_owned(), ..with_fence(1) }).await.unwrap();
    assert_eq!(store.next_settlement().await, (1, MessageOutcome::Captured));
    assert_eq!(store.next().await, Asked::Claim(MAX_SENDS));
    assert_eq!(read_inbox(&mailer, "eve@example.org", 0).await.unwrap(), ["eve@example.org"]);
}

#[actix::test]
async fn the_inbox_waits_for_the_next_mail_to_an_address() {
    tokio::time::pause();
    let inbox = inbox();
    let store = FakeStore::start(vec![], 0);
    let mailer = start_mailer(Route::memory(inbox.clone()), &store);

    let (mails, ()) = tokio::join!(read_inbox(&mailer, "ADA@Example.org", 30), async {
        inbox.capture(&mail("eve@example.org"));
        hand_over(&mailer, message("Ada@example.org")).await.unwrap();
    });

    assert_eq!(mails.unwrap(), ["Ada@example.org"]);
    assert_eq!(read_inbox(&mailer, "nobody@example.org", 5).await.unwrap(), Vec::<String>::new());
}

#[actix::test]
async fn the_inbox_refuses_what_is_no_address_and_is_closed_when_mails_go_out() {
    let sink = SmtpSink::start(SmtpTls::None).await;
    let store = FakeStore::start(vec![], 0);
    let to_memory = start_mailer(Route::memory(inbox()), &store);
    let to_smtp = start_mailer(Route::smtp(vec![sink.settings()]).unwrap(), &store);

    let refused = read_inbox(&to_memory, "Ada <ada@example.org>", 0).await;
    assert!(matches!(refused, Err(AskError::Refused(Failure::Refused(Refusal::FieldInvalid { field: "to", .. })))));
    assert_eq!(read_inbox(&to_smtp, "ada@example.org", 0).await, Err(AskError::Refused(Failure::Unavailable)));
}

#[test]
fn the_inbox_keeps_the_newest_thousand_and_each_mail_once() {
    let inbox = inbox();
    let mut another = mail("ada@example.org");
    for serial in 0..=CAPACITY {
        another.message_id = format!("<{serial}@mail.example.com>");
        inbox.capture(&another);
        inbox.capture(&another);
    }

    let mails = inbox.read(Some(&address("ada@example.org")));
    assert_eq!(mails.len(), CAPACITY);
    assert_eq!(mails[0].id, format!("<{CAPACITY}@mail.example.com>"));
    assert_eq!(mails[CAPACITY - 1].id, "<1@mail.example.com>");
    assert_eq!(format!("{:?}", mails[0]), "InboxMail");
}

//! A commit holds only if nothing came in between and the clock is right; otherwise it is decided anew.

use std::time::Duration;

use fiador::{
    domain::{Budget, Moment, Refusal, Status, Token},
    messages::Failure,
};
use tempfile::TempDir;

use crate::kit::{
    budgets::spent,
    monitor::Monitor,
    proxy::Proxy,
    redis::TestRedis,
    stores::{TestStore, new_operation, other_than, until},
};

/// The stores of two daemons on one server; of one, each command can be held back.
struct Two {
    slow: TestStore,
    fast: TestStore,
    proxy: Proxy,
    monitor: Monitor,
    server: TestRedis,
    _directory: TempDir,
}

impl Two {
    async fn start() -> Self {
        Self::with_clock_ahead(0).await
    }

    /// The slow one connects to a server whose clock seems to be so far ahead.
    async fn with_clock_ahead(seconds: i64) -> Self {
        let (server, directory) = (TestRedis::start(), tempfile::tempdir().unwrap());
        let fast = TestStore::on(&server.url(), directory.path()).await;
        fast.start("warm-up@example.org").await;
        let proxy = Proxy::before(&server).await;
        proxy.set_clock_ahead(seconds);
        let slow = TestStore::on(&proxy.url(), directory.path()).await;
        let monitor = Monitor::of(&server);
        Self { slow, fast, proxy, monitor, server, _directory: directory }
    }
}

fn refused<T>(refusal: Refusal) -> Result<T, Failure> {
    Err(Failure::Refused(refusal))
}

#[actix::test]
async fn a_wrong_check_that_came_second_is_charged_after_the_first() {
    let mut two = Two::start().await;
    let (verification, mail) = two.fast.start("ada@example.org").await;
    let wrong = other_than(mail.digits().unwrap());
    let mut held = two.proxy.hold("EVALSHA");
    two.monitor.take();

    let second = two.slow.check(&verification.id, &wrong);
    let first = async {
        held.reached().await;
        let first = two.fast.check(&verification.id, &wrong).await;
        held.release();
        first
    };
    let (second, first) = tokio::join!(second, first);
    assert_eq!(first, refused(Refusal::NumberIncorrect { attempts_remaining: 4 }));
    assert_eq!(second, refused(Refusal::NumberIncorrect { attempts_remaining: 3 }));
    assert_eq!(two.monitor.take_names(), ["MGET", "MGET", "EVALSHA", "EVALSHA", "EVALSHA"]);
}

#[actix::test]
async fn a_right_check_that_came_second_releases_nothing_and_as_the_same_operation_the_same() {
    for is_same_operation in [false, true] {
        let two = Two::start().await;
        let (verification, mail) = two.fast.start("ada@example.org").await;
        let (one, number) = (new_operation(), mail.digits().unwrap());
        let other = if is_same_operation { one } else { new_operation() };
        let mut held = two.proxy.hold("EVALSHA");

        let second = two.slow.check_as(other, &verification.id, number);
        let first = async {
            held.reached().await;
            let first = two.fast.check_as(one, &verification.id, number).await;
            held.release();
            first
        };
        let (second, first) = tokio::join!(second, first);
        assert_eq!(first.as_ref().unwrap().token, Some(Token::Text("tok-1".to_owned())));
        assert_eq!(second, if is_same_operation { first } else { refused(Refusal::AlreadyApproved) });
    }
}

#[actix::test]
async fn a_start_that_came_second_waits_for_its_pause() {
    let two = Two::start().await;
    let mut held = two.proxy.hold("EVALSHA");

    let second = two.slow.open(TestStore::opening("ada@example.org"));
    let first = async {
        held.reached().await;
        two.fast.start("ada@example.org").await;
        held.release();
    };
    let (second, ()) = tokio::join!(second, first);
    assert_eq!(second, refused(spent(Budget::AddressSends, 30)));
}

#[actix::test]
async fn a_server_that_forgot_the_script_is_sent_it_again() {
    let mut two = Two::start().await;
    two.server.tell(&["SCRIPT", "FLUSH"]);
    two.monitor.take();

    two.slow.start("ada@example.org").await;
    assert_eq!(two.monitor.take_names(), ["EVALSHA", "EVAL"]);
    two.slow.start("bob@example.org").await;
    assert_eq!(two.monitor.take_names(), ["EVALSHA"]);
}

#[actix::test]
async fn a_store_whose_clock_is_an_hour_off_is_refused_learns_the_time_and_succeeds() {
    for hour in [3600, -3600] {
        let mut two = Two::with_clock_ahead(hour).await;

        let (by_wrong_clock, _) = two.slow.start("ada@example.org").await;
        assert_eq!(two.monitor.take_names(), ["EVALSHA", "EVALSHA"]);
        let (by_right_clock, _) = two.fast.start("bob@example.org").await;
        let (one, other) = (by_wrong_clock.expires_at, by_right_clock.expires_at);
        assert!(one.since(other).max(other.since(one)) < Duration::from_secs(2));
    }
}

#[actix::test]
async fn a_number_does_not_outlive_its_expiry_by_a_clock_that_stands_back() {
    let two = Two::with_clock_ahead(-3600).await;
    let (verification, mail) = two.fast.start("ada@example.org").await;
    for hand in [&two.fast.hand, &two.slow.hand] {
        hand.advance(Duration::from_secs(600));
    }

    assert_eq!(two.slow.check(&verification.id, mail.digits().unwrap()).await, refused(Refusal::Expired));
}

#[actix::test]
async fn a_clock_that_went_ahead_is_put_right_though_nothing_is_written() {
    let two = Two::with_clock_ahead(3600).await;
    let (verification, _) = two.fast.start("ada@example.org").await;
    assert_eq!(two.slow.look_up(&verification.id).await.unwrap().status, Status::Expired);

    two.proxy.set_clock_ahead(0);
    until(async || two.slow.look_up(&verification.id).await.unwrap().status == Status::Pending).await;
}

#[actix::test]
async fn record_and_token_end_with_what_they_are_kept_for() {
    let (server, directory) = (TestRedis::start(), tempfile::tempdir().unwrap());
    let store = TestStore::on(&server.url(), directory.path()).await;
    let (verification, mail) = store.start("ada@example.org").await;
    let hour = Duration::from_secs(3600);
    assert_eq!(end_of(&server, b'a'), verification.expires_at + hour);
    let lingering = Duration::from_secs(2); // for clocks that are behind: what it seals says when it ends
    assert_eq!(end_of(&server, b't'), verification.expires_at + lingering);

    let approval = store.check(&verification.id, mail.digits().unwrap()).await.unwrap();
    assert_eq!(end_of(&server, b'a'), approval.approved_at + hour);
    assert_eq!(end_of(&server, b't'), approval.approved_at + Duration::from_secs(60) + lingering);
}

/// When the one key of this kind ends.
fn end_of(server: &TestRedis, kind: u8) -> Moment {
    let is_of_kind = |key: &Vec<u8>| key.split(|&byte| byte == b'}').nth(1).is_some_and(|rest| rest[0] == kind);
    let key = server.keys().into_iter().find(is_of_kind).unwrap();
    Moment(redis::cmd("PEXPIRETIME").arg(key).query(&mut server.connection()).unwrap())
}

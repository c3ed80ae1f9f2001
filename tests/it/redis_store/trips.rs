//! How often each operation goes to Redis and back, as the design counts it.

use std::time::Duration;

use fiador::{
    domain::{Charge, LeasedMessage, MessageOutcome, Refusal},
    messages::OpenVerification,
};
use tempfile::TempDir;

use crate::kit::{
    budgets::three_starts,
    monitor::Monitor,
    proxy::Proxy,
    redis::TestRedis,
    stores::{TestStore, new_operation, of_ip, other_than},
};

struct Counted {
    store: TestStore,
    proxy: Proxy,
    monitor: Monitor,
    _server: TestRedis,
    _directory: TempDir,
}

impl Counted {
    /// A store whose server knows the script.
    async fn start() -> Self {
        let (server, directory) = (TestRedis::start(), tempfile::tempdir().unwrap());
        let proxy = Proxy::before(&server).await;
        let store = TestStore::on(&proxy.url(), directory.path()).await;
        store.start("warm-up@example.org").await;
        let mut counted = Self { store, proxy, monitor: Monitor::of(&server), _server: server, _directory: directory };
        counted.took();
        counted
    }

    /// The commands since the last call, and in how many trips they went.
    fn took(&mut self) -> (Vec<String>, usize) {
        (self.monitor.take_names(), self.proxy.take_trips())
    }
}

fn commands(names: &[&str]) -> (Vec<String>, usize) {
    (names.iter().map(ToString::to_string).collect(), names.len())
}

#[actix::test]
async fn a_start_of_a_fresh_address_takes_one_trip_and_of_a_known_one_two() {
    let mut counted = Counted::start().await;

    counted.store.start("ada@example.org").await;
    assert_eq!(counted.took(), commands(&["EVALSHA"]));
    counted.store.hand.advance(Duration::from_secs(30));
    counted.store.start("ada@example.org").await;
    assert_eq!(counted.took(), commands(&["EVALSHA", "EVALSHA"]));
}

#[actix::test]
async fn a_read_takes_one_trip() {
    let mut counted = Counted::start().await;
    let (verification, _) = counted.store.start("ada@example.org").await;
    counted.took();

    counted.store.look_up(&verification.id).await.unwrap();
    assert_eq!(counted.took(), commands(&["GET"]));
}

#[actix::test]
async fn a_check_takes_two_trips_right_or_wrong_and_its_repetition_one() {
    let mut counted = Counted::start().await;
    let (verification, mail) = counted.store.start("ada@example.org").await;
    let operation = new_operation();
    counted.took();

    counted.store.check(&verification.id, &other_than(mail.digits().unwrap())).await.unwrap_err();
    assert_eq!(counted.took(), commands(&["MGET", "EVALSHA"]));
    counted.store.check_as(operation, &verification.id, mail.digits().unwrap()).await.unwrap();
    assert_eq!(counted.took(), commands(&["MGET", "EVALSHA"]));
    counted.store.check_as(operation, &verification.id, mail.digits().unwrap()).await.unwrap();
    assert_eq!(counted.took(), commands(&["MGET"]));
}

#[actix::test]
async fn a_check_by_number_takes_three_trips_and_a_first_miss_two() {
    let mut counted = Counted::start().await;
    let opening = OpenVerification { is_found_by_number: true, digits: 12, ..TestStore::opening("ada@example.org") };
    let number = counted.store.open(opening).await.unwrap().message.unwrap().number.unwrap();
    counted.took();

    counted.store.check_by_number(&other_than(number.as_str())).await.unwrap_err();
    assert_eq!(counted.took(), (commands(&["GET", "GET", "EVALSHA"]).0, 2));
    counted.store.check_by_number(number.as_str()).await.unwrap();
    assert_eq!(counted.took(), (commands(&["GET", "GET", "MGET", "EVALSHA"]).0, 3));
}

#[actix::test]
async fn a_check_by_number_takes_seven_trips_when_half_of_the_misses_are_spent() {
    let mut counted = Counted::start().await;
    let opening = OpenVerification { is_found_by_number: true, digits: 12, ..TestStore::opening("ada@example.org") };
    let number = counted.store.open(opening).await.unwrap().message.unwrap().number.unwrap();
    for _ in 0..500 {
        counted.store.check_by_number(&other_than(number.as_str())).await.unwrap_err();
    }
    counted.took();

    counted.store.check_by_number(number.as_str()).await.unwrap();
    let names = ["GET", "GET", "EVALSHA", "EVALSHA", "MGET", "EVALSHA", "GET", "EVALSHA"];
    assert_eq!(counted.took(), (commands(&names).0, 7));
}

#[actix::test]
async fn a_start_that_may_open_nothing_takes_one_trip() {
    let mut counted = Counted::start().await;
    let opening = TestStore::opening("ada@example.org");
    counted.store.open(opening.clone()).await.unwrap();
    counted.took();

    counted.store.open(OpenVerification { refusal: Some(Refusal::NotFound), ..opening }).await.unwrap();
    assert_eq!(counted.took(), commands(&["GET"]));
}

#[actix::test]
async fn a_resend_takes_two_trips() {
    let mut counted = Counted::start().await;
    let (verification, mail) = counted.store.start("ada@example.org").await;
    counted.store.settle(&mail, MessageOutcome::Captured).await;
    counted.store.hand.advance(Duration::from_secs(30));
    counted.took();

    counted.store.resend(&verification.id).await.unwrap();
    assert_eq!(counted.took(), commands(&["GET", "EVALSHA"]));
}

#[actix::test]
async fn a_cancel_takes_two_trips_and_its_repetition_one() {
    let mut counted = Counted::start().await;
    let (verification, _) = counted.store.start("ada@example.org").await;
    counted.took();

    counted.store.end(&verification.id).await.unwrap();
    assert_eq!(counted.took(), commands(&["GET", "EVALSHA"]));
    counted.store.end(&verification.id).await.unwrap();
    assert_eq!(counted.took(), commands(&["GET"]));
}

#[actix::test]
async fn each_budget_of_a_start_takes_one_trip_or_two_and_its_refund_two() {
    let mut counted = Counted::start().await;
    let of_application = || vec![Charge::of_application(three_starts())];

    counted.store.charge(of_application()).await.unwrap();
    assert_eq!(counted.took(), commands(&["EVALSHA"]));
    counted.store.charge(of_application()).await.unwrap();
    assert_eq!(counted.took(), commands(&["EVALSHA", "EVALSHA"]));
    counted.store.refund(of_application()).await.unwrap();
    assert_eq!(counted.took(), commands(&["GET", "EVALSHA"]));
    counted.store.charge([vec![of_ip("203.0.113.9")], of_application()].concat()).await.unwrap();
    assert_eq!(counted.took(), commands(&["EVALSHA", "EVALSHA", "EVALSHA"]));
    counted.store.charge([vec![of_ip("203.0.113.9")], of_application()].concat()).await.unwrap();
    counted.took();
    counted.store.charge([vec![of_ip("203.0.113.10")], of_application()].concat()).await.unwrap_err();
    assert_eq!(counted.took(), commands(&["EVALSHA", "EVALSHA", "GET", "EVALSHA"]));
}

#[actix::test]
async fn a_settlement_takes_one_trip_and_two_when_the_record_has_changed_since_the_lease() {
    let mut counted = Counted::start().await;
    let (_, mail) = counted.store.start("ada@example.org").await;
    let (verification, changed) = counted.store.start("bob@example.org").await;
    counted.store.check(&verification.id, &other_than(changed.digits().unwrap())).await.unwrap_err();
    counted.store.open(OpenVerification { with_lease: false, ..TestStore::opening("cleo@example.org") }).await.unwrap();
    let [claimed] = counted.store.claim(8).await.try_into().unwrap();
    counted.took();

    counted.store.settle(&mail, MessageOutcome::Captured).await;
    assert_eq!(counted.took(), commands(&["EVALSHA"]));
    counted.store.settle(&claimed, MessageOutcome::Captured).await;
    assert_eq!(counted.took(), commands(&["EVALSHA"]));
    counted.store.settle(&changed, MessageOutcome::Captured).await;
    assert_eq!(counted.took(), commands(&["EVALSHA", "EVALSHA"]));
    counted.store.settle(&LeasedMessage { written: None, ..mail }, MessageOutcome::Captured).await;
    assert_eq!(counted.took(), commands(&["GET"]), "it was settled before");
}

#[actix::test]
async fn a_poll_of_all_shards_takes_one_trip_and_each_mail_it_claims_two() {
    let mut counted = Counted::start().await;
    let (nothing, one_mail) =
        (counted.store.claim(8).await, OpenVerification { with_lease: false, ..TestStore::opening("ada@example.org") });
    assert!(nothing.is_empty());
    assert_eq!(counted.took(), (vec!["ZRANGE".to_owned(); 64], 1));

    counted.store.open(one_mail).await.unwrap();
    counted.took();
    assert_eq!(counted.store.claim(8).await.len(), 1);
    let (names, trips) = counted.took();
    assert_eq!((&names[64..], trips), (["GET".to_owned(), "EVALSHA".to_owned()].as_slice(), 1 + 2));
}

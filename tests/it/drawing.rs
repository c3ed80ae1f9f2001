//! Numbers that identify by themselves are unique among an application's live ones.

use std::{rc::Rc, time::Duration};

use fiador::{
    clock::{Chance, Clock, Hand},
    domain::{ApplicationName, Refusal, transitions::Mailing},
    store::{
        KeyRing, Records, StoreError, Vault,
        embedded::Writer,
        operations::{StartRequest, Starting},
        redis::{Link, Redis},
    },
};

use crate::kit::{
    redis::TestRedis,
    stores::{TestStore, settings, until},
};

async fn start(records: &impl Records, address: &str) -> Result<Result<Mailing, Refusal>, StoreError> {
    let opening = TestStore::opening(address);
    let request = StartRequest {
        application: opening.application,
        address: opening.address,
        token: opening.token,
        purpose: opening.purpose,
        locale: opening.locale,
        ttl_seconds: 600,
        digits: 12,
        wrong_checks: 5,
        mail_domain: opening.mail_domain,
        context_ip: None,
        is_found_by_number: true,
        is_test: false,
        with_lease: true,
        signs_in: None,
        refusal: None,
        operation: opening.operation,
    };
    records.run(Starting::new(records.vault(), request)).await
}

/// Two addresses of one shard: only among those can a number be drawn twice.
fn of_one_shard(vault: &Vault) -> [String; 2] {
    let shop = ApplicationName::parse("shop").unwrap();
    let shard = |text: &String| vault.handle(&shop, &fiador::domain::EmailAddress::parse(text).unwrap()).shard();
    let first = "ada@example.org".to_owned();
    let other = (0..100_000).map(|n| format!("bob{n}@example.org")).find(|text| shard(text) == shard(&first));
    [first, other.unwrap()]
}

/// The first start draws 7, the second eight times 7 and then 8.
fn with_seven_eight_times() -> Vault {
    let draws = std::iter::repeat_n(7, 9).chain([8]);
    Vault::new(KeyRing::generate(&mut fiador::clock::system_random())).drawing_from(Chance::scripted(draws))
}

/// Every draw is 7.
fn with_seven_only() -> Vault {
    let draws = std::iter::repeat_n(7, 100);
    Vault::new(KeyRing::generate(&mut fiador::clock::system_random())).drawing_from(Chance::scripted(draws))
}

async fn redraws(records: &impl Records) {
    let [first, second] = of_one_shard(records.vault());
    let number = async |address: &str| start(records, address).await.unwrap().unwrap().message.unwrap().number;

    let (one, other) = (number(&first).await, number(&second).await);
    assert_ne!(one, other);
}

/// The number that the newest start of an address replaces was mailed: it must not open what is started now.
async fn redraws_for_one_address(records: &impl Records, hand: &Hand) {
    let number = async || start(records, "ada@example.org").await.unwrap().unwrap().message.unwrap().number;

    let replaced = number().await;
    hand.advance(Duration::from_secs(30));
    assert_ne!(number().await, replaced);
}

async fn gives_up(records: &impl Records) {
    let [first, second] = of_one_shard(records.vault());
    start(records, &first).await.unwrap().unwrap();

    assert!(matches!(start(records, &second).await, Err(StoreError::NoFreeNumber)));
}

fn embedded(vault: Vault, hand: &Hand) -> (Writer, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (Writer::start(&directory.path().join("fiador.redb"), vault, Clock::moved_by(hand)).unwrap(), directory)
}

async fn redis(vault: Vault, hand: &Hand) -> (Redis, TestRedis) {
    let server = TestRedis::start();
    let link = Rc::new(Link::new(settings(&server.url()), vault.fingerprint(), Clock::moved_by(hand)));
    let kept = link.clone();
    actix_rt::spawn(async move { kept.keep_connected().await });
    until(async || link.why_down().await.is_none()).await;
    (Redis::new(link, vault), server)
}

#[actix::test]
async fn a_taken_number_is_drawn_anew_in_the_embedded_store() {
    let (writer, _directory) = embedded(with_seven_eight_times(), &Hand::default());
    redraws(&writer).await;
}

#[actix::test]
async fn a_taken_number_is_drawn_anew_in_redis() {
    let (redis, _server) = redis(with_seven_eight_times(), &Hand::default()).await;
    redraws(&redis).await;
}

#[actix::test]
async fn the_number_of_a_replaced_start_is_drawn_anew_in_the_embedded_store() {
    let hand = Hand::default();
    let (writer, _directory) = embedded(with_seven_eight_times(), &hand);
    redraws_for_one_address(&writer, &hand).await;
}

#[actix::test]
async fn the_number_of_a_replaced_start_is_drawn_anew_in_redis() {
    let hand = Hand::default();
    let (redis, _server) = redis(with_seven_eight_times(), &hand).await;
    redraws_for_one_address(&redis, &hand).await;
}

#[actix::test]
async fn after_eight_redraws_the_embedded_store_gives_up() {
    let (writer, _directory) = embedded(with_seven_only(), &Hand::default());
    gives_up(&writer).await;
}

#[actix::test]
async fn after_eight_redraws_redis_gives_up() {
    let (redis, _server) = redis(with_seven_only(), &Hand::default()).await;
    gives_up(&redis).await;
}

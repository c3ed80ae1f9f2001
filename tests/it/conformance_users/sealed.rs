//! What a store holds of users, and for how long.

use std::{fs, time::Duration};

use fiador::{clock::Clock, domain::MessageOutcome, messages::OpenVerification};

use super::ADA;
use crate::kit::{
    redis::TestRedis,
    stores::{TestStore, embedded_store},
};

/// Of whom nothing may be read in a store.
const TOLD: [&str; 6] = [ADA, "example.org", "CANARY", "argon2id", "plan", "shop"];

/// A user that has gone through everything; and its id.
async fn live(store: &TestStore) -> String {
    let user = store.keep(TestStore::keeping_to_verify(ADA)).await.unwrap().user;
    store.begin(ADA).await.unwrap();
    store.change_password(&user.id).await;
    for mail in store.claim(8).await {
        store.settle(&mail, MessageOutcome::Deferred { reply: "451 later".to_owned(), maybe_accepted: false }).await;
    }
    user.id.as_str().to_owned()
}

fn assert_tells_nothing(bytes: &[u8], id: &str) {
    let told = TOLD.into_iter().chain([id, id.strip_prefix("usr_").unwrap()]);
    for text in told {
        assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{text} is there in the clear");
    }
}

#[actix::test]
async fn redis_holds_nothing_of_a_user_in_the_clear_and_no_end_of_it_until_it_is_forgotten() {
    let (server, directory) = (TestRedis::start(), tempfile::tempdir().unwrap());
    let store = TestStore::on(&server.url(), directory.path()).await;
    let user = store.keep(TestStore::keeping(ADA)).await.unwrap().user;
    let mut connection = server.connection();
    let mut record_ends_at = || -> Vec<i64> {
        let records = server.keys().into_iter().filter(|key| key.contains(&b'}') && key[key.len() - 17] == b'a');
        records.map(|key| redis::cmd("PEXPIRETIME").arg(key).query(&mut connection).unwrap()).collect()
    };
    let in_a_thousand_years = 32_500_000_000_000;
    assert!(record_ends_at().iter().all(|&end| end == -1 || end > in_a_thousand_years), "{:?}", record_ends_at());
    store.begin(ADA).await.unwrap();

    store.forget(&user.id).await.unwrap();

    let ends = record_ends_at();
    assert_eq!(ends.len(), 1, "its budget of sign-ins is not full yet");
    assert!(ends.iter().all(|&end| 0 < end && end < in_a_thousand_years), "{ends:?}");
    store.hand.advance(Duration::from_secs(3600));
    let id = live(&store).await;
    for (key, value) in server.dump() {
        assert_tells_nothing(key.as_bytes(), &id);
        assert_tells_nothing(value.as_bytes(), &id);
    }
}

#[actix::test]
async fn a_forgotten_user_leaves_redis_its_budgets_alone() {
    let (server, directory) = (TestRedis::start(), tempfile::tempdir().unwrap());
    let store = TestStore::on(&server.url(), directory.path()).await;
    let user = store.keep(TestStore::keeping_to_verify(ADA)).await.unwrap().user;
    store.hand.advance(Duration::from_secs(30));
    let by_number = OpenVerification { is_found_by_number: true, digits: 12, ..TestStore::opening(ADA) };
    let mail = store.open(by_number).await.unwrap().message.unwrap();
    store.settle(&mail, MessageOutcome::Refused("550 no".to_owned())).await;
    store.change_password(&user.id).await;
    assert!(server.keys().len() > 4, "record, token, number, queue and failed list");

    store.forget(&user.id).await.unwrap();

    let kinds = |keys: Vec<Vec<u8>>| -> Vec<u8> {
        let kind = |key: &Vec<u8>| key.split(|&byte| byte == b'}').nth(1).and_then(|rest| rest.first().copied());
        keys.iter().filter_map(kind).collect()
    };
    assert_eq!(kinds(server.keys()), [b'a']);
}

#[actix::test]
async fn the_file_holds_nothing_of_a_user_in_the_clear() {
    let directory = tempfile::tempdir().unwrap();
    let (clock, hand) = Clock::manual();
    let store = TestStore::of(embedded_store(directory.path(), clock).await, hand);
    let id = live(&store).await;

    let file = fs::read(directory.path().join("fiador.redb")).unwrap();
    assert!(!file.is_empty());
    assert_tells_nothing(&file, &id);
}

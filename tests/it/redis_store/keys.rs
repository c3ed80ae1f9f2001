//! Every key that is touched is declared, all of an operation are in one slot, and none tells anything.

use std::time::Duration;

use fiador::{domain::MessageOutcome, messages::OpenVerification};
use redis::Connection;

use crate::kit::{
    monitor::{Monitor, Seen},
    redis::TestRedis,
    stores::{TestStore, other_than},
};

const ADDRESSES: [&str; 4] = ["{ada}@example.org", "bob@example.org", "eve@example.org", "sue@example.org"];
const IP: &str = "203.0.113.9";

/// Every operation, and every effect that one can have; the secrets that came along.
pub(super) async fn do_everything(store: &TestStore) -> Vec<String> {
    let [ada, bob, eve, sue] = ADDRESSES;
    let (approved, mail) = store.start(ada).await;
    store.look_up(&approved.id).await.unwrap();
    store.check(&approved.id, &other_than(mail.digits().unwrap())).await.unwrap_err();
    store.settle(&mail, MessageOutcome::Sent("250 ok".to_owned())).await;
    store.hand.advance(Duration::from_secs(30));
    store.resend(&approved.id).await.unwrap();
    store.check(&approved.id, mail.digits().unwrap()).await.unwrap();

    let (exhausted, mail) = store.start(bob).await;
    store.settle(&mail, MessageOutcome::Refused("550 no".to_owned())).await;
    for _ in 0..5 {
        store.check(&exhausted.id, &other_than(mail.digits().unwrap())).await.unwrap_err();
    }

    let (canceled, mail) = store.start(eve).await;
    store.settle(&mail, MessageOutcome::Returned).await;
    let again = store.claim(8).await;
    assert_eq!(again.len(), 1);
    store.settle(&again[0], MessageOutcome::Returned).await;
    store.end(&canceled.id).await.unwrap();

    let newest = start_over(store, sue).await;
    store.check_by_number(&newest).await.unwrap();
    store.check_by_number(&other_than(&newest)).await.unwrap_err();
    store.charge_ip(IP).await.unwrap();
    store.charge_ip(IP).await.unwrap();
    store.refund_ip(IP).await;
    let ids = [approved.id, exhausted.id, canceled.id].map(|id| id.as_str().to_owned());
    ids.into_iter().chain([newest, mail.digits().unwrap().to_owned()]).collect()
}

/// The number of a start that replaced another one.
async fn start_over(store: &TestStore, address: &str) -> String {
    let opening = || OpenVerification { is_found_by_number: true, digits: 12, ..TestStore::opening(address) };
    store.open(opening()).await.unwrap();
    store.hand.advance(Duration::from_secs(30));
    store.open(opening()).await.unwrap().message.unwrap().digits().unwrap().to_owned()
}

/// A store on a cluster's node, which refuses what crosses slots, and what it was told.
async fn watched() -> (TestRedis, Vec<Seen>, Vec<String>) {
    let (server, directory) = (TestRedis::start_cluster_of_one(), tempfile::tempdir().unwrap());
    let store = TestStore::on(&server.url(), directory.path()).await;
    let mut monitor = Monitor::of(&server);
    let secrets = do_everything(&store).await;
    let seen = monitor.take();
    (server, seen, secrets)
}

/// The keys that a call of the script declares.
fn declared(call: &Seen) -> &[Vec<u8>] {
    let count: usize = str::from_utf8(&call.words[2]).unwrap().parse().unwrap();
    &call.words[3..3 + count]
}

fn slot(connection: &mut Connection, key: &[u8]) -> u16 {
    redis::cmd("CLUSTER").arg("KEYSLOT").arg(key).query(connection).unwrap()
}

#[actix::test]
async fn the_script_touches_declared_keys_alone_and_all_of_them_are_in_one_slot() {
    let (server, seen, _) = watched().await;
    let mut connection = server.connection();
    let mut names = Vec::new();
    let mut keys = Vec::new();
    for seen in &seen {
        match (seen.by_script, seen.name().as_str()) {
            (false, "EVALSHA" | "EVAL") => {
                keys = declared(seen).to_vec();
                let slots = keys.iter().map(|key| slot(&mut connection, key));
                assert!(slots.collect::<Vec<_>>().windows(2).all(|pair| pair[0] == pair[1]), "two slots");
            }
            (false, "MGET") => assert_eq!(slot(&mut connection, &seen.words[1]), slot(&mut connection, &seen.words[2])),
            (true, "TIME") | (false, _) => {}
            (true, name) => {
                assert!(keys.contains(&seen.words[1]), "{name} of a key that was not declared");
                names.push(name.to_owned());
            }
        }
    }
    names.sort();
    names.dedup();
    let all = ["EXISTS", "GET", "GETRANGE", "PEXPIRE", "PEXPIREAT", "SET", "UNLINK", "ZADD", "ZREM", "ZREMRANGEBYSCORE"];
    assert_eq!(names, all, "a command of the script was left out, or one is new");
}

#[actix::test]
async fn no_key_holds_text_of_a_user_an_id_or_a_number() {
    let (server, seen, secrets) = watched().await;
    let called = seen.iter().filter(|seen| !seen.by_script && seen.name().starts_with("EVAL")).flat_map(declared).cloned();
    let keys: Vec<_> = called.chain(server.keys()).collect();

    for key in keys.iter().filter(|key| *key != b"fiador:keyring") {
        let (tag, rest) = key.split_at(key.iter().position(|&byte| byte == b'}').unwrap() + 1);
        assert!(tag.len() <= 4 && tag[0] == b'{', "{tag:?}");
        let length = match rest[0] {
            b'a' | b't' | b'n' => 17,
            b'q' | b'f' => 1,
            other => panic!("a key of another kind: {other}"),
        };
        assert_eq!(rest.len(), length);
        let told = ADDRESSES.iter().copied().chain(secrets.iter().map(String::as_str)).chain([IP, "shop", "example"]);
        for text in told {
            assert!(!key.windows(text.len()).any(|window| window == text.as_bytes()), "a key holds {text}");
        }
    }
}

#[actix::test]
async fn nothing_is_kept_without_an_end_but_queues_and_the_rings_fingerprint() {
    let (server, _, _) = watched().await;
    let mut connection = server.connection();
    let endless = server.keys().into_iter().filter(|key| {
        let expires_at: i64 = redis::cmd("PEXPIRETIME").arg(key).query(&mut connection).unwrap();
        expires_at < 0
    });

    for key in endless {
        let is_queue = key.ends_with(b"}q");
        assert!(is_queue || key == b"fiador:keyring", "a key has no end");
    }
}

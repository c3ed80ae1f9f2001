//! `EmbeddedStore` on its file: what it commits together, what it keeps, and who else may open it.

mod disks;
mod torn;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use fiador::{
    clock::Clock,
    domain::MessageOutcome,
    messages::OpenVerification,
    store::{
        KeyRing, Vault,
        embedded::{OpenError, Writer},
    },
};
use futures_util::future::join_all;
use redb::{ReadableDatabase, ReadableTableMetadata, TableHandle};

use crate::kit::stores::{TestStore, embedded_store, embedded_writer, guarded_embedded_store};

#[actix::test]
async fn what_waits_is_committed_together() {
    let directory = tempfile::tempdir().unwrap();
    let (clock, hand) = Clock::manual();
    let writer = embedded_writer(directory.path(), clock).await;
    let store = TestStore::of(guarded_embedded_store(writer.clone()), hand);
    let before = writer.commits();

    let addresses: Vec<String> = (0..100).map(|n| format!("ada{n}@example.org")).collect();
    let opened = join_all(addresses.iter().map(|address| store.open(TestStore::opening(address)))).await;
    assert!(opened.iter().all(Result::is_ok));
    let commits = writer.commits() - before;
    assert!((1..=20).contains(&commits), "{commits} commits for 100 starts");
}

#[actix::test]
async fn what_only_reads_commits_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (clock, hand) = Clock::manual();
    let writer = embedded_writer(directory.path(), clock).await;
    let store = TestStore::of(guarded_embedded_store(writer.clone()), hand);
    let (verification, mail) = store.start("ada@example.org").await;
    store.check(&verification.id, mail.digits().unwrap()).await.unwrap();
    let before = writer.commits();

    store.look_up(&verification.id).await.unwrap();
    store.check(&verification.id, mail.digits().unwrap()).await.unwrap_err();
    assert!(store.claim(8).await.is_empty());
    assert_eq!(writer.commits(), before);
}

#[actix::test]
async fn what_is_answered_is_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let (clock, hand) = Clock::manual();
    let store = TestStore::of(embedded_store(directory.path(), clock.clone()).await, hand.clone());
    let (verification, mail) = store.start("ada@example.org").await;

    let copy = copy_of(directory.path());
    let restored = TestStore::of(embedded_store(copy.path(), clock).await, hand);
    assert_eq!(restored.look_up(&verification.id).await, store.look_up(&verification.id).await);
    assert!(restored.check(&verification.id, mail.digits().unwrap()).await.is_ok());
}

/// The file and its key ring as they are at this moment, in a directory of their own.
fn copy_of(directory: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in ["fiador.redb", "keyring.toml"] {
        fs::copy(directory.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

#[actix::test]
async fn what_expired_is_swept() {
    let directory = tempfile::tempdir().unwrap();
    let (clock, hand) = Clock::manual();
    let store = TestStore::of(embedded_store(directory.path(), clock).await, hand);
    store.start("pending@example.org").await;
    store.open(OpenVerification { is_found_by_number: true, digits: 12, ..TestStore::opening("bob@example.org") }).await.unwrap();
    let (approved, mail) = store.start("approved@example.org").await;
    store.check(&approved.id, mail.digits().unwrap()).await.unwrap();
    let (_, refused) = store.start("refused@example.org").await;
    store.settle(&refused, MessageOutcome::Refused("550 no such user".to_owned())).await;
    store.charge_ip("203.0.113.9").await.unwrap();
    let rows = rows(directory.path());
    assert_eq!((rows["records"], rows["tokens"], rows["numbers"], rows["failed"]), (5, 4, 1, 1), "{rows:?}");

    store.hand.advance(Duration::from_secs(24 * 3600));
    store.claim(8).await;
    let left: Vec<_> = self::rows(directory.path()).into_iter().filter(|&(_, count)| count > 0).collect();
    assert_eq!(left, [("ring".to_owned(), 1)]);
}

/// How many rows each table of the file has.
fn rows(directory: &Path) -> BTreeMap<String, u64> {
    let copy = copy_of(directory);
    let database = redb::Database::open(copy.path().join("fiador.redb")).unwrap();
    let transaction = database.begin_read().unwrap();
    let count = |table: redb::UntypedTableHandle| {
        let name = table.name().to_owned();
        (name, transaction.open_untyped_table(table).unwrap().len().unwrap())
    };
    transaction.list_tables().unwrap().map(count).collect()
}

#[test]
fn a_second_daemon_on_the_file_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path: PathBuf = directory.path().join("fiador.redb");
    let open = || Writer::start(&path, Vault::new(KeyRing::generate(&mut fiador::clock::system_random())), Clock::system());
    let _first = open().unwrap();

    let refused = open().err().unwrap();
    assert!(matches!(&refused, OpenError::InUse(refused) if *refused == path));
}

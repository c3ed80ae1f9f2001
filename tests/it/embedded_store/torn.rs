//! Files that were damaged while nobody used them: each is refused by name, or has all that was acknowledged. Nothing that is lost
//! is lost in silence.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Barrier, thread};

use fiador::{
    clock::{Clock, Hand, system_random},
    domain::VerificationView,
    messages::Failure,
    store::{
        self, KeyRing, RingPlace, Vault,
        embedded::{self, OpenError},
    },
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::copy_of;
use crate::kit::stores::{TestStore, embedded_store, guarded_embedded_store};

const PAGE: usize = 4096;
const DAMAGES: u64 = 60;

/// What happened to a file, drawn from a seed; `older` is how it was a while before.
fn damage(bytes: &mut Vec<u8>, older: &[u8], seed: u64) -> String {
    let chance = &mut StdRng::seed_from_u64(seed);
    let page = chance.random_range(0..bytes.len() / PAGE);
    let places = page * PAGE..(page + 1) * PAGE;
    match seed % 4 {
        0 => {
            bytes.truncate(chance.random_range(0..bytes.len()));
            format!("cut to {} bytes", bytes.len())
        }
        1 => {
            bytes[page * PAGE..].fill(0);
            format!("zeros from page {page} on")
        }
        2 => {
            bytes[places].fill(0);
            format!("zeros in page {page}")
        }
        _ => {
            let found = older.get(places.clone()).map_or_else(|| vec![0; PAGE], <[u8]>::to_vec);
            bytes[places].copy_from_slice(&found);
            format!("an older page {page}")
        }
    }
}

/// The store as a daemon opens it at its start.
async fn start(directory: &Path, clock: Clock, hand: Hand) -> Result<TestStore, String> {
    let path = directory.join("fiador.redb");
    let ring: Result<KeyRing, _> = store::open_or_make(&RingPlace::new(directory, None), |fingerprint, origin| {
        let claimed = embedded::claim_ring(&path, &fingerprint, &origin);
        async { claimed }
    })
    .await;
    let vault = Vault::new(ring.map_err(|error| error.to_string())?);
    let writer = embedded::Writer::start(&path, vault, clock).map_err(|error| error.to_string())?;
    Ok(TestStore::of(guarded_embedded_store(writer), hand))
}

async fn is_kept(store: &TestStore, verification: &VerificationView) -> bool {
    match store.look_up(&verification.id).await {
        Ok(found) => found == *verification,
        Err(failure) => failure == Failure::Unavailable,
    }
}

#[actix::test]
async fn a_file_that_was_emptied_is_refused_by_name_and_stays_as_it_is() {
    let (directory, (clock, hand)) = (tempfile::tempdir().unwrap(), Clock::manual());
    TestStore::of(embedded_store(directory.path(), clock.clone()).await, hand.clone()).start("ada@example.org").await;
    let copy = copy_of(directory.path());
    let path = copy.path().join("fiador.redb");
    fs::write(&path, "").unwrap();

    for _ in 0..2 {
        let refusal = start(copy.path(), clock.clone(), hand.clone()).await.err().expect("what it held is lost");
        assert!(refusal.starts_with(&path.display().to_string()), "{refusal}");
        assert!(refusal.contains("no bytes") && refusal.contains("restore it, or move it away"), "{refusal}");
    }
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    fs::rename(&path, copy.path().join("moved away")).unwrap();
    start(copy.path(), clock, hand).await.unwrap();
}

#[actix::test]
async fn what_a_crash_of_the_first_start_left_stops_no_other_and_is_gone_afterwards() {
    let (whole, (clock, hand)) = (tempfile::tempdir().unwrap(), Clock::manual());
    TestStore::of(embedded_store(whole.path(), clock.clone()).await, hand.clone()).start("ada@example.org").await;
    let whole = fs::read(whole.path().join("fiador.redb")).unwrap();

    for left in [&whole[..0], &[0; 3 * PAGE], &whole[..PAGE], &whole[..whole.len() / 2], &whole[..]] {
        let directory = tempfile::tempdir().unwrap();
        let draft = directory.path().join("fiador.redb.new");
        fs::write(&draft, left).unwrap();

        let store = start(directory.path(), clock.clone(), hand.clone()).await.unwrap();

        store.start("ada@example.org").await;
        assert!(!draft.exists());
        assert_eq!(fs::metadata(directory.path().join("fiador.redb")).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn of_starts_at_the_same_moment_in_a_new_directory_one_has_the_file_and_the_others_are_told_so() {
    const STARTS: usize = 8;
    for _ in 0..10 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fiador.redb");
        let ring = KeyRing::generate(&mut system_random());
        let (ready, decided) = (Barrier::new(STARTS), Barrier::new(STARTS));
        let open = || {
            ready.wait();
            let opened = embedded::Writer::start(&path, Vault::new(ring.clone()), Clock::system());
            decided.wait(); // nobody has let go of the file before
            opened.map(drop)
        };
        let outcomes: Vec<_> = thread::scope(|scope| {
            let starts: Vec<_> = (0..STARTS).map(|_| scope.spawn(open)).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });

        let refusals: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
        assert_eq!(refusals.len(), STARTS - 1);
        assert!(refusals.iter().all(|refusal| matches!(refusal, OpenError::InUse(_))), "{refusals:?}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}

#[actix::test]
async fn a_link_to_a_file_that_is_away_is_refused_and_left_as_it_is() {
    let (directory, (clock, hand)) = (tempfile::tempdir().unwrap(), Clock::manual());
    let path = directory.path().join("fiador.redb");
    std::os::unix::fs::symlink(directory.path().join("away/fiador.redb"), &path).unwrap();

    let refusal = start(directory.path(), clock, hand).await.err().unwrap();

    assert!(refusal.contains("fiador.redb") && refusal.contains("not there"), "{refusal}");
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
}

#[actix::test]
async fn a_damaged_file_is_refused_by_name_or_has_all_that_was_acknowledged() {
    let (directory, (clock, hand)) = (tempfile::tempdir().unwrap(), Clock::manual());
    let store = TestStore::of(embedded_store(directory.path(), clock.clone()).await, hand.clone());
    let mut acknowledged = Vec::new();
    let mut older = Vec::new();
    for n in 0..200 {
        let id = store.start(&format!("ada{n}@example.org")).await.0.id;
        acknowledged.push(store.look_up(&id).await.unwrap());
        if n == 150 {
            older = fs::read(directory.path().join("fiador.redb")).unwrap();
        }
    }

    let mut refusals = 0;
    for seed in 0..DAMAGES {
        let copy = copy_of(directory.path());
        let path = copy.path().join("fiador.redb");
        let mut bytes = fs::read(&path).unwrap();
        let what = damage(&mut bytes, &older, seed);
        fs::write(&path, &bytes).unwrap();

        match start(copy.path(), clock.clone(), hand.clone()).await {
            Err(refusal) => {
                assert!(refusal.contains("fiador.redb") && refusal.contains("restore it"), "{what}: {refusal}");
                refusals += 1;
            }
            Ok(store) => {
                for verification in &acknowledged {
                    assert!(is_kept(&store, verification).await, "{what}: one is lost");
                }
            }
        }
    }
    assert!((1..DAMAGES).contains(&refusals), "{refusals} of {DAMAGES} tell nothing");
}

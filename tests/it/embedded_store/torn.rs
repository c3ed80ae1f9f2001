//! Files that were damaged while nobody used them: each is refused by name, or has all that was acknowledged. Nothing that is lost
//! is lost in silence.

use std::{fs, path::Path};

use fiador::{
    clock::{Clock, Hand},
    domain::VerificationView,
    messages::Failure,
    store::{self, KeyRing, RingPlace, Vault, embedded},
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

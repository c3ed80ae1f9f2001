//! Rotates the keys in a ring's file, whatever works with the ring meanwhile.

use std::fs::{File, TryLockError};

use super::{RingError, RingPlace, shown, signing};
use crate::clock::system_random;

/// Which keys are rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// Those that seal what is stored. All stay: the older ones open.
    Sealing,
    /// Those that sign assertions. The one before the newest stays, for what it signed last; older ones go.
    Signing,
}

/// What a rotation is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationStep {
    /// Add a key that is only known (it opens, or is published), so that all daemons on one store can have it before any of them
    /// works with it.
    Prepare,
    /// Let the prepared key work; when none is prepared, a new one.
    Change,
}

/// What was done. The ids are those in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// This key is known.
    Prepared(String),
    /// This key is known, from an earlier preparation; nothing was changed.
    WasPrepared(String),
    /// This key, which was prepared, works.
    Changed(String),
    /// This key, which no other daemon knows yet, works.
    ChangedAtOnce(String),
}

/// Rotates the keys of one use in the ring at `place`; all others stay what they are. The file is replaced whole or not at all;
/// running daemons take it when they are told to.
///
/// # Errors
/// [`RingError`]: nothing has changed then. `Busy` while another rotates it.
pub fn rotate(place: &RingPlace, of: KeyUse, step: RotationStep) -> Result<Rotation, RingError> {
    place.read()?; // before the lock: where there is no ring, no file is to be left behind
    let place = &place.followed()?;
    let _lock = lock(place)?;
    let mut ring = place.read()?;
    let keys = ring.succession(of);
    let was_prepared = keys.prepared.is_some();
    let rotation = match step {
        RotationStep::Prepare if was_prepared => return Ok(Rotation::WasPrepared(shown(keys.prepare(&mut system_random())))),
        RotationStep::Prepare => Rotation::Prepared(shown(keys.prepare(&mut system_random()))),
        RotationStep::Change if was_prepared => Rotation::Changed(shown(keys.rotate(&mut system_random()))),
        RotationStep::Change => Rotation::ChangedAtOnce(shown(keys.rotate(&mut system_random()))),
    };
    if of == KeyUse::Signing {
        keys.keep_newest(signing::KEPT);
    }
    place.replace(&ring)?;
    Ok(rotation)
}

/// Held until it is dropped, or the process ends.
fn lock(place: &RingPlace) -> Result<File, RingError> {
    let (file, path) = place.open_lock()?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RingError::Busy { path: place.path().to_owned() }),
        Err(TryLockError::Error(cause)) => Err(RingError::File { path, cause }),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::store::{KeyRing, open_or_make};

    async fn place_with_ring() -> (tempfile::TempDir, RingPlace, KeyRing) {
        let dir = tempfile::tempdir().unwrap();
        let place = RingPlace::new(dir.path(), None);
        let ring = open_or_make(&place, async |fingerprint, origin| Ok((fingerprint, origin))).await.unwrap();
        (dir, place, ring)
    }

    #[tokio::test]
    async fn a_rotation_keeps_every_key_and_the_file_its_owners() {
        let (_dir, place, mut before) = place_with_ring().await;

        for step in [RotationStep::Change, RotationStep::Prepare, RotationStep::Change, RotationStep::Change] {
            rotate(&place, KeyUse::Sealing, step).unwrap();
            let after = place.read().unwrap();
            assert_eq!(after.succeeds(&before), Ok(()));
            before = after;
        }
        assert_eq!(before.sealing.keys.len(), 4);
        assert_eq!(fs::metadata(place.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_ring_behind_a_link_is_rotated_where_it_is() {
        let (dir, place, _) = place_with_ring().await;
        let (link, real) = (place.path().to_owned(), dir.path().join("real.toml"));
        fs::rename(&link, &real).unwrap();
        std::os::unix::fs::symlink("real.toml", &link).unwrap();

        rotate(&place, KeyUse::Sealing, RotationStep::Change).unwrap();

        assert_eq!(fs::read_link(&link).unwrap(), std::path::Path::new("real.toml"));
        assert_eq!(place.read().unwrap().sealing.keys.len(), 2);
    }

    #[tokio::test]
    async fn a_second_preparation_changes_nothing() {
        let (_dir, place, _) = place_with_ring().await;
        let Rotation::Prepared(id) = rotate(&place, KeyUse::Sealing, RotationStep::Prepare).unwrap() else {
            panic!("none was prepared")
        };
        let before = fs::read(place.path()).unwrap();

        assert_eq!(rotate(&place, KeyUse::Sealing, RotationStep::Prepare).unwrap(), Rotation::WasPrepared(id.clone()));
        assert_eq!(fs::read(place.path()).unwrap(), before);
        assert_eq!(rotate(&place, KeyUse::Sealing, RotationStep::Change).unwrap(), Rotation::Changed(id));
    }

    #[tokio::test]
    async fn who_comes_while_another_rotates_is_refused_and_changes_nothing() {
        let (_dir, place, _) = place_with_ring().await;
        let before = fs::read(place.path()).unwrap();

        let held = lock(&place).unwrap();
        assert!(matches!(rotate(&place, KeyUse::Sealing, RotationStep::Change), Err(RingError::Busy { .. })));
        assert_eq!(fs::read(place.path()).unwrap(), before);
        drop(held);
        assert!(rotate(&place, KeyUse::Sealing, RotationStep::Change).is_ok());
    }

    #[test]
    fn where_no_ring_is_nothing_is_made() {
        let dir = tempfile::tempdir().unwrap();

        let refused = rotate(&RingPlace::new(dir.path(), None), KeyUse::Sealing, RotationStep::Change);

        assert!(matches!(refused, Err(RingError::Missing { .. })));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn of_the_keys_that_sign_the_newest_two_and_a_prepared_one_are_kept() {
        let (_dir, place, made) = place_with_ring().await;
        let ids = |ring: &KeyRing| ring.signing.all().map(|key| shown(key.id)).collect::<Vec<_>>();
        let [first] = &ids(&made)[..] else { panic!("{:?}", ids(&made)) };

        let Rotation::Prepared(second) = rotate(&place, KeyUse::Signing, RotationStep::Prepare).unwrap() else { panic!() };
        assert_eq!(place.read().unwrap().signing_keys().newest.id, *first);
        assert_eq!(rotate(&place, KeyUse::Signing, RotationStep::Change).unwrap(), Rotation::Changed(second.clone()));
        assert_eq!(ids(&place.read().unwrap()), [first.clone(), second.clone()]);
        let Rotation::ChangedAtOnce(third) = rotate(&place, KeyUse::Signing, RotationStep::Change).unwrap() else { panic!() };

        let after = place.read().unwrap();
        assert_eq!((ids(&after), after.sealing.keys.len()), (vec![second, third.clone()], 1));
        assert_eq!((after.signing_keys().newest.id, after.succeeds(&made)), (third, Ok(())));
    }
}

//! Rotates the sealing key in a ring's file, whatever works with the ring meanwhile.

use std::fs::{File, TryLockError};

use super::{RingError, RingPlace, shown};
use crate::clock::system_random;

/// What a rotation is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationStep {
    /// Add a key that only opens, so that all daemons on one store can have it before any of them seals with it.
    Prepare,
    /// Let the prepared key seal; when none is prepared, a new one.
    Seal,
}

/// What was done. The ids are those in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// This key opens.
    Prepared(String),
    /// This key opens, from an earlier preparation; nothing was changed.
    WasPrepared(String),
    /// This key, which was prepared, seals.
    Sealing(String),
    /// This key, which no other daemon knows yet, seals.
    SealingAtOnce(String),
}

/// Rotates the ring at `place`. All keys stay in it, and the naming key stays what it is. The file is replaced whole or not at
/// all; running daemons take it when they are told to.
///
/// # Errors
/// [`RingError`]: nothing has changed then. `Busy` while another rotates it.
pub fn rotate(place: &RingPlace, step: RotationStep) -> Result<Rotation, RingError> {
    place.read()?; // before the lock: where there is no ring, no file is to be left behind
    let place = &place.followed()?;
    let _lock = lock(place)?;
    let mut ring = place.read()?;
    let was_prepared = ring.prepared.is_some();
    let rotation = match step {
        RotationStep::Prepare if was_prepared => return Ok(Rotation::WasPrepared(shown(ring.prepare(&mut system_random())))),
        RotationStep::Prepare => Rotation::Prepared(shown(ring.prepare(&mut system_random()))),
        RotationStep::Seal if was_prepared => Rotation::Sealing(shown(ring.rotate(&mut system_random()))),
        RotationStep::Seal => Rotation::SealingAtOnce(shown(ring.rotate(&mut system_random()))),
    };
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

        for step in [RotationStep::Seal, RotationStep::Prepare, RotationStep::Seal, RotationStep::Seal] {
            rotate(&place, step).unwrap();
            let after = place.read().unwrap();
            assert_eq!(after.succeeds(&before), Ok(()));
            before = after;
        }
        assert_eq!(before.sealing.len(), 4);
        assert_eq!(fs::metadata(place.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_ring_behind_a_link_is_rotated_where_it_is() {
        let (dir, place, _) = place_with_ring().await;
        let (link, real) = (place.path().to_owned(), dir.path().join("real.toml"));
        fs::rename(&link, &real).unwrap();
        std::os::unix::fs::symlink("real.toml", &link).unwrap();

        rotate(&place, RotationStep::Seal).unwrap();

        assert_eq!(fs::read_link(&link).unwrap(), std::path::Path::new("real.toml"));
        assert_eq!(place.read().unwrap().sealing.len(), 2);
    }

    #[tokio::test]
    async fn a_second_preparation_changes_nothing() {
        let (_dir, place, _) = place_with_ring().await;
        let Rotation::Prepared(id) = rotate(&place, RotationStep::Prepare).unwrap() else { panic!("none was prepared") };
        let before = fs::read(place.path()).unwrap();

        assert_eq!(rotate(&place, RotationStep::Prepare).unwrap(), Rotation::WasPrepared(id.clone()));
        assert_eq!(fs::read(place.path()).unwrap(), before);
        assert_eq!(rotate(&place, RotationStep::Seal).unwrap(), Rotation::Sealing(id));
    }

    #[tokio::test]
    async fn who_comes_while_another_rotates_is_refused_and_changes_nothing() {
        let (_dir, place, _) = place_with_ring().await;
        let before = fs::read(place.path()).unwrap();

        let held = lock(&place).unwrap();
        assert!(matches!(rotate(&place, RotationStep::Seal), Err(RingError::Busy { .. })));
        assert_eq!(fs::read(place.path()).unwrap(), before);
        drop(held);
        assert!(rotate(&place, RotationStep::Seal).is_ok());
    }

    #[test]
    fn where_no_ring_is_nothing_is_made() {
        let dir = tempfile::tempdir().unwrap();

        let refused = rotate(&RingPlace::new(dir.path(), None), RotationStep::Seal);

        assert!(matches!(refused, Err(RingError::Missing { .. })));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

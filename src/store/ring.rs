//! The key ring: what it is, what it is written as, where it is kept, and how its sealing key is rotated.

mod form;
mod place;
mod rotation;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use rand::CryptoRng;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

pub use place::{RingPlace, open_or_make};
pub use rotation::{Rotation, RotationStep, rotate};

use crate::private_file::PrivateFileError;

type Secret = Zeroizing<[u8; 32]>;
/// A key that is kept: boxed, so that what holds it can grow and move without leaving a copy behind.
type KeptSecret = Box<Secret>;

/// The master keys: one that names, made once and never changed, and those that seal, of which the newest seals and all open.
#[derive(Clone)]
pub struct KeyRing {
    naming: KeptSecret,
    sealing: Vec<SealingKey>,
    /// The next to seal; until then it only opens what daemons that have gone on already sealed.
    prepared: Option<SealingKey>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing")
    }
}

/// A key that seals, with the id that stands in front of what it sealed.
#[derive(Clone)]
pub(super) struct SealingKey {
    pub(super) id: [u8; 4],
    pub(super) secret: KeptSecret,
}

/// Why there is no key ring to work with.
#[derive(Debug, Error)]
pub enum RingError {
    /// The file cannot be written.
    #[error("key ring {}: {cause}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file cannot be read, or not by its owner alone.
    #[error("key ring {} {cause}", path.display())]
    NotPrivate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        cause: PrivateFileError,
    },
    /// The file is not a key ring.
    #[error("key ring {} is not readable: {cause}; restore it from your copy", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it; no key.
        cause: &'static str,
    },
    /// There is no file.
    #[error(
        "key ring {} is not there: copy the store's there; if there is none yet, a start without keyring_file makes one in \
         data_dir", path.display()
    )]
    Missing {
        /// Which file.
        path: PathBuf,
    },
    /// The store belongs to another ring.
    #[error("store belongs to another key ring than {}: copy the right one from {origin}", path.display())]
    Foreign {
        /// Our file.
        path: PathBuf,
        /// Where the store's ring was made.
        origin: String,
    },
    /// The file is not a later form of the ring in use.
    #[error("key ring {} {cause}", path.display())]
    NoSuccessor {
        /// Which file.
        path: PathBuf,
        /// How it differs.
        cause: NoSuccessor,
    },
    /// Somebody else rotates it.
    #[error("key ring {} is being rotated by somebody else; try again when that is done", path.display())]
    Busy {
        /// Which file.
        path: PathBuf,
    },
    /// The store could not be asked.
    #[error("{0}")]
    Store(String),
}

impl RingError {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::File { path, cause }
    }
}

/// How a ring differs from one that may take the place of another while everything runs.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NoSuccessor {
    /// Names made with it would mean nothing.
    #[error("has another naming key than the one in use; put the store's own ring back")]
    OtherNaming,
    /// Records would no longer open.
    #[error("lacks a sealing key that is in use; put the newest ring back, or restart to do without that key")]
    KeyMissing,
}

/// Why a store did not say to which ring it belongs.
#[derive(Debug, Error)]
pub enum ClaimError {
    /// It is down, and may be back: with a ring on disk there is no need to wait for it.
    #[error("{0}")]
    Unreachable(String),
    /// It is there, and not to be used.
    #[error("{0}")]
    Unfit(String),
}

impl KeyRing {
    /// A new ring.
    pub fn generate(random: &mut impl CryptoRng) -> Self {
        let naming = draw(random);
        let mut ring = Self { naming, sealing: Vec::new(), prepared: None };
        let first = ring.draw_key(random);
        ring.sealing.push(first);
        ring
    }

    /// Adds a key that only opens, unless there is one already. The id of the prepared key.
    pub(super) fn prepare(&mut self, random: &mut impl CryptoRng) -> [u8; 4] {
        let prepared = self.prepared.take().unwrap_or_else(|| self.draw_key(random));
        self.prepared.insert(prepared).id
    }

    /// Lets the prepared key seal, or a new one when none is prepared. Its id.
    pub(super) fn rotate(&mut self, random: &mut impl CryptoRng) -> [u8; 4] {
        let next = self.prepared.take().unwrap_or_else(|| self.draw_key(random));
        let id = next.id;
        self.sealing.push(next);
        id
    }

    fn draw_key(&self, random: &mut impl CryptoRng) -> SealingKey {
        let secret = draw(random);
        let mut id = [0; 4];
        random.fill_bytes(&mut id);
        while self.with_id(id).is_some() {
            random.fill_bytes(&mut id);
        }
        SealingKey { id, secret }
    }

    pub(super) fn naming_subkey(&self, label: &str) -> Secret {
        expand(&self.naming, &["fiador naming ", label])
    }

    pub(super) fn newest(&self) -> &SealingKey {
        self.sealing.last().expect("a ring is made and read with at least one sealing key")
    }

    pub(super) fn with_id(&self, id: [u8; 4]) -> Option<&SealingKey> {
        self.sealing.iter().rev().chain(&self.prepared).find(|key| key.id == id)
    }

    /// Whether it may take the place of `other` while everything runs: whatever that one named or sealed, it finds and opens.
    pub(super) fn succeeds(&self, other: &Self) -> Result<(), NoSuccessor> {
        if self.fingerprint() != other.fingerprint() {
            return Err(NoSuccessor::OtherNaming);
        }
        let has = |key: &SealingKey| self.with_id(key.id).is_some_and(|own| own.secret.ct_eq(key.secret.as_slice()).into());
        if other.sealing.iter().chain(&other.prepared).all(has) { Ok(()) } else { Err(NoSuccessor::KeyMissing) }
    }

    /// The key that hashes what the audit log must not name.
    pub(super) fn audit_key(&self) -> Zeroizing<[u8; 32]> {
        self.naming_subkey("audit")
    }

    /// What a store keeps to know its ring again: it tells nothing of the keys.
    pub fn fingerprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.naming_subkey("fingerprint")[..16])
    }
}

impl SealingKey {
    /// The key that `text`, a secret of its own, leads to; `label` says what it is for.
    pub(super) fn derive(&self, label: &str, text: &str) -> Secret {
        expand(&self.secret, &["fiador ", label, " ", text])
    }
}

/// An id as people see it: in the file, in the log, on the command line.
pub(super) fn shown(id: [u8; 4]) -> String {
    URL_SAFE_NO_PAD.encode(id)
}

#[expect(clippy::unnecessary_box_returns, reason = "a key that is returned by itself leaves a copy on the stack")]
fn draw(random: &mut impl CryptoRng) -> KeptSecret {
    let mut bytes = KeptSecret::default();
    random.fill_bytes(bytes.as_mut_slice());
    bytes
}

fn expand(secret: &Secret, info: &[&str]) -> Secret {
    let mut key = Zeroizing::new([0; 32]);
    let info: Vec<&[u8]> = info.iter().map(|part| part.as_bytes()).collect();
    Hkdf::<Sha256>::new(None, secret.as_slice()).expand_multi_info(&info, key.as_mut()).expect("32 bytes are one block");
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::system_random;

    #[test]
    fn a_prepared_key_opens_and_the_next_rotation_lets_it_seal() {
        let mut ring = KeyRing::generate(&mut system_random());
        let (first, fingerprint) = (ring.newest().id, ring.fingerprint());

        let prepared = ring.prepare(&mut system_random());
        assert_eq!((ring.newest().id, ring.with_id(prepared).is_some()), (first, true));
        assert_eq!(ring.prepare(&mut system_random()), prepared);
        assert_eq!(ring.rotate(&mut system_random()), prepared);
        assert_eq!((ring.newest().id, ring.with_id(first).is_some()), (prepared, true));
        let next = ring.rotate(&mut system_random());
        assert!(next != prepared && ring.newest().id == next);
        assert_eq!(ring.fingerprint(), fingerprint);
    }

    #[test]
    fn a_ring_succeeds_another_when_it_names_alike_and_opens_all_that_was_sealed() {
        let ring = KeyRing::generate(&mut system_random());
        let (mut prepared, mut rotated) = (ring.clone(), ring.clone());
        prepared.prepare(&mut system_random());
        rotated.rotate(&mut system_random());

        assert_eq!([ring.succeeds(&ring), prepared.succeeds(&ring), rotated.succeeds(&ring)], [Ok(()); 3]);
        for (later, earlier) in [(&ring, &prepared), (&ring, &rotated), (&prepared, &rotated), (&rotated, &prepared)] {
            assert_eq!(later.succeeds(earlier), Err(NoSuccessor::KeyMissing));
        }
        assert_eq!(KeyRing::generate(&mut system_random()).succeeds(&ring), Err(NoSuccessor::OtherNaming));
        let mut forged = ring.clone();
        forged.sealing[0].secret = draw(&mut system_random());
        assert_eq!(forged.succeeds(&ring), Err(NoSuccessor::KeyMissing));
    }
}

//! The key ring: what it is, what it is written as, where it is kept, and how its keys are rotated.

mod form;
mod place;
mod rotation;
mod signing;
mod succession;

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
pub use rotation::{KeyUse, Rotation, RotationStep, rotate};
pub use signing::{SigningKey, SigningKeys};
use succession::Succession;
pub(super) use succession::{RingKey, shown};

use crate::private_file::PrivateFileError;

type Secret = Zeroizing<[u8; 32]>;
/// A key that is kept: boxed, so that what holds it can grow and move without leaving a copy behind.
pub type KeptSecret = Box<Secret>;

/// The master keys: one that names, made once and never changed; those that seal, of which the newest seals and all open; and
/// those that sign assertions.
#[derive(Clone)]
pub struct KeyRing {
    naming: KeptSecret,
    sealing: Succession,
    signing: Succession,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing")
    }
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
        Self { naming, sealing: Succession::generate(random), signing: Succession::generate(random) }
    }

    /// The first key that signs, of a ring that has none written: derived, so that all daemons with the ring agree on it.
    fn first_signing_key(naming: &KeptSecret) -> RingKey {
        let [id, secret] = ["signing id", "signing"].map(|label| expand(naming, &["fiador naming ", label]));
        let mut key = RingKey { id: [id[0], id[1], id[2], id[3]], secret: KeptSecret::default() };
        key.secret.copy_from_slice(secret.as_slice());
        key
    }

    fn succession(&mut self, of: KeyUse) -> &mut Succession {
        match of {
            KeyUse::Sealing => &mut self.sealing,
            KeyUse::Signing => &mut self.signing,
        }
    }

    pub(super) fn naming_subkey(&self, label: &str) -> Secret {
        expand(&self.naming, &["fiador naming ", label])
    }

    /// The key that seals.
    pub(super) fn newest(&self) -> &RingKey {
        self.sealing.newest()
    }

    /// The key that opens what this key sealed.
    pub(super) fn with_id(&self, id: [u8; 4]) -> Option<&RingKey> {
        self.sealing.with_id(id)
    }

    /// The keys that sign assertions, and those that are published beside.
    pub(super) fn signing_keys(&self) -> SigningKeys {
        SigningKeys::of(&self.signing)
    }

    /// Whether it may take the place of `other` while everything runs: whatever that one named or sealed, it finds and opens. Keys
    /// that signed may be gone: what they signed holds for minutes.
    pub(super) fn succeeds(&self, other: &Self) -> Result<(), NoSuccessor> {
        if self.fingerprint() != other.fingerprint() {
            return Err(NoSuccessor::OtherNaming);
        }
        let has = |key: &RingKey| self.with_id(key.id).is_some_and(|own| own.secret.ct_eq(key.secret.as_slice()).into());
        if other.sealing.all().all(has) { Ok(()) } else { Err(NoSuccessor::KeyMissing) }
    }

    /// The key that hashes what the audit log must not name.
    pub(super) fn audit_key(&self) -> Zeroizing<[u8; 32]> {
        self.naming_subkey("audit")
    }

    /// What goes into the hash of each password and is not kept with it. Of the naming key, which is never rotated: a hash takes
    /// another pepper only together with its password, which nobody keeps.
    pub(super) fn pepper(&self) -> Zeroizing<[u8; 32]> {
        self.naming_subkey("password pepper")
    }

    /// What a store keeps to know its ring again: it tells nothing of the keys.
    pub fn fingerprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.naming_subkey("fingerprint")[..16])
    }
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
    fn a_ring_succeeds_another_when_it_names_alike_and_opens_all_that_was_sealed() {
        let ring = KeyRing::generate(&mut system_random());
        let (mut prepared, mut rotated) = (ring.clone(), ring.clone());
        prepared.sealing.prepare(&mut system_random());
        rotated.sealing.rotate(&mut system_random());

        assert_eq!([ring.succeeds(&ring), prepared.succeeds(&ring), rotated.succeeds(&ring)], [Ok(()); 3]);
        for (later, earlier) in [(&ring, &prepared), (&ring, &rotated), (&prepared, &rotated), (&rotated, &prepared)] {
            assert_eq!(later.succeeds(earlier), Err(NoSuccessor::KeyMissing));
        }
        assert_eq!(KeyRing::generate(&mut system_random()).succeeds(&ring), Err(NoSuccessor::OtherNaming));
        let mut forged = ring.clone();
        forged.sealing.keys[0].secret = draw(&mut system_random());
        assert_eq!(forged.succeeds(&ring), Err(NoSuccessor::KeyMissing));
    }

    #[test]
    fn a_ring_whose_keys_that_sign_were_all_replaced_still_succeeds_the_one_before() {
        let ring = KeyRing::generate(&mut system_random());
        let later = KeyRing { signing: Succession::generate(&mut system_random()), ..ring.clone() };

        assert_eq!(later.succeeds(&ring), Ok(()));
    }

    #[test]
    fn each_purpose_of_the_naming_key_has_a_key_of_its_own() {
        let ring = KeyRing::generate(&mut system_random());
        let all = [ring.pepper(), ring.audit_key(), ring.naming_subkey("handle"), ring.naming_subkey("signing")];

        assert!(all.iter().enumerate().all(|(at, key)| all[..at].iter().all(|other| other != key)));
        assert_eq!(ring.pepper(), ring.clone().pepper());
    }
}

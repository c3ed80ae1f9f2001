use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Handle, ring::KeyRing};
use crate::{
    clock::Chance,
    domain::{ApplicationName, Budget, IdentityNumber, KeyedHash},
};

type HmacSha256 = Hmac<Sha256>;

/// Everything that is done with keys: names, ids, hashes and seals. One per store.
#[derive(Clone)]
pub struct Vault {
    pub(super) ring: KeyRing,
    pub(super) handles: Naming,
    pub(super) id_masks: Naming,
    pub(super) id_hashes: Naming,
    operations: Naming,
    numbers: Naming,
    bodies: Naming,
    messages: Naming,
    lookups: Naming,
    budgets: Naming,
    chance: Chance,
}

/// A keyed hash for one purpose, its key schedule made once.
#[derive(Clone)]
pub(super) struct Naming(HmacSha256);

impl Naming {
    fn new(ring: &KeyRing, label: &str) -> Self {
        let key = ring.naming_subkey(label);
        Self(HmacSha256::new_from_slice(key.as_slice()).expect("HMAC takes keys of any length"))
    }

    /// The hash of `parts`, each with its length in front, cut to 16 bytes.
    pub(super) fn hash(&self, parts: &[&[u8]]) -> KeyedHash {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        let whole = mac.finalize().into_bytes();
        let mut cut = KeyedHash::default();
        cut.copy_from_slice(&whole[..16]);
        cut
    }
}

impl Vault {
    /// The vault of a key ring.
    pub fn new(ring: KeyRing) -> Self {
        Self {
            handles: Naming::new(&ring, "handle"),
            id_masks: Naming::new(&ring, "id"),
            id_hashes: Naming::new(&ring, "id hash"),
            operations: Naming::new(&ring, "operation"),
            numbers: Naming::new(&ring, "number"),
            bodies: Naming::new(&ring, "body"),
            messages: Naming::new(&ring, "message"),
            lookups: Naming::new(&ring, "lookup"),
            budgets: Naming::new(&ring, "budget"),
            chance: Chance::default(),
            ring,
        }
    }

    /// The same, drawing its numbers from `chance`.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn drawing_from(self, chance: Chance) -> Self {
        Self { chance, ..self }
    }

    /// Where its numbers are drawn from.
    pub(super) fn chance(&self) -> Chance {
        self.chance.clone()
    }

    /// What a store keeps to know its ring again.
    pub fn fingerprint(&self) -> String {
        self.ring.fingerprint()
    }

    /// The key under which a number alone leads to its verification.
    pub(super) fn lookup(&self, application: &ApplicationName, number: &IdentityNumber) -> KeyedHash {
        self.lookups.hash(&[application.as_str().as_bytes(), number.as_str().as_bytes()])
    }

    /// The handle of a budget that spans addresses.
    pub(super) fn budget(&self, application: &ApplicationName, budget: Budget, subject: &str) -> Handle {
        Handle(self.budgets.hash(&[application.as_str().as_bytes(), budget.as_str().as_bytes(), subject.as_bytes()]))
    }

    /// The 16 bytes that an operation leads to, for `subject`: an address or an id.
    pub(super) fn operation(&self, application: &str, operation: &[u8; 32], subject: &str) -> KeyedHash {
        self.operations.hash(&[application.as_bytes(), operation, subject.as_bytes()])
    }

    /// The hash of a number presented to one verification.
    pub(super) fn number(&self, verification: &KeyedHash, number: &str) -> KeyedHash {
        self.numbers.hash(&[verification, number.as_bytes()])
    }

    /// The fingerprint of a body.
    pub(super) fn body(&self, parts: &[&[u8]]) -> KeyedHash {
        self.bodies.hash(parts)
    }

    /// What stands before the @ of the `Message-ID` of the mail that an operation asked for: it tells nothing of the id.
    pub(super) fn message(&self, verification: &KeyedHash, operation: &KeyedHash) -> KeyedHash {
        self.messages.hash(&[verification, operation])
    }
}

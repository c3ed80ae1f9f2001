use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    Handle, StoreError,
    ring::{self, KeyRing, NoSuccessor, RingKey, SigningKeys},
};
use crate::{
    clock::Chance,
    domain::{ApplicationName, Budget, IdentityNumber, KeyedHash, MessageId},
    live::Live,
};

type HmacSha256 = Hmac<Sha256>;

/// Everything that is done with keys: names, ids, hashes and seals. One for a daemon, and each store has a clone: what names
/// never changes, and what seals is replaced for all of them at once.
#[derive(Clone)]
pub struct Vault {
    keys: Live<Keys>,
    pub(super) handles: Naming,
    pub(super) id_masks: Naming,
    pub(super) id_hashes: Naming,
    operations: Naming,
    numbers: Naming,
    bodies: Naming,
    messages: Naming,
    lookups: Naming,
    budgets: Naming,
    veils: Naming,
    chance: Chance,
}

/// A ring at work.
pub(super) struct Keys {
    ring: KeyRing,
    /// Whether the log has been told that it lacks a key.
    has_told: AtomicBool,
}

impl Keys {
    fn of(ring: KeyRing) -> Self {
        Self { ring, has_told: AtomicBool::new(false) }
    }

    /// The key that seals.
    pub(super) fn newest(&self) -> &RingKey {
        self.ring.newest()
    }

    /// The key that opens what this key sealed.
    ///
    /// # Errors
    /// `KeyMissing`, told once in the log for each ring: until it has the key, all that it sealed fails.
    pub(super) fn with_id(&self, id: [u8; 4]) -> Result<&RingKey, StoreError> {
        self.ring.with_id(id).ok_or_else(|| {
            if !self.has_told.swap(true, Ordering::Relaxed) {
                let sealing_key = ring::shown(id);
                tracing::error!(
                    sealing_key,
                    "sealed by a key that this ring lacks: copy the newest keyring.toml here and send SIGHUP"
                );
            }
            StoreError::KeyMissing
        })
    }
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
            veils: Naming::new(&ring, "veil"),
            chance: Chance::default(),
            keys: Live::new(Keys::of(ring)),
        }
    }

    /// Whether `ring` may take the place of the one it works with.
    ///
    /// # Errors
    /// How it differs: something named or sealed would be lost.
    pub(super) fn may_be_followed_by(&self, ring: &KeyRing) -> Result<(), NoSuccessor> {
        ring.succeeds(&self.keys.now().ring)
    }

    /// Seals with the newest key of `ring` from now on, which is one that [`ring::RingPlace::read_successor`] read. An operation
    /// that is under way may have opened with the ring before: this one opens the same.
    pub fn take_up(&self, ring: KeyRing) {
        let (before, after) = (self.keys.now().newest().id, ring.newest().id);
        let (signed_before, signing_key) = (self.signing_keys().newest.id, ring.signing_keys().newest.id);
        self.keys.replace(Keys::of(ring));
        if before != after {
            tracing::info!(sealing_key = ring::shown(after), "another key seals from now on");
        }
        if signed_before != signing_key {
            tracing::info!(signing_key, "another key signs from now on");
        }
    }

    /// The key that hashes what the audit log must not name.
    pub fn audit_key(&self) -> Zeroizing<[u8; 32]> {
        self.keys.now().ring.audit_key()
    }

    /// What goes into the hash of each password and is not kept with it. It is never rotated: a hash takes another pepper only
    /// together with its password, which nobody keeps.
    pub fn pepper(&self) -> Zeroizing<[u8; 32]> {
        self.keys.now().ring.pepper()
    }

    /// The keys that sign assertions now, and those that are published beside.
    pub fn signing_keys(&self) -> SigningKeys {
        self.keys.now().ring.signing_keys()
    }

    /// The keys that seal and open now.
    pub(super) fn keys(&self) -> Arc<Keys> {
        self.keys.now()
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
        self.keys.now().ring.fingerprint()
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

    /// `bytes` as text that only this vault reads, and for this application only: encrypted under a tag that is their keyed hash
    /// and goes in front (SIV), so that the same bytes are the same text each time.
    pub(super) fn veil(&self, application: &ApplicationName, kind: &str, bytes: &[u8]) -> String {
        let tag = self.veils.hash(&[b"tag", kind.as_bytes(), application.as_str().as_bytes(), bytes]);
        URL_SAFE_NO_PAD.encode([tag.to_vec(), self.stream(kind, &tag, bytes)].concat())
    }

    /// The bytes in a text that [`Self::veil`] made for this application and kind.
    pub(super) fn unveil(&self, application: &ApplicationName, kind: &str, text: &str) -> Option<Vec<u8>> {
        let veiled = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (tag, hidden) = veiled.split_first_chunk::<16>()?;
        let bytes = self.stream(kind, tag, hidden);
        let expected = self.veils.hash(&[b"tag", kind.as_bytes(), application.as_str().as_bytes(), &bytes]);
        bool::from(expected.ct_eq(tag)).then_some(bytes)
    }

    /// `bytes` with a keystream laid over them, or taken off.
    fn stream(&self, kind: &str, tag: &KeyedHash, bytes: &[u8]) -> Vec<u8> {
        let block = |at: usize| self.veils.hash(&[b"stream", kind.as_bytes(), tag, &(at as u64).to_be_bytes()]);
        let blocks = bytes.chunks(16).enumerate();
        blocks.flat_map(|(at, chunk)| chunk.iter().zip(block(at)).map(|(byte, pad)| byte ^ pad).collect::<Vec<_>>()).collect()
    }

    /// The `Message-ID` of the mail that an operation asked for: it tells nothing of the id.
    pub(super) fn message_id(&self, verification: &KeyedHash, operation: &KeyedHash, domain: String) -> MessageId {
        MessageId { local: self.message(verification, operation), domain }
    }

    /// A name of what an operation led to that tells nothing of it.
    pub(super) fn message(&self, verification: &KeyedHash, operation: &KeyedHash) -> KeyedHash {
        self.messages.hash(&[verification, operation])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        clock::system_random,
        domain::{EmailAddress, VerificationId},
    };

    /// All names that `text` can lead to for this application, taken for whatever it may be taken for.
    fn names(vault: &Vault, application: &str, text: &str) -> Vec<KeyedHash> {
        let name = ApplicationName::parse(application).unwrap();
        let address = |text: &str| EmailAddress::parse(text).unwrap();
        let id = VerificationId::parse(&format!("vrf_{text:A<42}A")).unwrap();
        let budgets = [Budget::AddressSends, Budget::IpStarts, Budget::NumberMisses];
        let mut names = vec![
            vault.handle(&name, &address(&format!("{text}@example.org"))).0,
            vault.handle(&name, &address(&format!("a@{text}.example"))).0,
            vault.key_of(&name, &id),
            vault.lookup(&name, &IdentityNumber::parse(text).unwrap()),
            vault.operation(application, &[7; 32], text),
            vault.body(&[application.as_bytes(), text.as_bytes()]),
        ];
        names.extend(budgets.map(|budget| vault.budget(&name, budget, text).0));
        names
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        /// Digits may be the name of an application, of a mailbox or a number: what is said as one is never found as the other,
        /// wherever one ends and the next begins.
        #[test]
        fn what_is_said_as_one_kind_never_leads_to_a_name_of_another(digits in "[1-9]{20}") {
            let vault = Vault::new(KeyRing::generate(&mut system_random()));
            let all: Vec<KeyedHash> = (5..=14).flat_map(|at| names(&vault, &digits[..at], &digits[at..])).collect();
            prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        }
    }
}

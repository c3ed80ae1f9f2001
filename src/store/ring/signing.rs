//! The keys that sign assertions, as who signs gets them.

use super::{KeptSecret, RingKey, Succession, succession::shown};

/// How many keys are in the ring after a rotation: the one that signs, and the one before it, for what it signed last.
pub(super) const KEPT: usize = 2;

/// The seed of an Ed25519 key (RFC 8032) and the id that it is published under.
#[derive(Clone)]
pub struct SigningKey {
    /// What tells it from the others of its ring.
    pub id: String,
    /// The private key.
    pub seed: KeptSecret,
}

/// The keys of one ring.
#[derive(Clone)]
pub struct SigningKeys {
    /// The one that signs.
    pub newest: SigningKey,
    /// Those that are published beside: the one that signed before, and the one that is prepared to sign next.
    pub others: Vec<SigningKey>,
}

impl SigningKeys {
    pub(super) fn of(keys: &Succession) -> Self {
        let newest = keys.newest();
        let others = keys.all().filter(|key| key.id != newest.id).map(SigningKey::of).collect();
        Self { newest: SigningKey::of(newest), others }
    }
}

impl SigningKey {
    fn of(key: &RingKey) -> Self {
        Self { id: shown(key.id), seed: key.secret.clone() }
    }
}

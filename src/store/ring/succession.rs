//! Keys that follow one another: the newest works, those before it stay for what they did, and the next may be prepared.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::CryptoRng;

use super::{KeptSecret, Secret, draw, expand};

/// A key, with the id that what it did is known by.
#[derive(Clone)]
pub(in crate::store) struct RingKey {
    pub(in crate::store) id: [u8; 4],
    pub(in crate::store) secret: KeptSecret,
}

/// Keys of one use: one or more, the newest last. No two have one id.
#[derive(Clone)]
pub(super) struct Succession {
    pub(super) keys: Vec<RingKey>,
    /// The next to work; until then it is only known, for daemons that have gone on already.
    pub(super) prepared: Option<RingKey>,
}

impl Succession {
    pub(super) fn generate(random: &mut impl CryptoRng) -> Self {
        let mut succession = Self { keys: Vec::new(), prepared: None };
        succession.rotate(random);
        succession
    }

    /// Adds a key that is only known, unless there is one already. The id of the prepared key.
    pub(super) fn prepare(&mut self, random: &mut impl CryptoRng) -> [u8; 4] {
        let prepared = self.prepared.take().unwrap_or_else(|| self.draw_key(random));
        self.prepared.insert(prepared).id
    }

    /// Lets the prepared key work, or a new one when none is prepared. Its id.
    pub(super) fn rotate(&mut self, random: &mut impl CryptoRng) -> [u8; 4] {
        let next = self.prepared.take().unwrap_or_else(|| self.draw_key(random));
        let id = next.id;
        self.keys.push(next);
        id
    }

    /// Lets go of all but the newest `count` keys, at least one, and the prepared one.
    pub(super) fn keep_newest(&mut self, count: usize) {
        let older = self.keys.len().saturating_sub(count.max(1));
        self.keys.drain(..older);
    }

    pub(super) fn newest(&self) -> &RingKey {
        self.keys.last().expect("a ring is made and read with at least one key of each use")
    }

    pub(super) fn with_id(&self, id: [u8; 4]) -> Option<&RingKey> {
        self.keys.iter().rev().chain(&self.prepared).find(|key| key.id == id)
    }

    /// All keys, the prepared one last.
    pub(super) fn all(&self) -> impl Iterator<Item = &RingKey> {
        self.keys.iter().chain(&self.prepared)
    }

    fn draw_key(&self, random: &mut impl CryptoRng) -> RingKey {
        let secret = draw(random);
        let mut id = [0; 4];
        random.fill_bytes(&mut id);
        while self.with_id(id).is_some() {
            random.fill_bytes(&mut id);
        }
        RingKey { id, secret }
    }
}

impl RingKey {
    /// The key that `text`, a secret of its own, leads to; `label` says what it is for.
    pub(in crate::store) fn derive(&self, label: &str, text: &str) -> Secret {
        expand(&self.secret, &["fiador ", label, " ", text])
    }
}

/// An id as people see it: in the file, in the log, on the command line, in what was signed.
pub(in crate::store) fn shown(id: [u8; 4]) -> String {
    URL_SAFE_NO_PAD.encode(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::system_random;

    #[test]
    fn a_prepared_key_is_known_and_the_next_rotation_lets_it_work() {
        let mut keys = Succession::generate(&mut system_random());
        let first = keys.newest().id;

        let prepared = keys.prepare(&mut system_random());
        assert_eq!((keys.newest().id, keys.with_id(prepared).is_some()), (first, true));
        assert_eq!(keys.prepare(&mut system_random()), prepared);
        assert_eq!(keys.rotate(&mut system_random()), prepared);
        assert_eq!((keys.newest().id, keys.with_id(first).is_some()), (prepared, true));
        let next = keys.rotate(&mut system_random());
        assert!(next != prepared && keys.newest().id == next);
    }

    #[test]
    fn of_the_keys_only_so_many_of_the_newest_are_kept_and_never_none() {
        let mut keys = Succession::generate(&mut system_random());
        let ids = [keys.rotate(&mut system_random()), keys.rotate(&mut system_random())];
        let prepared = keys.prepare(&mut system_random());

        keys.keep_newest(2);
        assert_eq!(keys.all().map(|key| key.id).collect::<Vec<_>>(), [ids[0], ids[1], prepared]);
        keys.keep_newest(0);
        assert_eq!(keys.newest().id, ids[1]);
    }
}

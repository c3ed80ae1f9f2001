//! How a ring is written: TOML, with the newest sealing key last and a prepared one, if there is one, apart.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{KeyRing, SealingKey, shown};

const HEAD: &str = "# Fiador's keys. Every daemon on the same store needs this file; without it nothing stored can be read.\n";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RingForm {
    naming: Zeroizing<String>,
    sealing: Vec<KeyForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prepared: Option<KeyForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyForm {
    id: String,
    key: Zeroizing<String>,
}

/// The ring in `text`.
///
/// # Errors
/// What is wrong with it; no key.
pub(super) fn parse(text: &str) -> Result<KeyRing, &'static str> {
    let form: RingForm = toml::from_str(text).map_err(|_| "it has another form than the one we write")?;
    let naming = decode(&form.naming).ok_or("naming must be 32 bytes of base64url")?;
    let (sealing, prepared) = (form.sealing.iter().map(KeyForm::read).collect::<Result<Vec<_>, _>>()?, form.prepared);
    let ring = KeyRing { naming, sealing, prepared: prepared.as_ref().map(KeyForm::read).transpose()? };
    let mut ids: Vec<_> = ring.sealing.iter().chain(&ring.prepared).map(|key| key.id).collect();
    ids.sort_unstable();
    if ring.sealing.is_empty() {
        return Err("it has no sealing key");
    }
    if ids.windows(2).any(|pair| pair[0] == pair[1]) { Err("two of its sealing keys have one id") } else { Ok(ring) }
}

/// What [`parse`] reads as this ring.
pub(super) fn write(ring: &KeyRing) -> Zeroizing<String> {
    let form = RingForm {
        naming: encode(ring.naming.as_slice()),
        sealing: ring.sealing.iter().map(KeyForm::of).collect(),
        prepared: ring.prepared.as_ref().map(KeyForm::of),
    };
    let body = Zeroizing::new(toml::to_string(&form).expect("a ring is plain data"));
    Zeroizing::new([HEAD, body.as_str()].concat())
}

impl KeyForm {
    fn of(key: &SealingKey) -> Self {
        Self { id: shown(key.id), key: encode(key.secret.as_slice()) }
    }

    fn read(&self) -> Result<SealingKey, &'static str> {
        let id = decode(&self.id).ok_or("a sealing id must be 4 bytes of base64url")?;
        let secret = decode(&self.key).ok_or("a sealing key must be 32 bytes of base64url")?;
        Ok(SealingKey { id: **id, secret })
    }
}

fn encode(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes))
}

fn decode<const N: usize>(text: &str) -> Option<Box<Zeroizing<[u8; N]>>> {
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
    let mut decoded = Box::new(Zeroizing::new([0; N]));
    (bytes.len() == N).then(|| decoded.copy_from_slice(&bytes))?;
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn ring() -> impl Strategy<Value = KeyRing> {
        let keys = vec(any::<([u8; 4], [u8; 32])>(), 1..6).prop_filter("ids differ", |keys| {
            keys.iter().enumerate().all(|(at, key)| keys[..at].iter().all(|other| other.0 != key.0))
        });
        (any::<[u8; 32]>(), keys, any::<bool>()).prop_map(|(naming, keys, has_prepared)| {
            let key = |(id, secret)| SealingKey { id, secret: Box::new(Zeroizing::new(secret)) };
            let mut sealing: Vec<_> = keys.into_iter().map(key).collect();
            let prepared = if has_prepared && sealing.len() > 1 { sealing.pop() } else { None };
            KeyRing { naming: Box::new(Zeroizing::new(naming)), sealing, prepared }
        })
    }

    /// All that a ring is: the naming key, the sealing keys in turn, then the prepared one behind a mark.
    fn insides(ring: &KeyRing) -> Vec<Vec<u8>> {
        let key = |key: &SealingKey| [key.id.as_slice(), key.secret.as_slice()].concat();
        let prepared = ring.prepared.iter().flat_map(|prepared| [b"prepared".to_vec(), key(prepared)]);
        std::iter::once(ring.naming.to_vec()).chain(ring.sealing.iter().map(key)).chain(prepared).collect()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same_ring(ring in ring()) {
            let text = write(&ring);

            prop_assert_eq!(insides(&parse(&text).unwrap()), insides(&ring));
            prop_assert_eq!(write(&parse(&text).unwrap()), text);
        }

        #[test]
        fn a_file_that_was_cut_off_is_refused_or_has_the_first_of_its_keys(ring in ring(), cut in any::<prop::sample::Index>()) {
            let text = write(&ring);
            let cut = cut.index(text.len());

            if let Ok(read) = parse(&text[..cut]) {
                prop_assert!(insides(&ring).starts_with(&insides(&read)));
            }
        }

        #[test]
        fn any_text_is_a_ring_or_refused(text in ".{0,200}") {
            let _ = parse(&text);
        }
    }

    #[test]
    fn a_ring_of_the_first_form_is_read() {
        let (naming, id, key) = ("A".repeat(43), "AQIDBA", "B".repeat(42) + "A");
        let ring = parse(&format!("{HEAD}naming = \"{naming}\"\n\n[[sealing]]\nid = \"{id}\"\nkey = \"{key}\"\n")).unwrap();

        assert_eq!((ring.newest().id, ring.prepared.is_none()), ([1, 2, 3, 4], true));
    }

    #[test]
    fn what_is_no_ring_is_refused_without_a_word_of_its_keys() {
        let (key, other) = ("A".repeat(43), "B".repeat(42) + "A");
        let sealing = |id: &str| format!("[[sealing]]\nid = \"{id}\"\nkey = \"{key}\"\n");
        for (text, expected) in [
            (String::new(), "another form"),
            (format!("naming = \"{key}\"\nsealing = []\n"), "no sealing key"),
            (format!("naming = \"AAAA\"\n{}", sealing("AQIDBA")), "naming must be"),
            (format!("naming = \"{key}\"\n{}", sealing("AQID")), "a sealing id must be"),
            (format!("naming = \"{key}\"\n[[sealing]]\nid = \"AQIDBA\"\nkey = \"AAAA\"\n"), "a sealing key must be"),
            (format!("naming = \"{key}\"\n{0}{0}", sealing("AQIDBA")), "have one id"),
            (format!("naming = \"{key}\"\n{}[prepared]\nid = \"AQIDBA\"\nkey = \"{other}\"\n", sealing("AQIDBA")), "have one id"),
            (format!("naming = \"{key}\"\nmore = 1\n{}", sealing("AQIDBA")), "another form"),
        ] {
            let refused = parse(&text).err().unwrap();
            assert!(refused.contains(expected) && !refused.contains(&key), "{text}: {refused}");
        }
    }
}

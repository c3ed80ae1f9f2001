//! How a ring is written: TOML, with the newest key of each use last and a prepared one, if there is one, apart.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{KeyRing, RingKey, Succession, shown};

const HEAD: &str = "# Fiador's keys. Every daemon on the same store needs this file; without it nothing stored can be read.\n";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RingForm {
    naming: Zeroizing<String>,
    sealing: Vec<KeyForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prepared: Option<KeyForm>,
    /// A ring that was made before there were keys that sign has none.
    #[serde(default)]
    signing: Vec<KeyForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prepared_signing: Option<KeyForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyForm {
    id: String,
    key: Zeroizing<String>,
}

/// What is said of the keys of one use when they are not as we write them.
struct Faults {
    id: &'static str,
    key: &'static str,
    same_ids: &'static str,
}

const OF_SEALING: Faults = Faults {
    id: "a sealing id must be 4 bytes of base64url",
    key: "a sealing key must be 32 bytes of base64url",
    same_ids: "two of its sealing keys have one id",
};

const OF_SIGNING: Faults = Faults {
    id: "a signing id must be 4 bytes of base64url",
    key: "a signing key must be 32 bytes of base64url",
    same_ids: "two of its signing keys have one id",
};

/// The ring in `text`.
///
/// # Errors
/// What is wrong with it; no key.
pub(super) fn parse(text: &str) -> Result<KeyRing, &'static str> {
    let form: RingForm = toml::from_str(text).map_err(|_| "it has another form than the one we write")?;
    let naming = decode(&form.naming).ok_or("naming must be 32 bytes of base64url")?;
    let sealing = read(&form.sealing, form.prepared.as_ref(), &OF_SEALING)?;
    if sealing.keys.is_empty() {
        return Err("it has no sealing key");
    }
    let mut signing = read(&form.signing, form.prepared_signing.as_ref(), &OF_SIGNING)?;
    if signing.keys.is_empty() {
        if signing.prepared.is_some() {
            return Err("it has a prepared signing key and none that signs");
        }
        signing.keys.push(KeyRing::first_signing_key(&naming));
    }
    Ok(KeyRing { naming, sealing, signing })
}

/// What [`parse`] reads as this ring.
pub(super) fn write(ring: &KeyRing) -> Zeroizing<String> {
    let forms = |keys: &Succession| keys.keys.iter().map(KeyForm::of).collect();
    let form = RingForm {
        naming: encode(ring.naming.as_slice()),
        sealing: forms(&ring.sealing),
        prepared: ring.sealing.prepared.as_ref().map(KeyForm::of),
        signing: forms(&ring.signing),
        prepared_signing: ring.signing.prepared.as_ref().map(KeyForm::of),
    };
    let body = Zeroizing::new(toml::to_string(&form).expect("a ring is plain data"));
    Zeroizing::new([HEAD, body.as_str()].concat())
}

/// The keys of one use.
fn read(keys: &[KeyForm], prepared: Option<&KeyForm>, faults: &Faults) -> Result<Succession, &'static str> {
    let key = |form: &KeyForm| form.read(faults);
    let succession =
        Succession { keys: keys.iter().map(key).collect::<Result<_, _>>()?, prepared: prepared.map(key).transpose()? };
    let mut ids: Vec<_> = succession.all().map(|key| key.id).collect();
    ids.sort_unstable();
    if ids.windows(2).any(|pair| pair[0] == pair[1]) { Err(faults.same_ids) } else { Ok(succession) }
}

impl KeyForm {
    fn of(key: &RingKey) -> Self {
        Self { id: shown(key.id), key: encode(key.secret.as_slice()) }
    }

    fn read(&self, faults: &Faults) -> Result<RingKey, &'static str> {
        let id = decode(&self.id).ok_or(faults.id)?;
        let secret = decode(&self.key).ok_or(faults.key)?;
        Ok(RingKey { id: **id, secret })
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

    type RawKeys = (Vec<([u8; 4], [u8; 32])>, bool);

    fn keys() -> impl Strategy<Value = RawKeys> {
        let keys = vec(any::<([u8; 4], [u8; 32])>(), 1..6).prop_filter("ids differ", |keys| {
            keys.iter().enumerate().all(|(at, key)| keys[..at].iter().all(|other| other.0 != key.0))
        });
        (keys, any::<bool>())
    }

    fn succession((keys, has_prepared): RawKeys) -> Succession {
        let key = |(id, secret)| RingKey { id, secret: Box::new(Zeroizing::new(secret)) };
        let mut keys: Vec<_> = keys.into_iter().map(key).collect();
        let prepared = if has_prepared && keys.len() > 1 { keys.pop() } else { None };
        Succession { keys, prepared }
    }

    fn ring() -> impl Strategy<Value = KeyRing> {
        (any::<[u8; 32]>(), keys(), keys()).prop_map(|(naming, sealing, signing)| KeyRing {
            naming: Box::new(Zeroizing::new(naming)),
            sealing: succession(sealing),
            signing: succession(signing),
        })
    }

    /// All that a ring is: the naming key, then the keys of each use in turn, the prepared one behind a mark.
    fn insides(ring: &KeyRing) -> Vec<Vec<u8>> {
        let key = |key: &RingKey| [key.id.as_slice(), key.secret.as_slice()].concat();
        let of_use = |keys: &Succession| {
            let prepared = keys.prepared.iter().flat_map(|prepared| [b"prepared".to_vec(), key(prepared)]);
            keys.keys.iter().map(key).chain(prepared).collect::<Vec<_>>()
        };
        [vec![ring.naming.to_vec()], of_use(&ring.sealing), vec![b"signing".to_vec()], of_use(&ring.signing)].concat()
    }

    fn derived(ring: &KeyRing) -> Succession {
        Succession { keys: vec![KeyRing::first_signing_key(&ring.naming)], prepared: None }
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
                let (before, after) = (insides(&ring), insides(&read));
                let all_but_signing = after.iter().take_while(|part| **part != b"signing").count();
                prop_assert!(before.starts_with(&after[..all_but_signing]));
                let first_of_its_naming = insides(&KeyRing { signing: derived(&read), ..read.clone() });
                prop_assert!(before.starts_with(&after) || after == first_of_its_naming);
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

        assert_eq!((ring.newest().id, ring.sealing.prepared.is_none()), ([1, 2, 3, 4], true));
    }

    #[test]
    fn rings_without_a_key_that_signs_agree_on_one_and_keep_it_when_they_are_written() {
        let first_form = |naming: char| {
            let naming = naming.to_string().repeat(42) + "A";
            format!("{HEAD}naming = \"{naming}\"\n\n[[sealing]]\nid = \"AQIDBA\"\nkey = \"{}A\"\n", "B".repeat(42))
        };
        let read = |text: &str| {
            let newest = parse(text).unwrap().signing_keys().newest;
            (newest.id, newest.seed)
        };
        let first = read(&first_form('C'));

        assert_eq!(read(&first_form('C')), first);
        assert_ne!(read(&first_form('D')).1, first.1);
        let written = write(&parse(&first_form('C')).unwrap());
        assert!(written.contains("[[signing]]"));
        assert_eq!(read(&written), first);
    }

    #[test]
    fn what_is_no_ring_is_refused_without_a_word_of_its_keys() {
        let (key, other) = ("A".repeat(43), "B".repeat(42) + "A");
        let sealing = |id: &str| format!("[[sealing]]\nid = \"{id}\"\nkey = \"{key}\"\n");
        let signing = |id: &str| format!("[[signing]]\nid = \"{id}\"\nkey = \"{key}\"\n");
        for (text, expected) in [
            (String::new(), "another form"),
            (format!("naming = \"{key}\"\nsealing = []\n"), "no sealing key"),
            (format!("naming = \"AAAA\"\n{}", sealing("AQIDBA")), "naming must be"),
            (format!("naming = \"{key}\"\n{}", sealing("AQID")), "a sealing id must be"),
            (format!("naming = \"{key}\"\n[[sealing]]\nid = \"AQIDBA\"\nkey = \"AAAA\"\n"), "a sealing key must be"),
            (format!("naming = \"{key}\"\n{0}{0}", sealing("AQIDBA")), "have one id"),
            (format!("naming = \"{key}\"\n{}[prepared]\nid = \"AQIDBA\"\nkey = \"{other}\"\n", sealing("AQIDBA")), "have one id"),
            (format!("naming = \"{key}\"\nmore = 1\n{}", sealing("AQIDBA")), "another form"),
            (format!("naming = \"{key}\"\n{0}{1}{1}", sealing("AQIDBA"), signing("AQIDBA")), "signing keys have one id"),
            (format!("naming = \"{key}\"\n{}{}", sealing("AQIDBA"), signing("AQID")), "a signing id must be"),
            (
                format!("naming = \"{key}\"\n{}[[signing]]\nid = \"AQIDBA\"\nkey = \"AAAA\"\n", sealing("AQIDBA")),
                "a signing key must",
            ),
            (
                format!("naming = \"{key}\"\n{}[prepared_signing]\nid = \"AQIDBA\"\nkey = \"{other}\"\n", sealing("AQIDBA")),
                "none that signs",
            ),
        ] {
            let refused = parse(&text).err().unwrap();
            assert!(refused.contains(expected) && !refused.contains(&key), "{text}: {refused}");
        }
    }
}

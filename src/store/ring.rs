use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

type Secret = Zeroizing<[u8; 32]>;

/// The master keys: one that names, made once and never changed, and those that seal, of which the newest seals and all open.
#[derive(Clone)]
pub struct KeyRing {
    naming: Secret,
    sealing: Vec<SealingKey>,
}

/// A key that seals, with the id that stands in front of what it sealed.
#[derive(Clone)]
pub(super) struct SealingKey {
    pub(super) id: [u8; 4],
    pub(super) secret: Secret,
}

/// Why there is no key ring to work with.
#[derive(Debug, Error)]
pub enum RingError {
    /// The file cannot be read or written.
    #[error("key ring {path}: {cause}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file is not a key ring.
    #[error("key ring {path} is not readable: {cause}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it; no key.
        cause: &'static str,
    },
    /// The file can be read by others.
    #[error("key ring {path} can be read by others than its owner: chmod 600 it")]
    Exposed {
        /// Which file.
        path: PathBuf,
    },
    /// The store belongs to another ring.
    #[error("store belongs to another key ring than {path}: copy the right one from {origin}")]
    Foreign {
        /// Our file.
        path: PathBuf,
        /// Where the store's ring was made.
        origin: String,
    },
    /// The store could not be asked.
    #[error("{0}")]
    Store(String),
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
        let mut secret = || {
            let mut bytes = Zeroizing::new([0; 32]);
            random.fill_bytes(bytes.as_mut());
            bytes
        };
        let (naming, sealing) = (secret(), secret());
        let mut id = [0; 4];
        random.fill_bytes(&mut id);
        Self { naming, sealing: vec![SealingKey { id, secret: sealing }] }
    }

    pub(super) fn naming_subkey(&self, label: &str) -> Secret {
        expand(&self.naming, &["fiador naming ", label])
    }

    pub(super) fn newest(&self) -> &SealingKey {
        self.sealing.last().expect("a ring is made and read with at least one sealing key")
    }

    pub(super) fn with_id(&self, id: [u8; 4]) -> Option<&SealingKey> {
        self.sealing.iter().find(|key| key.id == id)
    }

    /// The key that hashes what the audit log must not name.
    pub fn audit_key(&self) -> Zeroizing<[u8; 32]> {
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

fn expand(secret: &Secret, info: &[&str]) -> Secret {
    let mut key = Zeroizing::new([0; 32]);
    let info: Vec<&[u8]> = info.iter().map(|part| part.as_bytes()).collect();
    Hkdf::<Sha256>::new(None, secret.as_slice()).expand_multi_info(&info, key.as_mut()).expect("32 bytes are one block");
    key
}

/// The ring of the store: read from `keyring.toml` in `data_dir`, or made when there is none and the store knows none.
/// `claim` tells the store a ring's fingerprint and origin, and answers with those the store then holds.
///
/// A ring is on disk before the store knows it, under another name until the store has accepted it: a crash in between
/// leaves a file that the next start takes up. A store that is only unreachable is not waited for when the ring is there:
/// it is asked again at each connection.
///
/// # Errors
/// [`RingError`], each naming the file.
pub async fn open_or_make<F>(data_dir: &Path, claim: impl FnOnce(String, String) -> F) -> Result<KeyRing, RingError>
where
    F: Future<Output = Result<(String, String), ClaimError>>,
{
    let (path, pending) = (data_dir.join("keyring.toml"), data_dir.join("keyring.toml.new"));
    let (ring, is_pending) = match (read(&path)?, read(&pending)?) {
        (Some(ring), _) => (ring, false),
        (None, Some(ring)) => (ring, true),
        (None, None) => {
            let ring = KeyRing::generate(&mut crate::clock::system_random());
            write(&pending, &ring)?;
            (ring, true)
        }
    };
    let origin = format!("{} on {}", absolute(&path).display(), host());
    let (fingerprint, made_at) = match claim(ring.fingerprint(), origin).await {
        Ok(held) => held,
        Err(ClaimError::Unreachable(cause)) if !is_pending => {
            tracing::warn!(cause, "store is not reached; starting all the same, with 503 until it is");
            return Ok(ring);
        }
        Err(error) => return Err(RingError::Store(error.to_string())),
    };
    if fingerprint != ring.fingerprint() {
        if is_pending {
            fs::remove_file(&pending).map_err(|cause| RingError::File { path: pending, cause })?;
        }
        return Err(RingError::Foreign { path, origin: made_at });
    }
    if is_pending {
        fs::rename(&pending, &path).map_err(|cause| RingError::File { path: path.clone(), cause })?;
        sync_directory(data_dir).map_err(|cause| RingError::File { path, cause })?;
    }
    Ok(ring)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RingFile {
    naming: Zeroizing<String>,
    sealing: Vec<SealingEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SealingEntry {
    id: String,
    key: Zeroizing<String>,
}

fn read(path: &Path) -> Result<Option<KeyRing>, RingError> {
    let file = |cause| RingError::File { path: path.to_owned(), cause };
    let text = match fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(file(cause)),
    };
    if fs::metadata(path).map_err(file)?.permissions().mode() & 0o077 != 0 {
        return Err(RingError::Exposed { path: path.to_owned() });
    }
    parse(&text).map(Some).map_err(|cause| RingError::Malformed { path: path.to_owned(), cause })
}

fn parse(text: &str) -> Result<KeyRing, &'static str> {
    let file: RingFile = toml::from_str(text).map_err(|_| "it has another form than the one we write")?;
    let naming = decode(&file.naming).ok_or("naming must be 32 bytes of base64url")?;
    let sealing = file.sealing.iter().map(|entry| {
        let id = decode(&entry.id).ok_or("a sealing id must be 4 bytes of base64url")?;
        Ok(SealingKey { id: *id, secret: decode(&entry.key).ok_or("a sealing key must be 32 bytes of base64url")? })
    });
    let sealing: Vec<_> = sealing.collect::<Result<_, &'static str>>()?;
    if sealing.is_empty() { Err("it has no sealing key") } else { Ok(KeyRing { naming, sealing }) }
}

fn decode<const N: usize>(text: &str) -> Option<Zeroizing<[u8; N]>> {
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
    Some(Zeroizing::new(bytes.as_slice().try_into().ok()?))
}

fn write(path: &Path, ring: &KeyRing) -> Result<(), RingError> {
    let encode = |bytes: &[u8]| Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes));
    let entry = |key: &SealingKey| SealingEntry { id: URL_SAFE_NO_PAD.encode(key.id), key: encode(key.secret.as_slice()) };
    let file = RingFile { naming: encode(ring.naming.as_slice()), sealing: ring.sealing.iter().map(entry).collect() };
    let text = Zeroizing::new(toml::to_string(&file).expect("a ring is plain data"));
    let head = "# Fiador's keys. Every daemon on the same store needs this file; without it nothing stored can be read.\n";
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(head.as_bytes())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        path.parent().map_or(Ok(()), sync_directory)
    };
    write().map_err(|cause| RingError::File { path: path.to_owned(), cause })
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn host() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| "its host".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn accept(fingerprint: String, origin: String) -> Result<(String, String), ClaimError> {
        Ok((fingerprint, origin))
    }

    #[tokio::test]
    async fn a_ring_is_made_once_for_its_owner_alone_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let made = open_or_make(dir.path(), accept).await.unwrap();

        let path = dir.path().join("keyring.toml");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(open_or_make(dir.path(), accept).await.unwrap().fingerprint(), made.fingerprint());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(open_or_make(dir.path(), accept).await, Err(RingError::Exposed { .. })));
    }

    #[tokio::test]
    async fn a_store_of_another_ring_is_refused_with_its_origin_and_no_ring_is_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let foreign = |_, _| async { Ok(("other".to_owned(), "/srv/a/keyring.toml on alpha".to_owned())) };
        let refused = open_or_make(dir.path(), foreign).await.err().unwrap().to_string();

        assert!(refused.contains("/srv/a/keyring.toml on alpha"), "{refused}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_ring_whose_store_did_not_answer_is_taken_up_by_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let mut seen = String::new();
        let cut_off = |fingerprint: String, _| {
            seen = fingerprint;
            async { Err(ClaimError::Unreachable("connection lost".to_owned())) }
        };
        assert!(open_or_make(dir.path(), cut_off).await.is_err());

        assert_eq!(open_or_make(dir.path(), accept).await.unwrap().fingerprint(), seen);
    }
}

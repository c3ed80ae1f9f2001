//! Where a ring is kept: `keyring.toml` in the data directory, made when missing, or a file that is named and there.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use tokio::task::spawn_blocking;

use super::{ClaimError, KeyRing, RingError, form};
use crate::{
    private_file::{PrivateFile, PrivateFileError},
    store::Vault,
};

/// The longest file, in bytes: some ten thousand rotations.
const LONGEST: u64 = 1 << 20;

/// Where the key ring is.
#[derive(Clone, Debug)]
pub struct RingPlace {
    file: PrivateFile,
    /// Whether a first start makes it.
    is_ours: bool,
}

impl RingPlace {
    /// `named`, or `keyring.toml` in `data_dir`.
    pub fn new(data_dir: &Path, named: Option<PrivateFile>) -> Self {
        let is_ours = named.is_none();
        Self { file: named.unwrap_or_else(|| PrivateFile::at(data_dir.join("keyring.toml"))), is_ours }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Where the file really is, when its path leads there by a link: what is written takes the place of the file, not of the link.
    pub(super) fn followed(&self) -> Result<Self, RingError> {
        let path = fs::canonicalize(self.path()).map_err(RingError::file(self.path()))?;
        Ok(Self { file: PrivateFile::at(path), is_ours: self.is_ours })
    }

    /// A file beside it, its name longer by `suffix`.
    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(self.path());
        name.push(suffix);
        name.into()
    }

    /// The ring that is there now.
    ///
    /// # Errors
    /// [`RingError`], `Missing` too.
    pub(super) fn read(&self) -> Result<KeyRing, RingError> {
        read(&self.file)?.ok_or_else(|| RingError::Missing { path: self.path().to_owned() })
    }

    /// The ring that is there now, if it may take the place of the one that `vault` works with.
    ///
    /// # Errors
    /// [`RingError`]; the ring in use stays the best there is.
    pub fn read_successor(&self, vault: &Vault) -> Result<KeyRing, RingError> {
        let ring = self.read()?;
        let no_successor = |cause| RingError::NoSuccessor { path: self.path().to_owned(), cause };
        vault.may_be_followed_by(&ring).map_err(no_successor)?;
        Ok(ring)
    }

    /// Puts `ring` there whole or not at all, over what was there: whoever reads it, also after a crash, finds the old or the new.
    pub(super) fn replace(&self, ring: &KeyRing) -> Result<(), RingError> {
        let draft = self.beside(".rotated");
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(RingError::file(&draft)(error)),
            _ => {} // one that a crash left, or none
        }
        write(&draft, ring)?;
        fail::fail_point!("ring.written");
        self.take_up(&draft)
    }

    fn take_up(&self, draft: &Path) -> Result<(), RingError> {
        fs::rename(draft, self.path()).and_then(|()| sync_directory_of(self.path())).map_err(RingError::file(self.path()))
    }

    /// What a store is told of where its ring was made.
    fn origin(&self) -> String {
        let path = std::path::absolute(self.path()).unwrap_or_else(|_| self.path().to_owned());
        format!("{} on {}", path.display(), host())
    }

    /// The ring, made when it is to be and there is none; and the file it is in until the store has accepted it.
    fn read_or_make(&self) -> Result<(KeyRing, Option<PathBuf>), RingError> {
        let pending = self.beside(".new");
        if !self.is_ours {
            return Ok((self.read()?, None));
        }
        if let Some(ring) = read(&self.file)? {
            return Ok((ring, None));
        }
        if let Some(ring) = read_pending(&pending)? {
            return Ok((ring, Some(pending)));
        }
        let ring = KeyRing::generate(&mut crate::clock::system_random());
        write(&pending, &ring)?;
        fail::fail_point!("ring.made");
        Ok((ring, Some(pending)))
    }

    fn is_to_be_made(&self) -> Result<bool, RingError> {
        let is_there = self.path().try_exists().map_err(RingError::file(self.path()))?;
        Ok(self.is_ours && !is_there)
    }

    /// Lets one start at a time make the ring, until the file that this returns is dropped: of several daemons that start at once
    /// in one directory the first makes it, and the others find it. They wait on a thread where waiting does not matter.
    async fn wait_to_make(&self) -> Result<File, RingError> {
        let place = self.clone();
        let lock = move || {
            let (file, path) = place.open_lock()?;
            file.lock().map_err(RingError::file(&path))?;
            Ok(file)
        };
        spawn_blocking(lock).await.expect("locking returns its errors")
    }

    /// The file that is locked by who makes or rotates the ring. It stays: taking it away would let two hold two of them.
    pub(super) fn open_lock(&self) -> Result<(File, PathBuf), RingError> {
        let path = self.beside(".lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        Ok((file.map_err(RingError::file(&path))?, path))
    }
}

/// The ring of the store: read, or made when it is to be in the data directory, there is none, and the store knows none.
/// `claim` tells the store a ring's fingerprint and origin, and answers with those the store then holds.
///
/// A ring is on disk before the store knows it, under another name until the store has accepted it: a crash in between
/// leaves a file that the next start takes up. Starts at the same moment make one ring. A store that is only unreachable is not
/// waited for when the ring is there: it is asked again at each connection.
///
/// # Errors
/// [`RingError`], each naming the file.
pub async fn open_or_make<F>(place: &RingPlace, claim: impl FnOnce(String, String) -> F) -> Result<KeyRing, RingError>
where
    F: Future<Output = Result<(String, String), ClaimError>>,
{
    let _making = if place.is_to_be_made()? { Some(place.wait_to_make().await?) } else { None };
    let (ring, pending) = place.read_or_make()?;
    let (fingerprint, origin) = match claim(ring.fingerprint(), place.origin()).await {
        Ok(held) => held,
        Err(ClaimError::Unreachable(cause)) if pending.is_none() => {
            tracing::warn!(cause, "store is not reached; starting all the same, with 503 until it is");
            return Ok(ring);
        }
        Err(error) => return Err(RingError::Store(error.to_string())),
    };
    if fingerprint != ring.fingerprint() {
        if let Some(pending) = pending {
            fs::remove_file(&pending).map_err(RingError::file(&pending))?;
        }
        return Err(RingError::Foreign { path: place.path().to_owned(), origin });
    }
    if let Some(pending) = pending {
        fail::fail_point!("ring.claimed");
        place.take_up(&pending)?;
    }
    Ok(ring)
}

fn read(file: &PrivateFile) -> Result<Option<KeyRing>, RingError> {
    let path = || file.path().to_owned();
    let text = match file.read(LONGEST) {
        Ok(text) => text,
        Err(PrivateFileError::Unreadable(cause)) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(RingError::NotPrivate { path: path(), cause }),
    };
    form::parse(&text).map(Some).map_err(|cause| RingError::Malformed { path: path(), cause })
}

/// The ring of a start that a crash ended. One that is not whole is taken away: no store has heard of it.
fn read_pending(path: &Path) -> Result<Option<KeyRing>, RingError> {
    match read(&PrivateFile::at(path)) {
        Err(RingError::Malformed { .. }) => fs::remove_file(path).map(|()| None).map_err(RingError::file(path)),
        read => read,
    }
}

fn write(path: &Path, ring: &KeyRing) -> Result<(), RingError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(form::write(ring).as_bytes())?;
        file.sync_all()?;
        sync_directory_of(path)
    };
    write().map_err(RingError::file(path))
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(directory)?.sync_all()
}

fn host() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| "its host".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, os::unix::fs::PermissionsExt};

    use futures_util::future::join_all;

    use super::*;

    async fn accept(fingerprint: String, origin: String) -> Result<(String, String), ClaimError> {
        Ok((fingerprint, origin))
    }

    #[tokio::test]
    async fn a_ring_is_made_once_for_its_owner_alone_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let place = RingPlace::new(dir.path(), None);
        let made = open_or_make(&place, accept).await.unwrap();

        assert_eq!(fs::metadata(place.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(open_or_make(&place, accept).await.unwrap().fingerprint(), made.fingerprint());
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o640)).unwrap();
        let refused = open_or_make(&place, accept).await.err().unwrap().to_string();
        assert!(refused.contains("can be read or written by others than its owner; chmod 600"), "{refused}");
    }

    #[tokio::test]
    async fn a_ring_that_is_named_must_be_there_and_is_never_made() {
        let dir = tempfile::tempdir().unwrap();
        let named = RingPlace::new(dir.path(), Some(PrivateFile::at(dir.path().join("elsewhere.toml"))));
        assert!(matches!(open_or_make(&named, accept).await, Err(RingError::Missing { .. })));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        let made = open_or_make(&RingPlace::new(dir.path(), None), accept).await.unwrap();
        fs::rename(dir.path().join("keyring.toml"), named.path()).unwrap();

        assert_eq!(open_or_make(&named, accept).await.unwrap().fingerprint(), made.fingerprint());
    }

    #[tokio::test]
    async fn a_store_of_another_ring_is_refused_with_its_origin_and_no_ring_is_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let foreign = |_, _| async { Ok(("other".to_owned(), "/srv/a/keyring.toml on alpha".to_owned())) };
        let refused = open_or_make(&RingPlace::new(dir.path(), None), foreign).await.err().unwrap().to_string();

        assert!(refused.contains("/srv/a/keyring.toml on alpha"), "{refused}");
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(left, ["keyring.toml.lock"]);
    }

    #[tokio::test]
    async fn starts_at_the_same_moment_in_one_directory_make_one_ring() {
        let dir = tempfile::tempdir().unwrap();
        let place = RingPlace::new(dir.path(), None);
        let store = RefCell::new(None);
        let claim = async |fingerprint, origin| {
            tokio::task::yield_now().await; // the others come this far meanwhile
            Ok(store.borrow_mut().get_or_insert((fingerprint, origin)).clone())
        };

        let rings = join_all((0..8).map(|_| open_or_make(&place, claim))).await;

        let fingerprints: Vec<String> = rings.into_iter().map(|ring| ring.unwrap().fingerprint()).collect();
        assert_eq!(fingerprints, vec![place.read().unwrap().fingerprint(); 8]);
    }

    #[tokio::test]
    async fn what_a_crash_left_half_written_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let place = RingPlace::new(dir.path(), None);
        let whole = form::write(&KeyRing::generate(&mut crate::clock::system_random()));
        for half in ["", &whole[..whole.len() / 2]] {
            fs::write(place.beside(".new"), half).unwrap();
            fs::set_permissions(place.beside(".new"), fs::Permissions::from_mode(0o600)).unwrap();

            let made = open_or_make(&place, accept).await.unwrap();

            assert_eq!(place.read().unwrap().fingerprint(), made.fingerprint());
            assert!(!place.beside(".new").exists());
            fs::remove_file(place.path()).unwrap();
        }
    }

    #[tokio::test]
    async fn a_ring_whose_store_did_not_answer_is_taken_up_by_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let place = RingPlace::new(dir.path(), None);
        let mut seen = String::new();
        let cut_off = |fingerprint: String, _| {
            seen = fingerprint;
            async { Err(ClaimError::Unreachable("connection lost".to_owned())) }
        };
        assert!(open_or_make(&place, cut_off).await.is_err());

        assert_eq!(open_or_make(&place, accept).await.unwrap().fingerprint(), seen);
    }
}

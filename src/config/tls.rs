use std::{
    fmt,
    fs::{self, File},
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    CertificateError, Error, RootCertStore,
    client::verify_server_cert_signed_by_trust_anchor,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use thiserror::Error;
use zeroize::Zeroize;

use super::secret::unusable;
use crate::{domain::Moment, private_file::PrivateFile};

/// Longer than any chain with its comments.
const LONGEST_FILE: u64 = 256 * 1024;

/// What HTTPS shows: a chain of certificates and the key of the first, read together from two PEM files.
#[derive(Clone)]
pub struct Tls {
    certificate_file: PathBuf,
    key_file: PrivateFile,
    stamps: [Option<Stamp>; 2],
    certified: Arc<CertifiedKey>,
    expires_at: Moment,
}

/// Why two files are no pair: which of them, and what mends it. Shown, it names the key of the configuration.
#[derive(Debug, Error)]
#[error("{key} {mend}")]
pub struct TlsUnusable {
    pub(super) key: &'static str,
    pub(super) mend: String,
}

impl Tls {
    pub(super) const CERTIFICATE_KEY: &'static str = "http.tls.certificate_file";
    pub(super) const KEY_KEY: &'static str = "http.tls.key_file";

    pub(super) fn read(certificate_file: &Path, key_file: &PrivateFile) -> Result<Self, TlsUnusable> {
        // before their contents: what changes meanwhile is then seen as changed
        let stamps = [Stamp::of(certificate_file), Stamp::of(key_file.path())];
        let chain = read_chain(certificate_file).map_err(of(Self::CERTIFICATE_KEY))?;
        let key = read_key(key_file).map_err(of(Self::KEY_KEY))?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|error| no_pair(certificate_file, key_file.path(), &error))?;
        let expires_at = expiry(&certified.cert[0]).ok_or_else(|| no_certificate(certificate_file))?;
        Ok(Self {
            certificate_file: certificate_file.to_owned(),
            key_file: key_file.clone(),
            stamps,
            certified: Arc::new(certified),
            expires_at,
        })
    }

    /// The pair that its files hold now; none while they are as they were read. It reads files: not for an actor's thread.
    ///
    /// # Errors
    /// They changed and are no pair, or not yet.
    pub fn renewed(&self) -> Option<Result<Self, TlsUnusable>> {
        let stamps = [Stamp::of(&self.certificate_file), Stamp::of(self.key_file.path())];
        (stamps != self.stamps).then(|| Self::read(&self.certificate_file, &self.key_file))
    }

    /// Whether it may take the place of `shown` at this moment.
    ///
    /// # Errors
    /// It has run out and `shown` has not: clients would refuse what they now take.
    pub fn judge_as_successor(&self, shown: &Self, now: Moment) -> Result<(), TlsUnusable> {
        if self.expires_at > now || shown.expires_at <= now {
            return Ok(());
        }
        let (path, end) = (self.certificate_file.display(), self.expires_at.rfc3339());
        Err(of(Self::CERTIFICATE_KEY)(format!("names {path}, whose certificate ran out at {end}, while the one in use holds")))
    }

    /// The chain and the key.
    pub fn certified(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }

    /// When clients begin to refuse the certificate.
    pub fn expires_at(&self) -> Moment {
        self.expires_at
    }

    /// Where the certificate is.
    pub fn certificate_file(&self) -> &Path {
        &self.certificate_file
    }
}

impl PartialEq for Tls {
    /// The certificate stands for its key.
    fn eq(&self, other: &Self) -> bool {
        let files = |tls: &Self| (tls.certificate_file.clone(), tls.key_file.clone());
        files(self) == files(other) && self.certified.cert == other.certified.cert
    }
}

impl Eq for Tls {}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.certificate_file).finish()
    }
}

/// What tells a file from one that took its place, or has other contents.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    length: u64,
    changed_at: (i64, i64),
}

impl Stamp {
    /// None while there is no file.
    fn of(path: &Path) -> Option<Self> {
        let facts = fs::metadata(path).ok()?;
        let changed_at = (facts.ctime(), facts.ctime_nsec());
        Some(Self { inode: (facts.dev(), facts.ino()), length: facts.len(), changed_at })
    }
}

fn of(key: &'static str) -> impl Fn(String) -> TlsUnusable {
    move |mend| TlsUnusable { key, mend }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read_whole(path)?;
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().ok().filter(|chain| !chain.is_empty());
    chain.ok_or_else(|| format!("names {}, which must hold certificates in PEM, the server's first", path.display()))
}

fn read_key(file: &PrivateFile) -> Result<Arc<dyn rustls::sign::SigningKey>, String> {
    let pem = file.read_bytes(LONGEST_FILE).map_err(|error| unusable(file, &error))?;
    let path = file.path();
    let refused =
        || format!("names {}, which must hold one private key in PEM, RSA, ECDSA or Ed25519, without a password", path.display());
    let mut key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| refused())?;
    let signing_key = aws_lc_rs::sign::any_supported_type(&key);
    key.zeroize();
    signing_key.map_err(|_| refused())
}

fn read_whole(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST_FILE + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("names {}, which cannot be read: {error}", path.display()))?;
    if bytes.len() as u64 > LONGEST_FILE {
        return Err(format!("names {}, which must have at most {LONGEST_FILE} bytes", path.display()));
    }
    Ok(bytes)
}

fn no_pair(certificate_file: &Path, key_file: &Path, error: &Error) -> TlsUnusable {
    match error {
        Error::InconsistentKeys(_) => {
            let (certificate_file, key_file) = (certificate_file.display(), key_file.display());
            of(Tls::KEY_KEY)(format!("names {key_file}, which is not the key of the first certificate in {certificate_file}"))
        }
        _ => no_certificate(certificate_file),
    }
}

fn no_certificate(path: &Path) -> TlsUnusable {
    of(Tls::CERTIFICATE_KEY)(format!("names {}, whose first certificate must be one of X.509, version 3", path.display()))
}

/// When the certificate runs out. The verifier looks at that before anything else, and says it of one that has run out, as all
/// have at the end of time; this spares another parser.
fn expiry(certificate: &CertificateDer<'_>) -> Option<Moment> {
    let end_of_time = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let verified = verify_server_cert_signed_by_trust_anchor(&parsed, &RootCertStore::empty(), &[], end_of_time, algorithms);
    match verified {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Some(Moment(not_after.as_secs().saturating_mul(1000)))
        }
        _ => None,
    }
}

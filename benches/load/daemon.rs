//! A daemon in a directory of its own.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use anyhow::{Context, ensure};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;

use crate::{
    api::{Api, get},
    connection::Connection,
    processes::{Process, free_port},
};

/// What the key may be used for.
const SCOPES: &str = r#"["verifications:start", "verifications:check", "verifications:read", "users"]"#;

/// How it is set up.
pub struct Setup {
    /// None: the embedded store.
    pub redis_url: Option<String>,
    /// Where the SMTP server is.
    pub smtp: SocketAddr,
    pub is_https: bool,
}

pub struct Daemon {
    pub process: Process,
    pub api: Api,
    /// The old contract's listener.
    pub old: Api,
    metrics: Api,
    _directory: TempDir,
}

impl Daemon {
    pub fn start(program: &Path, setup: &Setup) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let (key, hash) = new_key(program)?;
        let (metrics, old) = (free_port()?, free_port()?);
        let (tls, connector) = if setup.is_https { https(directory.path())? } else { (String::new(), None) };
        let smtp = setup.smtp.port();
        let redis_url = setup.redis_url.as_deref().unwrap_or_default();
        let config = format!(
            "[http]\nlisten = \"127.0.0.1:0\"\n{tls}\n[compat]\nlisten = \"127.0.0.1:{old}\"\napplication = \"old\"\n\
             [store]\nredis_url = \"{redis_url}\"\n[metrics]\nlisten = \"127.0.0.1:{metrics}\"\n[log]\nlevel = \"error\"\n\
             [[smtp]]\nhost = \"127.0.0.1\"\nport = {smtp}\ntls = \"none\"\nfrom = \"fiador@example.org\"\n\
             [[applications]]\nname = \"bench\"\nsecond_step = \"none\"\n\
             keys = [{{ hash = \"{hash}\", scopes = {SCOPES} }}]\n\
             [[applications]]\nname = \"old\"\nlookup = \"number\"\n"
        );
        let file = directory.path().join("config.toml");
        fs::write(&file, config)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        let mut process = Process::spawn(Command::new(program).current_dir(directory.path()).env_clear())?;
        let scheme = if setup.is_https { "https://" } else { "http://" };
        let address = process.line_after(scheme)?.split_whitespace().next().context("an address")?.parse()?;
        process.drain();
        let local = |port: u16| Api::new(SocketAddr::from(([127, 0, 0, 1], port)), "");
        let api = Api { address, tls: connector, key };
        Ok(Self { process, api, old: local(old), metrics: local(metrics), _directory: directory })
    }

    /// Mails that wait or are being sent.
    pub async fn queued_mails(&self) -> anyhow::Result<f64> {
        let mut connection = Connection::open(&self.metrics).await?;
        let page = connection.ask(&get("/metrics")).await?;
        ensure!(page.status == 200, "metrics were refused with {}", page.status);
        let page = std::str::from_utf8(page.body)?;
        let waiting = |line: &&str| line.starts_with("fiador_mail_queue{") && !line.contains("failed");
        let depths = page.lines().filter(waiting).map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<f64>());
        Ok(depths.collect::<Result<Vec<_>, _>>()?.into_iter().sum())
    }
}

/// A key and its hash, as the daemon makes them.
fn new_key(program: &Path) -> anyhow::Result<(String, String)> {
    let made =
        Command::new(program).args(["key", "new", "bench"]).output().with_context(|| format!("running {}", program.display()))?;
    let text = String::from_utf8(made.stdout)?;
    let key = text.lines().find(|line| line.starts_with("fdr_")).context("`fiador key new` prints a key")?;
    let hash = text.split('"').find(|word| word.starts_with("sha256:")).context("`fiador key new` prints a hash")?;
    Ok((key.to_owned(), hash.to_owned()))
}

/// What the configuration needs for HTTPS, and what the client does.
fn https(directory: &Path) -> anyhow::Result<(String, Option<TlsConnector>)> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let (certificate, key): (PathBuf, PathBuf) = (directory.join("certificate.pem"), directory.join("key.pem"));
    fs::write(&certificate, made.cert.pem())?;
    fs::write(&key, made.signing_key.serialize_pem())?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    let config = "[http.tls]\ncertificate_file = \"certificate.pem\"\nkey_file = \"key.pem\"";
    Ok((config.to_owned(), Some(connector(made.cert.der())?)))
}

/// Trusts this certificate alone, and speaks HTTP/1.1.
fn connector(certificate: &CertificateDer<'static>) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(TlsConnector::from(Arc::new(versions.with_root_certificates(roots).with_no_client_auth())))
}

//! A real SMTP server, Debian's aiosmtpd, that requires STARTTLS and AUTH.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use fiador::mail::smtp::{SmtpLimits, SmtpSettings, SmtpTls};
use rustls::pki_types::CertificateDer;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};
use zeroize::Zeroizing;

/// Debian's own Python, which has the package `python3-aiosmtpd`.
const PYTHON: &str = "/usr/bin/python3";
pub const USER: &str = "fiador";
pub const PASSWORD: &str = "open sesame";

pub struct SmtpServer {
    child: Child,
    /// Closing it ends the server, also when the test dies.
    stdin: ChildStdin,
    reports: Lines<BufReader<ChildStdout>>,
    port: u16,
    root: CertificateDer<'static>,
    directory: tempfile::TempDir,
}

impl SmtpServer {
    pub async fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = (directory.path().join("certificate.pem"), directory.path().join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();

        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/kit/smtp_server.py");
        let mut child = Command::new(PYTHON)
            .args([&script, &certificate, &key])
            .args([USER, PASSWORD])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Debian's python3 and python3-aiosmtpd are installed");
        let stdin = child.stdin.take().unwrap();
        let reports = BufReader::new(child.stdout.take().unwrap()).lines();
        let root = made.cert.der().clone();
        let mut server = Self { child, stdin, reports, port: 0, root, directory };
        let port = server.next_report().await["port"].as_u64().unwrap();
        server.port = port.try_into().unwrap();
        server
    }

    /// How to reach it.
    pub fn settings(&self) -> SmtpSettings {
        SmtpSettings {
            host: "localhost".to_owned(),
            port: self.port,
            tls: SmtpTls::StartTls,
            allow_plaintext: false,
            user: Some(USER.to_owned()),
            password: Some(Zeroizing::new(PASSWORD.to_owned())),
            extra_roots: vec![self.root.clone()],
            limits: SmtpLimits::default(),
        }
    }

    /// The file of its certificate, which is its own root.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    /// The next mail: `sender`, `recipients`, `content`, `tls`, `user`.
    pub async fn next_report(&mut self) -> serde_json::Value {
        let line = self.reports.next_line().await.unwrap().expect("the server lives");
        serde_json::from_str(&line).unwrap()
    }

    /// Ends it and waits until it is gone.
    pub async fn stop(mut self) {
        drop(self.stdin);
        assert!(self.child.wait().await.unwrap().success());
    }
}

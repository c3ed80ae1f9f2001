//! Certificates, and the client's side of TLS.

use std::{io, net::SocketAddr, sync::Arc};

use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    sign::CertifiedKey,
};
use time::{Duration, OffsetDateTime};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A certificate for `localhost` that is its own root, and its key.
#[derive(Clone)]
pub struct TestCertificate {
    pub der: CertificateDer<'static>,
    pub pem: String,
    pub key_pem: String,
    pub not_after: OffsetDateTime,
}

impl TestCertificate {
    /// One that holds for a year.
    pub fn new() -> Self {
        Self::that_holds(Duration::days(365))
    }

    /// One that holds that long from now.
    pub fn that_holds(span: Duration) -> Self {
        let mut parameters = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let not_after = OffsetDateTime::now_utc() + span;
        parameters.not_after = not_after;
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self { der: certificate.der().clone(), pem: certificate.pem(), key_pem: key.serialize_pem(), not_after }
    }

    /// As a listener shows it.
    pub fn certified(&self) -> Arc<CertifiedKey> {
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).unwrap();
        Arc::new(CertifiedKey::from_der(vec![self.der.clone()], key, &aws_lc_rs::default_provider()).unwrap())
    }

    /// A connection to who shows this certificate and speaks one of these protocols.
    pub async fn connect(&self, address: SocketAddr, protocols: &[&str]) -> io::Result<TlsStream<TcpStream>> {
        self.connect_by(address, protocols, rustls::DEFAULT_VERSIONS).await
    }

    /// The same, over one of these versions of TLS.
    pub async fn connect_by(
        &self,
        address: SocketAddr,
        protocols: &[&str],
        versions: &[&'static SupportedProtocolVersion],
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let mut config = config.with_protocol_versions(versions).unwrap().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
    }
}

//! Whom requests go to, and how they are written.

use std::net::SocketAddr;

use tokio_rustls::TlsConnector;

/// A server under load.
#[derive(Clone)]
pub struct Api {
    pub address: SocketAddr,
    pub tls: Option<TlsConnector>,
    pub key: String,
}

impl Api {
    pub fn new(address: SocketAddr, key: &str) -> Self {
        Self { address, tls: None, key: key.to_owned() }
    }

    pub fn post(&self, path: &str, body: &str) -> Vec<u8> {
        let (key, length) = (&self.key, body.len());
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    pub fn get(&self, path: &str) -> Vec<u8> {
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n", self.key).into_bytes()
    }
}

/// A GET without a key, as for /metrics.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

use std::net::SocketAddr;

use super::{
    error::ConfigError,
    settings::{HttpSettings, TlsSettings},
    tls::Tls,
    validation::{Validation, is_loopback},
};

impl Validation {
    /// # Errors
    /// What is no address, or one that others than this machine reach in clear without that being spelled out.
    pub fn listen(&self, settings: &HttpSettings, is_encrypted: bool) -> Result<SocketAddr, ConfigError> {
        let key = "http.listen";
        let mend = "must be an IP address and a port, such as 127.0.0.1:8420";
        let listen: SocketAddr = settings.listen.parse().map_err(|_| self.refuse(key, mend))?;
        if !is_loopback(listen) && !is_encrypted && !settings.allow_plaintext {
            let mend = "must be a loopback address, because HTTP is not encrypted; give [http.tls] certificate_file and key_file, \
                        or, behind a proxy that encrypts, set http.allow_plaintext = true";
            return Err(self.refuse(key, mend));
        }
        Ok(listen)
    }

    /// # Errors
    /// One file without the other, or two that do not make a pair.
    pub fn tls(&self, settings: &TlsSettings) -> Result<Option<Tls>, ConfigError> {
        let TlsSettings { certificate_file, key_file } = settings;
        let must_be_given = |key| Err(self.refuse(key, "must be given too: HTTPS needs a certificate and its key"));
        match (self.private_file(Tls::CERTIFICATE_KEY, certificate_file)?, self.private_file(Tls::KEY_KEY, key_file)?) {
            (None, None) => Ok(None),
            (None, Some(_)) => must_be_given(Tls::CERTIFICATE_KEY),
            (Some(_), None) => must_be_given(Tls::KEY_KEY),
            (Some(certificate), Some(key)) => {
                let read = Tls::read(certificate.path(), &key);
                read.map(Some).map_err(|unusable| self.refuse(unusable.key, unusable.mend))
            }
        }
    }
}

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use super::certificate::Certificate;
use crate::{
    clock::Clock,
    config::{Config, TlsUnusable},
    http::{Acceptor, Limits, ListenError, PeerRules},
    live::Live,
};

/// What all listeners share, and a reload replaces: the certificate, and which peers are unlike others.
pub(super) struct Entrance {
    certificate: Option<Certificate>,
    rules: Live<PeerRules>,
}

impl Entrance {
    pub(super) fn of(config: &Config, clock: Clock) -> Self {
        let certificate = config.tls.clone().map(|tls| Certificate::watch(tls, clock));
        Self { certificate, rules: Live::new(peer_rules(config)) }
    }

    /// A listener on `address`.
    ///
    /// # Errors
    /// [`ListenError`], which names the address.
    pub(super) async fn open(&self, address: SocketAddr, limits: Limits) -> Result<Acceptor, ListenError> {
        let acceptor = Acceptor::bind(address, limits).await?.with_rules(self.rules.clone());
        Ok(match &self.certificate {
            Some(certificate) => acceptor.encrypted(certificate.served()),
            None => acceptor,
        })
    }

    /// Whether what `config` says may be taken.
    ///
    /// # Errors
    /// Its certificate has run out, and the one that is shown has not.
    pub(super) fn judge(&self, config: &Config) -> Result<(), TlsUnusable> {
        match (&self.certificate, &config.tls) {
            (Some(certificate), Some(tls)) => certificate.judge(tls),
            _ => Ok(()),
        }
    }

    /// Takes what `config` says. Whether there is a certificate at all cannot change.
    pub(super) fn reload(&self, config: &Config) {
        if let (Some(certificate), Some(tls)) = (&self.certificate, &config.tls) {
            certificate.replace(tls.clone());
        }
        self.rules.replace(peer_rules(config));
    }
}

fn peer_rules(config: &Config) -> PeerRules {
    PeerRules { trusted_proxies: config.trusted_proxies.clone(), uncapped: loopback() }
}

/// A proxy beside us, or a load test, is no stranger.
fn loopback() -> Vec<IpNet> {
    let of = |address: IpAddr, prefix| IpNet::new_assert(address, prefix);
    vec![of(Ipv4Addr::LOCALHOST.into(), 8), of(Ipv6Addr::LOCALHOST.into(), 128)]
}

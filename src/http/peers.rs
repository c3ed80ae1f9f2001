//! Who is at the other end: how many connections it may have, and for whom it speaks.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Which peers are unlike others.
#[derive(Clone, Debug, Default)]
pub struct PeerRules {
    /// Whose `X-Forwarded-For` is believed. They bring many clients' connections, so [`Limits::connections_per_peer`] does not
    /// hold for them either.
    ///
    /// [`Limits::connections_per_peer`]: super::Limits::connections_per_peer
    pub trusted_proxies: Vec<IpNet>,
    /// Who else may have as many connections as there are.
    pub uncapped: Vec<IpNet>,
}

impl PeerRules {
    /// Whether one peer's share of the connections is all that `peer` may have.
    pub(super) fn caps(&self, peer: IpAddr) -> bool {
        !self.trusts(peer) && !holds(&self.uncapped, peer)
    }

    fn trusts(&self, peer: IpAddr) -> bool {
        holds(&self.trusted_proxies, peer)
    }

    /// Whose request it is: the peer's, or that of the client for whom a trusted proxy says it speaks.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let forwarded_for = || self.forwarded_for(headers);
        self.trusts(peer).then(forwarded_for).flatten().unwrap_or(peer).to_canonical()
    }

    /// The last that is no trusted proxy: each proxy appends whom it speaks to, and what stands before the first one's word could
    /// be anybody's. None when a word that counts is no address.
    fn forwarded_for(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let mut client = None;
        for list in headers.get_all(X_FORWARDED_FOR).iter().rev() {
            for hop in list.to_str().ok()?.rsplit(',') {
                let hop: IpAddr = hop.trim().parse().ok()?;
                client = Some(hop);
                if !self.trusts(hop) {
                    return client;
                }
            }
        }
        client
    }
}

fn holds(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address.to_canonical()))
}

/// Where a request comes from, in its extensions. warp's own cannot be set from outside.
#[derive(Clone, Copy)]
pub(super) struct Peer {
    /// The other end of the connection.
    pub connection: SocketAddr,
    /// Whose request it is.
    pub client: IpAddr,
}

impl Peer {
    pub fn of(connection: SocketAddr, headers: &HeaderMap, rules: &PeerRules) -> Self {
        Self { connection, client: rules.client(connection.ip(), headers) }
    }
}

/// How many connections each peer has.
#[derive(Clone, Default)]
pub(super) struct PeerCounts(Arc<Mutex<HashMap<IpAddr, usize>>>);

impl PeerCounts {
    /// A place for one more connection of `peer`; none when it has `most` already.
    pub fn place(&self, peer: IpAddr, most: usize) -> Option<PeerPlace> {
        let peer = subscriber(peer);
        let mut counts = self.counts();
        let count = counts.entry(peer).or_default();
        let is_free = *count < most;
        *count += usize::from(is_free);
        is_free.then(|| PeerPlace { counts: self.clone(), peer })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of a peer's connections, for as long as it lives.
pub(super) struct PeerPlace {
    counts: PeerCounts,
    peer: IpAddr,
}

impl Drop for PeerPlace {
    fn drop(&mut self) {
        let mut counts = self.counts.counts();
        let left = counts.get(&self.peer).map_or(0, |count| count - 1);
        if left == 0 {
            counts.remove(&self.peer);
        } else {
            counts.insert(self.peer, left);
        }
    }
}

/// Who counts as one peer: an IPv4 address, or the /64 of an IPv6 address, which is what one subscriber has.
fn subscriber(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) & !u128::from(u64::MAX)).into(),
        ip @ IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn rules() -> PeerRules {
        let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        PeerRules { trusted_proxies, uncapped: vec!["127.0.0.0/8".parse().unwrap()] }
    }

    fn client(peer: &str, forwarded: &[&str]) -> IpAddr {
        let value = |list: &&str| HeaderValue::from_bytes(list.as_bytes()).unwrap();
        let headers = forwarded.iter().map(|list| (X_FORWARDED_FOR, value(list))).collect();
        rules().client(ip(peer), &headers)
    }

    #[test]
    fn the_client_is_the_last_that_is_no_trusted_proxy() {
        for (forwarded, expected) in [
            (&["203.0.113.9"][..], "203.0.113.9"),
            (&["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
            (&["1.1.1.1, 203.0.113.9,10.0.0.2 ,\t10.0.0.3"], "203.0.113.9"),
            (&["1.1.1.1", "203.0.113.9", "fd00::1"], "203.0.113.9"),
            (&["nonsense, 203.0.113.9"], "203.0.113.9"),
            (&["::ffff:203.0.113.9"], "203.0.113.9"),
            (&["2001:db8::7"], "2001:db8::7"),
            (&["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        ] {
            assert_eq!(client("10.0.0.1", forwarded), ip(expected), "{forwarded:?}");
            assert_eq!(client("::ffff:10.0.0.1", forwarded), ip(expected), "{forwarded:?}");
        }
    }

    #[test]
    fn what_is_no_address_leaves_the_peer() {
        for forwarded in [&[][..], &[""], &["unknown"], &["203.0.113.9, unknown"], &["203.0.113.9:80"], &["203.0.113.9", "é"]] {
            assert_eq!(client("10.0.0.1", forwarded), ip("10.0.0.1"), "{forwarded:?}");
        }
    }

    #[test]
    fn who_is_no_trusted_proxy_speaks_for_itself_alone() {
        for peer in ["11.0.0.1", "127.0.0.1", "fe80::1"] {
            assert_eq!(client(peer, &["203.0.113.9"]), ip(peer));
        }
    }

    #[test]
    fn strangers_are_capped_and_proxies_and_loopback_are_not() {
        for (peer, is_capped) in [("203.0.113.9", true), ("10.0.0.1", false), ("::ffff:10.0.0.1", false), ("127.0.0.1", false)] {
            assert_eq!(rules().caps(ip(peer)), is_capped, "{peer}");
        }
    }

    #[test]
    fn a_peer_has_as_many_places_as_it_may_and_gets_back_what_it_frees() {
        let counts = PeerCounts::default();
        let first = counts.place(ip("2001:db8:1:2::1"), 2);
        let second = counts.place(ip("2001:db8:1:2:ffff::2"), 2);

        assert!(first.is_some() && second.is_some());
        assert!(counts.place(ip("2001:db8:1:2::3"), 2).is_none(), "of the same /64");
        assert!(counts.place(ip("2001:db8:1:3::1"), 2).is_some(), "of another");
        drop(first);
        assert!(counts.place(ip("2001:db8:1:2::3"), 2).is_some());
        drop(second);
        assert!(counts.counts().is_empty(), "nothing is left of who is gone");
    }
}

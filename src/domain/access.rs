use std::{collections::BTreeSet, fmt, net::IpAddr};

use ipnet::IpNet;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

use super::{Application, ApplicationName, Applications, Moment};

/// What an API key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// To start, resend and cancel verifications.
    StartVerifications,
    /// To present numbers.
    CheckNumbers,
    /// To look at verifications.
    ReadVerifications,
    /// To keep users and check their credentials.
    Users,
    /// To look at queued and failed mails, and to send them again.
    Messages,
    /// To look at the daemon itself.
    Admin,
}

impl Scope {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::StartVerifications, Self::CheckNumbers, Self::ReadVerifications, Self::Users, Self::Messages, Self::Admin];
    /// Those of a key that names none: what an external server needs for verifications.
    pub const DEFAULT: [Self; 3] = [Self::StartVerifications, Self::CheckNumbers, Self::ReadVerifications];

    /// Its name in configuration and API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StartVerifications => "verifications:start",
            Self::CheckNumbers => "verifications:check",
            Self::ReadVerifications => "verifications:read",
            Self::Users => "users",
            Self::Messages => "messages",
            Self::Admin => "admin",
        }
    }

    /// # Errors
    /// [`ScopeError`], which lists what is allowed.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(ScopeError)
    }
}

/// Not a scope.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("must be one of {}", Scope::ALL.map(Scope::as_str).join(", "))]
pub struct ScopeError;

/// An API key as the configuration declares it: what is kept of it, and what it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyGrant {
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// What it may be used for.
    pub scopes: BTreeSet<Scope>,
    /// Until when; none: until it is taken out.
    pub expires_at: Option<Moment>,
    /// From where; empty: from anywhere.
    pub networks: Vec<IpNet>,
}

impl ApiKeyGrant {
    /// A key with the default scopes, from anywhere, until it is taken out.
    pub fn new(hash: [u8; 32]) -> Self {
        Self { hash, scopes: Scope::DEFAULT.into(), expires_at: None, networks: Vec::new() }
    }

    /// What records call it.
    pub fn label(&self) -> KeyLabel {
        let [a, b, c, d, ..] = self.hash;
        KeyLabel([a, b, c, d])
    }

    /// Whether it has run out.
    pub fn is_expired(&self, now: Moment) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }

    /// Whether it may be presented from there.
    pub fn admits(&self, from: IpAddr) -> bool {
        let from = from.to_canonical();
        self.networks.is_empty() || self.networks.iter().any(|network| network.contains(&from))
    }
}

/// The first eight digits of a key's hash, as the configuration shows it: they tell an application's keys apart, and nothing of
/// the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyLabel([u8; 4]);

impl Serialize for KeyLabel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for KeyLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Who presented a valid key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The application.
    pub application: ApplicationName,
    /// With which of its keys.
    pub key: KeyLabel,
    /// Whether it is a test application: all that it is answered says so.
    pub is_test: bool,
}

/// An API key as somebody presents it.
pub struct Presented<'a> {
    /// `fdr_…`
    pub api_key: &'a str,
    /// From where.
    pub from: IpAddr,
    /// What for.
    pub scope: Scope,
}

/// Why a key opens nothing. Whoever presents it is told of a missing scope alone, for that key is valid.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Denied {
    /// No application has this key.
    #[error("no application has this key")]
    Unknown,
    /// It has run out.
    #[error("the key has run out")]
    Expired(Principal),
    /// It may not be presented from there.
    #[error("the key may not be presented from there")]
    NotFromThere(Principal),
    /// It is valid and not meant for this.
    #[error("the key lacks the scope {}", .1.as_str())]
    ScopeMissing(Principal, Scope),
}

/// Whose key this is, if it may be used so.
///
/// # Errors
/// [`Denied`]
pub fn authenticate(applications: &Applications, presented: &Presented<'_>, now: Moment) -> Result<Principal, Denied> {
    let (application, key) = owner(applications, presented.api_key).ok_or(Denied::Unknown)?;
    let principal = Principal { application: application.name.clone(), key: key.label(), is_test: application.is_test };
    if key.is_expired(now) {
        return Err(Denied::Expired(principal));
    }
    if !key.admits(presented.from) {
        return Err(Denied::NotFromThere(principal));
    }
    if key.scopes.contains(&presented.scope) { Ok(principal) } else { Err(Denied::ScopeMissing(principal, presented.scope)) }
}

/// The key that `api_key` is. Looks at every key, whichever fits, so that the time tells nothing.
fn owner<'a>(applications: &'a Applications, api_key: &str) -> Option<(&'a Application, &'a ApiKeyGrant)> {
    let presented = Sha256::digest(api_key.as_bytes());
    let keys = applications.iter().flat_map(|application| application.keys.iter().map(move |key| (&**application, key)));
    keys.fold(None, |found, (application, key)| {
        let is_it = bool::from(key.hash.ct_eq(&presented));
        if is_it { Some((application, key)) } else { found }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Ok(scope));
        }
        let refused = Scope::parse("verifications").unwrap_err().to_string();
        assert!(refused.contains("verifications:start, verifications:check"), "{refused}");
    }

    #[test]
    fn a_key_is_admitted_from_its_networks_alone_however_the_address_is_written() {
        let open = ApiKeyGrant::new([7; 32]);
        let bound = ApiKeyGrant { networks: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()], ..open.clone() };

        assert!(open.admits("203.0.113.9".parse().unwrap()));
        for (from, is_admitted) in [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("11.0.0.1", false), ("fd12::1", true)] {
            assert_eq!(bound.admits(from.parse().unwrap()), is_admitted, "{from}");
        }
    }

    #[test]
    fn a_key_runs_out_at_its_moment() {
        let key = ApiKeyGrant { expires_at: Some(Moment(1_000)), ..ApiKeyGrant::new([7; 32]) };

        assert!(!key.is_expired(Moment(999)));
        assert!(key.is_expired(Moment(1_000)));
        assert!(!ApiKeyGrant::new([7; 32]).is_expired(Moment(u64::MAX)));
        assert_eq!(key.label().to_string(), "07070707");
    }
}

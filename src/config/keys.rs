use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use toml::value::Datetime;

use super::{error::ConfigError, settings::KeySettings, validation::Validation};
use crate::{
    api_key::key_hash_from_text,
    domain::{ApiKeyGrant, Moment, Scope},
};

/// Only who calls by the old contract, which has no keys, may do without.
pub(super) const MISSING_KEY: &str = "must be one or two keys; `fiador key new NAME` prints one";

impl Validation {
    /// # Errors
    /// More than two keys, or one that is not allowed.
    pub fn keys(&self, path: &str, keys: &[KeySettings]) -> Result<Vec<ApiKeyGrant>, ConfigError> {
        if keys.len() > 2 {
            return Err(self.refuse(path, MISSING_KEY));
        }
        keys.iter().enumerate().map(|(index, key)| self.key(&format!("{path}[{index}]"), key)).collect()
    }

    fn key(&self, path: &str, settings: &KeySettings) -> Result<ApiKeyGrant, ConfigError> {
        let mend = "must be sha256: and 64 hexadecimal digits; `fiador key new NAME` prints one";
        let hash = key_hash_from_text(&settings.hash).ok_or_else(|| self.refuse(&format!("{path}.hash"), mend))?;
        let expires_at = settings.expires_at.as_ref().map(|time| self.moment(&format!("{path}.expires_at"), time)).transpose()?;
        Ok(ApiKeyGrant {
            scopes: self.scopes(&format!("{path}.scopes"), settings.scopes.as_deref())?,
            networks: self.key_networks(&format!("{path}.networks"), settings.networks.as_deref())?,
            expires_at,
            hash,
        })
    }

    fn scopes(&self, path: &str, names: Option<&[String]>) -> Result<BTreeSet<Scope>, ConfigError> {
        let Some(names) = names else { return Ok(Scope::DEFAULT.into()) };
        if names.is_empty() {
            return Err(self.refuse(path, "must name a scope, or be left out for those that verifications need"));
        }
        let scope = |(index, name): (usize, &String)| {
            Scope::parse(name).map_err(|error| self.refuse(&format!("{path}[{index}]"), error.to_string()))
        };
        names.iter().enumerate().map(scope).collect()
    }

    /// Where a key may be presented; anywhere when nothing is said. A list that names nothing is refused: it would say anywhere, too.
    fn key_networks(&self, path: &str, texts: Option<&[String]>) -> Result<Vec<IpNet>, ConfigError> {
        if texts.is_some_and(<[_]>::is_empty) {
            return Err(self.refuse(path, "must name a network, or be left out for anywhere"));
        }
        self.networks(path, texts.unwrap_or_default())
    }

    /// # Errors
    /// A text that is no network. An IPv4 one written as IPv6 is none: peers are compared as what they are, so it would hold nobody.
    pub fn networks(&self, path: &str, texts: &[String]) -> Result<Vec<IpNet>, ConfigError> {
        let mend = "must be a network, such as 10.0.0.0/8 or fd00::/8, or an address";
        let network = |(index, text): (usize, &String)| {
            let address = || text.parse::<IpAddr>().map(IpNet::from).ok();
            let parsed =
                text.parse().ok().or_else(address).filter(|network: &IpNet| network.addr() == network.addr().to_canonical());
            parsed.ok_or_else(|| self.refuse(&format!("{path}[{index}]"), mend))
        };
        texts.iter().enumerate().map(network).collect()
    }

    fn moment(&self, path: &str, time: &Datetime) -> Result<Moment, ConfigError> {
        let mend = "must be a date and time with its offset, such as 2027-01-31T12:00:00Z";
        let parsed = OffsetDateTime::parse(&time.to_string(), &Rfc3339).ok();
        let milliseconds = parsed.and_then(|time| u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok());
        milliseconds.map(Moment).ok_or_else(|| self.refuse(path, mend))
    }
}

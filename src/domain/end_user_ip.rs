use std::net::{IpAddr, Ipv6Addr};

use thiserror::Error;

/// The end user's IP address as the application saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndUserIp(IpAddr);

/// Not an IP address.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("must be an IPv4 or IPv6 address")]
pub struct IpError;

impl EndUserIp {
    /// # Errors
    /// [`IpError`], which says what is allowed.
    pub fn parse(text: &str) -> Result<Self, IpError> {
        text.parse::<IpAddr>().map(|ip| Self(ip.to_canonical())).map_err(|_| IpError)
    }

    /// Its one spelling.
    pub fn canonical(self) -> String {
        self.0.to_string()
    }

    /// Whose budget of starts it draws on: itself, or the /64 of an IPv6 address, which is what one subscriber has.
    pub fn subscriber(self) -> String {
        match self.0 {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("{}/64", Ipv6Addr::from(u128::from(ip) & !u128::from(u64::MAX))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_counts_as_its_64_and_a_mapped_one_as_ipv4() {
        let subscriber = |text| EndUserIp::parse(text).unwrap().subscriber();

        assert_eq!(subscriber("2001:db8:1:2:aaaa::1"), subscriber("2001:db8:1:2::"));
        assert_ne!(subscriber("2001:db8:1:2::1"), subscriber("2001:db8:1:3::1"));
        assert_eq!(subscriber("::ffff:203.0.113.9"), subscriber("203.0.113.9"));
        assert_eq!(EndUserIp::parse("203.0.113.9:80"), Err(IpError));
    }
}

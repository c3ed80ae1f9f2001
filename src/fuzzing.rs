//! What is fuzzed, behind the feature `testing`: one function for each place where bytes of others come in. Each takes any
//! bytes, drives the code that reads them in the daemon, and panics when something does not hold that is promised of it.
//!
//! `scripts/fuzz` makes up bytes for them, by the targets in `fuzz/`; a test runs them on the seeds in `fuzz/seeds`, what was once
//! found among them.

mod peer;

pub use crate::{
    config::fuzzing::config,
    http::fuzzing::bodies,
    store::fuzzing::{id, sealed},
};
use crate::{
    domain::{EmailAddress, IdentityNumber},
    mail::fuzzing::{has_our_headers_alone, speak_over},
    store::{fuzzing::vault, redis::fuzzing::ask_over},
};

/// A function that takes any bytes.
pub type Target = fn(&[u8]);

/// All of them, by the names of their targets.
pub const TARGETS: [(&str, Target); 8] = [
    ("address", address),
    ("bodies", bodies),
    ("config", config),
    ("id", id),
    ("number", number),
    ("resp", resp),
    ("sealed", sealed),
    ("smtp_reply", smtp_reply),
];

/// An email address: what is taken is one line without white space, has one spelling to be compared by, and a mail to it has our
/// headers and goes there alone.
///
/// # Panics
/// When that does not hold.
pub fn address(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(address) = EmailAddress::parse(text) else { return };
    assert_eq!(address.as_str(), text);
    assert!(text.len() <= 254 && text.matches('@').count() == 1);
    assert!(!text.contains(|c: char| c.is_control() || c.is_whitespace()));
    let domain = address.ascii_domain();
    assert!(domain.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b)));

    let spelled = |text: &str| EmailAddress::parse(text).map(|address| address.normalised());
    let normalised = address.normalised();
    assert!(normalised.ends_with(&format!("@{domain}")));
    assert_eq!(spelled(&address.for_smtp()).as_ref(), Ok(&normalised));
    assert_eq!(spelled(&text.to_ascii_lowercase()).as_ref(), Ok(&normalised));
    if text.is_ascii() {
        assert_eq!(spelled(&normalised).as_ref(), Ok(&normalised));
    }
    has_our_headers_alone(address);
}

/// A number as a person types it: taken exactly when it is 6 to 15 digits with spaces and dashes between them, in at most 64
/// bytes, and read the same from its digits alone.
///
/// # Panics
/// When that does not hold.
pub fn number(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let digits: Vec<u8> = data.iter().copied().filter(u8::is_ascii_digit).collect();
    let has_form = data.iter().all(|byte| byte.is_ascii_digit() || b" -".contains(byte));
    let is_number = has_form && (6..=15).contains(&digits.len()) && data.len() <= 64;
    let Ok(number) = IdentityNumber::parse(text) else { return assert!(!is_number) };
    assert!(is_number);
    assert_eq!(number.as_str().as_bytes(), digits);
    assert_eq!(IdentityNumber::parse(number.as_str()).as_ref(), Ok(&number));
    let value: u64 = number.as_str().parse().expect("15 digits fit");
    assert_eq!(number.shard(64), value % 64);
}

/// A Redis server's answers. Nothing comes out of a store that was never put there, and nothing is waited for.
///
/// The first byte says what is asked; the rest are the answers, with `~` between them.
///
/// # Panics
/// When that does not hold.
pub fn resp(data: &[u8]) {
    let Some((which, answers)) = data.split_first() else { return };
    peer::meet(answers, |stream| ask_over(stream, vault(), *which % 12));
}

/// An SMTP server's greeting and answers. What is kept of them is one short line without address, number and password, and a
/// server that is asked for TLS is told nothing of a mail before.
///
/// The first byte says whether it is asked for TLS; the rest are the answers, with `~` between them.
///
/// # Panics
/// When that does not hold.
pub fn smtp_reply(data: &[u8]) {
    let Some((first, answers)) = data.split_first() else { return };
    let in_clear = first % 2 == 1;
    let told = peer::meet(answers, |stream| speak_over(stream, in_clear));
    if in_clear {
        let verbs: Vec<&[u8]> = told.split(|&b| b == b'\n').map(|line| line.get(..4).unwrap_or(line)).collect();
        assert!(verbs.iter().all(|verb| [b"EHLO".as_slice(), b"STAR", b""].contains(verb)), "{told:?}");
    }
}

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use unicode_security::{MixedScript, RestrictionLevel, RestrictionLevelDetection};

/// An email address as the person gave it: `local@domain` and nothing else, at most 254 bytes.
///
/// Source: RFC 5321, 4.5.3.1 (64 bytes of local part, 254 of path), RFC 6531 (non-ASCII local parts).
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EmailAddress(String);

/// Why an address is refused; the text says what is allowed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    /// Nothing there.
    #[error("must not be empty")]
    Empty,
    /// Over 254 bytes, or over 64 before the @.
    #[error("must have at most 254 bytes, 64 of them before the @")]
    TooLong,
    /// White space, control characters, quotes, or a display name.
    #[error("must be local@domain alone, without display name, quotes, white space or control characters")]
    NotBare,
    /// Not one @ with something on both sides, or dots in the wrong places.
    #[error("must have one @ with a local part before and a domain after it")]
    NotLocalAtDomain,
    /// Not a domain name.
    #[error("must end in a domain name such as example.org")]
    Domain,
    /// Letters that look alike, such as a Cyrillic а among Latin ones: the mail would go to another domain than people read.
    #[error("must not mix scripts, such as Latin and Cyrillic, within a part of its domain")]
    MixedScripts,
}

impl EmailAddress {
    const LONGEST: usize = 254;
    const LONGEST_LOCAL: usize = 64;

    /// # Errors
    /// [`AddressError`], which says what is allowed.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.len() > Self::LONGEST {
            return Err(AddressError::TooLong);
        }
        if text.chars().any(is_forbidden) {
            return Err(AddressError::NotBare);
        }
        let (local, domain) = text.split_once('@').ok_or(AddressError::NotLocalAtDomain)?;
        if local.len() > Self::LONGEST_LOCAL {
            return Err(AddressError::TooLong);
        }
        let has_stray_dot = local.starts_with('.') || local.ends_with('.') || local.contains("..");
        if local.is_empty() || domain.is_empty() || domain.contains('@') || has_stray_dot {
            return Err(AddressError::NotLocalAtDomain);
        }
        let ascii_domain = domain_to_ascii(domain)?;
        if mixes_scripts(&ascii_domain) {
            return Err(AddressError::MixedScripts);
        }
        if local.len() + 1 + ascii_domain.len() > Self::LONGEST {
            return Err(AddressError::TooLong);
        }
        Ok(Self(text.to_owned()))
    }

    /// The address as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What tells addresses apart: domain as lower-case A-labels, ASCII letters of the local part lower-cased, the local part
    /// NFC, nothing else folded.
    pub fn normalised(&self) -> String {
        if self.0.is_ascii() {
            return self.0.to_ascii_lowercase(); // what follows comes to the same, and costs more
        }
        // lower-cased before NFC, which turns the Kelvin sign into a K that must not meet a k
        let local: String = self.local().to_ascii_lowercase().nfc().collect();
        format!("{local}@{}", self.ascii_domain())
    }

    /// The address for SMTP: local part as given, domain as A-labels.
    pub fn for_smtp(&self) -> String {
        format!("{}@{}", self.local(), self.ascii_domain())
    }

    /// The address for records that tell addresses apart and name none: its first letter or digit, if it begins with one of
    /// ASCII, and its domain as A-labels, `a***@example.org`.
    pub fn masked(&self) -> String {
        let first = self.local().chars().next().filter(char::is_ascii_alphanumeric);
        format!("{}***@{}", first.map(String::from).unwrap_or_default(), self.ascii_domain())
    }

    /// The domain as lower-case A-labels.
    pub fn ascii_domain(&self) -> String {
        if self.domain().is_ascii() {
            return self.domain().to_ascii_lowercase(); // the same, at less cost
        }
        idna::domain_to_ascii_strict(self.domain()).expect("`parse` converted it before")
    }

    fn local(&self) -> &str {
        self.0.split_once('@').expect("`parse` found the @").0
    }

    fn domain(&self) -> &str {
        self.0.split_once('@').expect("`parse` found the @").1
    }
}

fn is_forbidden(c: char) -> bool {
    // RFC 5322 specials, without which a bare dot-atom is written; `@` and `.` are looked at apart
    c.is_control() || c.is_whitespace() || "\"(),:;<>[\\]".contains(c) || is_invisible(c)
}

/// Characters that change how a text reads without being seen: joiners, marks of direction, the soft hyphen, selectors of
/// variants, tags.
#[rustfmt::skip]
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

fn domain_to_ascii(domain: &str) -> Result<String, AddressError> {
    let ascii = idna::domain_to_ascii_strict(domain).map_err(|_| AddressError::Domain)?;
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let last_is_numeric = ascii.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    if ascii.len() > 253 || !ascii.split('.').all(is_label) || last_is_numeric {
        return Err(AddressError::Domain);
    }
    Ok(ascii)
}

/// Whether any label of `domain`, given as A-labels, mixes scripts otherwise than Chinese, Japanese and Korean do with Latin.
///
/// Source: Unicode Technical Standard 39, 5.1 and 5.2 (single script; highly restrictive).
fn mixes_scripts(domain: &str) -> bool {
    if !domain.contains("xn--") {
        return false;
    }
    let (unicode, _) = idna::domain_to_unicode(domain);
    unicode
        .split('.')
        .any(|label| !label.is_single_script() && !label.check_restriction_level(RestrictionLevel::HighlyRestrictive))
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailAddress")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_spelling_and_folds_only_for_comparison() {
        let address = EmailAddress::parse("Ada.Lovelace+x@Exämple.ORG").unwrap();

        assert_eq!(address.as_str(), "Ada.Lovelace+x@Exämple.ORG");
        assert_eq!(address.normalised(), "ada.lovelace+x@xn--exmple-cua.org");
        assert_eq!(address.for_smtp(), "Ada.Lovelace+x@xn--exmple-cua.org");
    }

    #[test]
    fn letters_beyond_ascii_are_not_folded_in_the_local_part() {
        let normalised = |text| EmailAddress::parse(text).unwrap().normalised();

        assert_ne!(normalised("Ä@example.org"), normalised("ä@example.org"));
        assert_ne!(normalised("\u{212a}im@example.org"), normalised("kim@example.org")); // the Kelvin sign
        assert_eq!(normalised("a\u{308}@example.org"), normalised("ä@example.org"));
    }

    #[test]
    fn an_address_of_ascii_alone_is_normalised_as_any_other() {
        for text in ["Ada@Example.ORG", "a.B+c_d-e'f@XN--Exmple-CUA.org", "K@a-1.Xn--E1Afmkfd.Example", "{x}/y|z~@9.A0.museum"] {
            let address = EmailAddress::parse(text).unwrap();
            let domain = idna::domain_to_ascii_strict(address.domain()).unwrap();
            let local: String = address.local().to_ascii_lowercase().nfc().collect();
            assert_eq!(address.ascii_domain(), domain);
            assert_eq!(address.normalised(), format!("{local}@{domain}"));
        }
    }

    #[test]
    fn a_domain_that_mixes_scripts_within_a_label_is_refused_however_it_is_written() {
        let cyrillic_a = "ada@ex\u{430}mple.org";
        let as_a_label = format!("ada@{}", domain_to_ascii("ex\u{430}mple.org").unwrap());
        for text in [cyrillic_a, &as_a_label, "ada@g\u{3bf}ogle.org", "ada@mail.p\u{443}pal.org"] {
            assert_eq!(EmailAddress::parse(text), Err(AddressError::MixedScripts), "{text}");
        }
        for text in ["ada@exämple.org", "ada@почта.рф", "ada@почта.example.org", "ada@日本のtv.jp", "ada@παράδειγμα.gr"]
        {
            assert!(EmailAddress::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_masked_address_shows_one_letter_of_ascii_and_the_domain() {
        for (text, masked) in [
            ("Ada@Example.ORG", "A***@example.org"),
            ("7@exämple.org", "7***@xn--exmple-cua.org"),
            ("ñu@example.org", "***@example.org"),
            ("+a@example.org", "***@example.org"),
        ] {
            assert_eq!(EmailAddress::parse(text).unwrap().masked(), masked);
        }
    }

    #[test]
    fn what_is_no_bare_address_is_refused() {
        for text in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "a@b@example.org",
            "Ada <ada@example.org>",
            "<ada@example.org>",
            "\"a b\"@example.org",
            "ada@example.org\r\nBcc: eve@example.org",
            "ada\0@example.org",
            "ada@exam ple.org",
            "ada,eve@example.org",
            ".ada@example.org",
            "a..b@example.org",
            "ada@-example.org",
            "ada@example..org",
            "ada@[127.0.0.1]",
            "ada@127.0.0.1",
            "ada@{x}.org",
            "a\u{200b}da@example.org",
            "ada\u{fe0f}@example.org",
            "ada\u{e0041}@example.org",
        ] {
            assert!(EmailAddress::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(EmailAddress::parse(&format!("{}@example.org", "a".repeat(65))), Err(AddressError::TooLong));
        assert_eq!(EmailAddress::parse(&format!("a@{}.org", "a.".repeat(125))), Err(AddressError::TooLong));
    }
}

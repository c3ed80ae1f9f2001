use std::{fmt, iter};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A language tag such as `en`, `es-MX` or `zh-Hant-TW`, in canonical case: 2 to 35 characters, a language of 2 or 3 letters,
/// then subtags of 1 to 8 letters and digits. Whether there are mails in that language is another question.
///
/// Source: RFC 5646 (BCP 47), 2.1 (form), 2.1.1 (case), 4.4.1 (35 characters hold every tag that is not contrived).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Locale {
    /// The tag, then zeros.
    bytes: [u8; Locale::LONGEST],
    length: u8,
}

/// Why a text is no language tag; it says what is allowed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "must be a language tag such as en or es-MX: 2 or 3 letters, then parts of 1 to 8 letters or digits, joined by -, at most {} \
     characters",
    Locale::LONGEST
)]
pub struct LocaleError;

impl Locale {
    /// English, the default.
    pub const EN: Self = Self::of_two_letters(*b"en");
    /// Spanish.
    pub const ES: Self = Self::of_two_letters(*b"es");
    /// The longest tag, in characters.
    pub const LONGEST: usize = 35;

    const fn of_two_letters(letters: [u8; 2]) -> Self {
        let mut bytes = [0; Self::LONGEST];
        [bytes[0], bytes[1]] = letters;
        Self { bytes, length: 2 }
    }

    /// The tag in `text`, in any case.
    ///
    /// # Errors
    /// [`LocaleError`], which says what is allowed.
    pub fn parse(text: &str) -> Result<Self, LocaleError> {
        let mut subtags = text.split('-');
        let language = subtags.next().unwrap_or_default();
        let is_language = (2..=3).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_alphabetic());
        let is_subtag = |subtag: &str| (1..=8).contains(&subtag.len()) && subtag.bytes().all(|b| b.is_ascii_alphanumeric());
        if text.len() > Self::LONGEST || !is_language || !subtags.all(is_subtag) {
            return Err(LocaleError);
        }
        Ok(Self::of_well_formed(&canonical(text)))
    }

    fn of_well_formed(text: &str) -> Self {
        let mut bytes = [0; Self::LONGEST];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Self { bytes, length: u8::try_from(text.len()).expect("the longest tag has 35 bytes") }
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length.into()]).expect("a tag is ASCII")
    }

    /// The tag, then ever broader ones: `zh-Hant-TW`, `zh-Hant`, `zh`.
    ///
    /// Source: RFC 4647 (BCP 47), 3.4 (a lookup drops the last subtag, and a single letter that is then the last).
    pub fn and_broader(self) -> impl Iterator<Item = Self> {
        iter::successors(Some(self), |narrower| broader(narrower.as_str()).map(Self::of_well_formed))
    }
}

fn broader(tag: &str) -> Option<&str> {
    let (head, _) = tag.rsplit_once('-')?;
    match head.rsplit_once('-') {
        Some((before, last)) if last.len() == 1 => Some(before),
        _ => Some(head),
    }
}

/// `tag` as RFC 5646, 2.1.1 writes it: regions in capitals, scripts with one, the rest small.
fn canonical(tag: &str) -> String {
    let mut written = String::with_capacity(tag.len());
    let mut follows_singleton = false;
    for subtag in tag.split('-') {
        let is_letters = subtag.bytes().all(|b| b.is_ascii_alphabetic());
        let is_first = written.is_empty();
        if !is_first {
            written.push('-');
        }
        match subtag.len() {
            2 if is_letters && !is_first && !follows_singleton => written.push_str(&subtag.to_ascii_uppercase()),
            4 if is_letters && !follows_singleton => {
                written.push_str(&subtag[..1].to_ascii_uppercase());
                written.push_str(&subtag[1..].to_ascii_lowercase());
            }
            _ => written.push_str(&subtag.to_ascii_lowercase()),
        }
        follows_singleton |= subtag.len() == 1;
    }
    written
}

impl Default for Locale {
    fn default() -> Self {
        Self::EN
    }
}

impl TryFrom<String> for Locale {
    type Error = LocaleError;

    fn try_from(text: String) -> Result<Self, LocaleError> {
        Self::parse(&text)
    }
}

impl From<Locale> for String {
    fn from(locale: Locale) -> Self {
        locale.as_str().to_owned()
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Locale({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        Locale::parse(text).unwrap().to_string()
    }

    #[test]
    fn a_tag_is_written_one_way_in_whatever_case_it_comes() {
        for (given, canonical) in [
            ("en", "en"),
            ("ES", "es"),
            ("es-mx", "es-MX"),
            ("es-419", "es-419"),
            ("ZH-HANT-tw", "zh-Hant-TW"),
            ("sl-rozaj-BISKE-1994", "sl-rozaj-biske-1994"),
            ("en-ca-X-CA-Latn", "en-CA-x-ca-latn"),
            ("ast", "ast"),
        ] {
            assert_eq!(written(given), canonical);
        }
        assert_eq!((Locale::EN, Locale::ES), (Locale::parse("EN").unwrap(), Locale::parse("Es").unwrap()));
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        let longest = "en-abcdefgh-abcdefgh-abcdefgh-abcde";
        let too_long = format!("{longest}f");
        for text in ["", "e", "12", "span", "en-", "-en", "en--US", "en_US", "es mx", "en-abcdefghi", "ñn", "es-mé", &too_long]
        {
            assert_eq!(Locale::parse(text), Err(LocaleError), "{text}");
        }
        assert_eq!(written(longest), longest);
    }

    #[test]
    fn a_lookup_goes_from_the_tag_to_its_language() {
        let tried = |text| Locale::parse(text).unwrap().and_broader().map(|locale| locale.to_string()).collect::<Vec<_>>();

        assert_eq!(tried("es"), ["es"]);
        assert_eq!(tried("zh-Hant-TW"), ["zh-Hant-TW", "zh-Hant", "zh"]);
        assert_eq!(tried("en-x-old"), ["en-x-old", "en"]);
    }

    #[test]
    fn a_stored_tag_is_read_back_and_a_broken_one_is_not() {
        let tag = Locale::parse("es-MX").unwrap();

        let stored = postcard::to_stdvec(&tag).unwrap();
        assert_eq!(postcard::from_bytes::<Locale>(&stored).unwrap(), tag);
        assert!(postcard::from_bytes::<Locale>(&postcard::to_stdvec("es_MX").unwrap()).is_err());
    }
}

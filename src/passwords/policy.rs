//! Which passwords are allowed: long enough, not among the common ones, not made of the address (NIST SP 800-63B-4, 3.1.1.2).

use std::{collections::BTreeSet, fmt, sync::LazyLock};

use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::domain::EmailAddress;

const SHORTEST: usize = 8;
const LONGEST: usize = 256;
/// Names in an address that are shorter come about in passwords by chance.
const SHORTEST_NAME: usize = 4;

/// Passwords that many people use, lower-cased, in the order of their bytes. Whose list it is stands in `common.LICENSE.txt`.
static COMMON: LazyLock<Vec<&str>> = LazyLock::new(|| include_str!("common.txt").lines().collect());

/// A password that somebody may have: 8 to 256 characters, any, after Unicode's NFC.
#[derive(Clone)]
pub struct NewPassword(Zeroizing<String>);

/// Why a password is refused; the text says what is allowed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PasswordError {
    /// Too short or too long.
    #[error("must be 8 to 256 characters")]
    Length,
    /// Others are tried first.
    #[error("must not be one of the passwords that many people use, nor a run (12345678) or a repetition (abcabcabc)")]
    Common,
    /// Who knows the address tries it.
    #[error("must not contain the email address, what stands before its @, or a name of 4 characters or more in its domain")]
    ContainsAddress,
}

impl fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewPassword")
    }
}

impl NewPassword {
    /// `text` as the password of who has `address`.
    ///
    /// # Errors
    /// [`PasswordError`], which says what is allowed.
    pub fn parse(text: &str, address: &EmailAddress) -> Result<Self, PasswordError> {
        let password = presented(text).ok_or(PasswordError::Length)?;
        if password.chars().count() < SHORTEST {
            return Err(PasswordError::Length);
        }
        let folded = Zeroizing::new(password.to_lowercase());
        if COMMON.binary_search(&folded.as_str()).is_ok() || is_pattern(&folded) {
            return Err(PasswordError::Common);
        }
        if names_in(address).iter().any(|name| folded.contains(name.as_str())) {
            return Err(PasswordError::ContainsAddress);
        }
        Ok(Self(password))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What everybody thinks of, and no list has all of: one or two characters over and over, a few repeated, a run up or down.
fn is_pattern(password: &str) -> bool {
    let characters = Zeroizing::new(password.chars().map(u32::from).collect::<Vec<_>>());
    let repeats = |period: usize| characters.iter().zip(&characters[period..]).all(|(one, later)| one == later);
    let is_repetition = (1..=characters.len() / 2).any(repeats);
    let is_of_two = characters.iter().collect::<BTreeSet<_>>().len() <= 2;
    is_repetition || is_of_two || is_run(&characters) || is_run(&characters.iter().rev().copied().collect::<Vec<_>>())
}

/// Each character is the one after that before it; after 9 comes 0.
fn is_run(characters: &[u32]) -> bool {
    let follows = |pair: &[u32]| pair[1] == pair[0] + 1 || (pair[0], pair[1]) == (u32::from('9'), u32::from('0'));
    characters.windows(2).all(follows)
}

/// A password as it is hashed: NFC, so that it does not matter how a keyboard composes letters. None when it is too long to be
/// anybody's.
pub(super) fn presented(text: &str) -> Option<Zeroizing<String>> {
    let mut password = Zeroizing::new(String::with_capacity(LONGEST * 4)); // it never grows, which would leave a copy behind
    let mut characters = text.nfc();
    password.extend(characters.by_ref().take(LONGEST));
    characters.next().is_none().then_some(password)
}

/// What must not be in the password, lower-cased: the address; what stands before its @, with and without what follows a +; and
/// the names in its domain but the last (`org`).
fn names_in(address: &EmailAddress) -> Vec<String> {
    let whole: String = address.as_str().nfc().collect::<String>().to_lowercase();
    let (local, domain) = whole.split_once('@').unwrap_or((&whole, ""));
    let user = local.split('+').next().unwrap_or(local);
    let labels = domain.rsplit('.').skip(1);
    let names = [local, user].into_iter().chain(labels).filter(|name| name.chars().count() >= SHORTEST_NAME);
    names.map(str::to_owned).chain([whole.clone()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(text: &str, address: &str) -> Result<(), PasswordError> {
        NewPassword::parse(text, &EmailAddress::parse(address).unwrap()).map(|_| ())
    }

    #[test]
    fn a_password_has_8_to_256_characters_of_any_kind() {
        let address = "ada@example.org";
        for allowed in [
            "kq7 ZZ!9",
            "żółw-łąka",
            "\u{0}\u{7}\t\n\u{1f600}abc",
            &("kq".repeat(127) + "z7"),
            &("\u{1f600}".repeat(253) + "kq7"),
        ] {
            assert_eq!(judged(allowed, address), Ok(()), "{allowed:?}");
        }
        for refused in ["", "kq7ZZ!9", &"kq7".repeat(86), &"\u{1f600}".repeat(257)] {
            assert_eq!(judged(refused, address), Err(PasswordError::Length), "{refused:?}");
        }
    }

    #[test]
    fn characters_are_counted_after_they_were_composed() {
        let composed = |letters: usize| format!("kq7{}", "e\u{301}".repeat(letters - 3));

        assert_eq!(judged(&composed(7), "ada@example.org"), Err(PasswordError::Length));
        assert_eq!(judged(&composed(8), "ada@example.org"), Ok(()));
        assert_eq!(judged(&composed(256), "ada@example.org"), Ok(()));
        assert_eq!(judged(&composed(257), "ada@example.org"), Err(PasswordError::Length));
    }

    #[test]
    fn what_many_people_use_is_refused_however_it_is_capitalised() {
        for common in ["password", "12345678", "QwertyUiop", "iLoveYou1", "Password1"] {
            assert_eq!(judged(common, "ada@example.org"), Err(PasswordError::Common), "{common}");
        }
        assert_eq!(judged("password but longer than that", "ada@example.org"), Ok(()));
    }

    #[test]
    fn runs_and_repetitions_are_refused_and_what_only_has_one_in_it_is_not() {
        for pattern in [
            "00000000",
            "        ",
            "12341234",
            "123123123",
            "987654321",
            "0123456789",
            "34567890",
            "abcdefgh",
            "AbAbAbAb",
            "00001111",
        ] {
            assert_eq!(judged(pattern, "ada@example.org"), Err(PasswordError::Common), "{pattern}");
        }
        for allowed in ["12345678 kq", "kq kq kq zm", "13579bdf"] {
            assert_eq!(judged(allowed, "ada@example.org"), Ok(()), "{allowed}");
        }
    }

    #[test]
    fn the_list_is_what_a_search_in_it_needs() {
        assert!(COMMON.len() >= 10_000);
        assert!(COMMON.is_sorted_by(|one, next| one < next));
        for common in COMMON.iter() {
            assert!(common.chars().count() >= SHORTEST && *common == common.to_lowercase().nfc().collect::<String>(), "{common}");
        }
    }

    #[test]
    fn what_is_made_of_the_address_is_refused() {
        for (password, address) in [
            ("my ada@x.org!", "ada@x.org"),
            ("LOVELACE-1815", "lovelace+shop@x.org"),
            ("my lovelace+shop", "lovelace+shop@x.org"),
            ("x-example-7731", "ada@mail.example.org"),
            ("z\u{f6}\u{eb}42kq7!", "zo\u{308}e\u{308}42@x.org"),
            ("Z\u{d6}\u{cb}42KQ7!", "zo\u{308}e\u{308}42@x.org"),
        ] {
            assert_eq!(judged(password, address), Err(PasswordError::ContainsAddress), "{password} {address}");
        }
        for (password, address) in [
            ("granada-kq7!", "ada@x.org"),       // the name is short
            ("museum-kq7-rain", "ada@x.museum"), // everybody's domain
            ("lovelace kq7", "ada@x.org"),
        ] {
            assert_eq!(judged(password, address), Ok(()), "{password} {address}");
        }
    }
}

use std::fmt::{self, Write};

use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroize;

/// What is mailed for one verification: 6 to 15 decimal digits.
#[derive(Clone, Eq, Serialize, Deserialize)]
pub struct IdentityNumber(String);

/// Why a text is no number.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("must be {LEAST} to {MOST} digits; spaces and dashes between them do not matter")]
pub struct NumberError;

const LEAST: usize = 6;
const MOST: usize = 15;
/// Room for what people put between digits.
const LONGEST_TEXT: usize = 64;

impl IdentityNumber {
    /// A number of `digits` decimal digits, all equally likely, from a generator fit for secrets.
    ///
    /// Source: NIST SP 800-63B-4, 3.1.3.2 (six digits or more from an approved generator).
    pub fn draw(random: &mut (impl CryptoRng + ?Sized), digits: u8) -> Self {
        Self::written(uniform(random, 10_u64.pow(digits.into())), digits)
    }

    /// The number of all verifications of a test application.
    pub fn zeros(digits: u8) -> Self {
        Self::written(0, digits)
    }

    /// A number that tells its `shard` of `shards`: as [`Self::draw`] among the numbers that leave `shard` as remainder.
    pub fn draw_in_shard(random: &mut (impl CryptoRng + ?Sized), digits: u8, shard: u64, shards: u64) -> Self {
        Self::written(uniform(random, 10_u64.pow(digits.into()) / shards) * shards + shard, digits)
    }

    /// The shard that it tells.
    pub fn shard(&self, shards: u64) -> u64 {
        self.0.bytes().fold(0, |shard, digit| (shard * 10 + u64::from(digit - b'0')) % shards)
    }

    fn written(value: u64, digits: u8) -> Self {
        let mut number = Self::with_room();
        write!(number.0, "{value:0width$}", width = digits.into()).expect("a String takes all that is written");
        number
    }

    /// None yet, and room for the longest: growing would leave digits behind that nobody wipes.
    fn with_room() -> Self {
        Self(String::with_capacity(LONGEST_TEXT))
    }

    /// The number in what a person typed.
    ///
    /// # Errors
    /// [`NumberError`] when something else than digits, spaces and dashes is there, or not 6 to 15 digits.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        if text.len() > LONGEST_TEXT {
            return Err(NumberError);
        }
        let mut number = Self::with_room();
        number.0.extend(text.chars().filter(|&c| c != ' ' && c != '-'));
        let is_number = (LEAST..=MOST).contains(&number.0.len()) && number.0.bytes().all(|b| b.is_ascii_digit());
        if is_number { Ok(number) } else { Err(NumberError) }
    }

    /// How many digits it has.
    pub fn digits(&self) -> u8 {
        u8::try_from(self.0.len()).expect("a number has at most 15 digits")
    }

    /// Its digits, ungrouped.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One of `space` values, all equally likely.
fn uniform(random: &mut (impl CryptoRng + ?Sized), space: u64) -> u64 {
    let fair = u64::MAX - u64::MAX % space; // from here on a remainder would favour small values
    std::iter::repeat_with(|| random.next_u64()).find(|&drawn| drawn < fair).unwrap_or_default() % space
}

impl PartialEq for IdentityNumber {
    /// How long it takes tells whether both have as many digits, and nothing else.
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl fmt::Debug for IdentityNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityNumber")
    }
}

impl Drop for IdentityNumber {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_and_dashes_between_digits_do_not_matter_and_letters_are_refused() {
        assert_eq!(IdentityNumber::parse("1234-56 78").unwrap().as_str(), "12345678");
        for text in ["", "12345", "1234567a", "12345678901234567", "١٢٣٤٥٦٧٨", "ada@example.org", "１２３４５６７８"]
        {
            assert_eq!(IdentityNumber::parse(text), Err(NumberError), "{text}");
        }
    }

    #[test]
    fn all_digits_come_up_about_equally_often() {
        let mut random = rand::rand_core::UnwrapErr(rand::rngs::SysRng);
        let mut counts = [0_u32; 10];
        for _ in 0..2_000 {
            for digit in IdentityNumber::draw(&mut random, 8).as_str().bytes() {
                counts[usize::from(digit - b'0')] += 1;
            }
        }

        // 1,600 expected each, standard deviation 38: seven of them either way
        assert!(counts.iter().all(|count| (1_334..1_866).contains(count)), "{counts:?}");
    }
}

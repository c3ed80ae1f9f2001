//! What a server answered, and what of it may be kept.

use std::{io, time::Duration};

use lettre::transport::smtp;
use thiserror::Error;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use crate::domain::IdentityNumber;

/// The longest reply that is kept, in characters.
const LONGEST_KEPT: usize = 200;
/// Replies that blame the operator's credentials and not the mail. Source: RFC 4954, 6.
const ABOUT_CREDENTIALS: [u16; 4] = [530, 534, 535, 538];

/// Why a dialog with a server stopped. Its text may hold addresses: it is only shown through [`presentable`].
#[derive(Debug, Error)]
pub(super) enum Trouble {
    /// The server answered, and said no.
    #[error("{code} {text}")]
    Refused { code: u16, text: String },
    /// No answer that could be understood: network, TLS, time, protocol.
    #[error("{0}")]
    Broken(String),
}

impl Trouble {
    /// Whether the server will never take this mail.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Refused { code: code @ 500..=599, .. } if !ABOUT_CREDENTIALS.contains(code))
    }

    /// Whether the dialog cannot go on over the same connection.
    pub(super) fn ends_connection(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Refused { code: 421, .. })
    }
}

impl From<smtp::Error> for Trouble {
    fn from(error: smtp::Error) -> Self {
        match error.status() {
            Some(code) => {
                let text = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                Self::Refused { code: code.into(), text }
            }
            None => Self::Broken(error.to_string()),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// The end of one try; every step has its own limit besides.
#[derive(Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn after(whole: Duration) -> Self {
        Self(Instant::now() + whole)
    }

    /// Awaits `step` for at most `limit`, and not beyond the deadline.
    pub(super) async fn within<T, E: Into<Trouble>>(
        self,
        limit: Duration,
        name: &str,
        step: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Trouble> {
        let left = self.0.saturating_duration_since(Instant::now()).min(limit);
        match timeout(left, step).await {
            Ok(result) => result.map_err(Into::into),
            Err(_) => Err(Trouble::Broken(format!("{name} took too long"))),
        }
    }
}

/// `text` as it may be stored and shown: on one line, of bounded length, without any address and without the number.
/// `logins` are the ways in which the login was written: a server may repeat it.
pub(super) fn presentable(text: &str, number: Option<&IdentityNumber>, logins: &[Zeroizing<String>]) -> String {
    let text = logins.iter().fold(text.to_owned(), |text, login| text.replace(login.as_str(), "[login]"));
    let mut words: Vec<String> = text.split(|c: char| c.is_control() || c.is_whitespace()).map(mask_address).collect();
    words.retain(|word| !word.is_empty());
    let mut line = words.join(" ");
    if let Some(number) = number {
        line = line.replace(number.as_str(), "[number]");
    }
    line.chars().take(LONGEST_KEPT).collect()
}

fn mask_address(word: &str) -> String {
    let Some(first) = word.find('@') else { return word.to_owned() };
    let last = word.rfind('@').unwrap_or(first);
    let is_delimiter = |c: char| "<>()[]\",;:".contains(c);
    let start = word[..first].rfind(is_delimiter).map_or(0, |at| at + 1);
    let end = word[last..].find(is_delimiter).map_or(word.len(), |at| last + at);
    format!("{}[address]{}", &word[..start], &word[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_reply_has_no_address_no_number_one_line_and_a_bounded_length() {
        let number = IdentityNumber::parse("12345678").unwrap();
        let logins = ["c2VzYW1l", "open sesame"].map(|login| Zeroizing::new(login.to_owned()));
        let kept = |text| presentable(text, Some(&number), &logins);

        assert_eq!(kept("550 5.1.1 <ada@example.org>: no such user"), "550 5.1.1 <[address]>: no such user");
        assert_eq!(kept("550 ada+x@example.org, bob@example.org"), "550 [address], [address]");
        assert_eq!(kept("535 not =c2VzYW1l, nor open sesame"), "535 not =[login], nor [login]");
        assert_eq!(kept("550 <a@b>,<c@d> rejected"), "550 <[address]> rejected");
        assert_eq!(kept("554 looks like spam: x12345678x\r\n\u{1b}[31mred"), "554 looks like spam: x[number]x [31mred");
        assert_eq!(kept(&"ä".repeat(500)).chars().count(), 200);
    }

    #[test]
    fn refused_credentials_are_not_the_fault_of_the_mail() {
        let refused = |code| Trouble::Refused { code, text: String::new() };

        assert!(refused(550).is_final());
        assert!(!refused(535).is_final());
        assert!(!refused(451).is_final());
        assert!(!Trouble::Broken(String::new()).is_final());
    }
}

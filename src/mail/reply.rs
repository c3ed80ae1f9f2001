//! What a server answered, and what of it may be kept.

use std::{io, time::Duration};

use lettre::transport::smtp;
use thiserror::Error;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::{breaker::Finding, leash::Leash};
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
    /// It does not take our login: the operator's to mend, and no fault of the mail.
    #[error("{code} {text}")]
    Login { code: u16, text: String },
    /// It lacks what this mail needs. Written as a server without the extension answers; source: RFC 6531, 3.5.
    #[error("553 5.6.7 the server does not take {0}")]
    Unsupported(&'static str),
    /// No answer that could be understood: network, TLS, time, protocol.
    #[error("{0}")]
    Broken(String),
}

impl Trouble {
    /// A refusal of the login is told apart from one of the mail.
    pub(super) fn while_logging_in(self) -> Self {
        match self {
            Self::Refused { code: code @ 500..=599, text } => Self::Login { code, text },
            other => other,
        }
    }

    /// Servers may ask for a login only when they are given a mail.
    pub(super) fn while_sending(self) -> Self {
        match self {
            Self::Refused { code, text } if ABOUT_CREDENTIALS.contains(&code) => Self::Login { code, text },
            other => other,
        }
    }

    /// Whether it is about our login.
    pub(super) fn is_of_login(&self) -> bool {
        matches!(self, Self::Login { .. })
    }

    /// Whether no server is to be given this mail again.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Refused { code: 500..=599, .. })
    }

    /// Whether the dialog cannot go on over the same connection.
    pub(super) fn ends_connection(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Refused { code: 421, .. })
    }

    /// What it says of the server, other than that it cannot be connected to; `why` is it, presentable.
    pub(super) fn finding(&self, why: String) -> Finding {
        match self {
            Self::Login { .. } => Finding::LoginRefused(why),
            Self::Broken(_) | Self::Refused { code: 421, .. } => Finding::Spoiled(why),
            Self::Refused { .. } | Self::Unsupported(_) => Finding::Sound,
        }
    }

    /// The same, when it came before the server could be given a mail.
    pub(super) fn finding_of_connecting(&self, why: String) -> Finding {
        match self {
            Self::Login { .. } => Finding::LoginRefused(why),
            _ => Finding::Unreached(why),
        }
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

/// The end of one try, unless it is given up before; every step has its own limit besides.
#[derive(Clone, Copy)]
pub(super) struct Deadline<'a> {
    at: Instant,
    pub(super) leash: &'a Leash,
}

impl<'a> Deadline<'a> {
    pub(super) fn after(whole: Duration, leash: &'a Leash) -> Self {
        Self { at: Instant::now() + whole, leash }
    }

    /// Whether there is `span` until then.
    pub(super) fn leaves(self, span: Duration) -> bool {
        !self.leash.is_given_up() && self.left() >= span
    }

    fn left(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Awaits `step` for at most `limit`, and not beyond the deadline.
    pub(super) async fn within<T, E: Into<Trouble>>(
        self,
        limit: Duration,
        name: &str,
        step: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Trouble> {
        let given_up = || Trouble::Broken(format!("{name} took too long, and others waited"));
        if self.leash.is_given_up() {
            return Err(given_up()); // nothing more is begun
        }
        tokio::select! {
            biased; // an answer that is there counts
            result = timeout(self.left().min(limit), step) => match result {
                Ok(result) => result.map_err(Into::into),
                Err(_) => Err(Trouble::Broken(format!("{name} took too long"))),
            },
            () = self.leash.given_up() => Err(given_up()),
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
    fn a_refused_login_is_not_the_fault_of_the_mail() {
        let refused = |code| Trouble::Refused { code, text: String::new() };

        assert!(refused(550).while_sending().is_final());
        assert!(!refused(535).while_sending().is_final());
        assert!(!refused(550).while_logging_in().is_final());
        assert!(!refused(451).while_sending().is_final());
        assert!(!Trouble::Broken(String::new()).is_final());
    }

    #[test]
    fn only_what_stops_a_server_is_held_against_it() {
        let refused = |code| Trouble::Refused { code, text: String::new() };
        let why = || "no".to_owned();

        assert_eq!(refused(550).finding(why()), Finding::Sound);
        assert_eq!(refused(451).finding(why()), Finding::Sound);
        assert_eq!(refused(421).finding(why()), Finding::Spoiled(why()));
        assert_eq!(refused(530).while_sending().finding(why()), Finding::LoginRefused(why()));
        assert_eq!(refused(454).while_logging_in().finding_of_connecting(why()), Finding::Unreached(why()));
        assert_eq!(refused(535).while_logging_in().finding_of_connecting(why()), Finding::LoginRefused(why()));
    }
}

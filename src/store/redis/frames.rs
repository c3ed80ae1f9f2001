//! Where one command or reply ends and the next begins, and that none is larger than anything we ever ask for. The client
//! library believes every length and waits for ever for the end of a line; what does not pass here never reaches it.

use thiserror::Error;

/// The longest reply, in bytes. A record with its token is under 32 KiB, `INFO` some more.
const MOST_BYTES: usize = 256 * 1024;
/// Elements of one array: none that we ask for has more than the mails that are claimed at once.
const MOST_ELEMENTS: usize = 4096;
/// Arrays within arrays: no reply of ours has more than one level.
const MOST_DEPTH: usize = 4;

/// Why what was read is no reply.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(super) enum Malformed {
    #[error("a reply of a type that was not asked for")]
    Type,
    #[error("a length that is none")]
    Length,
    #[error("a reply that is too large")]
    TooLarge,
    #[error("a reply that nobody asked for")]
    Unasked,
}

/// Of the longest length that `length_line` reads.
const PLAIN_DIGITS: usize = 6;

/// Follows a stream of RESP 2, the protocol that we ask for: lines, texts with their length in front, arrays of these.
pub(super) struct Frames {
    most_bytes: usize,
    /// Of the value that has begun.
    bytes: usize,
    at: At,
    /// How many elements are missing in each array that has begun, the innermost last.
    missing: Vec<usize>,
}

enum At {
    Start,
    /// In the line after this type; what it says so far, and whether the byte before was the first of the two that end it.
    Line {
        kind: u8,
        length: Length,
        ends: bool,
    },
    /// In a text, so many bytes before its end and the CRLF after it.
    Text(usize),
}

impl Frames {
    /// Of what a server says.
    pub(super) fn of_replies() -> Self {
        Self { most_bytes: MOST_BYTES, bytes: 0, at: At::Start, missing: Vec::new() }
    }

    /// Of what we say, which is as long as it is.
    pub(super) fn of_commands() -> Self {
        Self { most_bytes: usize::MAX, ..Self::of_replies() }
    }

    /// Whether a value has begun and not ended.
    pub(super) fn is_within(&self) -> bool {
        self.bytes > 0
    }

    /// How many values end in these bytes, which follow those before.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) -> Result<usize, Malformed> {
        let mut ended = 0;
        while let Some(&first) = bytes.first() {
            let (used, has_ended) = match &mut self.at {
                At::Text(left) => {
                    let used = bytes.len().min(*left);
                    *left -= used;
                    (used, *left == 0 && self.end_value())
                }
                At::Start => match length_line(bytes) {
                    Some((kind, length, used)) => (used, self.end_length(kind, Some(length))?),
                    None => (1, self.follow_byte(first)?),
                },
                At::Line { .. } => (1, self.follow_byte(first)?),
            };
            let so_far = self.bytes + used;
            if so_far > self.most_bytes {
                return Err(Malformed::TooLarge);
            }
            bytes = &bytes[used..];
            self.bytes = if has_ended { 0 } else { so_far };
            ended += usize::from(has_ended);
        }
        Ok(ended)
    }

    /// Whether a whole value ends with this byte of a line.
    fn follow_byte(&mut self, byte: u8) -> Result<bool, Malformed> {
        let At::Line { kind, length, ends } = &mut self.at else {
            if !b"+-:$*".contains(&byte) {
                return Err(Malformed::Type);
            }
            self.at = At::Line { kind: byte, length: Length::Missing, ends: false };
            return Ok(false);
        };
        let has_length = b"$*".contains(kind);
        match byte {
            b'\n' if *ends && has_length => {
                let (kind, length) = (*kind, length.said()?);
                self.end_length(kind, length)
            }
            b'\n' if *ends => Ok(self.end_value()),
            _ => {
                *ends = byte == b'\r';
                if has_length && !*ends {
                    *length = length.followed_by(byte);
                }
                Ok(false)
            }
        }
    }

    /// Of a text, or of an array.
    fn end_length(&mut self, kind: u8, length: Option<usize>) -> Result<bool, Malformed> {
        match (kind, length) {
            (b'$', Some(length)) if length > self.most_bytes => Err(Malformed::TooLarge),
            (b'$', Some(length)) => {
                self.at = At::Text(length + 2);
                Ok(false)
            }
            (_, Some(1..)) if self.missing.len() == MOST_DEPTH => Err(Malformed::TooLarge),
            (_, Some(MOST_ELEMENTS..)) => Err(Malformed::TooLarge),
            (_, Some(length @ 1..)) => {
                self.missing.push(length);
                self.at = At::Start;
                Ok(false)
            }
            _ => Ok(self.end_value()),
        }
    }

    /// Whether it was the last of all that it is in.
    fn end_value(&mut self) -> bool {
        self.at = At::Start;
        while let Some(missing) = self.missing.last_mut() {
            *missing -= 1;
            if *missing > 0 {
                return false;
            }
            self.missing.pop();
        }
        true
    }
}

/// Type and length in the line that begins here, and how long the line is, when it is plainly a whole one. This is only faster:
/// `follow_byte` comes to the same end with every line.
fn length_line(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (&kind, line) = bytes.split_first().filter(|(kind, _)| b"$*".contains(kind))?;
    let mut length = 0;
    for (at, byte) in line.iter().take(PLAIN_DIGITS + 1).enumerate() {
        match byte {
            b'0'..=b'9' if at < PLAIN_DIGITS => length = length * 10 + usize::from(byte - b'0'),
            b'\r' if at > 0 && line.get(at + 1) == Some(&b'\n') => return Some((kind, length, 1 + at + 2)),
            _ => return None,
        }
    }
    None
}

/// A length, digit by digit.
#[derive(Clone, Copy)]
enum Length {
    Missing,
    /// Its digits, and what they say so far.
    Digits(u8, usize),
    /// A minus, and after it a one: a null.
    Minus,
    Null,
    Malformed,
}

impl Length {
    const MOST_DIGITS: u8 = 10;

    fn followed_by(self, byte: u8) -> Self {
        let digit = usize::from(byte.wrapping_sub(b'0'));
        match self {
            Self::Missing if byte == b'-' => Self::Minus,
            Self::Minus if byte == b'1' => Self::Null,
            Self::Missing if digit < 10 => Self::Digits(1, digit),
            Self::Digits(count, so_far) if digit < 10 && count < Self::MOST_DIGITS => {
                Self::Digits(count + 1, so_far.saturating_mul(10).saturating_add(digit))
            }
            _ => Self::Malformed,
        }
    }

    /// None stands for a null.
    fn said(self) -> Result<Option<usize>, Malformed> {
        match self {
            Self::Digits(_, length) => Ok(Some(length)),
            Self::Null => Ok(None),
            Self::Missing | Self::Minus | Self::Malformed => Err(Malformed::Length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLIES: &[u8] =
        b"+OK\r\n-ERR no\nline\r\n:-5\r\n$-1\r\n*-1\r\n*0\r\n$0\r\n\r\n$4\r\n\r\n\r\n\r\n*2\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n$000001\r\na\r\n$0000001\r\na\r\n";

    #[test]
    fn the_ends_of_replies_are_found_however_they_are_cut() {
        for size in 1..=REPLIES.len() {
            let mut frames = Frames::of_replies();
            let ended: usize = REPLIES.chunks(size).map(|chunk| frames.follow(chunk).unwrap()).sum();
            assert_eq!((ended, frames.is_within()), (11, false), "{size} bytes at a time");
        }
    }

    #[test]
    fn a_reply_that_has_begun_is_known_to_have() {
        let mut frames = Frames::of_replies();
        assert_eq!(frames.follow(b"*1\r\n$1\r\na\r"), Ok(0));
        assert!(frames.is_within());
        assert_eq!(frames.follow(b"\n"), Ok(1));
    }

    #[test]
    fn what_no_reply_of_ours_is_is_refused_as_soon_as_it_shows() {
        let too_large = Err(Malformed::TooLarge);
        for (bytes, refused) in [
            (b"$262145\r\n".to_vec(), too_large),
            (b"*4096\r\n".to_vec(), too_large),
            (b"*1\r\n".repeat(5), too_large),
            (b"+a".repeat(MOST_BYTES), too_large),
            (
                [b"*2\r\n$200000\r\n".to_vec(), vec![b'a'; 200_002], b"$99999\r\n".to_vec(), vec![b'a'; 99_999]].concat(),
                too_large,
            ),
            (b"$9999999999999\r\n".to_vec(), Err(Malformed::Length)),
            // the last of it in one piece: however much of a reply comes together, all of it counts
            (
                [b"*2\r\n$200000\r\n".to_vec(), vec![b'a'; 200_002], b"$62144\r\n".to_vec(), vec![b'a'; 62_146]].concat(),
                too_large,
            ),
            (b"$-2\r\n".to_vec(), Err(Malformed::Length)),
            (b"$4\rx\r\n".to_vec(), Err(Malformed::Length)),
            (b"*\r\n".to_vec(), Err(Malformed::Length)),
            (b"*+1\r\n".to_vec(), Err(Malformed::Length)),
            (b"%1\r\n".to_vec(), Err(Malformed::Type)),
            (b">1\r\n".to_vec(), Err(Malformed::Type)),
            (b"\r\n".to_vec(), Err(Malformed::Type)),
        ] {
            assert_eq!(Frames::of_replies().follow(&bytes), refused, "{}", String::from_utf8_lossy(&bytes[..bytes.len().min(9)]));
        }
    }
}

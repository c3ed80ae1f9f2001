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
    /// In the line after this type; a length, where the type has one, is kept.
    Line {
        kind: u8,
        text: Vec<u8>,
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
                At::Start | At::Line { .. } => (1, self.follow_byte(first)?),
            };
            bytes = &bytes[used..];
            self.bytes = if has_ended { 0 } else { self.bytes + used };
            ended += usize::from(has_ended);
            if self.bytes > self.most_bytes {
                return Err(Malformed::TooLarge);
            }
        }
        Ok(ended)
    }

    /// Whether a whole value ends with this byte of a line.
    fn follow_byte(&mut self, byte: u8) -> Result<bool, Malformed> {
        let At::Line { kind, text, ends } = &mut self.at else {
            if !b"+-:$*".contains(&byte) {
                return Err(Malformed::Type);
            }
            self.at = At::Line { kind: byte, text: Vec::new(), ends: false };
            return Ok(false);
        };
        match byte {
            b'\n' if *ends => {
                let (kind, text) = (*kind, std::mem::take(text));
                self.end_line(kind, &text)
            }
            _ => {
                *ends = byte == b'\r';
                if b"$*".contains(kind) && !*ends {
                    text.push(byte);
                }
                Ok(false)
            }
        }
    }

    fn end_line(&mut self, kind: u8, text: &[u8]) -> Result<bool, Malformed> {
        match (kind, length(text)) {
            (b'$', Ok(Some(length))) if length > self.most_bytes => Err(Malformed::TooLarge),
            (b'$', Ok(Some(length))) => {
                self.at = At::Text(length + 2);
                Ok(false)
            }
            (b'*', Ok(Some(1..))) if self.missing.len() == MOST_DEPTH => Err(Malformed::TooLarge),
            (b'*', Ok(Some(MOST_ELEMENTS..))) => Err(Malformed::TooLarge),
            (b'*', Ok(Some(length @ 1..))) => {
                self.missing.push(length);
                self.at = At::Start;
                Ok(false)
            }
            (b'$' | b'*', Err(malformed)) => Err(malformed),
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

/// None stands for a null.
fn length(text: &[u8]) -> Result<Option<usize>, Malformed> {
    if text == b"-1" {
        return Ok(None);
    }
    let digits = text.len() <= 10 && !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let text = digits.then(|| std::str::from_utf8(text).ok()).flatten();
    text.and_then(|text| text.parse().ok()).map(Some).ok_or(Malformed::Length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLIES: &[u8] =
        b"+OK\r\n-ERR no\nline\r\n:-5\r\n$-1\r\n*-1\r\n*0\r\n$0\r\n\r\n$4\r\n\r\n\r\n\r\n*2\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n";

    #[test]
    fn the_ends_of_replies_are_found_however_they_are_cut() {
        for size in 1..=REPLIES.len() {
            let mut frames = Frames::of_replies();
            let ended: usize = REPLIES.chunks(size).map(|chunk| frames.follow(chunk).unwrap()).sum();
            assert_eq!((ended, frames.is_within()), (9, false), "{size} bytes at a time");
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
            (b"$-2\r\n".to_vec(), Err(Malformed::Length)),
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

use redis::{RedisWrite, ToRedisArgs};

use super::vault::Vault;
use crate::domain::{ApplicationName, EmailAddress, KeyedHash, MessageKey};

/// How many hash tags there are.
pub const SHARDS: usize = 64;

/// Tag i hashes to one of Redis Cluster's slots 256·i to 256·i+255, so that masters carry even loads.
#[rustfmt::skip]
const TAGS: [&str; SHARDS] = [
    "bh", "bd", "by", "bq", "aa", "ai", "3", "ax", "c2", "ds", "b9", "b1", "b", "j", "s", "a8", 
    "bi", "ba", "bx", "bp", "ad", "ah", "2", "ay", "c3", "dr", "b8", "b0", "c", "k", "r", "z", 
    "bj", "bb", "ca", "bs", "ac", "ak", "1", "9", "c0", "c8", "dh", "b3", "d", "h", "q", "y", 
    "bk", "bc", "bz", "br", "ab", "aj", "0", "8", "c1", "c9", "di", "b2", "a", "i", "p", "x",
];

/// Names one address of one application: a keyed hash, so that no user text is part of a key's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(pub [u8; 16]);

impl Handle {
    /// The address's shard: 0 to 63.
    pub fn shard(self) -> usize {
        usize::from(self.0[15]) % SHARDS
    }
}

impl Vault {
    /// The handle of an address.
    pub fn handle(&self, application: &ApplicationName, address: &EmailAddress) -> Handle {
        Handle(self.handles.hash(&[application.as_str().as_bytes(), address.normalised().as_bytes()]))
    }
}

/// The longest tag in braces, a letter for the kind, and a keyed hash.
const LONGEST_NAME: usize = 4 + 1 + 16;

/// The name of a Redis key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyName {
    /// What is not its own is zero.
    bytes: [u8; LONGEST_NAME],
    length: usize,
}

impl KeyName {
    fn new(shard: usize, kind: u8, hash: &[u8]) -> Self {
        let mut name = Self { bytes: [0; LONGEST_NAME], length: 0 };
        for part in [b"{", TAGS[shard].as_bytes(), b"}", &[kind], hash] {
            name.bytes[name.length..][..part.len()].copy_from_slice(part);
            name.length += part.len();
        }
        name
    }
}

impl ToRedisArgs for KeyName {
    fn write_redis_args<W: RedisWrite + ?Sized>(&self, out: &mut W) {
        out.write_arg(&self.bytes[..self.length]);
    }
}

/// The Redis key of an address's record.
pub(super) fn record(place: &MessageKey) -> KeyName {
    KeyName::new(Handle(place.handle).shard(), b'a', &place.handle)
}

/// The Redis key of a verification's token.
pub(super) fn token(shard: usize, verification: &KeyedHash) -> KeyName {
    KeyName::new(shard, b't', verification)
}

/// The Redis key under which a number alone leads to its verification.
pub(super) fn number(shard: usize, lookup: &KeyedHash) -> KeyName {
    KeyName::new(shard, b'n', lookup)
}

/// The Redis key of a shard's mail queue.
pub(super) fn queue(shard: usize) -> KeyName {
    KeyName::new(shard, b'q', &[])
}

/// The Redis key of a shard's mails that failed.
pub(super) fn failed(shard: usize) -> KeyName {
    KeyName::new(shard, b'f', &[])
}

/// A mail's place in a queue: handle and verification, 32 bytes.
pub(super) fn member(key: &MessageKey) -> [u8; 32] {
    let mut member = [0; 32];
    member[..16].copy_from_slice(&key.handle);
    member[16..].copy_from_slice(&key.verification);
    member
}

/// The mail at a place in a queue.
pub(super) fn message_at(member: &[u8]) -> Option<MessageKey> {
    let handle = KeyedHash::try_from(member.get(..16)?).ok()?;
    let verification = KeyedHash::try_from(member.get(16..)?).ok()?;
    Some(MessageKey { handle, verification })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CRC-16/XMODEM, as Redis Cluster hashes tags.
    fn slot(tag: &str) -> usize {
        let step = |crc: u16, byte: u8| {
            (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 })
        };
        usize::from(tag.bytes().fold(0, step) % 16_384)
    }

    #[test]
    fn each_tag_stands_in_its_own_256_slots() {
        assert_eq!(slot("123456789"), 0x31c3);
        for (shard, tag) in TAGS.iter().enumerate() {
            assert_eq!(slot(tag) / 256, shard, "{tag}");
        }
    }

    #[test]
    fn a_place_in_the_queue_tells_its_mail_and_nothing_else_does() {
        let key = MessageKey { handle: [3; 16], verification: [9; 16] };

        assert_eq!(message_at(&member(&key)), Some(key));
        assert_eq!(message_at(&[0; 31]), None);
        assert_eq!(message_at(&[0; 33]), None);
    }
}

//! A buffer for what is secret: growing leaves nothing behind, and the rest is wiped when it is dropped.

use std::io::{self, Write};

use zeroize::Zeroizing;

/// Bytes as they come. The memory that they outgrow is wiped, which a `Vec` would only hand back.
#[derive(Default)]
pub struct WipedBuffer(Zeroizing<Vec<u8>>);

impl WipedBuffer {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds `bytes` at the end.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) {
        if bytes.len() > self.0.capacity() - self.0.len() {
            self.grow(bytes.len());
        }
        self.0.extend_from_slice(bytes);
    }

    /// Adds one byte at the end.
    #[inline]
    pub fn push(&mut self, byte: u8) {
        if self.0.len() == self.0.capacity() {
            self.grow(1);
        }
        self.0.push(byte);
    }

    /// Makes room for so many bytes more.
    #[cold]
    fn grow(&mut self, more: usize) {
        let length = self.0.len() + more;
        let mut larger = Zeroizing::new(Vec::with_capacity(length.next_power_of_two().max(LEAST_ROOM)));
        larger.extend_from_slice(&self.0);
        self.0 = larger; // the smaller one is dropped, and wiped
    }

    /// The bytes, still to be wiped.
    pub fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

/// Most records and replies fit.
const LEAST_ROOM: usize = 512;

impl Write for WipedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_in_pieces_of_any_length_is_there_in_turn() {
        let mut buffer = WipedBuffer::default();
        let pieces: Vec<Vec<u8>> =
            [0, 1, 511, 1, 700, 4096].map(|length| vec![u8::try_from(length % 251).unwrap(); length]).into();

        for piece in &pieces {
            buffer.write_all(piece).unwrap();
        }

        assert_eq!(buffer.len(), 5309);
        assert_eq!(*buffer.into_bytes(), pieces.concat());
    }
}

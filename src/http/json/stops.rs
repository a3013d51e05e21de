//! Where plain text inside strings ends, found 64 bytes at a time.
//!
//! Strings are nearly all of a document, and they are either long or many. The answer for a block is kept as one bit
//! for each byte, so that text full of escapes asks for it once, and the way from one stop to the next is a shift
//! instead of another look at the bytes. Written so that compilers make vector instructions of it.

const BLOCK: usize = 64;

/// Whether a byte ends a run of plain text: a quote, a backslash or a control character.
#[expect(
    clippy::needless_bitwise_bool,
    reason = "short circuits keep compilers from doing many bytes at once"
)]
pub(super) const fn is_stop(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// Finds the stops of a text, in ascending order.
pub(super) struct Stops<'a> {
    bytes: &'a [u8],
    /// Number of the block that `bits` is about.
    block: usize,
    /// A bit for each of its bytes, the first one's lowest.
    bits: u64,
}

impl<'a> Stops<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            block: usize::MAX,
            bits: 0,
        }
    }

    /// The first stop at or behind `at`, or the length of the text.
    #[inline]
    pub(super) fn next(&mut self, at: usize) -> usize {
        let block = at / BLOCK;
        if block != self.block {
            self.load(block);
        }
        let bits = self.bits >> (at % BLOCK);
        if bits != 0 {
            return at + bits.trailing_zeros() as usize;
        }
        self.next_block()
    }

    fn next_block(&mut self) -> usize {
        loop {
            self.load(self.block + 1);
            if self.bits != 0 {
                return self.block * BLOCK + self.bits.trailing_zeros() as usize;
            }
        }
    }

    #[inline]
    fn load(&mut self, block: usize) {
        // Where there was nothing in the block before there is likely nothing in this one.
        let expect_none = self.bits == 0;
        let rest = self.bytes.get(block * BLOCK..).unwrap_or_default();
        self.block = block;
        self.bits = match rest.first_chunk() {
            Some(bytes) if expect_none && !has_stop(bytes) => 0,
            Some(bytes) => stop_bits(bytes),
            None => {
                // The text's end is a stop too: zeros are control characters.
                let mut last = [0; BLOCK];
                last[..rest.len()].copy_from_slice(rest);
                stop_bits(&last)
            }
        };
    }
}

fn has_stop(bytes: &[u8; BLOCK]) -> bool {
    bytes.iter().fold(false, |any, &byte| any | is_stop(byte))
}

fn stop_bits(bytes: &[u8; BLOCK]) -> u64 {
    let flags = bytes.map(|byte| u8::from(is_stop(byte)));
    let (words, _) = flags.as_chunks::<8>();
    let mut bits = 0;
    for (at, word) in words.iter().enumerate() {
        // The product gathers the lowest bits of eight bytes in its highest byte.
        let gathered = u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits |= gathered << (8 * at);
    }
    bits
}

//! A piece of a reply on its way out.

use std::ops::Deref;

use bytes::Bytes;

/// A piece of a reply, borrowed for the time of a hook. Reads as its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    bytes: &'a [u8],
    shared: Option<&'a Bytes>,
}

impl<'a> Chunk<'a> {
    /// A piece that somebody else owns.
    #[must_use]
    pub fn borrowed(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            shared: None,
        }
    }

    /// The piece for keeps: counted once more in a stage that is built in, copied in a plugin.
    #[must_use]
    pub fn share(&self) -> Bytes {
        self.shared
            .cloned()
            .unwrap_or_else(|| Bytes::copy_from_slice(self.bytes))
    }
}

impl<'a> From<&'a Bytes> for Chunk<'a> {
    fn from(bytes: &'a Bytes) -> Self {
        Self {
            bytes,
            shared: Some(bytes),
        }
    }
}

impl Deref for Chunk<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

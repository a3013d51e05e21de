//! Writing events.

use bytes::Bytes;

/// The event that ends a stream of chunks.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

/// One event; `data` must have no line ends in it.
#[must_use]
pub fn event(name: Option<&str>, data: &[u8]) -> Bytes {
    let name = name
        .map(|name| format!("event: {name}\n"))
        .unwrap_or_default();
    [name.as_bytes(), b"data: ", data, b"\n\n"].concat().into()
}

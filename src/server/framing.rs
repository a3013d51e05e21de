//! Where requests begin and end on an HTTP/1.1 connection, read beside hyper for one purpose: a request with both
//! `Content-Length` and `Transfer-Encoding` is an attempt at request smuggling (RFC 9112, 6.3), or a client that a proxy
//! on the way may read otherwise. hyper goes by the chunks and drops the length without a trace.

#[cfg(test)]
mod tests;

use std::mem;

/// How much is kept of a line that comes in several parts: enough for the names and sizes that are looked for.
const KEPT: usize = 64;

/// Follows the requests of one connection, byte by byte.
#[derive(Debug)]
pub(super) struct Framing {
    next: Next,
    head: Head,
    line: Line,
    heads: u64,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// A line of a head.
    Head,
    /// So many bytes of a body, and then another request.
    Body(u64),
    /// The line with the size of a chunk.
    ChunkSize,
    /// So many bytes of a chunk and its end, and then another chunk.
    Chunk(u64),
    /// A line behind the last chunk.
    Trailer,
    /// Nothing that is looked at: another protocol, or a connection that is about to be closed.
    Anything,
}

/// What a head has said so far.
#[derive(Debug, Default)]
struct Head {
    has_begun: bool,
    length: Option<Length>,
    is_chunked: bool,
    /// In chunks of something else than the body itself (`gzip, chunked`), or in chunks of chunks.
    is_coded: bool,
}

/// `Content-Length`; `None` where it is no number.
type Length = Option<u64>;

/// The beginning of a line whose end has not come yet.
#[derive(Debug)]
struct Line {
    kept: [u8; KEPT],
    length: usize,
}

impl Default for Framing {
    fn default() -> Self {
        Self {
            next: Next::Head,
            head: Head::default(),
            line: Line {
                kept: [0; KEPT],
                length: 0,
            },
            heads: 0,
        }
    }
}

impl Framing {
    /// Takes the next bytes that came, cut anywhere. `Some` with the number of the first request, from 0, whose framing
    /// cannot be trusted; nothing behind it is looked at.
    pub(super) fn look(&mut self, mut bytes: &[u8]) -> Option<u64> {
        while !bytes.is_empty() {
            match self.next {
                Next::Anything => return None,
                Next::Body(left) => bytes = self.skip(bytes, left, Next::Body, Next::Head),
                Next::Chunk(left) => bytes = self.skip(bytes, left, Next::Chunk, Next::ChunkSize),
                Next::Head | Next::ChunkSize | Next::Trailer => {
                    let Some(end) = memchr::memchr(b'\n', bytes) else {
                        self.line.keep(bytes);
                        return None;
                    };
                    let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
                    bytes = rest;
                    if self.take_line(line).is_err() {
                        self.next = Next::Anything;
                        return Some(self.heads);
                    }
                }
            }
        }
        None
    }

    fn skip<'a>(
        &mut self,
        bytes: &'a [u8],
        left: u64,
        same: fn(u64) -> Next,
        then: Next,
    ) -> &'a [u8] {
        let skipped = left.min(bytes.len() as u64);
        self.next = if skipped < left {
            same(left - skipped)
        } else {
            then
        };
        &bytes[skipped as usize..]
    }

    /// The end of a line, and with it the whole.
    fn take_line(&mut self, end: &[u8]) -> Result<(), Untrustworthy> {
        if self.line.length == 0 {
            return self.read_line(end.strip_suffix(b"\r").unwrap_or(end), true);
        }
        self.line.keep(end);
        let length = mem::take(&mut self.line.length);
        let (kept, is_whole) = (self.line.kept, length <= KEPT);
        let line = &kept[..length.min(KEPT)];
        self.read_line(line.strip_suffix(b"\r").unwrap_or(line), is_whole)
    }

    /// A line without its end; where it is not whole, its first bytes.
    fn read_line(&mut self, line: &[u8], is_whole: bool) -> Result<(), Untrustworthy> {
        match self.next {
            Next::Head if line.is_empty() && !self.head.has_begun => {}
            Next::Head if line.is_empty() => {
                let head = mem::take(&mut self.head);
                self.next = head.end()?;
                self.heads += 1;
            }
            Next::Head if !self.head.has_begun => {
                self.head.has_begun = true;
                if line.starts_with(b"PRI * HTTP/2") {
                    self.next = Next::Anything;
                }
            }
            Next::Head => self.head.field(line, is_whole),
            Next::Trailer if line.is_empty() => self.next = Next::Head,
            Next::ChunkSize => {
                self.next = match chunk_size(line, is_whole).ok_or(Untrustworthy)? {
                    0 => Next::Trailer,
                    // And the end of its line.
                    size => Next::Chunk(size.checked_add(2).ok_or(Untrustworthy)?),
                };
            }
            _ => {}
        }
        Ok(())
    }
}

/// Servers may disagree about where a request ends.
struct Untrustworthy;

impl Head {
    fn field(&mut self, line: &[u8], is_whole: bool) {
        if let Some(value) = value_of(b"content-length:", line) {
            let value = std::str::from_utf8(value.trim_ascii()).ok();
            self.length = Some(value.and_then(|value| value.parse().ok().filter(|_| is_whole)));
        } else if let Some(value) = value_of(b"transfer-encoding:", line) {
            let is_plain = is_whole && value.trim_ascii().eq_ignore_ascii_case(b"chunked");
            self.is_coded |= !is_plain || self.is_chunked;
            self.is_chunked = true;
        }
    }

    /// What follows the head.
    fn end(&self) -> Result<Next, Untrustworthy> {
        match (self.length, self.is_chunked) {
            // hyper takes the chunks off and leaves the rest as it is, which the body then is not.
            _ if self.is_coded => Err(Untrustworthy),
            (Some(_), true) | (Some(None), false) => Err(Untrustworthy),
            (None, true) => Ok(Next::ChunkSize),
            (None | Some(Some(0)), false) => Ok(Next::Head),
            (Some(Some(length)), false) => Ok(Next::Body(length)),
        }
    }
}

impl Line {
    fn keep(&mut self, bytes: &[u8]) {
        let free = &mut self.kept[self.length.min(KEPT)..];
        let most = free.len().min(bytes.len());
        free[..most].copy_from_slice(&bytes[..most]);
        self.length = self.length.saturating_add(bytes.len());
    }
}

/// The value of a field with this name, which ends in a colon.
fn value_of<'a>(name: &[u8], line: &'a [u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

/// The size of a chunk (RFC 9112, 7.1), whatever extensions follow it.
fn chunk_size(line: &[u8], is_whole: bool) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let digits = digits.count();
    if digits == line.len() && !is_whole {
        return None;
    }
    let digits = std::str::from_utf8(&line[..digits]).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

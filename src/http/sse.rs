//! Server-sent events as bytes: cutting a stream into whole events without copying or delaying any.
//!
//! The format is that of the [WHATWG HTML standard][spec]: lines end with LF, CR LF or CR, an empty line ends an
//! event. What an event says is read by [`fields`], [`data`] and [`is_comment_only`]; [`event`] writes one.
//!
//! [spec]: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

mod fields;
#[cfg(test)]
mod tests;
mod write;

pub use fields::{Fields, data, fields, is_comment_only};
pub use write::{DONE, event};

use bytes::Bytes;

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// An event grew beyond the limit before it ended. Nothing more comes out of the splitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {limit} bytes")]
pub struct EventTooLarge {
    /// The limit in bytes.
    pub limit: usize,
}

/// Cuts a stream of frames into whole events.
///
/// Push a frame, then take events until there are none, then push the next. Events come with the empty line that
/// ends them, as slices of the frame that they lie in; only one that spans frames is copied together. Put one after the
/// other they are the stream, byte for byte, less a byte order mark at its start.
///
/// An event is complete with the first CR of its empty line: an LF that still follows is put before the next
/// event, where it means nothing, as are any further empty lines.
#[derive(Debug)]
pub struct Splitter {
    /// The beginning of an event that earlier frames held.
    tail: Vec<u8>,
    /// What is left of the frame.
    frame: Bytes,
    /// Up to where `frame` was looked through; the fields below say what stood there.
    at: usize,
    /// Whether the line at `at` has begun.
    in_line: bool,
    /// Whether the event has a line that is not empty.
    in_event: bool,
    /// Whether the byte before `at` was a CR, whose LF may follow in the next frame.
    after_cr: bool,
    /// How many bytes of the byte order mark were seen; all of them once the stream has begun.
    bom: usize,
    limit: usize,
}

impl Splitter {
    /// A splitter that takes events of up to `limit` bytes, their line ends included.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            tail: Vec::new(),
            frame: Bytes::new(),
            at: 0,
            in_line: false,
            in_event: false,
            after_cr: false,
            bom: 0,
            limit,
        }
    }

    /// Hands over the next bytes of the stream, cut anywhere. Events of an earlier frame that were not taken stay,
    /// at the price of a copy.
    pub fn push(&mut self, frame: Bytes) {
        let frame = self.without_bom(frame);
        if self.frame.is_empty() {
            self.frame = frame;
        } else {
            self.frame = [&self.frame[..], &frame[..]].concat().into();
        }
    }

    /// The next whole event; `None` where the rest of the stream is needed first.
    pub fn next_event(&mut self) -> Result<Option<Bytes>, EventTooLarge> {
        let event = self.find_end(0)?.map(|end| self.take(end));
        if event.is_none() {
            self.store_rest();
        }
        Ok(event)
    }

    /// All whole events at once, in one piece, after showing each to `look`; `None` where there is none.
    /// The events lie in the piece one after the other, so that their lengths say where each stands.
    pub fn batch(&mut self, mut look: impl FnMut(&[u8])) -> Result<Option<Bytes>, EventTooLarge> {
        let mut first = None;
        if !self.tail.is_empty() {
            first = self.next_event()?;
            match &first {
                Some(event) => look(event),
                None => return Ok(None),
            }
        }
        let mut done = 0;
        let fault = loop {
            match self.find_end(done) {
                Ok(Some(end)) => {
                    look(&self.frame[done..end]);
                    done = end;
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        // Events that came whole go out before the error, which the next call repeats.
        if let Some(error) = fault.filter(|_| done == 0 && first.is_none()) {
            return Err(error);
        }
        let rest = self.take(done);
        self.store_rest();
        Ok(match first {
            None => Some(rest).filter(|rest| !rest.is_empty()),
            Some(first) if rest.is_empty() => Some(first),
            Some(first) => Some([first, rest].concat().into()),
        })
    }

    /// Ends the stream, once its events are taken: the beginning of an event that never ended, if there is one.
    #[must_use]
    pub fn finish(&mut self) -> Option<Bytes> {
        let is_cut = self.in_event || self.in_line || self.at < self.frame.len();
        self.store_rest();
        let tail = std::mem::take(&mut self.tail);
        match self.bom {
            1 | 2 => Some(Bytes::from_static(&BOM[..self.bom])),
            _ => is_cut.then(|| tail.into()),
        }
    }

    /// Takes the byte order mark off the start of the stream, however it is cut.
    fn without_bom(&mut self, frame: Bytes) -> Bytes {
        if self.bom == BOM.len() || frame.is_empty() {
            return frame;
        }
        let before = self.bom;
        let expected = &BOM[before..];
        let same = frame
            .iter()
            .zip(expected)
            .take_while(|(a, b)| a == b)
            .count();
        if same < expected.len() && same == frame.len() {
            self.bom += same;
            return Bytes::new();
        }
        self.bom = BOM.len();
        if same == expected.len() {
            frame.slice(same..)
        } else if before == 0 {
            frame
        } else {
            [&BOM[..before], &frame[..]].concat().into()
        }
    }

    /// Goes on through the frame to the end of the event that began at `start`, or in an earlier frame.
    fn find_end(&mut self, start: usize) -> Result<Option<usize>, EventTooLarge> {
        let end = self.walk_lines();
        // An event that is too large is never taken, so every later call comes to this again.
        if self.tail.len() + self.at - start > self.limit {
            return Err(EventTooLarge { limit: self.limit });
        }
        Ok(end)
    }

    fn walk_lines(&mut self) -> Option<usize> {
        while self.at < self.frame.len() {
            let rest = &self.frame[self.at..];
            if std::mem::take(&mut self.after_cr) && rest[0] == b'\n' {
                self.at += 1;
                continue;
            }
            let Some(len) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.in_line = true;
                self.at = self.frame.len();
                break;
            };
            let is_empty = len == 0 && !self.in_line;
            self.in_line = false;
            self.at += len + 1;
            if rest[len] == b'\r' {
                match rest.get(len + 1) {
                    Some(b'\n') => self.at += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            if is_empty && self.in_event {
                self.in_event = false;
                return Some(self.at);
            }
            self.in_event |= !is_empty;
        }
        None
    }

    /// Takes what was looked through up to `end`.
    fn take(&mut self, end: usize) -> Bytes {
        let event = self.frame.split_to(end);
        self.at -= end;
        if self.tail.is_empty() {
            return event;
        }
        let mut whole = std::mem::take(&mut self.tail);
        whole.extend_from_slice(&event);
        whole.into()
    }

    /// Keeps the beginning of an event until its next frame comes.
    fn store_rest(&mut self) {
        self.tail.extend_from_slice(&self.frame);
        self.frame = Bytes::new();
        self.at = 0;
    }
}

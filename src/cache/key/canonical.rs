//! One form for all ways to write the same JSON value: no white space, members by their names, strings with the same
//! escapes. Numbers stay as they are written: `1` and `1.0` are not the same to every upstream.

use crate::http::json;

/// The canonical form of a value that has been checked to be valid JSON of bounded depth.
#[must_use]
pub(super) fn form(value: &[u8]) -> Vec<u8> {
    let mut form = Vec::with_capacity(value.len());
    Walker { rest: value }.value(&mut form);
    form
}

/// Walks over a valid value; one that is not comes to an early end, and never to a panic.
struct Walker<'a> {
    rest: &'a [u8],
}

impl Walker<'_> {
    fn value(&mut self, out: &mut Vec<u8>) {
        match self.peek() {
            Some(b'{') => self.object(out),
            Some(b'[') => self.array(out),
            Some(b'"') => out.extend(self.string()),
            _ => {
                let end = self
                    .rest
                    .iter()
                    .position(|byte| b",]} \t\r\n".contains(byte));
                let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                out.extend_from_slice(word);
                self.rest = rest;
            }
        }
    }

    fn object(&mut self, out: &mut Vec<u8>) {
        let mut members = Vec::new();
        self.step();
        while self.peek() == Some(b'"') {
            let name = self.string();
            self.skip(b':');
            let mut value = Vec::new();
            self.value(&mut value);
            members.push((name, value));
            self.skip(b',');
        }
        self.skip(b'}');
        // Names that stand twice keep their order: which of them counts is the upstream's to say.
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        out.push(b'{');
        for (name, value) in members {
            out.extend(name);
            out.push(b':');
            out.extend(value);
            out.push(b',');
        }
        out.push(b'}');
    }

    fn array(&mut self, out: &mut Vec<u8>) {
        self.step();
        out.push(b'[');
        while !matches!(self.peek(), Some(b']') | None) {
            let left = self.rest.len();
            self.value(out);
            out.push(b',');
            self.skip(b',');
            if self.rest.len() == left {
                return;
            }
        }
        self.skip(b']');
        out.push(b']');
    }

    /// A string with its quotes. One with an escape is written anew, unless it has half of a surrogate pair.
    fn string(&mut self) -> Vec<u8> {
        let mut end = 1;
        while let Some(byte) = self.rest.get(end).filter(|byte| **byte != b'"') {
            end += if *byte == b'\\' { 2 } else { 1 };
        }
        let (raw, rest) = self.rest.split_at((end + 1).min(self.rest.len()));
        self.rest = rest;
        let decoded = raw.contains(&b'\\').then(|| json::as_str(raw)).flatten();
        match decoded {
            Some(text) if !text.contains(char::REPLACEMENT_CHARACTER) => {
                let mut written = Vec::with_capacity(raw.len());
                json::write_string(&mut written, &text);
                written
            }
            _ => raw.to_vec(),
        }
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.first().copied()
    }

    fn step(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    fn skip(&mut self, byte: u8) {
        if self.peek() == Some(byte) {
            self.step();
        }
    }
}

//! A stream of text, line by line, in memory that does not grow with the lines.

use std::io::Write;

use memchr::memchr;

use super::{Entity, Kind, Redactor, candidate::What, pem, text::Text};

/// A line longer than this is looked at in parts.
const LONGEST: usize = 1 << 20;
/// So much of a part is looked at again with the next one: a value, and what tells of it, may be as long.
const TAIL: usize = 8 << 10;
/// So much of what has been written stays for its words and its last character.
const CONTEXT: usize = 256;

/// What comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Each line with its values replaced.
    Text,
    /// For each line `{"entities":[{"type":…,"start":…,"end":…,"score":…}]}`, counted in Unicode code points.
    Json,
}

/// Redacts lines as they come, cut anywhere. Bytes that are not UTF-8 count, and come out, as U+FFFD, one for each
/// maximal sequence (Unicode 3.9, table 3-8).
pub struct Lines<'r> {
    redactor: &'r Redactor,
    output: Output,
    /// The beginning of a line, or of what is left of one.
    pending: Vec<u8>,
    /// So many bytes of it have been written; they are there for their words only.
    written: usize,
    /// Code points of the line before `pending[written..]`.
    before: usize,
    /// Whether a part of the line has been written.
    is_begun: bool,
    /// Whether an entity of the line has been written.
    has_entity: bool,
    /// Whether the line before began a private key, or went on with it.
    in_key: bool,
}

impl<'r> Lines<'r> {
    /// Lines for this redactor.
    #[must_use]
    pub fn new(redactor: &'r Redactor, output: Output) -> Self {
        Self {
            redactor,
            output,
            pending: Vec::new(),
            written: 0,
            before: 0,
            is_begun: false,
            has_entity: false,
            in_key: false,
        }
    }

    /// Takes the next bytes, and appends to `out` what can be told of them.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while let Some(newline) = memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(newline);
            if self.pending.is_empty() && line.len() <= LONGEST {
                self.whole(line, out);
            } else {
                self.add(line, out);
                self.last_part(out);
            }
            self.end_line(true, out);
            bytes = &rest[1..];
        }
        self.add(bytes, out);
    }

    /// The end of the stream: a last line without a line break comes out without one, unless in JSON.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.is_begun || !self.pending.is_empty() {
            self.last_part(out);
            self.end_line(false, out);
        }
    }

    /// Adds to the line in hand, of which parts are written when it gets long.
    fn add(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let room = LONGEST.saturating_sub(self.pending.len()).max(1);
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.pending.extend_from_slice(now);
            bytes = rest;
            if self.pending.len() >= LONGEST {
                self.part(out);
            }
        }
    }

    /// A line that is there as a whole.
    fn whole(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let text = String::from_utf8_lossy(line);
        if self.in_key
            && let Some(end) = self.key_line(&text)
        {
            let key = [whole_key(end)];
            let rest = self.redactor.find(&text[end..]);
            let moved = rest.into_iter().map(|entity| entity.moved(end));
            let entities: Vec<_> = key
                .into_iter()
                .filter(|key| key.end > 0)
                .chain(moved)
                .collect();
            return self.write(&text, &entities, out);
        }
        let entities = self.redactor.find(&text);
        self.in_key = entities.last().is_some_and(|last| {
            last.what == What::Known(Kind::PrivateKey)
                && last.end == text.trim_end().len()
                && !text[last.range()].contains(pem::END)
        });
        self.write(&text, &entities, out);
    }

    /// How much of a line belongs to the key that is under way; `None` where the key was cut off before it.
    fn key_line(&mut self, line: &str) -> Option<usize> {
        if let Some(at) = line.find(pem::END)
            && let Some(end) = pem::boundary(Text(line), at, pem::END)
        {
            self.in_key = false;
            return Some(end);
        }
        let body = line.trim();
        let is_base64 = body
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
        let is_header = body.split_once(": ").is_some_and(|(name, _)| {
            matches!(name, "Proc-Type" | "DEK-Info" | "Comment" | "Version")
        });
        self.in_key = is_base64 || is_header;
        self.in_key.then_some(line.trim_end().len())
    }

    /// Writes of a long line what nothing that follows can change.
    fn part(&mut self, out: &mut Vec<u8>) {
        let cut_off = incomplete(&self.pending);
        let whole = self.pending.len() - cut_off;
        let text = String::from_utf8_lossy(&self.pending[..whole]).into_owned();
        let entities = self.fresh(&text);
        let limit = text.floor_char_boundary(text.len() - TAIL);
        let space = text[..limit]
            .rfind(char::is_whitespace)
            .filter(|space| *space + TAIL > limit);
        let mut end = space.unwrap_or(limit).max(self.written);
        if let Some(over) = entities
            .iter()
            .find(|entity| entity.start < end && entity.end > end)
        {
            end = if over.start > self.written {
                over.start
            } else {
                over.end
            };
        }
        let entities: Vec<_> = entities
            .into_iter()
            .filter(|entity| entity.end <= end)
            .collect();
        self.write_from(&text[..end], &entities, out);
        let kept = text.floor_char_boundary(end.saturating_sub(CONTEXT));
        let rest = [&text.as_bytes()[kept..], &self.pending[whole..]].concat();
        self.pending = rest;
        self.written = end - kept;
    }

    /// Writes the rest of a line of which some may have been written.
    fn last_part(&mut self, out: &mut Vec<u8>) {
        let pending = std::mem::take(&mut self.pending);
        if self.is_begun {
            let text = String::from_utf8_lossy(&pending);
            let entities = self.fresh(&text);
            self.write_from(&text, &entities, out);
        } else {
            self.whole(&pending, out);
        }
    }

    /// The values of a text that begins with what has been written already.
    fn fresh(&self, text: &str) -> Vec<Entity<'r>> {
        let mut entities = self.redactor.find(text);
        entities.retain(|entity| entity.end > self.written);
        for entity in &mut entities {
            entity.start = entity.start.max(self.written);
        }
        entities
    }

    fn write(&mut self, text: &str, entities: &[Entity<'_>], out: &mut Vec<u8>) {
        self.written = 0;
        self.write_from(text, entities, out);
    }

    /// Writes what stands behind `written`.
    fn write_from(&mut self, text: &str, entities: &[Entity<'_>], out: &mut Vec<u8>) {
        if !self.is_begun && self.output == Output::Json {
            out.extend_from_slice(b"{\"entities\":[");
        }
        self.is_begun = true;
        match self.output {
            Output::Text => {
                let new = &text[self.written..];
                if entities.is_empty() {
                    out.extend_from_slice(new.as_bytes());
                    return;
                }
                let entities: Vec<_> = entities
                    .iter()
                    .map(|entity| entity.back(self.written))
                    .collect();
                out.extend_from_slice(self.redactor.replace(new, &entities).as_bytes());
            }
            Output::Json => self.write_spans(text, entities, out),
        }
    }

    fn write_spans(&mut self, text: &str, entities: &[Entity<'_>], out: &mut Vec<u8>) {
        let mut at = self.written;
        let mut points = self.before;
        for entity in entities {
            let start = points + text[at..entity.start].chars().count();
            let end = start + text[entity.range()].chars().count();
            if std::mem::replace(&mut self.has_entity, true) {
                out.push(b',');
            }
            // Writing to memory does not fail; names are upper-case ASCII or were checked to need no escapes.
            let _ = write!(
                out,
                "{{\"type\":\"{}\",\"start\":{start},\"end\":{end},\"score\":{}}}",
                entity.name, entity.score
            );
            (at, points) = (entity.end, end);
        }
        self.before = points + text[at..].chars().count();
    }

    fn end_line(&mut self, has_newline: bool, out: &mut Vec<u8>) {
        match self.output {
            Output::Json => out.extend_from_slice(b"]}\n"),
            Output::Text if has_newline => out.push(b'\n'),
            Output::Text => {}
        }
        self.pending.clear();
        self.written = 0;
        self.before = 0;
        self.is_begun = false;
        self.has_entity = false;
    }
}

/// How many bytes at the end are the beginning of a character that is not whole yet.
fn incomplete(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(3)..];
    let Some(lead) = tail.iter().rposition(|byte| *byte >= 0xC0) else {
        return 0;
    };
    let width = match tail[lead] {
        0xF0.. => 4,
        0xE0.. => 3,
        _ => 2,
    };
    let there = tail.len() - lead;
    if there < width { there } else { 0 }
}

/// The part of a line that belongs to a private key.
const fn whole_key(end: usize) -> Entity<'static> {
    let kind = Kind::PrivateKey;
    Entity {
        name: kind.name(),
        start: 0,
        end,
        score: 1.0,
        what: What::Known(kind),
    }
}

impl<'r> Entity<'r> {
    const fn moved(self, by: usize) -> Entity<'r> {
        Entity {
            start: self.start + by,
            end: self.end + by,
            ..self
        }
    }

    const fn back(self, by: usize) -> Entity<'r> {
        Entity {
            start: self.start - by,
            end: self.end - by,
            ..self
        }
    }
}

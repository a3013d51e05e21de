//! Full-width forms and their like, as the ASCII characters that they stand for.
//!
//! The recognizers know ASCII only. A text with `０１０－１２３４－５６７８` is folded into one that they can read, and
//! what they find is brought back to where it stood.

use memchr::memchr3_iter;

/// A text in ASCII forms, and where its parts came from.
pub(super) struct Folded {
    pub(super) text: String,
    /// Places in the folded text from which on so many bytes are missing, both growing.
    shifts: Vec<(usize, usize)>,
}

impl Folded {
    /// The folded form of a text; `None` where it is the text itself.
    pub(super) fn of(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let first = memchr3_iter(0xEF, 0xE2, 0xC2, bytes).find(|&at| is_foldable(&bytes[at..]))?;
        // A line of ideographic spaces alone is not folded; before the first other form they may belong to a value.
        let start = text[..first].rfind('\n').map_or(0, |at| at + 1);
        let mut folded = Self {
            text: String::with_capacity(text.len()),
            shifts: Vec::new(),
        };
        folded.text.push_str(&text[..start]);
        for (at, character) in text[start..].char_indices() {
            match fold(character) {
                Some("") => folded.missing(start + at + character.len_utf8()),
                Some(ascii) => {
                    folded.text.push_str(ascii);
                    folded.missing(start + at + character.len_utf8());
                }
                None => folded.text.push(character),
            }
        }
        Some(folded)
    }

    /// Notes that the folded text ends where the text itself is at `at`.
    fn missing(&mut self, at: usize) {
        let here = self.text.len();
        match self.shifts.last_mut() {
            Some(last) if last.0 == here => last.1 = at - here,
            _ => self.shifts.push((here, at - here)),
        }
    }

    /// Where the byte at `folded` stood. The end of a value is asked for by its last byte.
    pub(super) fn origin(&self, folded: usize) -> usize {
        let after = self.shifts.partition_point(|(at, _)| *at <= folded);
        let shift = after.checked_sub(1).map_or(0, |index| self.shifts[index].1);
        folded + shift
    }
}

/// The ASCII form of a character: nothing at all of those that have no width.
fn fold(character: char) -> Option<&'static str> {
    const ASCII: &str = "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~";
    match character {
        '\u{FF01}'..='\u{FF5E}' => {
            let index = character as usize - 0xFF01;
            ASCII.get(index..=index)
        }
        '\u{2010}'..='\u{2015}' | '\u{2212}' => Some("-"),
        '\u{A0}' | '\u{3000}' | '\u{2007}' | '\u{202F}' => Some(" "),
        '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}' | '\u{AD}' => Some(""),
        _ => None,
    }
}

/// Whether the first character of these bytes is one to fold.
fn is_foldable(bytes: &[u8]) -> bool {
    matches!(
        *bytes,
        [0xEF, 0xBC | 0xBD, _, ..]
            | [0xEF, 0xBB, 0xBF, ..]
            | [0xE2, 0x80, 0x87 | 0x8B..=0x8D | 0x90..=0x95 | 0xAF, ..]
            | [0xE2, 0x81, 0xA0, ..]
            | [0xE2, 0x88, 0x92, ..]
            | [0xC2, 0xA0 | 0xAD, ..]
    )
}

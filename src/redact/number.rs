//! Numbers written in groups: `900101-1234568`, `4111 1111 1111 1111`, `010.1234.5678`.

use super::text::Text;

/// More groups are looked at by nobody.
pub(super) const MOST: usize = 6;
/// A longer run of digits is no number of anything.
const LONGEST: usize = 40;

/// Groups of digits that follow each other with one separator between them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Groups {
    /// Where the first one begins.
    pub(super) start: usize,
    /// Digits in each group.
    lengths: [u8; MOST],
    ends: [usize; MOST],
    /// What stands before each group but the first.
    gaps: [u8; MOST],
    count: usize,
}

impl Groups {
    /// Reads the groups from the digit at `start` on: separators are one space, `-` or `.`, or ` - `.
    pub(super) fn read(text: Text<'_>, start: usize) -> Self {
        let mut groups = Self {
            start,
            lengths: [0; MOST],
            ends: [start; MOST],
            gaps: [0; MOST],
            count: 0,
        };
        let mut at = start;
        while groups.count < MOST {
            let end = text.run(at, LONGEST, |byte| byte.is_ascii_digit());
            groups.lengths[groups.count] = (end - at) as u8;
            groups.ends[groups.count] = end;
            groups.count += 1;
            let Some((gap, width)) = gap(text, end) else {
                break;
            };
            if groups.count < MOST {
                groups.gaps[groups.count] = gap;
            }
            at = end + width;
        }
        groups
    }

    /// Where it ends, if it begins with groups of these lengths, all of them after such a separator.
    pub(super) fn shaped(&self, lengths: &[u8], gaps: &[u8]) -> Option<usize> {
        let is_shaped = self.count >= lengths.len()
            && self.lengths[..lengths.len()] == *lengths
            && self.gaps[1..lengths.len()]
                .iter()
                .all(|gap| gaps.contains(gap) && *gap == self.gaps[1]);
        is_shaped.then(|| self.ends[lengths.len() - 1])
    }

    /// Digits in the first group.
    pub(super) const fn first(&self) -> u8 {
        self.lengths[0]
    }

    /// Where the first group ends.
    pub(super) const fn first_end(&self) -> usize {
        self.ends[0]
    }

    /// Each group with the separator before it, its digits and its end.
    pub(super) fn each(&self) -> impl Iterator<Item = (u8, u8, usize)> + '_ {
        (0..self.count).map(|index| (self.gaps[index], self.lengths[index], self.ends[index]))
    }
}

/// The separator there and its width, if a digit follows it.
fn gap(text: Text<'_>, at: usize) -> Option<(u8, usize)> {
    let separator = text.at(at);
    if !matches!(separator, b' ' | b'-' | b'.') {
        return None;
    }
    if text.at(at + 1).is_ascii_digit() {
        return Some((separator, 1));
    }
    let is_spaced = separator == b' '
        && text.at(at + 1) == b'-'
        && text.at(at + 2) == b' '
        && text.at(at + 3).is_ascii_digit();
    is_spaced.then_some((b'-', 3))
}

/// Whether a number may begin there: it is no later part of another, nor of an id such as a UUID.
pub(super) fn is_open(text: Text<'_>, start: usize) -> bool {
    match text.before(start) {
        b'.' => !text.before(start - 1).is_ascii_digit(),
        b'-' => {
            let word = text.run_back(start - 1, 13, |byte| byte.is_ascii_alphanumeric());
            word == start - 1 || !text.slice(word, start - 1).bytes().all(is_hex)
        }
        _ => text.is_open(start),
    }
}

/// Whether it may end there: no further digits follow, directly or after a `-` or `.`.
pub(super) fn is_closed(text: Text<'_>, end: usize) -> bool {
    let goes_on = matches!(text.at(end), b'-' | b'.' | b',') && text.at(end + 1).is_ascii_digit();
    text.is_closed(end) && !goes_on
}

const fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

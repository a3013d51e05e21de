//! Words near a value that tell what it is.

use std::ops::Range;

use super::text::Text;

/// So many bytes before a value are read for its context.
const BEFORE: usize = 64;
/// And so many after it.
const AFTER: usize = 24;

/// Words for a value of one kind, in lower case. Those in English count as whole words, of names in camel case too;
/// those in Korean wherever they stand.
pub(super) type Words = &'static [&'static str];

/// Whether one of the words stands near the value.
pub(super) fn is_near(text: Text<'_>, start: usize, end: usize, words: Words) -> bool {
    is_in(text, start.saturating_sub(BEFORE)..start, words)
        || is_in(text, end..text.len().min(end + AFTER), words)
}

/// Whether one of the words begins in this part of the text.
pub(super) fn is_in(text: Text<'_>, part: Range<usize>, words: Words) -> bool {
    part.into_iter().any(|at| is_any_at(text, at, words))
}

fn is_any_at(text: Text<'_>, at: usize, words: Words) -> bool {
    let first = text.at(at).to_ascii_lowercase();
    words
        .iter()
        .any(|word| word.as_bytes()[0] == first && is_at(text, at, word))
}

fn is_at(text: Text<'_>, at: usize, word: &str) -> bool {
    if !text.has_ignoring_case(at, word) {
        return false;
    }
    if !word.is_ascii() {
        return true;
    }
    let end = at + word.len();
    let (before, first) = (text.before(at), text.at(at));
    let (last, after) = (text.at(end - 1), text.at(end));
    let begins = !before.is_ascii_alphabetic()
        || before.is_ascii_lowercase() && first.is_ascii_uppercase()
        // The letter of an escape, as in `\nssn`.
        || at >= 2 && text.at(at - 2) == b'\\';
    let ends =
        !after.is_ascii_alphabetic() || last.is_ascii_lowercase() && after.is_ascii_uppercase();
    begins && ends
}

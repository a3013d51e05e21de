//! The bytes under the eye of the recognizers, with nothing outside them but zeros.

/// A text, as its bytes. Every byte that a recognizer looks at goes through [`Text::at`], so that tests can count.
#[derive(Clone, Copy)]
pub(super) struct Text<'a>(pub(super) &'a str);

impl<'a> Text<'a> {
    pub(super) const fn len(self) -> usize {
        self.0.len()
    }

    /// The byte there; 0 outside.
    #[inline]
    pub(super) fn at(self, at: usize) -> u8 {
        #[cfg(test)]
        steps::count();
        self.0.as_bytes().get(at).copied().unwrap_or(0)
    }

    /// The byte before it; 0 at the start.
    #[inline]
    pub(super) fn before(self, at: usize) -> u8 {
        if at == 0 { 0 } else { self.at(at - 1) }
    }

    /// The text of a range; empty where it cuts a character.
    pub(super) fn slice(self, start: usize, end: usize) -> &'a str {
        self.0.get(start..end).unwrap_or_default()
    }

    /// Whether `prefix` stands there.
    #[inline]
    pub(super) fn has(self, at: usize, prefix: &str) -> bool {
        prefix
            .bytes()
            .enumerate()
            .all(|(index, byte)| self.at(at + index) == byte)
    }

    /// The same in any case; `prefix` is in lower case.
    pub(super) fn has_ignoring_case(self, at: usize, prefix: &str) -> bool {
        prefix
            .bytes()
            .enumerate()
            .all(|(index, byte)| self.at(at + index).to_ascii_lowercase() == byte)
    }

    /// Where the run of such bytes ends, at most `longest` bytes on.
    #[inline]
    pub(super) fn run(self, from: usize, longest: usize, is_in: impl Fn(u8) -> bool) -> usize {
        let last = from.saturating_add(longest).min(self.len());
        let mut end = from;
        while end < last && is_in(self.at(end)) {
            end += 1;
        }
        end
    }

    /// Where the run of such bytes that ends there begins, at most `longest` bytes back.
    #[inline]
    pub(super) fn run_back(self, to: usize, longest: usize, is_in: impl Fn(u8) -> bool) -> usize {
        let first = to.saturating_sub(longest);
        let mut start = to;
        while start > first && is_in(self.at(start - 1)) {
            start -= 1;
        }
        start
    }

    /// Whether a word may begin there: no letter or digit before it, those of an escape aside (`\n`, `\u000a`, `%20`).
    pub(super) fn is_open(self, at: usize) -> bool {
        let before = self.before(at);
        if !before.is_ascii_alphanumeric() {
            return true;
        }
        if at >= 2 && self.at(at - 2) == b'\\' {
            return matches!(before, b'n' | b'r' | b't' | b'b' | b'f');
        }
        let is_hex = |count: usize| (1..=count).all(|back| self.at(at - back).is_ascii_hexdigit());
        if at >= 3 && self.at(at - 3) == b'%' {
            return is_hex(2);
        }
        at >= 6 && self.at(at - 6) == b'\\' && self.at(at - 5) == b'u' && is_hex(4)
    }

    /// Whether a word may end there: no letter, digit or underscore follows.
    pub(super) fn is_closed(self, end: usize) -> bool {
        let next = self.at(end);
        !(next.is_ascii_alphanumeric() || next == b'_')
    }
}

/// How many bytes the recognizers have looked at, on this thread.
#[cfg(test)]
pub(super) mod steps {
    use std::cell::Cell;

    thread_local! {
        static STEPS: Cell<u64> = const { Cell::new(0) };
    }

    pub(in crate::redact) fn count() {
        STEPS.set(STEPS.get() + 1);
    }

    pub(in crate::redact) fn take() -> u64 {
        STEPS.replace(0)
    }
}

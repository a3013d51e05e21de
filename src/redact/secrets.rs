//! Literal values that must not be seen, such as the keys in the config.

use std::borrow::Cow;

use aho_corasick::{AhoCorasick, MatchKind};

/// What stands in the place of a secret.
pub const PLACEHOLDER: &str = "[secret]";

/// Takes known values out of texts.
#[derive(Clone, Debug)]
pub struct Secrets(AhoCorasick);

impl Secrets {
    /// Knows these values; `None` where there are none. Where one is part of another, the longer counts.
    #[must_use]
    pub fn new<S: AsRef<str>>(values: impl IntoIterator<Item = S>) -> Option<Self> {
        let mut values: Vec<_> = values
            .into_iter()
            .filter(|value| !value.as_ref().is_empty())
            .collect();
        values.sort_by(|a, b| a.as_ref().cmp(b.as_ref()));
        values.dedup_by(|a, b| a.as_ref() == b.as_ref());
        if values.is_empty() {
            return None;
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(values.iter().map(AsRef::as_ref));
        automaton.ok().map(Self)
    }

    /// The text without any of them.
    #[must_use]
    pub fn remove<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut matches = self.0.find_iter(text).peekable();
        if matches.peek().is_none() {
            return Cow::Borrowed(text);
        }
        let mut kept = String::with_capacity(text.len());
        let mut done = 0;
        for found in matches {
            kept.push_str(&text[done..found.start()]);
            kept.push_str(PLACEHOLDER);
            done = found.end();
        }
        kept.push_str(&text[done..]);
        Cow::Owned(kept)
    }
}

//! Finds what logs should not show, and puts something else in its place.
//!
//! A [`Redactor`] is compiled once from [`Settings`] and then looks at texts, without any I/O. One pass (`scan`)
//! finds what may be a value; the recognizers, one small file for each family, check it: ranges, dates, check digits,
//! words around it. Where values overlap, the more certain one counts (`candidate`).
//!
//! Full-width digits and the like are read as what they stand for (`fold`).

mod america;
mod candidate;
mod card;
mod checksum;
mod context;
mod crypto;
mod email;
mod fold;
mod iban;
mod jwt;
mod kind;
mod korea;
pub mod lines;
mod maker_key;
mod network;
mod number;
mod pattern;
mod pem;
mod phone;
mod scan;
pub mod secrets;
mod style;
#[cfg(test)]
mod tests;
mod text;
mod url;

use std::{borrow::Cow, ops::Range};

pub use kind::Kind;
pub use pattern::{Pattern, PatternError, Validate};
pub use style::{HashKey, Style};

use candidate::{Candidate, What};
use fold::Folded;
use kind::Kinds;
use text::Text;

/// What a redactor is made from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The built-in kinds to find.
    pub kinds: Vec<Kind>,
    /// Patterns of the operator's own; they win over built-in kinds of the same score.
    pub patterns: Vec<Pattern>,
    /// What stands in the place of values.
    pub style: Style,
}

impl Default for Settings {
    /// All kinds, in the style `label`.
    fn default() -> Self {
        Self {
            kinds: Kind::ALL.to_vec(),
            patterns: Vec::new(),
            style: Style::Label,
        }
    }
}

/// Finds and replaces values.
#[derive(Clone, Debug)]
pub struct Redactor {
    kinds: Kinds,
    patterns: Vec<Pattern>,
    style: Style,
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

/// A value that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entity<'r> {
    /// What it is: the name of a [`Kind`], or the type of a pattern.
    pub name: &'r str,
    /// Its first byte.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
    /// How certain that is, from 0.6 (the form alone) to 1.
    pub score: f32,
    what: What,
}

impl Entity<'_> {
    /// The bytes of the text that it takes.
    #[must_use]
    pub const fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

impl Redactor {
    /// A redactor with these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let kinds = settings
            .kinds
            .iter()
            .fold(Kinds::NONE, |kinds, kind| kinds.with(*kind));
        Self {
            kinds,
            patterns: settings.patterns,
            style: settings.style,
        }
    }

    /// The values in a text, in their order; none overlaps another.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<Entity<'_>> {
        let mut found = Vec::new();
        let folded = Folded::of(text);
        scan::scan(
            Text(folded.as_ref().map_or(text, |folded| &folded.text)),
            self.kinds,
            &mut found,
        );
        if let Some(folded) = &folded {
            for candidate in &mut found {
                unfold(candidate, folded, text);
            }
        }
        for (index, pattern) in self.patterns.iter().enumerate() {
            pattern.find(text, index, &mut found);
        }
        candidate::resolve(&mut found);
        found
            .into_iter()
            .map(|candidate| self.entity(candidate))
            .collect()
    }

    /// The text with something else in the place of its values; the text itself where it has none.
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let entities = self.find(text);
        if entities.is_empty() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(self.replace(text, &entities))
    }

    /// The first `limit` bytes of a text, redacted; a value that reaches beyond them is left out. Whoever cut the text
    /// should leave some more of it than is wanted, so that such a value can be recognized.
    #[must_use]
    pub fn redact_start(&self, text: &str, limit: usize) -> String {
        let mut entities = self.find(text);
        let mut end = text.floor_char_boundary(limit);
        if let Some(cut) = entities.iter().find(|entity| entity.range().contains(&end)) {
            end = cut.start;
        }
        entities.retain(|entity| entity.end <= end);
        self.replace(&text[..end], &entities)
    }

    /// The text with these of its values replaced.
    fn replace(&self, text: &str, entities: &[Entity<'_>]) -> String {
        let mut redacted = String::with_capacity(text.len());
        let mut done = 0;
        for entity in entities {
            redacted.push_str(&text[done..entity.start]);
            self.write(&mut redacted, entity, &text[entity.range()]);
            done = entity.end;
        }
        redacted.push_str(&text[done..]);
        redacted
    }

    fn write(&self, to: &mut String, entity: &Entity<'_>, value: &str) {
        let label = match entity.what {
            What::Known(kind) => kind.label(),
            What::Custom(index) => self
                .patterns
                .get(index)
                .map_or("", |pattern| &pattern.label),
        };
        let folded = Folded::of(value);
        let plain = folded.as_ref().map_or(value, |folded| &folded.text);
        self.style.write(to, entity.what, label, value, plain);
    }

    fn entity(&self, candidate: Candidate) -> Entity<'_> {
        let name = match candidate.what {
            What::Known(kind) => kind.name(),
            What::Custom(index) => self.patterns.get(index).map_or("", |pattern| &pattern.name),
        };
        Entity {
            name,
            start: candidate.start,
            end: candidate.end,
            score: candidate.score,
            what: candidate.what,
        }
    }
}

/// Brings what was found in a folded text back to where it stands in the text itself.
fn unfold(candidate: &mut Candidate, folded: &Folded, text: &str) {
    let last = text.floor_char_boundary(folded.origin(candidate.end.saturating_sub(1)));
    let width = text[last..].chars().next().map_or(0, char::len_utf8);
    candidate.start = text.floor_char_boundary(folded.origin(candidate.start));
    candidate.end = last + width;
}

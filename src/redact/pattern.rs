//! Patterns of the operator's own.

use regex::Regex;

use super::{
    candidate::{Candidate, What, score},
    checksum,
};

/// A compiled pattern is not larger than this, in bytes.
const LARGEST: usize = 1 << 20;
/// A pattern is looked for within parts of so many bytes: a search for all matches may look at each byte of its part
/// once for each match.
const PART: usize = 64 << 10;
/// Parts overlap by so much, and so a value may be as long.
const OVERLAP: usize = 4 << 10;

/// The group that is the value, where a regex has one of this name.
const GROUP: &str = "value";

/// What a match must fulfil to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validate {
    /// Luhn's check digit, as payment cards have it.
    Luhn,
    /// Mod 97, as bank account numbers have it.
    Iban,
    /// The check digit of Korean resident registration numbers.
    KrRrn,
    /// The check digit of Korean alien registration numbers.
    KrFrn,
    /// The check digit of Korean business registration numbers.
    KrBrn,
}

impl Validate {
    fn accepts(self, value: &str) -> bool {
        match self {
            Self::Luhn => checksum::luhn(value),
            Self::Iban => checksum::mod97(value),
            Self::KrRrn => checksum::rrn(value),
            Self::KrFrn => checksum::frn(value),
            Self::KrBrn => checksum::brn(value),
        }
    }
}

/// A pattern of the operator's own.
#[derive(Clone, Debug)]
pub struct Pattern {
    pub(super) name: String,
    pub(super) label: String,
    regex: Regex,
    has_group: bool,
    validate: Option<Validate>,
}

/// Why a pattern cannot be used, in the words of the regex parser.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

impl Pattern {
    /// A pattern for values of the type `name`. The value is the group named `value`, where the regex has one, else
    /// the whole match.
    pub fn new(name: &str, regex: &str, validate: Option<Validate>) -> Result<Self, PatternError> {
        let regex = regex::RegexBuilder::new(regex)
            .size_limit(LARGEST)
            .dfa_size_limit(LARGEST)
            .build()
            .map_err(|error| PatternError(explain(&error)))?;
        if regex.is_match("") {
            return Err(PatternError(
                "it matches a text without any characters, and so everywhere".to_owned(),
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            label: format!("<{name}>"),
            has_group: regex.capture_names().flatten().any(|group| group == GROUP),
            regex,
            validate,
        })
    }

    /// Tells `found` of every match; `index` is the pattern's own.
    pub(super) fn find(&self, text: &str, index: usize, found: &mut Vec<Candidate>) {
        let mut start = 0;
        loop {
            let end = text.floor_char_boundary(start + PART);
            self.find_in(text, start, end, index, found);
            if end == text.len() {
                return;
            }
            start = text.floor_char_boundary(end - OVERLAP);
        }
    }

    fn find_in(
        &self,
        text: &str,
        start: usize,
        end: usize,
        index: usize,
        found: &mut Vec<Candidate>,
    ) {
        let part = &text[start..end];
        let mut see = |value: regex::Match<'_>| {
            let is_valid = self
                .validate
                .is_none_or(|validate| validate.accepts(value.as_str()));
            if is_valid && !value.is_empty() {
                found.push(Candidate {
                    what: What::Custom(index),
                    start: start + value.start(),
                    end: start + value.end(),
                    score: if self.validate.is_some() {
                        score::CERTAIN
                    } else {
                        score::CHECKED
                    },
                });
            }
        };
        if self.has_group {
            let captured = self.regex.captures_iter(part);
            captured
                .filter_map(|captures| captures.name(GROUP))
                .for_each(see);
        } else {
            self.regex.find_iter(part).for_each(&mut see);
        }
    }
}

/// The error in one line.
fn explain(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("this regex is too large: compiled, it may have {limit} bytes")
        }
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            format!("this is no regex: {}", last.trim_start_matches("error: "))
        }
    }
}

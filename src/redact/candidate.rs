//! What a recognizer thinks it has seen.

use super::kind::Kind;

/// How sure a recognizer is. Below none of these is anything reported.
pub(super) mod score {
    /// A check digit is right and the context tells the same; or the form leaves no doubt.
    pub(in crate::redact) const CERTAIN: f32 = 1.0;
    /// A check digit is right, or the form is hardly anything else's.
    pub(in crate::redact) const CHECKED: f32 = 0.95;
    /// The form is telling and its parts are possible.
    pub(in crate::redact) const FORMED: f32 = 0.85;
    /// The form is rather common, and the context tells.
    pub(in crate::redact) const TOLD: f32 = 0.75;
    /// The form alone.
    pub(in crate::redact) const LIKELY: f32 = 0.6;
}

/// A value that was seen: bytes of the text that was scanned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) what: What,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) score: f32,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// Of a custom pattern, by its index. These come first: the operator knows better.
    Custom(usize),
    /// Of a built-in kind.
    Known(Kind),
}

impl Candidate {
    pub(super) const fn new(kind: Kind, start: usize, end: usize, score: f32) -> Self {
        Self {
            what: What::Known(kind),
            start,
            end,
            score,
        }
    }
}

/// Leaves of values that overlap the one with the higher score; of equal scores the longer, then the one that begins
/// first, then custom patterns, then the order of [`Kind`]. The rest comes in the order of the text.
pub(super) fn resolve(candidates: &mut Vec<Candidate>) {
    candidates.sort_unstable_by_key(|candidate| (candidate.start, candidate.end));
    let overlap = |pair: &[Candidate]| pair[1].start < pair[0].end;
    if !candidates.windows(2).any(overlap) {
        return;
    }
    let mut ranked = std::mem::take(candidates);
    ranked.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then((b.end - b.start).cmp(&(a.end - a.start)))
            .then(a.start.cmp(&b.start))
            .then(a.what.cmp(&b.what))
    });
    // Chosen values by their start: none overlaps another, so the last that begins before an end is the only one
    // that can reach over it.
    let mut chosen = std::collections::BTreeMap::<usize, Candidate>::new();
    for candidate in ranked {
        let before = chosen.range(..candidate.end).next_back();
        if before.is_none_or(|(_, other)| other.end <= candidate.start) {
            chosen.insert(candidate.start, candidate);
        }
    }
    candidates.extend(chosen.into_values());
}

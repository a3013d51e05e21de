//! Which rule a name means: glob patterns over model names and the like.

#[cfg(test)]
mod tests;

use std::{cmp::Reverse, fmt};

/// A pattern over names: `*` is any run of characters, the empty one included, `?` is exactly one
/// character, everything else stands for itself. Case counts, and there is no escape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Glob {
    pattern: Box<str>,
    specificity: Specificity,
}

impl Glob {
    /// The glob of a pattern. Every text is a valid one.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self {
            pattern: pattern.into(),
            specificity: Specificity::of(pattern),
        }
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// Whether the pattern has no wildcard, so that it matches one name only.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.specificity.exact
    }

    /// How closely the pattern describes what it matches.
    #[must_use]
    pub fn specificity(&self) -> Specificity {
        self.specificity
    }

    /// Whether `name` as a whole fits the pattern.
    ///
    /// Linear in the name: at most its length times the pattern's steps, whatever the pattern. When a
    /// character does not fit, only the last `*` passed has to take one more: what an earlier
    /// one could take instead leaves no more of the name to the rest of the pattern.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        if self.is_exact() {
            return *self.pattern == *name;
        }
        let mut pattern = self.pattern.chars();
        let mut rest = name.chars();
        let mut last_star = None;
        loop {
            let fits = match pattern.next() {
                Some('*') if pattern.as_str().is_empty() => return true,
                Some('*') => {
                    last_star = Some((pattern.clone(), rest.clone()));
                    true
                }
                Some(wanted) => rest.next().is_some_and(|c| wanted == '?' || wanted == c),
                None if rest.as_str().is_empty() => return true,
                None => false,
            };
            if fits {
                continue;
            }
            let Some((after_star, from)) = &mut last_star else {
                return false;
            };
            if from.next().is_none() {
                return false;
            }
            pattern = after_star.clone();
            rest = from.clone();
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.pattern)
    }
}

/// How closely a pattern describes what it matches; the greater one wins.
///
/// An exact name beats every pattern. Of two patterns the one with more literal characters wins, then
/// the one with fewer `*` (a run of them counts once), then the one with more `?`: `gpt-?` and `gpt-?*`
/// both match less than `gpt-*`. Between equals the earlier definition wins, see [`best`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Specificity {
    // The order of the fields is the order of the comparison.
    exact: bool,
    literals: usize,
    stars: Reverse<usize>,
    single: usize,
}

impl Specificity {
    fn of(pattern: &str) -> Self {
        let single = pattern.matches('?').count();
        let written_stars = pattern.matches('*').count();
        let stars = pattern
            .split(|c| c != '*')
            .filter(|run| !run.is_empty())
            .count();
        Self {
            exact: single == 0 && stars == 0,
            literals: pattern.chars().count() - single - written_stars,
            stars: Reverse(stars),
            single,
        }
    }
}

/// What the most specific of the matching rules stands for; between equally specific ones the first.
pub fn best<'a, T>(rules: impl Iterator<Item = (&'a Glob, T)>, name: &str) -> Option<T> {
    let mut best: Option<(Specificity, T)> = None;
    for (glob, value) in rules {
        let wins = best
            .as_ref()
            .is_none_or(|(leader, _)| glob.specificity > *leader);
        if wins && glob.matches(name) {
            best = Some((glob.specificity, value));
        }
    }
    best.map(|(_, value)| value)
}

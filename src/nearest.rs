//! "Did you mean …?": the known names nearest to one that is not known.

#[cfg(test)]
mod tests;

/// Longest name, in characters, that near misses are looked for: the name may come from a client,
/// and the search costs the square of its length for every known name.
const LONGEST: usize = 128;

/// Fewest characters that make a common beginning worth a suggestion.
const SHORTEST_PREFIX: usize = 2;

/// How near a known name is; the smaller one is suggested first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    /// That many typing errors apart.
    Typo(usize),
    /// One begins with the other and is that many characters longer.
    Prefix(usize),
}

/// The known names that `name` may have been meant to be: at most `most`, the nearest first, between equals
/// in the order given, none twice.
///
/// Near is what is at most one typing error per three characters away (a character added, left out,
/// replaced, or two neighbours swapped: Damerau–Levenshtein in its optimal-string-alignment form),
/// and after those what begins with the name, or what the name begins with. Case is ignored, and `-` is as good as `_`.
pub fn nearest_few<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
    most: usize,
) -> Vec<&'a str> {
    let wanted = folded(name);
    if wanted.is_empty() || wanted.len() > LONGEST {
        return Vec::new();
    }
    let mut near: Vec<(Nearness, &str)> = Vec::new();
    for candidate in known {
        let Some(nearness) = nearness(&wanted, &folded(candidate)) else {
            continue;
        };
        if near.iter().all(|(_, listed)| *listed != candidate) {
            near.push((nearness, candidate));
        }
    }
    near.sort_by_key(|(nearness, _)| *nearness);
    near.truncate(most);
    near.into_iter().map(|(_, candidate)| candidate).collect()
}

/// The one that `name` was most likely meant to be, by the rules of [`nearest_few`].
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest_few(name, known, 1).into_iter().next()
}

/// The characters of a name without their case, as far as needed to see that it is too long.
fn folded(name: &str) -> Vec<char> {
    name.chars()
        .flat_map(char::to_lowercase)
        .map(|c| if c == '-' { '_' } else { c })
        .take(LONGEST + 1)
        .collect()
}

fn nearness(wanted: &[char], candidate: &[char]) -> Option<Nearness> {
    let apart = wanted.len().abs_diff(candidate.len());
    let limit = wanted.len().max(candidate.len()) / 3;
    if apart <= limit {
        let errors = typing_errors(wanted, candidate);
        if errors <= limit {
            return Some(Nearness::Typo(errors));
        }
    }
    let shared = wanted.len().min(candidate.len());
    (shared >= SHORTEST_PREFIX && wanted[..shared] == candidate[..shared])
        .then_some(Nearness::Prefix(apart))
}

/// Damerau–Levenshtein distance, optimal string alignment, with three rows of the table.
fn typing_errors(a: &[char], b: &[char]) -> usize {
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut row = vec![0; b.len() + 1];
    for i in 1..=a.len() {
        row[0] = i;
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut fewest = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                fewest = fewest.min(before_last[j - 2] + 1);
            }
            row[j] = fewest;
        }
        std::mem::swap(&mut before_last, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    last[b.len()]
}

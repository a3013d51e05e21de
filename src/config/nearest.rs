//! "Did you mean …?"

/// The candidate that `word` is most likely a slip of, if any is near enough: at most one edit for every three
/// characters. A swap of two neighbours is one edit; case and `-` for `_` cost nothing.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let fold = |text: &str| -> Vec<char> {
        let fold = |c: char| if c == '-' { '_' } else { c };
        text.chars()
            .flat_map(char::to_lowercase)
            .map(fold)
            .collect()
    };
    let word = fold(word);
    let allowed = (word.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| {
            // A word of which nothing is left is no slip.
            *distance <= allowed && *distance < candidate.chars().count().max(word.len())
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn distance(a: &[char], b: &[char]) -> usize {
    // Nobody mistypes a word of this length into a key; and the table grows with both.
    const LONGEST: usize = 64;
    if a.len().max(b.len()) > LONGEST {
        return usize::MAX;
    }
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::nearest;

    #[test]
    fn finds_the_key_that_was_meant() {
        let keys = ["retries", "retry_ratio", "deadline", "model", "kind"];
        for (word, meant) in [
            ("retires", Some("retries")),
            ("Retries", Some("retries")),
            ("retry-ratio", Some("retry_ratio")),
            ("dedline", Some("deadline")),
            ("modle", Some("model")),
            ("knd", Some("kind")),
            ("colour", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, keys), meant, "{word}");
        }
    }

    proptest! {
        #[test]
        fn a_word_is_nearest_to_itself(word in "[a-z_]{1,20}", others in prop::collection::vec("[a-z_]{1,20}", 0..5)) {
            let all = others.iter().map(String::as_str).chain([word.as_str()]);
            prop_assert_eq!(nearest(&word, all), Some(word.as_str()));
        }

        #[test]
        fn one_slip_in_a_long_word_is_forgiven(word in "[a-z]{4,20}", at in 0usize..20) {
            let mut slipped = word.clone();
            slipped.remove(at % word.len());
            prop_assert_eq!(nearest(&slipped, [word.as_str()]), Some(word.as_str()));
        }
    }
}

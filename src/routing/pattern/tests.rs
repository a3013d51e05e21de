use proptest::prelude::*;

use super::*;

/// The definition of a glob, word for word, at whatever cost.
fn naive(pattern: &[char], name: &[char]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some(('*', rest)) => (0..=name.len()).any(|taken| naive(rest, &name[taken..])),
        Some((c, rest)) => name
            .split_first()
            .is_some_and(|(first, tail)| (*c == '?' || c == first) && naive(rest, tail)),
    }
}

fn globs(patterns: &[&str]) -> Vec<Glob> {
    patterns.iter().map(|pattern| Glob::new(pattern)).collect()
}

fn best_of(patterns: &[&str], name: &str) -> Option<usize> {
    let globs = globs(patterns);
    best(globs.iter().zip(0..), name)
}

#[test]
fn wildcards_match_runs_and_single_characters() {
    for (pattern, name, fits) in [
        ("gpt-4", "gpt-4", true),
        ("gpt-4", "GPT-4", false),
        ("gpt-4", "gpt-4o", false),
        ("*", "", true),
        ("*", "anything", true),
        ("", "", true),
        ("", "a", false),
        ("?", "", false),
        ("?", "한", true),
        ("모델-?", "모델-한", true),
        ("모델-*", "모델-", true),
        ("gpt-*-mini", "gpt-4o-mini", true),
        ("gpt-*-mini", "gpt-mini", false),
        ("*:latest", "llama3.1:latest", true),
        ("*ab*ab", "abab", true),
        ("*ab*ab", "ab", false),
        ("a[b]{c}\\.", "a[b]{c}\\.", true),
        ("a.c", "abc", false),
        ("a\\*", "a*", false),
    ] {
        assert_eq!(Glob::new(pattern).matches(name), fits, "{pattern} {name}");
    }
}

#[test]
fn many_stars_against_a_long_name_end_soon() {
    // A matcher that tries every split of the name would not come back.
    let glob = Glob::new(&format!("{}b", "*a".repeat(40)));
    assert!(!glob.matches(&"a".repeat(100_000)));
    assert!(glob.matches(&("a".repeat(100_000) + "b")));
}

#[test]
fn the_most_specific_rule_wins() {
    let rules = ["*", "gpt-*", "gpt-4*", "gpt-4o", "gpt-4?"];
    assert_eq!(best_of(&rules, "gpt-4o"), Some(3));
    assert_eq!(best_of(&rules, "gpt-41"), Some(4));
    assert_eq!(best_of(&rules, "gpt-4o-mini"), Some(2));
    assert_eq!(best_of(&rules, "gpt-3.5"), Some(1));
    assert_eq!(best_of(&rules, "llama"), Some(0));
    assert_eq!(best_of(&["gpt-*"], "llama"), None);
    assert_eq!(best_of(&[], "llama"), None);
}

#[test]
fn exact_beats_a_longer_pattern_and_the_earlier_of_equals_wins() {
    assert!(Glob::new("a").specificity() > Glob::new("aaaaaaaa*").specificity());
    assert_eq!(best_of(&["ab*", "*bc", "a*c"], "abc"), Some(0));
    assert_eq!(best_of(&["*bc", "ab*"], "abc"), Some(0));
    assert_eq!(best_of(&["*b*", "b*"], "b"), Some(1));
    assert_eq!(best_of(&["a*", "a?*"], "abc"), Some(1));
    assert_eq!(best_of(&["a*", "a**"], "abc"), Some(0));
    assert_eq!(best_of(&["a**", "a*"], "abc"), Some(0));
    // Characters count, not bytes.
    assert_eq!(best_of(&["한*", "*bc"], "한bc"), Some(1));
}

proptest! {
    #[test]
    fn matches_as_the_definition_says(pattern in "[ab가*?]{0,8}", name in "[ab가]{0,10}") {
        let wanted: Vec<char> = pattern.chars().collect();
        let letters: Vec<char> = name.chars().collect();
        prop_assert_eq!(Glob::new(&pattern).matches(&name), naive(&wanted, &letters));
    }

    #[test]
    fn a_pattern_made_from_a_name_matches_it(name in ".{0,20}", from in 0_usize..20, to in 0_usize..20) {
        let letters: Vec<char> = name.chars().collect();
        let from = from.min(letters.len());
        let to = to.clamp(from, letters.len().max(from));
        let head: String = letters[..from].iter().collect();
        let tail: String = letters[to..].iter().collect();
        let run = Glob::new(&format!("{head}*{tail}"));
        prop_assert!(run.matches(&name));
        let singles = Glob::new(&format!("{head}{}{tail}", "?".repeat(to - from)));
        prop_assert!(singles.matches(&name));
    }

    #[test]
    fn the_best_rule_matches_and_none_beats_it(
        patterns in prop::collection::vec("[ab*?]{0,4}", 0..8),
        name in "[ab]{0,4}",
    ) {
        let globs: Vec<Glob> = patterns.iter().map(|pattern| Glob::new(pattern)).collect();
        let matching = || globs.iter().enumerate().filter(|(_, glob)| glob.matches(&name));
        let expected = matching()
            .map(|(index, _)| index)
            .find(|&index| matching().all(|(_, other)| other.specificity() <= globs[index].specificity()));
        prop_assert_eq!(best(globs.iter().zip(0..), &name), expected);
    }
}

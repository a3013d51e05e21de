use proptest::prelude::*;

use super::*;

#[test]
fn typing_errors_are_found() {
    let known = ["gpt-4o", "gpt-4o-mini", "claude-3-5-sonnet", "llama3.1"];
    let near = |name| nearest_few(name, known, 3);
    assert_eq!(near("gtp-4o"), ["gpt-4o"]);
    assert_eq!(near("GPT-4O"), ["gpt-4o", "gpt-4o-mini"]);
    assert_eq!(near("claude-3.5-sonet"), ["claude-3-5-sonnet"]);
    assert_eq!(near("llama"), ["llama3.1"]);
    assert_eq!(near("llama3.1:70b-instruct"), ["llama3.1"]);
    assert_eq!(near("mistral"), [""; 0]);
    assert_eq!(near(""), [""; 0]);
}

#[test]
fn config_keys_are_found() {
    let known = ["attempt_timeout", "deadline", "retries", "targets", "model"];
    let near = |name| nearest_few(name, known, 1);
    assert_eq!(near("retrys"), ["retries"]);
    assert_eq!(near("target"), ["targets"]);
    assert_eq!(near("attempt_timout"), ["attempt_timeout"]);
    assert_eq!(near("dead_line"), ["deadline"]);
    assert_eq!(near("colour"), [""; 0]);
}

#[test]
fn suggestions_are_few_distinct_and_bounded() {
    let known = ["abcd", "abce", "abcd", "abcf"];
    assert_eq!(nearest_few("abcx", known, 2), ["abcd", "abce"]);
    assert_eq!(nearest_few("abcx", known, 9), ["abcd", "abce", "abcf"]);
    let long = "a".repeat(1_000_000);
    assert!(nearest_few(&long, [long.as_str()].into_iter(), 1).is_empty());
}

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

    #[test]
    fn one_typing_error_in_a_long_enough_name_is_found(
        name in "[a-z]{4,20}", at in 0_usize..20, typed in "[a-z]", kind in 0..4,
    ) {
        let mut letters: Vec<char> = name.chars().collect();
        let at = at % (letters.len() - 1);
        let typed = typed.chars().next().unwrap();
        match kind {
            0 => letters.insert(at, typed),
            1 => { letters.remove(at); }
            2 => letters[at] = typed,
            _ => letters.swap(at, at + 1),
        }
        let wrong: String = letters.into_iter().collect();
        let near = nearest(&wrong, ["0123456789", &name]);
        prop_assert_eq!(near, Some(name.as_str()));
    }
}

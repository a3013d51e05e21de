//! Tokens as the rehearsal counts them: a token is a word with the white space before it, and the white space
//! at the very end of a text goes with its last word.

use crate::providers::answer::Finish;

/// A text within its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clipped {
    pub(super) text: String,
    /// `Stop` where it was said to its end or up to a stop text, `Length` where the limit came first.
    pub(super) finish: Finish,
}

/// The tokens of a text; together they are the text.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let word = rest.len() - rest.trim_start().len();
        let end = rest[word..]
            .find(char::is_whitespace)
            .map(|length| word + length);
        let end = end.filter(|end| !rest[*end..].trim_start().is_empty());
        let (token, tail) = rest.split_at(end.unwrap_or(rest.len()));
        rest = tail;
        (!token.is_empty()).then_some(token)
    })
}

/// How many tokens a text has.
pub(super) fn count(text: &str) -> u64 {
    tokens(text).count() as u64
}

/// Ends a text before the first stop text in it, and after `limit` tokens.
pub(super) fn clip(mut text: String, stops: &[&str], limit: Option<u64>) -> Clipped {
    let stop = stops.iter().filter(|stop| !stop.is_empty());
    if let Some(end) = stop.filter_map(|stop| text.find(stop)).min() {
        text.truncate(end);
    }
    let limit = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let end: usize = tokens(&text).take(limit).map(str::len).sum();
    let finish = if count(&text) > limit as u64 {
        Finish::Length
    } else {
        Finish::Stop
    };
    if finish == Finish::Length {
        text.truncate(end);
    }
    Clipped { text, finish }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_is_a_word_with_the_space_before_it() {
        let cases: [(&str, &[&str]); 6] = [
            ("", &[]),
            ("  ", &["  "]),
            ("one", &["one"]),
            ("one two  three", &["one", " two", "  three"]),
            (" a\nb ", &[" a", "\nb "]),
            ("안녕 하세요", &["안녕", " 하세요"]),
        ];
        for (text, expected) in cases {
            assert_eq!(tokens(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    #[test]
    fn whichever_limit_comes_first_ends_a_text() {
        let clip = |stops: &[&str], limit| {
            let clipped = clip("one two three".to_owned(), stops, limit);
            (clipped.text, clipped.finish)
        };
        assert_eq!(clip(&[], None), ("one two three".to_owned(), Finish::Stop));
        assert_eq!(
            clip(&[], Some(3)),
            ("one two three".to_owned(), Finish::Stop)
        );
        assert_eq!(clip(&[], Some(2)), ("one two".to_owned(), Finish::Length));
        assert_eq!(
            clip(&["three", "wo"], None),
            ("one t".to_owned(), Finish::Stop)
        );
        assert_eq!(
            clip(&["three"], Some(1)),
            ("one".to_owned(), Finish::Length)
        );
        assert_eq!(clip(&["two"], Some(1)), ("one ".to_owned(), Finish::Stop));
        assert_eq!(clip(&[""], Some(0)), (String::new(), Finish::Length));
    }

    proptest! {
        #[test]
        fn tokens_join_to_the_text(text in r"[a-c안 \n]{0,20}") {
            prop_assert_eq!(tokens(&text).collect::<String>(), text.clone());
            prop_assert!(tokens(&text).all(|token| !token.is_empty()));
        }

        #[test]
        fn a_clipped_text_keeps_its_limit(text in r"[a-c안 ]{0,40}", limit in 0_u64..10) {
            let clipped = clip(text.clone(), &[], Some(limit));
            prop_assert!(count(&clipped.text) <= limit);
            prop_assert!(text.starts_with(&clipped.text));
            prop_assert_eq!(clipped.finish == Finish::Length, count(&text) > limit);
        }
    }
}

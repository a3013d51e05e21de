use std::sync::Arc;

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> (Dotenv, Vec<Finding>) {
    let findings = Findings::default();
    let source = Arc::new(Source {
        name: ".env".to_owned(),
        text: text.to_owned(),
        shown: false,
    });
    let dotenv = Dotenv::parse(&source, &findings);
    (dotenv, findings.sorted())
}

#[track_caller]
fn assert_value(line: &str, value: &str) {
    let (dotenv, findings) = parse(line);
    assert!(findings.is_empty(), "{line}: {findings:?}");
    assert_eq!(
        dotenv.get("A").map(|(value, _)| value),
        Some(value),
        "{line}"
    );
}

#[test]
fn values_in_all_their_forms() {
    for (line, value) in [
        ("A=b", "b"),
        ("  A = b  ", "b"),
        ("export A=b", "b"),
        ("set A=b", "b"),
        ("SET A=b", "b"),
        ("A=", ""),
        ("A=\"\"", ""),
        ("A='b c'", "b c"),
        ("A=\"b c\" # comment", "b c"),
        ("A=b # comment", "b"),
        ("A= # comment", ""),
        ("A=b#c", "b#c"),
        ("A=#b", "#b"),
        ("A=b=c==", "b=c=="),
        ("A='b\\n'", "b\\n"),
        ("A=\"b\\n\\\"c\\\"\\\\\\$\\x\"", "b\n\"c\"\\$\\x"),
        ("A=it's", "it's"),
        ("A=${B}", "${B}"),
        ("A=\"one\ntwo\"\n", "one\ntwo"),
        ("A=\"one\r\ntwo\"\r\n", "one\ntwo"),
        ("A=b\r\n", "b"),
        ("A=old\nA=new", "new"),
        ("\n# A=x\n\nA=한국어\n", "한국어"),
    ] {
        assert_value(line, value);
    }
}

#[test]
fn lines_count_on_behind_a_value_of_several_lines() {
    let (dotenv, findings) = parse("A='1\n2\n3'\nB=x\n");
    assert!(findings.is_empty());
    assert_eq!(dotenv.get("A"), Some(("1\n2\n3", 1)));
    assert_eq!(dotenv.get("B"), Some(("x", 4)));
}

#[test]
fn a_bad_line_does_not_hide_the_next() {
    let (dotenv, findings) = parse("A=\"open\nB=b\nC='c' d\nD=d\n");
    assert_eq!(dotenv.get("B"), Some(("b", 2)));
    assert_eq!(dotenv.get("D"), Some(("d", 4)));
    let told: Vec<_> = findings.iter().map(|f| f.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "this quote is not closed",
            "there is text behind the closing quote"
        ]
    );
}

proptest! {
    #[test]
    fn quoted_values_survive(value in "[^\r]{0,40}", windows: bool) {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let end = if windows { "\r\n" } else { "\n" };
        let (dotenv, findings) = parse(&format!("X=1{end}A=\"{escaped}\"{end}Y=2{end}"));
        prop_assert!(findings.is_empty());
        prop_assert_eq!(dotenv.get("A"), Some((value.as_str(), 2)));
        prop_assert_eq!(dotenv.get("Y"), Some(("2", 3)));
    }

    #[test]
    fn plain_values_survive(value in "[a-zA-Z0-9_/:.=+-]{0,40}") {
        assert_value(&format!("A={value}"), &value);
        assert_value(&format!("A='{value}'"), &value);
    }

    #[test]
    fn no_text_makes_it_panic_or_is_quoted(text in "[A-Z='\" \n\r\\\\#한]{0,60}") {
        for finding in parse(&format!("{text}\ncanary")).1 {
            prop_assert!(!finding.message.contains("canary"));
        }
    }
}

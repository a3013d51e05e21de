use std::{path::Path, sync::Arc};

use proptest::prelude::*;

use super::{Origin, Resolver, is_name, parse::pieces};
use crate::config::{
    dotenv::Dotenv,
    finding::{Findings, Place, Source},
    tree::{Node, Text, Value},
};

fn source(text: &str) -> Arc<Source> {
    Arc::new(Source {
        name: String::new(),
        text: text.to_owned(),
        shown: true,
    })
}

/// What a text comes to where `A` is `a`, `E` is empty, and `.env` has `A`, `B` and `E`.
fn resolve(text: &str) -> Result<Text, String> {
    let findings = Findings::default();
    let dotenv = Dotenv::parse(&source("A=other\nB=${A}\nE=other\n"), &findings);
    let environment = |name: &str| match name {
        "A" => Some("a".to_owned()),
        "E" => Some(String::new()),
        _ => None,
    };
    let resolver = Resolver::new(&environment, &dotenv, Path::new("/nowhere"));
    let place = Place {
        source: source(text),
        span: 0..text.len(),
    };
    let mut node = Node {
        value: Value::String(Text::literal(text)),
        place,
    };
    resolver.resolve(&mut node, &findings);
    match node.value {
        Value::String(text) => Ok(text),
        Value::Unset(unset) => Err(format!(
            "{} at {:?}",
            unset.message, &text[unset.place.span]
        )),
        other => panic!("{other:?}"),
    }
}

#[test]
fn placeholders_in_all_their_forms() {
    for (text, value) in [
        ("${A}", "a"),
        ("x${A}y${A}", "xaya"),
        ("${A:-b}", "a"),
        ("${N:-b}", "b"),
        ("${E:-b}", "b"),
        ("${N:-}", ""),
        ("${N:-{uuid}}", "{uuid}"),
        ("${N:-${A}}", "a"),
        ("${N:-a ${M:-b} c}", "a b c"),
        ("${N:-http://h:1/?a:-b}", "http://h:1/?a:-b"),
        ("${B}", "${A}"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A {uuid} {{ $", "$A {uuid} {{ $"),
    ] {
        assert_eq!(resolve(text).unwrap().text, value, "{text}");
    }
}

#[test]
fn only_what_is_wholly_one_placeholder_adapts() {
    for (text, adapts) in [
        ("${A}", true),
        ("${N:-1}", true),
        ("x${A}", false),
        ("${A}${A}", false),
        ("a", false),
    ] {
        assert_eq!(resolve(text).unwrap().adapts, adapts, "{text}");
    }
}

#[test]
fn faults_are_told_with_their_place() {
    for (text, told) in [
        ("x${N}y", "the variable `N` is not set at \"${N}\""),
        ("${E}", "the variable `E` is set, but empty at \"${E}\""),
        ("x${A", "this placeholder has no closing `}` at \"${A\""),
        (
            "${}",
            "this is not a placeholder that can be resolved at \"${}\"",
        ),
        (
            "${1A}",
            "this is not a placeholder that can be resolved at \"${1A}\"",
        ),
        (
            "${A-b}",
            "this is not a placeholder that can be resolved at \"${A-b}\"",
        ),
        (
            "${A:?b}",
            "this is not a placeholder that can be resolved at \"${A:?b}\"",
        ),
        ("${file:}", "this placeholder names no file at \"${file:}\""),
        (
            "${file:key}",
            "the file `key` does not exist at \"${file:key}\"",
        ),
    ] {
        assert_eq!(resolve(text).unwrap_err(), told);
    }
}

#[test]
fn defaults_within_defaults_have_an_end() {
    let text = format!("{}x{}", "${N:-".repeat(10_000), "}".repeat(10_000));
    assert!(
        resolve(&text)
            .unwrap_err()
            .starts_with("placeholders are nested too deep")
    );
}

#[test]
fn origins_are_shown_without_values() {
    for (origin, shown) in [
        (Origin::Environment, "from the environment"),
        (Origin::DotEnv { line: 3 }, "from line 3 of .env"),
        (Origin::Default, "by default"),
        (Origin::File("/run/key".into()), "from /run/key"),
        (Origin::Unset, "not set"),
    ] {
        assert_eq!(origin.to_string(), shown);
    }
}

proptest! {
    #[test]
    fn text_without_a_dollar_is_left_alone(text in "[^$]{0,60}") {
        let resolved = resolve(&text).unwrap();
        prop_assert_eq!(resolved, Text::literal(text));
    }

    #[test]
    fn what_is_escaped_stays(text in "[a-z{} ]{0,20}") {
        let escaped = format!("{text}$${{{text}");
        let expected = format!("{text}${{{text}");
        prop_assert_eq!(resolve(&escaped).unwrap().text, expected);
    }

    #[test]
    fn a_default_is_what_stands_in_it(name in "[F-Z_][A-Z0-9_]{0,10}", default in "[a-z0-9:/. -]{0,20}") {
        prop_assert!(is_name(&name));
        let resolved = resolve(&format!("<${{{name}:-{default}}}>")).unwrap();
        prop_assert_eq!(resolved.text, format!("<{default}>"));
    }

    #[test]
    fn no_text_makes_it_panic(text in "[$A{}:file/한-]{0,40}") {
        let _ = (pieces(&text).is_ok(), resolve(&text).is_ok());
    }
}

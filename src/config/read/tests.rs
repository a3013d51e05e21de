use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;

use super::*;
use crate::config::finding::{Renderer, Source};

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    name: String,
    #[serde(default)]
    burst: Option<u8>,
    #[serde(default)]
    ratio: f32,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    pair: Option<(i64, bool)>,
    #[serde(default)]
    action: Option<Action>,
    #[serde(default)]
    shape: Option<Shape>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Refuse,
    Wait { seconds: u32 },
    Tell(String),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
enum Shape {
    Round { radius: u32 },
    Flat,
}

/// What a table comes to, and what is told of it.
fn read(text: &str) -> (Option<Limits>, String) {
    let findings = Findings::default();
    let source = Arc::new(Source {
        name: "config.toml".to_owned(),
        text: text.to_owned(),
        shown: true,
    });
    let tree = crate::config::tree::parse(&source, &findings).unwrap();
    let value = Section::new(&tree, &findings).read();
    (value, Renderer::plain().render_all(&findings.sorted()))
}

/// Lines that begin with `error:` or hold `help:`.
fn told(text: &str) -> Vec<String> {
    let (value, told) = read(text);
    assert!(value.is_none(), "{told}");
    let is_said = |line: &&str| line.starts_with("error") || line.contains("= help");
    told.lines()
        .filter(is_said)
        .map(|line| line.trim().to_owned())
        .collect()
}

#[test]
fn everything_that_serde_can_say() {
    let (limits, told) = read(
        "name = 'a'\nburst = 255\nratio = 1\nheaders = { X = 'y' }\npair = [1, true]\naction = { wait = { seconds = 3 } }\nshape = { is = 'round', radius = 4 }\n",
    );
    assert_eq!(told, "");
    let limits = limits.unwrap();
    assert_eq!(limits.burst, Some(255));
    assert_eq!(limits.pair, Some((1, true)));
    assert_eq!(limits.action, Some(Action::Wait { seconds: 3 }));
    assert_eq!(limits.shape, Some(Shape::Round { radius: 4 }));
    for (text, action) in [
        ("'refuse'", Action::Refuse),
        ("{ tell = 'x' }", Action::Tell("x".to_owned())),
    ] {
        let (limits, _) = read(&format!("name = 'a'\naction = {text}\n"));
        assert_eq!(limits.unwrap().action, Some(action));
    }
}

#[test]
fn every_error_is_told_in_words() {
    for (text, expected) in [
        (
            "name = 1",
            &["error: expected a string, found a whole number"][..],
        ),
        ("burst = 1", &["error: the key `name` is missing here"]),
        (
            "name = 'a'\nburst = 256",
            &["error: expected a whole number from 0 to 255, found 256"],
        ),
        (
            "name = 'a'\nratio = 'x'",
            &["error: expected a number, found a string"],
        ),
        (
            "name = 'a'\nheaders = []",
            &["error: expected a table, found an array"],
        ),
        (
            "name = 'a'\nheaders = { A = 1, B = true }",
            &[
                "error: expected a string, found a whole number",
                "error: expected a string, found a boolean",
            ],
        ),
        (
            "name = 'a'\npair = [1]",
            &["error: expected an array of 2 elements, found 1 element"],
        ),
        (
            "name = 'a'\npair = [1, 2]",
            &["error: expected true or false, found a whole number"],
        ),
        (
            "name = 'a'\naction = 'refus'",
            &[
                "error: expected one of \"refuse\", \"wait\", \"tell\", found \"refus\"",
                "= help: did you mean \"refuse\"?",
            ],
        ),
        (
            "name = 'a'\naction = { wait = { secnds = 1, x = 2 } }",
            &[
                "error: unknown key `secnds`",
                "= help: did you mean `seconds`?",
                "error: unknown key `x`",
                "= help: known keys: seconds",
            ],
        ),
        (
            "name = 'a'\naction = { wait = 3 }",
            &["error: expected a table, found a whole number"],
        ),
        (
            "name = 'a'\naction = { wait = {}, tell = 'x' }",
            &["error: expected a string, found a table"],
        ),
        (
            "name = 'a'\nshape = { is = 'round', radius = 1, color = 2 }",
            &["error: unknown key `color`", "= help: known keys: radius"],
        ),
        (
            "nmae = 'a'\nbusrt = 3\nzzz = 1",
            &[
                "error: unknown key `nmae`",
                "= help: did you mean `name`?",
                "error: unknown key `busrt`",
                "= help: did you mean `burst`?",
                "error: unknown key `zzz`",
                "= help: known keys: name, burst, ratio, headers, pair, action, shape",
            ],
        ),
    ] {
        assert_eq!(told(text), expected, "{text}");
    }
}

#[test]
fn a_slip_of_a_key_of_the_host_is_suggested_to_the_kind() {
    let findings = Findings::default();
    let source = Arc::new(Source {
        name: "config.toml".to_owned(),
        text: "name = 'a'\non_eror = 'skip'\nkind = 'x'\n".to_owned(),
        shown: true,
    });
    let tree = crate::config::tree::parse(&source, &findings).unwrap();
    let (host, kind) = Section::new(&tree, &findings).split(crate::config::stage::KEYS);
    assert!(host.read::<crate::config::Stage>().is_some());
    assert!(kind.read::<Limits>().is_none());
    let told = findings.sorted();
    assert_eq!(told[0].message, "unknown key `on_eror`");
    assert_eq!(told[0].help.as_deref(), Some("did you mean `on_error`?"));
    assert_eq!(told.len(), 1);
}

/// Quotes what it refuses.
#[derive(Debug, Deserialize)]
struct Chatty {
    #[serde(deserialize_with = "refuse")]
    #[expect(dead_code, reason = "it cannot be read")]
    key: String,
}

fn refuse<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    Err(serde::de::Error::custom(format!("{text} will not do")))
}

#[test]
fn what_a_type_says_of_a_value_from_outside_does_not_show_it() {
    let text = crate::config::tree::Text {
        text: "canary".to_owned(),
        from: vec!["`KEY` (from the environment)".to_owned()],
        adapts: true,
    };
    let findings = Findings::default();
    let source = Arc::new(Source {
        name: "config.toml".to_owned(),
        text: "key = '${KEY}'".to_owned(),
        shown: true,
    });
    let mut tree = crate::config::tree::parse(&source, &findings).unwrap();
    let Value::Table(table) = &mut tree.value else {
        panic!("a file is a table");
    };
    for (_, node) in table.iter_mut() {
        node.value = Value::String(text.clone());
    }
    let section = Section::new(&tree, &findings);
    assert!(section.read::<Chatty>().is_none());
    section.report(&["key"], "header value canary is not ASCII");
    let told: Vec<_> = findings.sorted().into_iter().map(|f| f.message).collect();
    assert_eq!(
        told,
        [
            "… will not do; the value comes from `KEY` (from the environment)",
            "header value … is not ASCII",
        ]
    );
}

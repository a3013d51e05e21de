use std::sync::Arc;

use proptest::prelude::*;

use super::{Finding, Findings, Place, Renderer, Source, mask, width::width};

fn place(text: &str, part: &str) -> Place {
    let start = text.find(part).unwrap();
    Place {
        source: Arc::new(Source {
            name: "config.toml".to_owned(),
            text: text.to_owned(),
            shown: true,
        }),
        span: start..start + part.len(),
    }
}

fn masked(line: &str) -> String {
    let parts = mask::secrets(line);
    let hide = |(at, c)| {
        if parts.iter().any(|part| part.contains(&at)) {
            '*'
        } else {
            c
        }
    };
    line.char_indices().map(hide).collect()
}

#[test]
fn secrets_in_lines_are_masked() {
    for (line, shown) in [
        ("api_key = \"sk-1\"", "api_key = \"****\""),
        ("api_key = 'sk-1' # mine", "api_key = '****' # mine"),
        ("api_key=\"sk-1", "api_key=\"****"),
        ("api_key = sk-1", "api_key = ****"),
        ("api_keys = [\"a\", 'bc']", "api_keys = [\"*\", '**']"),
        (
            "headers = { \"x-dep-ticket\" = \"t\", b = \"c\" }",
            "headers = { \"x-dep-ticket\" = \"*\", b = \"c\" }",
        ),
        ("api_key = \"${KEY}\"", "api_key = \"${KEY}\""),
        ("model = \"gpt-4\"", "model = \"gpt-4\""),
        ("max_tokens = 5", "max_tokens = 5"),
        ("use_tokens = true", "use_tokens = true"),
        (
            "budget = { tokens = \"5M/year\", token = \"t\" }",
            "budget = { tokens = \"5M/year\", token = \"*\" }",
        ),
        (
            "proxy = \"http://me:pw@host/\"",
            "proxy = \"http://*****@host/\"",
        ),
        (
            "api_key = \"http://me:pw@host\"",
            "api_key = \"*****************\"",
        ),
        (
            "api_key = \"a\", other_key = \"b\"",
            "api_key = \"*\", other_key = \"*\"",
        ),
        ("secret = \"\"\"one", "secret = \"\"\"***"),
    ] {
        assert_eq!(masked(line), shown);
    }
}

#[test]
fn a_wide_line_is_cut_around_the_caret() {
    let text = format!(
        "a = \"{}\", retires = 3, b = \"{}\"",
        "x".repeat(300),
        "y".repeat(300)
    );
    let told = Renderer::plain().render(&Finding::error("wrong").at(place(&text, "retires")));
    let lines: Vec<_> = told.lines().collect();
    let shown = lines[3].strip_prefix("1 | ").unwrap();
    let caret = lines[4].strip_prefix("  | ").unwrap();
    assert!(shown.starts_with('…') && shown.ends_with('…'), "{shown}");
    let before = caret.chars().take_while(|c| *c == ' ').count();
    let under: String = shown.chars().skip(before).take(7).collect();
    assert_eq!((under.as_str(), caret.trim()), ("retires", "^^^^^^^"));
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let finding = Finding::error("bad \u{1b}[2J").at(place("a = '\u{1b}[2J\u{202e}'", "a"));
    let told = Renderer::plain().render(&finding);
    assert!(!told.contains(['\u{1b}', '\u{202e}']), "{told:?}");
}

#[test]
fn colours_only_where_asked_for() {
    let finding = Finding::warning("odd").help("do this".to_owned());
    assert_eq!(
        Renderer::plain().render(&finding),
        "warning: odd\n = help: do this\n"
    );
    let colored = Renderer::plain().color(true).render(&finding);
    assert!(
        colored.starts_with("\u{1b}[1;33mwarning\u{1b}[0m"),
        "{colored:?}"
    );
}

#[test]
fn json_has_lines_and_columns() {
    let finding = Finding::error("wrong")
        .at(place("[a]\n한 = true\n", "true"))
        .help("right".to_owned());
    let expected = serde_json::json!({
        "severity": "error", "message": "wrong", "file": "config.toml",
        "line": 2, "column": 5, "end_line": 2, "end_column": 9, "help": "right",
    });
    assert_eq!(finding.to_json(), expected);
}

#[test]
fn findings_are_sorted_by_place_and_told_once() {
    let text = "one two three";
    let findings = Findings::default();
    for part in ["three", "one", "two", "one"] {
        findings.add(Finding::error(part).at(place(text, part)));
    }
    findings.add(Finding::warning("whole"));
    let told: Vec<_> = findings.sorted().into_iter().map(|f| f.message).collect();
    assert_eq!(told, ["whole", "one", "two", "three"]);
    assert!(findings.has_errors());
}

#[test]
fn widths() {
    for (character, columns) in [
        ('a', 1),
        ('é', 1),
        ('한', 2),
        ('漢', 2),
        ('ｗ', 2),
        ('\u{1161}', 0),
        ('\u{301}', 0),
        ('…', 1),
    ] {
        assert_eq!(width(character), columns, "{character:?}");
    }
}

proptest! {
    #[test]
    fn the_caret_stands_under_the_part(before in "[a한é\t]{0,30}", part in "[b漢]{1,10}", after in "[c한]{0,150}") {
        let text = format!("{before}{part}{after}");
        let told = Renderer::plain().render(&Finding::error("x").at(place(&text, &part)));
        let lines: Vec<_> = told.lines().collect();
        let shown = lines[3].strip_prefix("1 | ").unwrap();
        let caret = lines[4].strip_prefix("  | ").unwrap();
        let start = caret.find('^').unwrap();
        let mut column = 0;
        let under: String = shown.chars().filter(|c| {
            let inside = column >= start && column < caret.len();
            column += width(*c);
            inside
        }).collect();
        prop_assert_eq!(under, part);
    }

    #[test]
    fn no_place_makes_it_panic(text in ".{0,40}\n?.{0,40}", start in 0usize..100, length in 0usize..100) {
        let place = Place { span: start..start + length, ..place(&text, "") };
        let finding = Finding::error("x").at(place);
        let _ = (Renderer::plain().render(&finding), finding.to_json());
    }
}

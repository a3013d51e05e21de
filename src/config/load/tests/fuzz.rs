//! Whatever the file holds, there is an answer.

use proptest::prelude::*;

use super::*;

#[test]
fn nesting_has_an_end() {
    let many = 50_000;
    for text in [
        format!("a = {}{}", "[".repeat(many), "]".repeat(many)),
        format!("{}a = 1", "a.".repeat(many)),
        format!("[{}a]", "a.".repeat(many)),
        format!("a = {}", "{ a = ".repeat(many)),
        format!(
            "[{}]\n{} = {}1{}",
            ["a"; 70].join("."),
            ["b"; 70].join("."),
            "[".repeat(70),
            "]".repeat(70)
        ),
    ] {
        assert!(load_text(&text).findings.has_errors());
    }
}

/// Pieces that make for files that nearly work.
fn scraps() -> impl Strategy<Value = String> {
    let scrap = prop::sample::select(vec![
        "[",
        "]",
        "{",
        "}",
        "\"",
        "'",
        "\"\"\"",
        "=",
        ".",
        ",",
        "\n",
        "\r\n",
        "\t",
        " ",
        "#",
        "${",
        "$${",
        "${A}",
        "${A:-",
        "${file:/x}",
        "routes",
        "providers",
        "stages",
        "environment",
        "development",
        "[routes.a]\n",
        "[[routes.a]]\n",
        "targets = ",
        "params = ",
        "model = ",
        "\"a\"",
        "[server]\n",
        "listen = ",
        "1",
        "-1",
        "1.5",
        "true",
        "1979-05-27",
        "온도",
        "\u{feff}",
        "\u{0}",
        "when = { provider = 3 }",
        "inf",
        "9223372036854775808",
    ]);
    prop::collection::vec(scrap, 0..40).prop_map(|scraps| scraps.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_makes_it_panic(text in scraps(), dotenv in scraps(), value in ".{0,10}") {
        let loaded = load_with(&text, &dotenv, &[("A", &value)]);
        render(&loaded);
        for finding in loaded.findings.sorted() {
            let _ = finding.to_json();
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let findings = Findings::default();
        let source = file::text(Path::new("config.toml"), &bytes, true, &findings);
        let input = Input { source, dotenv: None, folder: Path::new(""), environment: &|_| None };
        render(&input.load(findings));
    }
}

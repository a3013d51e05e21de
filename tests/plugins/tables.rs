//! What a plugin's table may say, and how it is told of what is wrong with it.

use std::path::{Path, PathBuf};

use super::{
    config,
    support::{
        Gateway,
        plugins::{Folder, check},
    },
};

const SCHEMA: &str = r#"{
    "type": "object",
    "properties": {
        "word": { "type": "string" },
        "count": { "type": "integer", "minimum": 1, "maximum": 9 },
        "ratio": { "type": ["number", "null"] },
        "style": { "enum": ["short", "long"] },
        "rules": { "type": "array", "items": { "$ref": "@/$defs/Rule" } }
    },
    "required": ["word"],
    "additionalProperties": false,
    "$defs": { "Rule": {
        "type": "object",
        "properties": { "from": { "type": "string", "pattern": "^[a-z]+$" } },
        "required": ["from"]
    } }
}"#;

fn with_schema(folder: &Folder) -> PathBuf {
    let schema = SCHEMA.replace('@', "#").replace('\n', " ");
    let schema = schema.replace('"', "\\\"");
    folder.build("probe.so", "probe", &[&format!("SCHEMA=\"{schema}\"")])
}

/// What is told of a table, from the first word to the last caret.
fn told(library: &Path, table: &str) -> String {
    let (code, said) = check(
        &config(library, "", table),
        &[],
        &[("SECRET", "canary-secret")],
    );
    assert_eq!(code, 1, "{table}: {said}");
    assert!(!said.contains("canary"), "{said}");
    said
}

#[test]
fn the_schema_of_the_plugin_tells_of_each_fault_at_its_place() {
    let folder = Folder::new();
    let library = with_schema(&folder);
    for (table, expected) in [
        (
            "wrod = \"x\"",
            "error: unknown key `wrod`\n --> config.toml:7:1\n  |\n7 | wrod = \"x\"\n  | ^^^^\n  = help: did you mean `word`?\n",
        ),
        (
            "count = 3",
            "error: the key `word` is missing here\n --> config.toml:5:1\n  |\n5 | [stages.echo]\n  | ^^^^^^^^^^^^^\n",
        ),
        (
            "word = \"x\"\ncount = \"three\"",
            "error: expected a whole number, found a string\n --> config.toml:8:9\n  |\n8 | count = \"three\"\n  |         ^^^^^^^\n",
        ),
        (
            "word = \"x\"\ncount = 0",
            "error: expected 1 or more, found 0\n --> config.toml:8:9\n",
        ),
        (
            "word = \"x\"\nstyle = \"shrt\"",
            "error: expected one of \"short\", \"long\", found \"shrt\"\n --> config.toml:8:9\n  |\n8 | style = \"shrt\"\n  |         ^^^^^^\n  = help: did you mean \"short\"?\n",
        ),
        (
            "word = \"x\"\nratio = true",
            "error: expected a number, found a boolean\n --> config.toml:8:9\n",
        ),
        (
            "word = \"x\"\nrules = [{ from = \"abc\" }, { from = \"ABC\" }]",
            "error: expected a text that matches `^[a-z]+$`, found \"ABC\"\n --> config.toml:8:37\n",
        ),
        (
            "word = \"x\"\ncount = \"${SECRET}\"",
            "error: expected a whole number, which the value of `SECRET` (from the environment) is not\n --> config.toml:8:9\n",
        ),
        ("word = \"${NOT_SET}\"", "NOT_SET"),
    ] {
        let said = told(&library, table);
        assert!(
            said.contains(expected),
            "expected\n{expected}\nfound\n{said}"
        );
    }
}

#[test]
fn what_the_plugin_itself_refuses_is_told_at_its_place_too() {
    let folder = Folder::new();
    let library = folder.build("probe.so", "probe", &[]);
    let said = told(&library, "word = \"unloved\"");
    let expected = "error: nobody likes this word\n --> config.toml:7:8\n  |\n7 | word = \"unloved\"\n  |        ^^^^^^^^^\n";
    assert!(said.contains(expected), "{said}");
}

#[tokio::test]
async fn a_placeholder_takes_the_type_that_the_schema_wants() {
    let folder = Folder::new();
    let library = with_schema(&folder);
    let table = "word = \"${WORD}\"\ncount = \"${COUNT}\"\nratio = \"${RATIO}\"";
    let environment = [("WORD", "12"), ("COUNT", "7"), ("RATIO", "0.5")];
    let gateway = Gateway::start_with(&config(&library, "", table), &environment).await;
    assert_eq!(
        super::echo(&super::Client::new(&gateway)).await,
        r#"1.0.0 {"word":"12","count":7,"ratio":0.5}"#
    );
}

#[test]
fn a_kind_that_there_is_not() {
    let folder = Folder::new();
    let library = folder.build("probe.so", "probe", &[]);
    let config = config(&library, "", "");
    for (kind, help) in [
        ("probe/ehco", "did you mean `probe/echo`?"),
        ("prober/echo", "did you mean `probe/echo`?"),
        (
            "something/entirely",
            "name the library that has it: [plugins.something] with its `path`",
        ),
        ("probe/entirely", "probe/echo"),
    ] {
        let (code, said) = check(&config.replace("probe/echo", kind), &[], &[]);
        assert_eq!(code, 1, "{said}");
        let message = format!("there is no stage kind `{kind}`\n --> config.toml:6:8\n");
        assert!(said.contains(&message), "{said}");
        assert!(said.contains(help), "{help}: {said}");
    }
}

#[test]
fn a_plugin_that_nothing_uses_is_a_warning() {
    let folder = Folder::new();
    let library = folder.build("probe.so", "probe", &[]);
    let config = config(&library, "", "");
    let unused = config.replace("kind = \"probe/echo\"", "kind = \"redact\"");
    let (code, said) = check(&unused, &[], &[]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("warning: nothing uses the plugin `probe`\n --> config.toml:2:10\n"),
        "{said}"
    );
    assert!(
        said.contains("name one of its kinds: `probe/echo`"),
        "{said}"
    );
}

/// Where `check` is not to run anybody's code.
#[test]
fn check_can_leave_plugins_alone() {
    let folder = Folder::new();
    let library = folder.write("anything.so", b"no library");
    let (code, said) = check(
        &config(&library, "", "anything = 1"),
        &["--no-plugins"],
        &[],
    );
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("plugins\n  probe  not loaded\n"), "{said}");
    let (code, _) = check(&config(&library, "", "anything = 1"), &[], &[]);
    assert_eq!(code, 1);
}

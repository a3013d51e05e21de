//! What an operator is told, to the letter.

use super::*;

/// Compares what is told with `expected`, whose first line break is only there for the looks.
#[track_caller]
fn assert_told(loaded: &Loaded, expected: &str) {
    assert_eq!(
        render(loaded),
        expected.strip_prefix('\n').unwrap_or(expected)
    );
}

#[test]
fn unknown_key_with_the_one_that_was_meant() {
    assert_told(
        &load_text("[routes.default]\ntargets = [\"ollama\"]\n  retires = 3\n"),
        "
error: unknown key `retires`
 --> config.toml:3:3
  |
3 |   retires = 3
  |   ^^^^^^^
  = help: did you mean `retries`?
",
    );
}

#[test]
fn wrong_type() {
    assert_told(
        &load_text("[routes.default]\nbackoff = true\n"),
        "
error: expected a duration like \"250ms\", found a boolean
 --> config.toml:2:11
  |
2 | backoff = true
  |           ^^^^
",
    );
}

#[test]
fn several_errors_in_one_table_and_across_tables() {
    let text = r#"[server]
listen = "here"
max_headers = -1
expose = "ful"
header_timeout = "5 parsecs"
[admin]
host = []
[routes.a]
retries = 1.5
model = 4
params = 3
[sevrer]
"#;
    assert_told(
        &load_text(text),
        r#"
error: expected an address and port like "127.0.0.1:8080"
 --> config.toml:2:10
  |
2 | listen = "here"
  |          ^^^^^^

error: expected a whole number from 1 to 4294967295, found -1
 --> config.toml:3:15
  |
3 | max_headers = -1
  |               ^^

error: expected one of "full", "minimal", found "ful"
 --> config.toml:4:10
  |
4 | expose = "ful"
  |          ^^^^^
  = help: did you mean "full"?

error: expected a duration like "250ms", found "5 parsecs"
 --> config.toml:5:18
  |
5 | header_timeout = "5 parsecs"
  |                  ^^^^^^^^^^^

error: unknown key `host`
 --> config.toml:7:1
  |
7 | host = []
  | ^^^^
  = help: did you mean `hosts`?

error: expected a whole number, found a decimal number
 --> config.toml:9:11
  |
9 | retries = 1.5
  |           ^^^

error: expected a string or an array of strings, found a whole number
  --> config.toml:10:9
   |
10 | model = 4
   |         ^

error: expected a table, found a whole number
  --> config.toml:11:10
   |
11 | params = 3
   |          ^

error: unknown key `sevrer`
  --> config.toml:12:2
   |
12 | [sevrer]
   |  ^^^^^^
   = help: did you mean `server`?
"#,
    );
}

#[test]
fn errors_in_the_elements_of_an_array() {
    let text = "[routes.a]\ntargets = [{ model = \"x\" }, 3, { provider = \"p\", modle = \"q\", weight = \"w\" }]\n";
    assert_told(
        &load_text(text),
        r#"
error: the key `provider` is missing here
 --> config.toml:2:12
  |
2 | targets = [{ model = "x" }, 3, { provider = "p", modle = "q", weight = "w" }]
  |            ^^^^^^^^^^^^^^^

error: expected a target like "provider", "provider/model" or { provider = "…" }, found a whole number
 --> config.toml:2:29
  |
2 | targets = [{ model = "x" }, 3, { provider = "p", modle = "q", weight = "w" }]
  |                             ^

error: unknown key `modle`
 --> config.toml:2:50
  |
2 | targets = [{ model = "x" }, 3, { provider = "p", modle = "q", weight = "w" }]
  |                                                  ^^^^^
  = help: did you mean `model`?

error: expected a whole number, found a string
 --> config.toml:2:72
  |
2 | targets = [{ model = "x" }, 3, { provider = "p", modle = "q", weight = "w" }]
  |                                                                        ^^^
"#,
    );
}

#[test]
fn a_missing_key_is_not_told_where_a_slip_of_it_is() {
    assert_told(
        &load_text("[routes.a]\ntargets = [{ povider = \"p\" }]\n"),
        "
error: unknown key `povider`
 --> config.toml:2:14
  |
2 | targets = [{ povider = \"p\" }]
  |              ^^^^^^^
  = help: did you mean `provider`?
",
    );
}

#[test]
fn an_error_in_an_overlay_points_into_the_overlay() {
    let text = "[routes.default]\nretries = 2\n[environment.development.routes.default]\nretries = \"many\"\n";
    assert_told(
        &load_text(text),
        "
error: expected a whole number, found a string
 --> config.toml:4:11
  |
4 | retries = \"many\"
  |           ^^^^^^
",
    );
}

#[test]
fn korean_before_the_caret_takes_two_columns_a_character() {
    assert_told(
        &load_text("[routes.default]\nparams = { \"온도\" = \"한국어 ${a-b}\" }\n"),
        "
error: this is not a placeholder that can be resolved
 --> config.toml:2:24
  |
2 | params = { \"온도\" = \"한국어 ${a-b}\" }
  |                             ^^^^^^
  = help: there are `${NAME}`, `${NAME:-default}` and `${file:/path}`; `$${` is a literal `${`
",
    );
}

#[test]
fn a_tab_takes_four_columns() {
    assert_told(
        &load_text("[routes.default]\r\n\tretries\t=\ttrue # 탭\r\n"),
        "
error: expected a whole number, found a boolean
 --> config.toml:2:12
  |
2 |     retries    =    true # 탭
  |                     ^^^^
",
    );
}

#[test]
fn a_variable_of_the_wrong_type_keeps_its_value() {
    let text = "[routes.default]\nretries = \"${N}\"\nstrategy = \"${N}\"\nbackoff = \"${N}\"\n[providers.a]\nbase_url = \"${U}\"\n";
    let loaded = load_with(text, "N=canary\n", &[("U", "ftp://canary")]);
    assert_told(
        &loaded,
        r#"
error: expected a whole number, which the value of `N` (from line 1 of .env) is not
 --> config.toml:2:11
  |
2 | retries = "${N}"
  |           ^^^^^^

error: expected one of "fallback", "weighted", "least_busy", which the value of `N` (from line 1 of .env) is not
 --> config.toml:3:12
  |
3 | strategy = "${N}"
  |            ^^^^^^

error: expected a duration like "250ms", which the value of `N` (from line 1 of .env) is not
 --> config.toml:4:11
  |
4 | backoff = "${N}"
  |           ^^^^^^

error: expected a URL that begins with http:// or https://; the value comes from `U` (from the environment)
 --> config.toml:6:12
  |
6 | base_url = "${U}"
  |            ^^^^^^
"#,
    );
    assert!(!format!("{loaded:?}").contains("canary"));
}

#[test]
fn an_unset_variable_where_it_is_needed() {
    assert_told(
        &load_text("[routes.default]\nmodel = [\"a\", \"x-${MODEL}\"]\n"),
        "
error: the variable `MODEL` is not set
 --> config.toml:2:18
  |
2 | model = [\"a\", \"x-${MODEL}\"]
  |                  ^^^^^^^^
  = help: set it in the environment or in the .env file beside the configuration, or give a default: `${MODEL:-…}`
",
    );
}

#[test]
fn an_unset_variable_in_a_table_counts_once_the_table_is_reached() {
    let loaded = load_text("[providers.a]\nbase_url = \"${A_URL}\"\nmodel = \"m\"\n");
    assert_told(&loaded, "");
    assert_eq!(loaded.config.providers.get("a").unwrap().base_url, None);
    let (host, _) = loaded
        .section(&["providers", "a"])
        .unwrap()
        .split(crate::config::provider::KEYS);
    assert!(host.read_lenient::<crate::config::Provider>().is_some());
    assert!(host.read::<crate::config::Provider>().is_none());
    assert_told(
        &loaded,
        "
error: the variable `A_URL` is not set
 --> config.toml:2:13
  |
2 | base_url = \"${A_URL}\"
  |             ^^^^^^^^
  = help: set it in the environment or in the .env file beside the configuration, or give a default: `${A_URL:-…}`
",
    );
}

#[test]
fn bad_lines_of_a_dotenv_are_told_and_not_shown() {
    assert_told(
        &load_with("[log]\n", "A=b\ncanary\n1x=canary\nB=\"canary", &[]),
        "
error: this line has no `=`
 --> .env:2:1
  = help: a line is NAME=value, NAME='value' or NAME=\"value\"; the line is not shown because it may hold a secret

error: what stands before `=` is not the name of a variable
 --> .env:3:1
  = help: a line is NAME=value, NAME='value' or NAME=\"value\"; the line is not shown because it may hold a secret

error: this quote is not closed
 --> .env:4:3
  = help: a line is NAME=value, NAME='value' or NAME=\"value\"; the line is not shown because it may hold a secret
",
    );
}

#[test]
fn bad_syntax() {
    assert_told(
        &load_text("[server\nlisten = 1\n"),
        "
error: unclosed table, expected `]`
 --> config.toml:1:8
  |
1 | [server
  |        ^
",
    );
}

#[test]
fn duplicate_key() {
    assert_told(
        &load_text("[server]\nlisten = \"a\"\nlisten = \"b\"\n"),
        "
error: `listen` is there already
 --> config.toml:3:1
  |
3 | listen = \"b\"
  | ^^^^^^
",
    );
}

#[test]
fn truncated_file_whose_last_value_is_a_secret() {
    assert_told(
        &load_text("[providers.ollama]\napi_key = \"sk-canary"),
        "
error: invalid basic string, expected `\"`
 --> config.toml:2:21
  |
2 | api_key = \"*********
  |                     ^
  = help: the file ends here; it may be only half written
",
    );
}

#[test]
fn file_that_says_nothing() {
    for (text, what) in [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("# to do\n", "sets nothing"),
    ] {
        assert_told(
            &load_text(text),
            &format!(
                "error: the file `config.toml` {what}\n = help: a file needs at least a [providers.NAME] and a [routes.NAME] table\n"
            ),
        );
    }
}

#[test]
fn values_where_tables_belong_and_names_that_are_none() {
    assert_told(
        &load_text("routes = 3\n[providers]\n\"a/b\" = 4\n"),
        "
error: expected a table [routes.NAME], found a whole number
 --> config.toml:1:10
  |
1 | routes = 3
  |          ^

error: `a/b` cannot be a name
 --> config.toml:3:1
  |
3 | \"a/b\" = 4
  | ^^^^^
  = help: a name is made of the letters a to z, digits, `_`, `-` and `.`

error: expected a table [providers.a/b], found a whole number
 --> config.toml:3:9
  |
3 | \"a/b\" = 4
  |         ^
",
    );
}

#[test]
fn missing_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let loaded = load(&path, &|_| None);
    let expected = format!(
        "error: there is no file `{}`\n = help: create it, or name another one with `--config`\n",
        path.display()
    );
    assert_told(&loaded, &expected);
    assert_eq!(loaded.config.pipeline, ["route"]);
}

#[test]
fn files_that_are_no_utf8_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let name = path.display().to_string();
    for (bytes, expected) in [
        (
            &b"\xef\xbb\xbf[log]\nlevel = \"\xff\"\n"[..],
            format!(
                "error: this byte is not UTF-8 text\n --> {name}:2:10\n  |\n2 | level = \"\u{fffd}\"\n  |          ^\n  = help: save the file as UTF-8\n"
            ),
        ),
        (
            b"\xff\xfe[\0l\0",
            format!("error: the file `{name}` is UTF-16 text\n = help: save it as UTF-8\n"),
        ),
    ] {
        std::fs::write(&path, bytes).unwrap();
        assert_told(&load(&path, &|_| None), &expected);
    }
}

#[test]
fn stages_and_codecs_report_where_the_fault_lies() {
    let text = "pipeline = [\"route\", \"x\"]\n[stages.x]\nkind = \"auth_header\"\nheaders = { a = \"1\", \"b c\" = \"2\" }\n";
    let loaded = load_text(text);
    let (_, kind) = loaded
        .section(&["stages", "x"])
        .unwrap()
        .split(crate::config::stage::KEYS);
    kind.report(&["headers", "b c"], "this is not the name of a header");
    loaded.report(
        &["pipeline", "1"],
        Severity::Warning,
        "this stage does nothing",
        None,
    );
    loaded.report_key(
        &["stages", "x", "kind"],
        Severity::Error,
        "no such kind",
        None,
    );
    loaded.report(
        &["stages", "gone", "kind"],
        Severity::Error,
        "missing",
        None,
    );
    assert_told(
        &loaded,
        "
error: missing

warning: this stage does nothing
 --> config.toml:1:22
  |
1 | pipeline = [\"route\", \"x\"]
  |                      ^^^

error: no such kind
 --> config.toml:3:1
  |
3 | kind = \"auth_header\"
  | ^^^^

error: this is not the name of a header
 --> config.toml:4:30
  |
4 | headers = { a = \"1\", \"b c\" = \"2\" }
  |                              ^^^
",
    );
}

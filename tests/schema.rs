//! `millgate schema`: the JSON Schema of the config, and its reference in docs/configuration.md.

use std::process::Command;

use jsonschema::Validator;
use serde_json::{Value, json};

fn schema(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .arg("schema")
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn validator() -> Validator {
    let schema: Value = serde_json::from_str(&schema(&[])).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

/// What is wrong with a config, each with the place in it.
fn complaints(validator: &Validator, config: &Value) -> Vec<String> {
    validator
        .iter_errors(config)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

fn shipped() -> String {
    include_str!("../config.toml").to_owned()
}

fn parsed(toml: &str) -> Value {
    toml::from_str(toml).unwrap()
}

#[test]
fn the_shipped_config_is_valid() {
    let none: [String; 0] = [];
    assert_eq!(complaints(&validator(), &parsed(&shipped())), none);
}

/// What stands behind a single `#` is valid too.
#[test]
fn so_is_every_key_that_it_shows_with_its_default() {
    let shipped = shipped();
    let is_table = |line: &str| line.starts_with("#[") && line.ends_with(']');
    let is_key = |line: &str| {
        let key = line
            .strip_prefix('#')
            .and_then(|rest| rest.split_once(" = "));
        key.is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
    };
    let opened: Vec<_> = shipped
        .lines()
        .map(|line| match line {
            shown if is_key(shown) || is_table(shown) => &shown[1..],
            other => other,
        })
        .collect();
    let config = parsed(&opened.join("\n"));
    assert_eq!(
        config["server"]["max_body_size"], "32MiB",
        "the keys are opened"
    );
    assert_eq!(config["stages"]["auth"]["jwt"]["pause"], "5s");
    let none: [String; 0] = [];
    assert_eq!(complaints(&validator(), &config), none);
}

/// What else stands in such a table, only the plugin knows.
#[test]
fn kinds_of_plugins_are_welcome_with_whatever_keys_they_have() {
    let config = parsed(
        "[plugins.word-filter]\npath = \"filter.so\"\n\
         [stages.filter]\nkind = \"word-filter/filter\"\nheaders = \"text\"\nwords = [1]\non_error = \"skip\"\n\
         [providers.x]\nkind = \"acme/codec\"\nregion = \"eu\"\n\
         [environment.production.stages.filter]\nkind = \"word-filter/filter\"\nwords = []",
    );
    let none: [String; 0] = [];
    assert_eq!(complaints(&validator(), &config), none);
}

#[test]
fn mistakes_are_found_where_they_are() {
    let cases = [
        ("sevrer = 1", "", "sevrer"),
        ("[server]\nlistne = \"127.0.0.1:1\"", "/server", "listne"),
        (
            "[server]\nmax_headers = \"many\"",
            "/server/max_headers",
            "many",
        ),
        (
            "[server]\ndrain_timeout = \"5 parsecs\"",
            "/server/drain_timeout",
            "5 parsecs",
        ),
        ("[log]\nformat = \"xml\"", "/log/format", "xml"),
        ("[routes.a]\nretires = 3", "/routes/a", "retires"),
        (
            "[routes.a]\nstrategy = \"random\"",
            "/routes/a/strategy",
            "random",
        ),
        (
            "[routes.a]\ntargets = [{ model = \"m\" }]",
            "/routes/a/targets/0",
            "model",
        ),
        ("[routes.\"a b\"]\nretries = 1", "/routes", "a b"),
        ("[plugins.x]", "/plugins/x", "path"),
        (
            "[plugins.x]\npath = \"a\"\nsha256 = \"abc\"",
            "/plugins/x/sha256",
            "abc",
        ),
        (
            "[stages.x]\nkind = \"a/b\"\non_error = \"stop\"",
            "/stages/x/on_error",
            "stop",
        ),
        // Keys of another kind, whether the kind is said or taken from the name.
        (
            "[providers.x]\nkind = \"ollama\"\ninclude_usage = true",
            "/providers/x",
            "include_usage",
        ),
        (
            "[providers.ollama]\ninclude_usage = true",
            "/providers/ollama",
            "include_usage",
        ),
        (
            "[providers.x]\nkind = \"olama\"",
            "/providers/x/kind",
            "olama",
        ),
        (
            "[providers.x]\nbase_url = \"http://x\"",
            "/providers/x",
            "kind",
        ),
        (
            "[stages.x]\nkind = \"auth_header\"\nheader = {}",
            "/stages/x",
            "header",
        ),
        (
            "[stages.auth_header]\nheader = {}",
            "/stages/auth_header",
            "header",
        ),
        (
            "[environment.production.server]\nlistne = 1",
            "/environment/production/server",
            "listne",
        ),
        (
            "[environment.production.providers.x]\nbase_ulr = \"http://x\"",
            "/environment/production/providers/x",
            "base_ulr",
        ),
        (
            "[environment.production.environment.x]",
            "/environment/production",
            "environment",
        ),
    ];
    let validator = validator();
    for (toml, place, word) in cases {
        let complaints = complaints(&validator, &parsed(toml));
        let [complaint] = complaints.as_slice() else {
            panic!("{toml}: {complaints:#?}");
        };
        let (found, message) = complaint.split_once(": ").unwrap();
        assert_eq!(found, place, "{toml}: {complaint}");
        assert!(message.contains(word), "{toml}: {complaint}");
    }
}

#[test]
fn whatever_is_a_word_or_a_number_may_be_a_placeholder() {
    let config = parsed(
        r#"
        [server]
        listen = "${LISTEN}"
        max_body_size = "${SIZE:-1MiB}"
        max_headers = "${HEADERS}"
        allow_anonymous = "${OPEN:-false}"
        drain_timeout = "${DRAIN:-5}s"
        expose = "${EXPOSE}"
        [providers.a]
        kind = "${KIND:-openai}"
        base_url = "${URL}"
        include_usage = "${USAGE:-true}"
        [providers.rehearsal.faults]
        error_rate = "${RATE:-0.5}"
        [routes.a]
        retries = "${RETRIES}"
        strategy = "${STRATEGY}"
        targets = [{ provider = "a", weight = "${WEIGHT:-2}" }]
        fallback_on = ["${WHEN}"]
        "#,
    );
    let none: [String; 0] = [];
    assert_eq!(complaints(&validator(), &config), none);
}

/// An overlay says only what differs, and of what kind a table is may be said in the one below it.
#[test]
fn an_environment_may_hold_a_part_of_every_table() {
    let config = parsed(
        r#"
        [environment.production]
        pipeline = ["route"]
        [environment.production.server]
        workers = 2
        [environment.production.providers.internal]
        include_usage = false
        [environment.production.stages.company_headers]
        mode = "shadow"
        [environment.production.routes.default]
        targets = ["internal"]
        "#,
    );
    let none: [String; 0] = [];
    assert_eq!(complaints(&validator(), &config), none);
}

/// Editors look for what to suggest in `properties`, and know neither `if` nor what stands beside a `$ref`.
#[test]
fn the_keys_of_every_kind_are_there_to_be_suggested() {
    let schema: Value = serde_json::from_str(&schema(&[])).unwrap();
    for (table, keys) in [
        (
            "provider",
            ["base_url", "include_usage", "num_ctx", "faults"].as_slice(),
        ),
        (
            "provider.any",
            ["base_url", "include_usage", "num_ctx", "faults"].as_slice(),
        ),
        ("stage", ["when", "headers", "refuse"].as_slice()),
        ("stage.any", ["when", "headers", "refuse"].as_slice()),
    ] {
        for key in keys {
            let description = &schema["$defs"][table]["properties"][key]["description"];
            assert!(description.is_string(), "{key} of {table}");
        }
    }
    assert_eq!(
        schema["properties"]["providers"]["additionalProperties"],
        json!({ "$ref": "#/$defs/provider" })
    );
}

#[test]
fn the_reference_is_that_of_the_code() {
    let committed = include_str!("../docs/configuration.md");
    assert!(
        schema(&["--markdown"]) == committed,
        "docs/configuration.md is not what the code says: cargo run -- schema --markdown > docs/configuration.md"
    );
}

#[test]
fn the_reference_tells_of_every_key() {
    let schema: Value = serde_json::from_str(&schema(&[])).unwrap();
    let reference = include_str!("../docs/configuration.md");
    let tables = schema["$defs"].as_object().unwrap();
    let keys = tables
        .values()
        .filter_map(|table| table["properties"].as_object())
        .flat_map(|properties| properties.keys());
    let mut count = 0;
    for key in keys.filter(|key| {
        ![
            "plugins",
            "providers",
            "stages",
            "callers",
            "routes",
            "prices",
            "server",
            "admin",
            "log",
            "ledger",
            "traces",
        ]
        .contains(&key.as_str())
    }) {
        assert!(reference.contains(&format!("| `{key}` |")), "{key}");
        count += 1;
    }
    assert!(count > 50, "{count}");
    for row in reference
        .lines()
        .filter(|line| line.starts_with("| `") && !line.starts_with("| `$"))
    {
        let cells: Vec<_> = row.split(" | ").collect();
        assert_eq!(cells.len(), 4, "{row}");
        assert!(
            cells
                .iter()
                .all(|cell| !cell.trim_matches(['|', ' ']).is_empty()),
            "{row}"
        );
    }
}

//! Layers: environments, variables, types of what they bring.

use std::time::Duration;

use super::*;
use crate::config::{
    Patterns,
    placeholder::{Origin, Variable},
    route::{Strategy, Target},
};

#[test]
fn tables_merge_and_arrays_replace_whatever_the_depth() {
    let text = r#"
[routes.default]
targets = ["ollama", "rehearsal"]
retries = 1
params = { a = { x = 1, y = 2 }, b = [1, 2] }
[environment.production.routes.default]
targets = ["internal"]
params = { a = { y = 3 }, b = [4] }
[environment.production.routes.extra]
model = "gpt-*"
"#;
    let loaded = load_with(text, "ENVIRONMENT=production\n", &[]);
    assert_eq!(render(&loaded), "");
    assert_eq!(loaded.environment_name, "production");
    let route = loaded.config.routes.get("default").unwrap();
    assert_eq!(route.targets, [Target::Name("internal".to_owned())]);
    assert_eq!(route.retries, 1);
    let params = serde_json::Value::Object(route.params.clone());
    assert_eq!(
        params,
        serde_json::json!({ "a": { "x": 1, "y": 3 }, "b": [4] })
    );
    let names: Vec<_> = loaded.config.routes.names().collect();
    assert_eq!(names, ["default", "extra"]);

    let plain = load_text(text);
    assert_eq!(plain.environment_name, "development");
    assert_eq!(plain.config.routes.len(), 1);
}

#[test]
fn an_environment_that_is_nearly_there_is_warned_of() {
    let text = "[log]\n[environment.production]\n";
    let told = render(&load_with(text, "", &[("ENVIRONMENT", "prodution")]));
    assert!(
        told.starts_with("warning: ENVIRONMENT is `prodution`"),
        "{told}"
    );
    assert!(told.contains("did you mean `production`?"), "{told}");
    assert_eq!(render(&load_with(text, "", &[("ENVIRONMENT", "test")])), "");
}

#[test]
fn tables_keep_the_order_of_the_file() {
    let loaded = load_text("[providers.z]\n[providers.a]\n[providers.m]\n[stages.b]\n[stages.a]\n");
    assert_eq!(
        loaded.config.providers.names().collect::<Vec<_>>(),
        ["z", "a", "m"]
    );
    assert_eq!(loaded.config.stages.names().collect::<Vec<_>>(), ["b", "a"]);
}

#[test]
fn a_placeholder_takes_the_type_that_its_field_wants() {
    let text = r#"
[server]
allow_anonymous = "${YES}"
[routes.default]
model = "${NUMBER}"
retries = "${NUMBER}"
attempt_timeout = "${NUMBER}"
backoff = "${TIME}"
strategy = "${WAY}"
stream_timeout = "${NOTHING:-}"
params = { temperature = "${T:-0.7}", seed = "${NUMBER}", on = "${YES}", user = "${ID}", text = "no. ${NUMBER}" }
"#;
    let variables = [
        ("YES", "true"),
        ("NUMBER", "123"),
        ("TIME", "1.5s"),
        ("WAY", "weighted"),
        ("ID", "007"),
    ];
    let loaded = load_with(text, "", &variables);
    assert_eq!(render(&loaded), "");
    assert!(loaded.config.server.allow_anonymous);
    let route = loaded.config.routes.get("default").unwrap();
    assert_eq!(route.model, Patterns::one("123"));
    assert_eq!(route.retries, 123);
    assert_eq!(route.attempt_timeout.get(), Duration::from_secs(123));
    assert_eq!(route.backoff.get(), Duration::from_millis(1500));
    assert_eq!(route.strategy, Strategy::Weighted);
    assert_eq!(route.stream_timeout, None);
    let params = serde_json::Value::Object(route.params.clone());
    let expected = serde_json::json!({
        "temperature": 0.7, "seed": 123, "on": true, "user": "007", "text": "no. 123",
    });
    assert_eq!(params, expected);
}

#[test]
fn a_string_that_is_no_placeholder_is_no_number() {
    let loaded = load_text("[routes.default]\nretries = \"3\"\n");
    assert!(render(&loaded).starts_with("error: expected a whole number, found a string"));
}

#[test]
fn every_variable_is_listed_with_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(folder.path().join("key"), "sk-canary\r\n").unwrap();
    std::fs::write(
        folder.path().join(".env"),
        "\u{feff}# comment\r\nexport B=b\r\nA=other\r\n",
    )
    .unwrap();
    let text = "[providers.p]\nmodel = \"${A}-${B}-${C:-c}\"\napi_key = \"${file:key}\"\nembedding_model = \"${D}\"\n";
    std::fs::write(&path, text).unwrap();
    let loaded = load(&path, &|name| (name == "A").then(|| "a".to_owned()));
    assert_eq!(render(&loaded), "");
    let provider = loaded.config.providers.get("p").unwrap();
    assert_eq!(provider.model.as_deref(), Some("a-b-c"));
    assert_eq!(provider.api_key.as_ref().unwrap().expose(), "sk-canary");
    let variable = |name: &str, origin| Variable {
        name: name.to_owned(),
        origin,
    };
    assert_eq!(
        loaded.variables,
        [
            variable("A", Origin::Environment),
            variable("B", Origin::DotEnv { line: 2 }),
            variable("C", Origin::Default),
            variable("file:key", Origin::File(folder.path().join("key"))),
            variable("D", Origin::Unset),
        ]
    );
}

#[test]
fn llm_debug_sets_the_log_level() {
    for (value, level) in [
        ("true", "debug"),
        ("True", "debug"),
        ("1", "debug"),
        ("false", "warn"),
        ("", "warn"),
    ] {
        let loaded = load_with("[log]\nlevel = \"warn\"\n", "", &[("LLM_DEBUG", value)]);
        assert_eq!(loaded.config.log.level, level, "{value}");
    }
}

#[test]
fn tables_that_say_the_same_are_known_as_such() {
    let a = load_with("[stages.x]\nb = \"${B}\"\na = 1\n", "", &[("B", "1")]);
    let moved = load_with(
        "# moved\n[stages.x]\na = 1\nb = \"${B}\"\n",
        "",
        &[("B", "1")],
    );
    let changed = load_with("[stages.x]\nb = \"${B}\"\na = 1\n", "", &[("B", "2")]);
    assert!(a.tree.says_the_same(&moved.tree));
    assert!(!a.tree.says_the_same(&changed.tree));
}

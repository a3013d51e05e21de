use serde_json::json;

use super::*;
use crate::config::Loaded;

fn in_file(mut schema: Value) -> Value {
    placeholders::for_file(&mut schema);
    schema
}

#[test]
fn only_what_takes_no_text_gets_a_placeholder() {
    let placeholder = json!({ "type": "string", "pattern": r"\$\{" });
    assert_eq!(
        in_file(json!({ "type": "string" })),
        json!({ "type": "string" })
    );
    assert_eq!(
        in_file(
            json!({ "type": "integer", "format": "uint32", "minimum": 1, "description": "a\nb" })
        ),
        json!({ "description": "a b", "anyOf": [{ "type": "integer", "minimum": 1 }, placeholder] })
    );
    assert_eq!(
        in_file(json!({ "oneOf": [{ "const": "a" }, { "const": "b" }] })),
        json!({ "anyOf": [{ "const": "a" }, { "const": "b" }, placeholder] })
    );
    let text_or_table = json!({ "anyOf": [{ "type": "string" }, { "type": "object" }] });
    assert_eq!(in_file(text_or_table.clone()), text_or_table);
    assert_eq!(
        in_file(json!({ "type": "array", "items": { "type": "boolean" } })),
        json!({ "type": "array", "items": { "anyOf": [{ "type": "boolean" }, placeholder] } })
    );
}

#[test]
fn there_is_no_null() {
    assert_eq!(
        in_file(json!({ "type": ["string", "null"], "default": null })),
        json!({ "type": "string" })
    );
    assert_eq!(
        in_file(
            json!({ "description": "of the key", "anyOf": [{ "type": "object", "description": "of the type" }, { "type": "null" }] })
        ),
        json!({ "description": "of the key", "type": "object" })
    );
}

#[derive(schemars::JsonSchema)]
#[expect(dead_code, reason = "only its schema is of interest")]
struct Slow {
    limit: u32,
}

#[derive(schemars::JsonSchema)]
#[expect(dead_code, reason = "only its schema is of interest")]
struct Loud {
    limit: bool,
}

/// A key that two kinds have is checked by the kind, and suggested with the types of both; what it is to a plugin's kind,
/// nobody knows.
#[test]
fn a_key_may_mean_something_else_to_another_kind() {
    let kind = |name, table| Kind { name, table };
    let kinds = Kinds {
        providers: Vec::new(),
        stages: vec![
            kind("slow", SchemaGenerator::subschema_for::<Slow>),
            kind("loud", SchemaGenerator::subschema_for::<Loud>),
        ],
    };
    let schema = json_schema(&kinds);
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let is_valid = |kind: &str, limit: Value| {
        validator.is_valid(&json!({ "stages": { "x": { "kind": kind, "limit": limit } } }))
    };
    assert!(is_valid("slow", json!(3)) && !is_valid("slow", json!(true)));
    assert!(is_valid("loud", json!(true)) && !is_valid("loud", json!(3)));
    assert!(is_valid("some-plugin/soft", json!("text")));
    let suggested = &schema["$defs"]["stage"]["properties"]["limit"]["anyOf"][0];
    assert_eq!(suggested["anyOf"].as_array().unwrap().len(), 2);
}

fn load(text: &str) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    crate::config::load(&path, &|_| None)
}

/// A table with every key set to what its doc comment calls the default, as far as that is a value.
fn with_defaults(header: &str, table: &Value) -> (String, usize) {
    let mut text = format!("{header}\n");
    let mut count = 0;
    for (key, schema) in properties(table) {
        let (_, default) = reference::without_default(schema["description"].as_str().unwrap());
        let Some(default) = default.map(|default| default.replace('`', "")) else {
            continue;
        };
        if toml::from_str::<toml::Table>(&format!("x = {default}")).is_ok() {
            text.extend([key, " = ", &default, "\n"]);
            count += 1;
        }
    }
    (text, count)
}

#[test]
fn the_defaults_that_doc_comments_name_are_true() {
    let none = Kinds {
        providers: Vec::new(),
        stages: Vec::new(),
    };
    let tables = Tables::new(&none, false);
    for (header, table, least) in [
        ("[server]", &tables.server, 8),
        ("[admin]", &tables.admin, 1),
        ("[log]", &tables.log, 2),
        ("[routes.x]", &tables.route, 9),
        ("[providers.x]", &tables.provider.common, 4),
        ("[stages.x]", &tables.stage.common, 2),
    ] {
        let (text, count) = with_defaults(header, table);
        assert!(count >= least, "{text}");
        let (told, default) = (load(&text), load(&format!("{header}\n")));
        assert_eq!(told.findings.sorted(), [], "{text}");
        // What was said by default is no longer absent, and that is all.
        let shown = |loaded: &Loaded| format!("{:#?}", loaded.config);
        let differing: Vec<_> = shown(&default)
            .lines()
            .filter(|line| !shown(&told).lines().any(|other| other == *line))
            .map(str::to_owned)
            .collect();
        let is_absent = |line: &String| line.trim().ends_with(": None,");
        assert!(differing.iter().all(is_absent), "{header}: {differing:#?}");
    }
}

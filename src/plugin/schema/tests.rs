use proptest::prelude::*;
use serde_json::json;

use super::*;

fn rules(schema: &Value) -> Rules {
    Rules::new(schema).unwrap()
}

fn is_fine(schema: &Value, value: &Value) -> bool {
    rules(schema).check(value).is_empty()
}

#[test]
fn what_is_no_schema_is_told_with_its_place() {
    for (schema, told) in [
        (
            json!(1),
            "`#` is no schema: expected an object or a boolean",
        ),
        (json!({ "type": "text" }), "`#/type` is no type"),
        (json!({ "type": ["string", 1] }), "`#/type` is no type"),
        (
            json!({ "properties": { "a/b": 1 } }),
            "`#/properties/a~1b` is no schema",
        ),
        (json!({ "properties": [] }), "`#/properties` is no object"),
        (json!({ "anyOf": {} }), "`#/anyOf` is no array"),
        (
            json!({ "required": "a" }),
            "`#/required` is no array of texts",
        ),
        (json!({ "pattern": "(" }), "`#/pattern` is no pattern"),
        (json!({ "minimum": "1" }), "`#/minimum` is no number"),
        (
            json!({ "multipleOf": 0 }),
            "`#/multipleOf` is no number above 0",
        ),
        (
            json!({ "$ref": "#/$defs/x" }),
            "a `$ref` leads to `#/$defs/x`, where nothing is",
        ),
        (
            json!({ "$ref": "https://example.com" }),
            "`#/$ref` is no place in the same schema",
        ),
    ] {
        let Err(message) = Rules::new(&schema) else {
            panic!("{schema} is taken for a schema");
        };
        assert!(message.contains(told), "{message}");
    }
    assert!(TableSchema::parse(Some("{")).is_err());
    assert!(TableSchema::parse(None).is_ok());
}

#[test]
fn references_may_lead_in_circles() {
    let list = json!({ "$ref": "#/$defs/list", "$defs": { "list": {
        "type": "object",
        "properties": { "next": { "$ref": "#/$defs/list" }, "value": { "type": "integer" } },
    } } });
    assert!(is_fine(
        &list,
        &json!({ "next": { "next": { "value": 1 } } })
    ));
    let faults = rules(&list).check(&json!({ "next": { "next": { "value": "1" } } }));
    assert_eq!(faults[0].path, ["next", "next", "value"]);
    // One that never gets anywhere asks for nothing.
    assert!(is_fine(&json!({ "$ref": "#" }), &json!({})));
}

#[test]
fn a_schema_that_leads_nowhere_comes_to_an_end() {
    let twice = json!({ "allOf": [{ "$ref": "#" }, { "$ref": "#" }] });
    assert!(is_fine(&twice, &json!({ "a": 1 })));

    let count = 100_000;
    let steps = (0..count).map(|step| {
        let next = json!({ "$ref": format!("#/$defs/{}", step + 1) });
        (step.to_string(), next)
    });
    let mut steps: serde_json::Map<_, _> = steps.collect();
    steps.insert(count.to_string(), json!(true));
    let Err(message) = Rules::new(&json!({ "$ref": "#/$defs/0", "$defs": steps })) else {
        panic!("it is followed to its end");
    };
    assert!(message.contains("lies too deep"), "{message}");
}

/// Small schemas of all that is known.
fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(true)),
        Just(json!(false)),
        prop::sample::select(vec![
            "null", "boolean", "integer", "number", "string", "array", "object"
        ])
        .prop_map(|name| json!({ "type": name })),
        Just(json!({ "type": ["string", "null"] })),
        prop::collection::vec(values(), 0..3).prop_map(|values| json!({ "enum": values })),
        values().prop_map(|value| json!({ "const": value })),
        (0..3).prop_map(|limit| json!({ "minimum": limit })),
        (0..3).prop_map(|limit| json!({ "exclusiveMaximum": limit })),
        (1..3).prop_map(|step| json!({ "multipleOf": step })),
        (0..3).prop_map(|limit| json!({ "minLength": limit, "maxItems": limit })),
        (0..3).prop_map(|limit| json!({ "maxLength": limit, "minItems": limit })),
        (0..3).prop_map(|limit| json!({ "minProperties": limit })),
        Just(json!({ "pattern": "^a" })),
        Just(json!({ "required": ["a"] })),
        Just(json!({ "uniqueItems": true })),
    ];
    leaf.prop_recursive(3, 24, 3, |inner| {
        let list = prop::collection::vec(inner.clone(), 1..3);
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, rest)| {
                json!({ "properties": { "a": a }, "additionalProperties": rest })
            }),
            inner.clone().prop_map(|like| {
                json!({ "patternProperties": { "^b": like }, "additionalProperties": false })
            }),
            inner
                .clone()
                .prop_map(|names| json!({ "propertyNames": names })),
            (list.clone(), inner.clone())
                .prop_map(|(first, rest)| json!({ "prefixItems": first, "items": rest })),
            list.clone().prop_map(|all| json!({ "allOf": all })),
            list.clone().prop_map(|any| json!({ "anyOf": any })),
            list.prop_map(|one| json!({ "oneOf": one })),
            inner.clone().prop_map(|not| json!({ "not": not })),
            inner.prop_map(|inner| json!({
                "$defs": { "x": inner }, "properties": { "a": { "type": "object" } }
            })),
        ]
    })
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-1..4).prop_map(Value::from),
        Just(json!(1.0)),
        Just(json!(1.5)),
        "[ab]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[abc]", inner, 0..3)
                .prop_map(|map| map.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    /// As another implementation understands JSON Schema.
    #[test]
    fn a_value_is_fine_where_it_is_to_others(schema in schemas(), value in values()) {
        let other = jsonschema::draft202012::new(&schema).unwrap();
        prop_assert_eq!(is_fine(&schema, &value), other.is_valid(&value), "{} {}", schema, value);
    }
}

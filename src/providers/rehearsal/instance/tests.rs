use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// An independent judge, formats included.
fn validator(schema: &Value) -> Validator {
    jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .unwrap()
}

#[test]
fn instances_satisfy_their_schemas() {
    let schemas = [
        json!({}),
        json!(true),
        json!({"type": "string"}),
        json!({"type": "integer", "minimum": 3}),
        json!({"type": "integer", "exclusiveMinimum": 3, "maximum": 4}),
        json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
        json!({"type": "number", "exclusiveMinimum": 2.5}),
        json!({"type": "number", "maximum": -1.5}),
        json!({"type": "integer", "minimum": 9_007_199_254_740_993_i64}),
        json!({"type": "integer", "multipleOf": 7, "minimum": 8}),
        json!({"type": "integer", "multipleOf": 7, "maximum": -8}),
        json!({"type": "number", "multipleOf": 0.1, "minimum": 0.25}),
        json!({"type": "integer", "multipleOf": 1.5, "exclusiveMinimum": 0}),
        json!({"type": "boolean"}),
        json!({"type": "null"}),
        json!({"type": ["null", "string"]}),
        json!({"type": ["string", "null"], "minLength": 20}),
        json!({"type": "string", "maxLength": 3}),
        json!({"type": "string", "minLength": 25, "maxLength": 25}),
        json!({"enum": ["a", "b"]}),
        json!({"enum": [1, "b"], "type": "string"}),
        json!({"const": {"a": [1]}}),
        json!({"type": "string", "default": "x", "minLength": 2}),
        json!({"type": "array", "items": {"type": "string"}, "minItems": 2}),
        json!({"type": "array", "items": {"type": "string"}, "minItems": 3, "uniqueItems": true}),
        json!({"type": "array", "items": {"type": "integer", "minimum": 5}, "minItems": 9, "uniqueItems": true}),
        json!({"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 3, "uniqueItems": true}),
        json!({"type": "array", "items": {"format": "date"}, "minItems": 3, "uniqueItems": true}),
        json!({"type": "array", "items": {"pattern": "^[ab]$"}, "minItems": 2, "uniqueItems": true}),
        json!({"type": "array", "prefixItems": [{"type": "integer"}, {"const": "x"}], "minItems": 2, "items": false}),
        json!({"type": "array", "contains": {"const": 7}, "items": {"type": "integer"}, "minItems": 2}),
        json!({"type": "object", "properties": {"a": {"type": "string"}}}),
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false}),
        json!({"type": "object", "required": ["b", "a"]}),
        json!({"type": "object", "minProperties": 3, "properties": {"a": {"type": "integer"}}}),
        json!({"type": "object", "minProperties": 2, "additionalProperties": {"type": "integer"}}),
        json!({"required": ["a"], "dependentRequired": {"a": ["b"], "b": ["c"]}}),
        json!({"anyOf": [{"type": "integer", "minimum": 5, "maximum": 4}, {"type": "boolean"}]}),
        json!({"oneOf": [{"type": "number"}, {"type": "integer"}]}),
        json!({"oneOf": [{"minimum": 3}, {"maximum": 5}], "type": "integer"}),
        json!({"allOf": [{"minLength": 3}, {"maxLength": 5}], "type": "string"}),
        json!({"allOf": [{"properties": {"a": {"minimum": 3}}}, {"properties": {"a": {"type": "integer"}}, "required": ["a"]}]}),
        json!({"type": "object", "properties": {"k": {"enum": ["a", "b"]}}, "required": ["k"],
            "if": {"properties": {"k": {"const": "a"}}}, "then": {"required": ["n"]}}),
        json!({"not": {"type": "object"}}),
        json!({"type": "string", "not": {"const": "rehearsal"}, "minLength": 1, "anyOf": [{"maxLength": 4}]}),
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string", "minLength": 12}}}),
        json!({"properties": {"a": {"$ref": "#/$defs/a~1b%20c"}}, "required": ["a"], "$defs": {"a/b c": {"type": "integer"}}}),
        json!({"type": "object", "required": ["value", "next"], "additionalProperties": false, "properties": {
            "value": {"type": "string"}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}}),
        json!({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "required": ["children"], "properties": {
            "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}}}),
    ];
    for schema in schemas {
        let value = instance(&schema).unwrap_or_else(|e| panic!("{e}: {schema}"));
        assert!(validator(&schema).is_valid(&value), "{value} for {schema}");
        assert_eq!(instance(&schema), Ok(value), "the same again for {schema}");
    }
}

#[test]
fn formats_have_samples() {
    for format in [
        "date-time",
        "date",
        "time",
        "duration",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "uri",
        "iri",
        "uri-reference",
        "json-pointer",
        "uri-template",
        "relative-json-pointer",
        "regex",
        "uuid",
        "idn-email",
        "no-such-format",
    ] {
        let schema =
            json!({"type": "array", "minItems": 40, "items": {"type": "string", "format": format}});
        let value = instance(&schema).unwrap();
        assert!(validator(&schema).is_valid(&value), "{value} for {format}");
        let unique = json!({"type": "array", "minItems": 9, "uniqueItems": true,
            "items": {"type": "string", "format": format}});
        let value = instance(&unique).unwrap();
        assert!(validator(&unique).is_valid(&value), "{value} for {format}");
    }
}

#[test]
fn patterns_have_samples() {
    for pattern in [
        "^[a-z]+$",
        "^[A-Z]{3}-\\d{4}$",
        "^(foo|bar)baz?$",
        "^\\w+@\\w+\\.com$",
        "a.c",
        "^[^a-z]$",
        "^\\+?[1-9]\\d{1,14}$",
        "^#(?:[0-9a-fA-F]{3}){1,2}$",
        "^(?<year>\\d{4})-\\d\\d$",
        "^[가-힣]{2,}$",
        "^$",
        "",
        "^[a-]$",
        "^[\\w.-]+$",
        "^\\u00e9$",
        "^a{2,3}?$",
        "x$|^y",
        "^\\$\\{[A-Z_]+\\}$",
    ] {
        let schema = json!({"type": "string", "pattern": pattern});
        let value = instance(&schema).unwrap_or_else(|e| panic!("{e}: {pattern}"));
        assert!(validator(&schema).is_valid(&value), "{value} for {pattern}");
    }
    for (pattern, least, most) in [
        ("^[a-z]+$", 5, 5),
        ("^[a-z]+-[0-9]*$", 9, 9),
        ("^(a|bcd)$", 2, 3),
    ] {
        let schema =
            json!({"type": "string", "pattern": pattern, "minLength": least, "maxLength": most});
        let value = instance(&schema).unwrap_or_else(|e| panic!("{e}: {pattern}"));
        assert!(validator(&schema).is_valid(&value), "{value} for {pattern}");
    }
    for pattern in [
        "(?=a)b",
        "^(a)\\1$",
        "\\bword\\b",
        "a^b",
        "[",
        "(",
        "a{5,2}",
        "a{999999}",
        "\\p{L}",
        "a**",
    ] {
        let schema = json!({"type": "string", "pattern": pattern});
        assert!(instance(&schema).is_err(), "{pattern}");
    }
}

#[test]
fn what_cannot_be_satisfied_is_refused_and_named() {
    let nested = json!({"type": "object", "required": ["a"], "properties": {
        "a": {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 2, "maximum": 1}}}});
    assert_eq!(
        instance(&nested).unwrap_err().to_string(),
        "no value was found for the schema at /a/0: no integer tried satisfies all of it"
    );
    for schema in [
        json!(false),
        json!(7),
        json!({"type": "wish"}),
        json!({"type": []}),
        json!({"enum": []}),
        json!({"anyOf": []}),
        json!({"type": "string", "minLength": 3, "maxLength": 2}),
        json!({"type": "string", "minLength": 1e15}),
        json!({"type": "array", "minItems": 1e15}),
        json!({"type": "object", "minProperties": 1e15}),
        json!({"type": "string", "format": "date", "maxLength": 3}),
        json!({"type": "array", "items": {"type": "boolean"}, "minItems": 3, "uniqueItems": true}),
        json!({"allOf": [{"type": "string"}, {"type": "integer"}]}),
        json!({"type": "object", "required": ["a"], "additionalProperties": false}),
        json!({"not": {}}),
        json!({"$ref": "#"}),
        json!({"$ref": "#/$defs/missing"}),
        json!({"$ref": 5}),
        json!({"$ref": "https://example.com/schema"}),
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
        json!({"type": "object", "required": ["self"], "properties": {"self": {"$ref": "#"}}}),
        json!({"anyOf": [{"not": {"$ref": "#"}}, true]}),
    ] {
        assert!(instance(&schema).is_err(), "{schema}");
    }
}

#[test]
fn nullable_is_the_last_resort_and_not_the_first() {
    let schema = json!({"type": "string", "nullable": true});
    assert_eq!(instance(&schema), Ok(json!("rehearsal")));
    let node = json!({"type": "object", "required": ["next"], "properties": {
        "next": {"nullable": true, "type": "object", "required": ["x"], "properties": {"x": {"$ref": "#"}}}}});
    assert_eq!(instance(&node), Ok(json!({"next": null})));
}

#[test]
fn draft_4_spellings_are_understood() {
    let open = json!({"type": "integer", "minimum": 3, "exclusiveMinimum": true});
    assert_eq!(instance(&open), Ok(json!(4)));
    let tuple = json!({"type": "array", "items": [{"const": 1}], "additionalItems": {"const": 2}, "minItems": 2});
    assert_eq!(instance(&tuple), Ok(json!([1, 2])));
}

#[test]
fn a_schema_cannot_make_work_without_end() {
    // Each level demands the next one twice.
    let mut doubling = serde_json::Map::new();
    for level in 0..60 {
        let next = json!({"$ref": format!("#/$defs/l{}", level + 1)});
        let schema =
            json!({"type": "object", "required": ["a", "b"], "properties": {"a": next, "b": next}});
        doubling.insert(format!("l{level}"), schema);
    }
    doubling.insert("l60".to_owned(), json!({"type": "string"}));
    assert!(instance(&json!({"$ref": "#/$defs/l0", "$defs": doubling})).is_err());

    // Each level has twice the alternatives, none of which holds.
    let mut schema = json!({"type": "integer", "minimum": 1, "maximum": 0});
    for _ in 0..50 {
        schema = json!({"anyOf": [{"type": "object", "required": ["x"], "properties": {"x": schema}}, {"$ref": "#"}]});
    }
    assert!(instance(&schema).is_err());

    // A chain of references that is longer than any stack.
    let mut chain = serde_json::Map::new();
    for level in 0..5000 {
        let next = json!({"$ref": format!("#/$defs/l{}", level + 1)});
        chain.insert(
            format!("l{level}"),
            json!({"type": "object", "required": ["a"], "properties": {"a": next}}),
        );
    }
    chain.insert("l5000".to_owned(), json!({}));
    assert!(instance(&json!({"$ref": "#/$defs/l0", "$defs": chain})).is_err());

    let nested = "(".repeat(10_000);
    assert!(instance(&json!({"pattern": nested, "type": "string"})).is_err());
    let empty = json!({"type": "string", "pattern": "^((){4000}){4000}$"});
    assert!(instance(&empty).is_err());
}

/// Schemas of the keywords that are understood, sensible or not.
fn schemas() -> impl Strategy<Value = Value> {
    let small = -3_i64..6;
    let leaf = prop_oneof![
        Just(json!({})),
        Just(json!(true)),
        Just(json!({"type": "boolean"})),
        Just(json!({"type": ["integer", "null"]})),
        Just(json!({"$ref": "#/$defs/text"})),
        Just(json!({"$ref": "#"})),
        small
            .clone()
            .prop_map(|n| json!({"type": "integer", "minimum": n, "multipleOf": 2})),
        (small.clone(), small.clone()).prop_map(
            |(a, b)| json!({"type": "number", "exclusiveMinimum": a, "exclusiveMaximum": b})
        ),
        (0_u8..12, 0_u8..12)
            .prop_map(|(a, b)| json!({"type": "string", "minLength": a, "maxLength": b})),
        small.prop_map(|n| json!({"enum": [n, "text", null]})),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            pair.clone().prop_map(|(a, b)| json!({"anyOf": [a, b]})),
            pair.clone().prop_map(|(a, b)| json!({"oneOf": [a, b]})),
            pair.clone().prop_map(|(a, b)| json!({"allOf": [a, b]})),
            pair.clone().prop_map(|(a, b)| json!({"if": a, "then": b})),
            inner.clone().prop_map(|a| json!({"not": a})),
            (inner.clone(), 0_u8..4, any::<bool>()).prop_map(|(a, n, unique)| {
                json!({"type": "array", "items": a, "minItems": n, "uniqueItems": unique})
            }),
            (inner.clone(), inner.clone(), 0_u8..4).prop_map(|(a, b, n)| {
                json!({"type": "object", "properties": {"a": a, "b": b}, "required": ["b"], "minProperties": n})
            }),
            pair.prop_map(|(a, b)| {
                json!({"type": "object", "properties": {"a": a}, "required": ["a", "c"], "additionalProperties": b})
            }),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_comes_out_is_valid(schema in schemas()) {
        let mut schema = schema;
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("$defs".to_owned(), json!({"text": {"type": "string", "minLength": 1}}));
        }
        if let Ok(value) = instance(&schema) {
            prop_assert!(validator(&schema).is_valid(&value), "{} for {}", value, schema);
        }
    }

    #[test]
    fn a_sample_of_a_pattern_matches_it(
        pattern in r"\^?([a-c]|\[[a-c]-?\]|\(a\|b\)|\\d|\.|[a-c][*+?]|[a-c]\{1,3\}){0,6}\$?",
        least in 0_u8..6,
    ) {
        let schema = json!({"type": "string", "pattern": pattern, "minLength": least});
        if let Ok(value) = instance(&schema) {
            prop_assert!(validator(&schema).is_valid(&value), "{} for {}", value, schema);
        }
    }

    #[test]
    fn no_pattern_panics(pattern in r"[\^$()\[\]{}\\|?*+.,:<>a-c0-3-]{0,24}") {
        let _ = instance(&json!({"type": "string", "pattern": pattern}));
    }
}

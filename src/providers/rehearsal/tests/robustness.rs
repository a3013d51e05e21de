//! What holds for every request, sensible or not.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

const ENDPOINTS: [Endpoint; 5] = [
    Endpoint::Chat,
    Endpoint::Completions,
    Endpoint::Embeddings,
    Endpoint::Responses,
    Endpoint::Models,
];

/// Names that some endpoint reads, so that arbitrary bodies get past the first look.
const NAMES: &[&str] = &[
    "messages",
    "role",
    "content",
    "type",
    "text",
    "prompt",
    "input",
    "n",
    "max_tokens",
    "stop",
    "tools",
    "tool_choice",
    "function",
    "name",
    "parameters",
    "response_format",
    "json_schema",
    "schema",
    "format",
    "stream_options",
    "include_usage",
    "dimensions",
    "encoding_format",
    "properties",
    "required",
    "anyOf",
    "$ref",
    "minimum",
    "minItems",
    "items",
    "pattern",
    "echo",
    "tool_calls",
    "tool_call_id",
    "call_id",
    "output",
    "instructions",
    "max_output_tokens",
    "allowed_tools",
    "mode",
    "enum",
    "not",
];
const WORDS: &[&str] = &[
    "user",
    "tool",
    "assistant",
    "function",
    "required",
    "auto",
    "text",
    "json_schema",
    "json_object",
    "allowed_tools",
    "object",
    "string",
    "array",
    "integer",
    "#",
    "base64",
    "message",
    "안녕 하세요",
    "",
    "function_call_output",
    "input_text",
    "^[a-z]{2,}$",
];

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..300).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(WORDS).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            members(inner),
        ]
    })
}

fn members(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    vec((select(NAMES), value), 0..8).prop_map(|members| {
        members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    })
}

/// A request that is answered at one of the endpoints, with something strange in it.
fn nearly_right() -> impl Strategy<Value = Value> {
    members(any_value()).prop_map(|mut body| {
        for (name, value) in [
            ("messages", json!([user("안녕")])),
            ("input", json!("Hello")),
            ("prompt", json!(["a", "b"])),
        ] {
            body[name] = value;
        }
        body
    })
}

proptest! {
    #[test]
    fn no_body_panics(body in prop_oneof![members(any_value()), nearly_right(), any_value()]) {
        for endpoint in ENDPOINTS {
            for stream in [false, true] {
                if let Err(refusal) = emitted(endpoint, &body, stream) {
                    prop_assert!(refusal.kind.status() == 400, "{}", refusal.message);
                    prop_assert!(!refusal.message.is_empty());
                }
            }
        }
    }

    #[test]
    fn only_ids_and_the_time_differ_between_equal_requests(body in nearly_right()) {
        let bytes = body.to_string().into_bytes();
        for endpoint in ENDPOINTS {
            for stream in [false, true] {
                let answer = |id: &str, created| {
                    let mut collected = Collected::default();
                    let mut call = call(endpoint, &bytes, stream, id);
                    call.created = created;
                    let result = provider("").answer(&call, &mut collected);
                    (result, collected.emitted)
                };
                prop_assert_eq!(answer("r-1", 1), answer("r-1", 1));
                prop_assert_eq!(answer("r-1", 1).1.len(), answer("r-2", 2).1.len());
            }
        }
    }

    #[test]
    fn no_bytes_panic(body in vec(any::<u8>(), 0..40)) {
        for endpoint in ENDPOINTS {
            let mut collected = Collected::default();
            let _ = provider("").answer(&call(endpoint, &body, false, "r"), &mut collected);
        }
    }
}

#[test]
fn every_understood_endpoint_is_served_and_nothing_else() {
    let provider = provider("");
    assert!(
        ENDPOINTS
            .into_iter()
            .all(|endpoint| provider.serves(endpoint))
    );
    assert!(!provider.serves(Endpoint::Forward));
    const { assert!(Rehearsal::ANSWERS) };
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    for body in [json!([]), json!("a"), json!(null)] {
        for endpoint in [
            Endpoint::Chat,
            Endpoint::Completions,
            Endpoint::Embeddings,
            Endpoint::Responses,
        ] {
            assert_eq!(refusal(endpoint, &body).kind.status(), 400);
        }
    }
}

#[test]
fn another_request_id_changes_ids_and_nothing_else() {
    let without_ids = |endpoint, id: &str, created| {
        let body = json!({"messages": [user("a")], "prompt": "a", "input": "a"}).to_string();
        let mut collected = Collected::default();
        let mut call = call(endpoint, body.as_bytes(), false, id);
        call.created = created;
        provider("").answer(&call, &mut collected).unwrap();
        let mut reply: Value = serde_json::from_slice(&collected.emitted[0]).unwrap();
        for member in ["id", "created", "created_at"] {
            reply.as_object_mut().unwrap().remove(member);
        }
        if endpoint == Endpoint::Responses {
            reply["output"][0]["id"] = Value::Null;
        }
        reply
    };
    for endpoint in ENDPOINTS {
        assert_eq!(
            without_ids(endpoint, "r-1", 1),
            without_ids(endpoint, "r-2", 2)
        );
    }
}

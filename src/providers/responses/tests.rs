use millgate_plugin::RefusalKind;
use serde_json::{Value, json};

use super::to_chat;

fn chat(request: Value) -> Result<Value, millgate_plugin::Refusal> {
    let Value::Object(request) = request else {
        panic!("a request is an object")
    };
    to_chat(request).map(Value::Object)
}

#[test]
fn calls_in_a_row_are_one_message() {
    let call =
        |id: &str| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"});
    let output = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": "x"});
    let input = json!([
        {"role": "user", "content": "Hi"},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
        call("a"), call("b"), output("a"), output("b"), call("c"), output("c"),
    ]);
    let messages = chat(json!({ "input": input })).unwrap()["messages"].take();
    let shape: Vec<_> = messages
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let calls = one["tool_calls"].as_array().map_or(0, Vec::len);
            (one["role"].as_str().unwrap(), calls)
        })
        .collect();
    let wanted = [
        ("user", 0),
        ("assistant", 2),
        ("tool", 0),
        ("tool", 0),
        ("assistant", 1),
        ("tool", 0),
    ];
    assert_eq!(shape, wanted);
    assert_eq!(messages[1]["reasoning_content"], "Hm.");
}

#[test]
fn members_get_their_names_in_a_chat() {
    let asked = json!({
        "input": "Hi", "max_output_tokens": 5, "temperature": 0.5, "reasoning": {"effort": "low"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        "tools": [{"type": "function", "name": "f", "parameters": {}}],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        "store": true, "previous_response_id": null, "background": false, "include": ["reasoning.encrypted_content"],
    });
    let wanted = json!({
        "messages": [{"role": "user", "content": "Hi"}],
        "max_completion_tokens": 5, "temperature": 0.5, "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "tool_choice": {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
        },
    });
    assert_eq!(chat(asked).unwrap(), wanted);
}

#[test]
fn what_is_stored_or_run_elsewhere_is_for_another_target() {
    for (member, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!({"id": "conv_1"})),
        ("prompt", json!({"id": "pmpt_1"})),
        ("background", json!(true)),
        ("top_logprobs", json!(3)),
        ("tools", json!([{"type": "web_search"}])),
        ("tool_choice", json!({"type": "file_search"})),
        ("input", json!([{"type": "item_reference", "id": "msg_1"}])),
        ("input", json!([{"type": "computer_call"}])),
        (
            "input",
            json!([{"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]}]),
        ),
        (
            "input",
            json!([{"role": "user", "content": [{"type": "input_image", "file_id": "file_1"}]}]),
        ),
    ] {
        let mut request = json!({"input": "Hi"});
        request[member] = value;
        let refusal = chat(request).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Unsupported, "{member}");
        assert!(refusal.param.unwrap().starts_with(member));
    }
    let refusal = chat(json!({})).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::InvalidRequest);
}

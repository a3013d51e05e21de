//! Tools in chat and in responses.

use super::*;

fn weather() -> Value {
    json!({"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}})
}

/// A chat with two tools, and the same as a request for a response.
fn with_choice(choice: &Value) -> Value {
    json!({"messages": [user("Weather?")], "tool_choice": choice, "tools": [
        {"type": "function", "function": {"name": "now"}},
        {"type": "function", "function": {"name": "get_weather", "parameters": weather()}},
    ]})
}

fn called(choice: &Value) -> Option<String> {
    let reply = document(Endpoint::Chat, &with_choice(choice));
    let name = &reply["choices"][0]["message"]["tool_calls"][0]["function"]["name"];
    name.as_str().map(str::to_owned)
}

#[test]
fn a_tool_is_called_where_one_is_demanded() {
    let named = json!({"type": "function", "function": {"name": "get_weather"}});
    let allowed = |mode: &str| json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [named]}});
    assert_eq!(called(&json!("required")).as_deref(), Some("now"));
    assert_eq!(called(&named).as_deref(), Some("get_weather"));
    assert_eq!(called(&allowed("required")).as_deref(), Some("get_weather"));
    assert_eq!(called(&allowed("auto")), None);
    assert_eq!(called(&json!("auto")), None);
    assert_eq!(called(&json!("none")), None);
    assert_eq!(called(&Value::Null), None);
}

#[test]
fn a_call_has_valid_arguments_and_its_own_finish_reason() {
    let named = json!({"type": "function", "function": {"name": "get_weather"}});
    let mut body = with_choice(&named);
    body["n"] = 2.into();
    let reply = document(Endpoint::Chat, &body);
    let choices = reply["choices"].as_array().unwrap();
    for choice in choices {
        assert_eq!(choice["finish_reason"], "tool_calls");
        assert_eq!(choice["message"]["content"], Value::Null);
        let call = &choice["message"]["tool_calls"][0];
        assert_eq!(call["type"], "function");
        let arguments = call["function"]["arguments"].as_str().unwrap();
        let arguments: Value = serde_json::from_str(arguments).unwrap();
        assert!(jsonschema::is_valid(&weather(), &arguments), "{arguments}");
    }
    let id = |n: usize| choices[n]["message"]["tool_calls"][0]["id"].clone();
    assert_ne!(id(0), id(1));
}

#[test]
fn a_streamed_call_comes_in_pieces() {
    let chunks = stream(Endpoint::Chat, &with_choice(&json!("required")));
    let deltas: Vec<&Value> = chunks.iter().map(|c| &c["choices"][0]["delta"]).collect();
    let [role, first, pieces @ .., end] = deltas.as_slice() else {
        panic!()
    };
    assert_eq!(
        **role,
        json!({"role": "assistant", "content": null, "refusal": null})
    );
    let id = document(Endpoint::Chat, &with_choice(&json!("required")))["choices"][0]["message"]
        ["tool_calls"][0]["id"]
        .clone();
    assert_eq!(
        **first,
        json!({"tool_calls": [{"id": id, "type": "function",
            "function": {"name": "now", "arguments": ""}, "index": 0}]})
    );
    assert!(pieces.len() >= 2);
    let arguments: String = pieces
        .iter()
        .map(|delta| {
            let call = &delta["tool_calls"][0];
            assert_eq!(call["index"], 0);
            assert!(call.get("id").is_none());
            call["function"]["arguments"].as_str().unwrap()
        })
        .collect();
    assert_eq!(arguments, "{}");
    assert_eq!(**end, json!({}));
    assert_eq!(
        chunks.last().unwrap()["choices"][0]["finish_reason"],
        "tool_calls"
    );
}

#[test]
fn the_result_of_a_tool_is_answered_with_text() {
    let mut body = with_choice(&json!("required"));
    body["messages"].as_array_mut().unwrap().extend([
        json!({"role": "assistant", "content": null, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]}),
        json!({"role": "tool", "tool_call_id": "call_1", "content": "맑음, 21 degrees"}),
    ]);
    let choice = document(Endpoint::Chat, &body)["choices"][0].clone();
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(
        choice["message"]["content"],
        "This is millgate's rehearsal provider: no model answered. \
         The tool get_weather returned: \"맑음, 21 degrees\""
    );
    body["messages"]
        .as_array_mut()
        .unwrap()
        .push(user("And tomorrow?"));
    let choice = document(Endpoint::Chat, &body)["choices"][0].clone();
    assert_eq!(
        choice["finish_reason"], "tool_calls",
        "it is not the last message any more"
    );
}

#[test]
fn a_choice_that_cannot_be_met_is_refused() {
    let no_tools = json!({"messages": [user("a")], "tool_choice": "required"});
    let mut bad_schema = with_choice(&json!("required"));
    bad_schema["tools"][0]["function"]["parameters"] = json!({"type": "string"});
    let mut impossible = with_choice(&json!("required"));
    impossible["tools"][0]["function"]["parameters"] = json!(false);
    let other = json!({"type": "function", "function": {"name": "other"}});
    assert_refused(
        Endpoint::Chat,
        &[
            (no_tools, "tool_choice"),
            (bad_schema, "tools"),
            (impossible, "tools"),
            (with_choice(&other), "tool_choice"),
            (with_choice(&json!("maybe")), "tool_choice"),
            (with_choice(&json!({"type": "function"})), "tool_choice"),
            (
                with_choice(&json!({"type": "allowed_tools"})),
                "tool_choice.tools",
            ),
            (json!({"messages": [user("a")], "tools": {}}), "tools"),
        ],
    );
    let custom = json!({"messages": [user("a")], "tool_choice": "required",
        "tools": [{"type": "custom", "custom": {"name": "shell"}}]});
    let refusal = refusal(Endpoint::Chat, &custom);
    assert_eq!(refusal.kind, millgate_plugin::RefusalKind::Unsupported);
}

#[test]
fn responses_call_functions_too() {
    let body = json!({"input": "Weather?", "tool_choice": {"type": "function", "name": "get_weather"},
        "tools": [{"type": "function", "name": "get_weather", "parameters": weather()}]});
    let response = document(Endpoint::Responses, &body);
    let item = &response["output"][0];
    assert_eq!(item["type"], "function_call");
    assert_eq!(item["status"], "completed");
    assert_eq!(item["name"], "get_weather");
    assert_eq!(item["arguments"], r#"{"city":"rehearsal"}"#);

    let events = stream(Endpoint::Responses, &body);
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!(events[2]["item"]["arguments"], "");
    assert_eq!(events[2]["item"]["call_id"], item["call_id"]);
    assert_eq!(events[5]["arguments"], item["arguments"]);
    assert_eq!(&events[6]["item"], item);

    let answered = json!({"tool_choice": "required", "tools": body["tools"], "input": [
        {"role": "user", "content": "Weather?"}, item,
        {"type": "function_call_output", "call_id": item["call_id"], "output": "sunny"}]});
    let response = document(Endpoint::Responses, &answered);
    let text = response["output"][0]["content"][0]["text"]
        .as_str()
        .unwrap();
    assert!(
        text.ends_with("The tool get_weather returned: \"sunny\""),
        "{text}"
    );
}

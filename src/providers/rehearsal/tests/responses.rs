use super::*;

const HELLO: &str = "This is millgate's rehearsal provider: no model answered. You said: \"Hello\"";

#[test]
fn a_document_has_every_documented_member() {
    let body = json!({"model": "gpt-4", "instructions": "Be kind", "input": "Hello", "metadata": {"a": "b"}});
    let response = document(Endpoint::Responses, &body);
    let item = response["output"][0]["id"].clone();
    assert!(item.as_str().unwrap().starts_with("msg_"));
    assert_eq!(
        response,
        json!({
            "id": "resp_r-1",
            "object": "response",
            "created_at": 1_700_000_000,
            "status": "completed",
            "background": false,
            "error": null,
            "incomplete_details": null,
            "instructions": "Be kind",
            "max_output_tokens": null,
            "model": "gpt-4",
            "output": [{
                "id": item,
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": HELLO, "annotations": [], "logprobs": []}],
            }],
            "parallel_tool_calls": true,
            "previous_response_id": null,
            "reasoning": {"effort": null, "summary": null},
            "store": false,
            "temperature": null,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": null,
            "truncation": "disabled",
            "usage": {
                "input_tokens": 3,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": 11,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": 14,
            },
            "user": null,
            "metadata": {"a": "b"},
        })
    );
}

#[test]
fn a_stream_has_every_documented_event_in_order() {
    let body = json!({"input": "Hello"});
    let events = stream(Endpoint::Responses, &body);
    let mut kinds: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
    }
    let deltas: String = events
        .iter()
        .filter_map(|event| event["delta"].as_str())
        .collect();
    assert_eq!(deltas, HELLO);
    assert_eq!(
        kinds
            .iter()
            .filter(|kind| kind.ends_with("text.delta"))
            .count(),
        11
    );
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );

    let whole = document(Endpoint::Responses, &body);
    let item = &whole["output"][0];
    let [created, .., completed] = events.as_slice() else {
        panic!()
    };
    assert_eq!(created["response"]["status"], "in_progress");
    assert_eq!(created["response"]["output"], json!([]));
    assert_eq!(created["response"]["usage"], Value::Null);
    assert_eq!(completed["response"], whole);
    let of = |kind: &str| events.iter().find(|event| event["type"] == kind).unwrap();
    assert_eq!(
        of("response.output_item.added")["item"]["status"],
        "in_progress"
    );
    assert_eq!(
        of("response.output_item.added")["item"]["content"],
        json!([])
    );
    assert_eq!(of("response.content_part.added")["part"]["text"], "");
    assert_eq!(of("response.output_text.delta")["item_id"], item["id"]);
    assert_eq!(of("response.output_text.done")["text"], HELLO);
    assert_eq!(of("response.content_part.done")["part"], item["content"][0]);
    assert_eq!(of("response.output_item.done")["item"], *item);
}

#[test]
fn a_limit_leaves_a_response_incomplete() {
    let body = json!({"input": "Hello", "max_output_tokens": 2});
    let events = stream(Endpoint::Responses, &body);
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(last["response"], document(Endpoint::Responses, &body));
    assert_eq!(last["response"]["status"], "incomplete");
    assert_eq!(
        last["response"]["incomplete_details"],
        json!({"reason": "max_output_tokens"})
    );
    assert_eq!(last["response"]["output"][0]["status"], "incomplete");
    assert_eq!(
        last["response"]["output"][0]["content"][0]["text"],
        "This is"
    );
    assert_eq!(last["response"]["usage"]["output_tokens"], 2);
}

#[test]
fn items_are_read_as_a_conversation() {
    let body = json!({"input": [
        {"role": "developer", "content": "Be kind"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "안녕"}, {"type": "input_image"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
    ]});
    let response = document(Endpoint::Responses, &body);
    let text = response["output"][0]["content"][0]["text"]
        .as_str()
        .unwrap();
    assert!(text.trim_end().ends_with("You said: \"안녕\""), "{text}");
    assert_eq!(response["usage"]["input_tokens"], 4);
}

#[test]
fn a_format_shapes_the_text() {
    let text = |format: Value| {
        let body = json!({"input": "Hello", "text": {"format": format}});
        let response = document(Endpoint::Responses, &body);
        let text = response["output"][0]["content"][0]["text"]
            .as_str()
            .unwrap();
        serde_json::from_str::<Value>(text).unwrap()
    };
    let schema = json!({"type": "object", "required": ["n"], "properties": {"n": {"const": 5}}});
    let named = json!({"type": "json_schema", "name": "five", "schema": schema});
    assert_eq!(text(named), json!({"n": 5}));
    assert_eq!(
        text(json!({"type": "json_object"})),
        json!({"rehearsal": true, "text": HELLO})
    );
}

#[test]
fn what_cannot_be_answered_is_refused_by_name() {
    assert_refused(
        Endpoint::Responses,
        &[
            (json!({}), "input"),
            (json!({"input": []}), "input"),
            (json!({"input": 5}), "input"),
            (json!({"input": ["a"]}), "input[0]"),
            (json!({"input": [{"content": "a"}]}), "input[0].role"),
            (json!({"input": [{"type": 5}]}), "input[0].type"),
            (
                json!({"input": [{"role": "user", "content": 5}]}),
                "input[0].content",
            ),
            (json!({"input": "a", "instructions": 5}), "instructions"),
            (
                json!({"input": "a", "max_output_tokens": 0}),
                "max_output_tokens",
            ),
            (json!({"input": "a", "text": "json"}), "text"),
            (
                json!({"input": "a", "text": {"format": {"type": "xml"}}}),
                "text.format.type",
            ),
        ],
    );
    for (member, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("background", json!(true)),
    ] {
        let refusal = refusal(Endpoint::Responses, &json!({"input": "a", member: value}));
        assert_eq!(refusal.kind, millgate_plugin::RefusalKind::Unsupported);
        assert_eq!(refusal.param.as_deref(), Some(member));
    }
}

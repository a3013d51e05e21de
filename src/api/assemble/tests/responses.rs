//! Responses, told event by event.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::{answers::response, *};

#[test]
fn a_message_is_told_from_its_beginning_to_its_end() {
    let document = json!({
        "id": "r", "object": "response", "status": "completed", "completed_at": 5, "error": null,
        "output": [{
            "type": "message", "id": "m", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": "안녕", "annotations": [{"type": "x"}]}],
        }],
        "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
    });
    let begun = json!({
        "id": "r", "object": "response", "status": "in_progress", "completed_at": null, "error": null,
        "output": [], "usage": null,
    });
    let message = |status: &str, content: Value| json!({"type": "message", "id": "m", "status": status, "role": "assistant", "content": content});
    let part = |text: &str, annotations: Value| json!({"type": "output_text", "text": text, "annotations": annotations});
    let whole = part("안녕", json!([{"type": "x"}]));
    let expected = [
        json!({"type": "response.created", "response": begun}),
        json!({"type": "response.in_progress", "response": begun}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": message("in_progress", json!([]))}),
        json!({"type": "response.content_part.added", "item_id": "m", "output_index": 0, "content_index": 0, "part": part("", json!([]))}),
        json!({"type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": 0, "delta": "안녕", "logprobs": []}),
        json!({"type": "response.output_text.annotation.added", "item_id": "m", "output_index": 0, "content_index": 0, "annotation_index": 0, "annotation": {"type": "x"}}),
        json!({"type": "response.output_text.done", "item_id": "m", "output_index": 0, "content_index": 0, "text": "안녕", "logprobs": []}),
        json!({"type": "response.content_part.done", "item_id": "m", "output_index": 0, "content_index": 0, "part": whole}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": message("completed", json!([whole]))}),
        json!({"type": "response.completed", "response": document}),
    ];
    let events = told(Endpoint::Responses, document.to_string().as_bytes());
    assert_eq!(events.len(), expected.len());
    for (number, (event, mut expected)) in events.iter().zip(expected).enumerate() {
        let kind = expected["type"].as_str().expect("a type").to_owned();
        expected["sequence_number"] = json!(number);
        assert_eq!(data(std::slice::from_ref(event)), [expected]);
        let named = format!("event: {kind}\ndata: ");
        assert!(event.bytes.starts_with(named.as_bytes()));
    }
}

#[test]
fn calls_and_thoughts_have_events_of_their_own() {
    let document = json!({"status": "incomplete", "output": [
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "s"}], "content": [{"type": "reasoning_text", "text": "t"}]},
        {"type": "function_call", "id": "f", "call_id": "c", "name": "n", "arguments": "{}"},
        {"type": "message", "id": "m", "content": [{"type": "refusal", "refusal": "no"}, {"type": "new", "text": "x"}]},
        {"type": "new_call", "id": "x", "status": "completed"},
    ]});
    let events = data(&told(Endpoint::Responses, document.to_string().as_bytes()));
    let kinds: Vec<_> = events
        .iter()
        .map(|event| {
            let kind = event["type"].as_str().expect("a type");
            kind.strip_prefix("response.").expect("a response's event")
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "created",
            "in_progress",
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
            "content_part.added",
            "reasoning_text.delta",
            "reasoning_text.done",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "output_item.added",
            "content_part.added",
            "refusal.delta",
            "refusal.done",
            "content_part.done",
            "content_part.added",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "output_item.done",
            "incomplete",
        ]
    );
    assert_eq!(events[4]["summary_index"], 0);
    assert_eq!(events[12]["item"]["arguments"], "");
    assert_eq!(events[14]["name"], "n");
    assert_eq!(events[14]["arguments"], "{}");
    assert_eq!(events[19]["refusal"], "no");
    assert_eq!(events[24]["item"], events[25]["item"]);
}

#[test]
fn the_last_event_of_a_stream_is_its_document() {
    for status in ["completed", "incomplete", "failed"] {
        let raw = r#"{ "id":"r","output": [ ],"n":1.50,"error":null }"#;
        let events = [
            Bytes::from_static(b"event: response.created\ndata: {\"type\":\"response.created\",\"response\":{}}\n\n"),
            Bytes::from(format!("data: {{\"type\":\"response.{status}\",\"response\":{raw}}}\n\n")),
        ];
        assert_eq!(
            document(Endpoint::Responses, &events),
            Ok(Bytes::from_static(raw.as_bytes()))
        );
        assert_eq!(
            document(Endpoint::Responses, &events[..1]),
            Err(AssembleError::Incomplete)
        );
    }
}

/// What a client has that only listens to what is added and to deltas.
fn gathered(events: &[Value]) -> Vec<Value> {
    let mut items: BTreeMap<u64, Value> = BTreeMap::new();
    for event in events {
        let kind = event["type"].as_str().expect("a type");
        let Some(index) = event["output_index"].as_u64() else {
            continue;
        };
        let item = items.entry(index).or_default();
        let (list, at) = match event["summary_index"].as_u64() {
            Some(at) => ("summary", at),
            None => (
                "content",
                event["content_index"].as_u64().unwrap_or_default(),
            ),
        };
        let at = at as usize;
        let append = |target: &mut Value| {
            let whole = [target.as_str(), event["delta"].as_str()].map(Option::unwrap_or_default);
            *target = json!(whole.concat());
        };
        match kind {
            "response.output_item.added" => *item = event["item"].clone(),
            kind if kind.ends_with("part.added") => {
                let parts = item[list].as_array_mut().expect("parts");
                assert_eq!(parts.len(), at);
                parts.push(event["part"].clone());
            }
            "response.output_text.annotation.added" => {
                let annotations = item[list][at]["annotations"].as_array_mut();
                annotations
                    .expect("annotations")
                    .push(event["annotation"].clone());
            }
            "response.refusal.delta" => append(&mut item[list][at]["refusal"]),
            "response.function_call_arguments.delta" => append(&mut item["arguments"]),
            "response.custom_tool_call_input.delta" => append(&mut item["input"]),
            _ if event.get("delta").is_some() => append(&mut item[list][at]["text"]),
            _ => {}
        }
        if item.get("status").is_some() {
            item["status"] = json!("completed");
        }
    }
    items.into_values().collect()
}

proptest! {
    #[test]
    fn a_client_that_gathers_deltas_has_the_whole_output(document in response()) {
        let events = data(&told(Endpoint::Responses, document.to_string().as_bytes()));
        prop_assert_eq!(&json!(gathered(&events)), &document["output"]);
        for (number, event) in events.iter().enumerate() {
            prop_assert_eq!(event["sequence_number"].as_u64(), Some(number as u64));
        }
    }
}

use super::*;

const HELLO: &str =
    "This is millgate's rehearsal provider: no model answered. You said: \"안녕 하세요\"";

fn chat(more: &Value) -> Value {
    let mut body = json!({"model": "gpt-4", "messages": [
        {"role": "system", "content": "Be kind"}, user("안녕 하세요")]});
    body.as_object_mut()
        .unwrap()
        .append(&mut more.as_object().unwrap().clone());
    body
}

fn text_of(more: &Value) -> (String, String) {
    let choice = document(Endpoint::Chat, &chat(more))["choices"][0].clone();
    let text = choice["message"]["content"].as_str().unwrap().to_owned();
    (text, choice["finish_reason"].as_str().unwrap().to_owned())
}

#[test]
fn a_document_has_every_documented_member() {
    assert_eq!(
        document(Endpoint::Chat, &chat(&json!({}))),
        json!({
            "id": "chatcmpl-r-1",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "gpt-4",
            "system_fingerprint": "fp_rehearsal",
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": HELLO, "refusal": null},
                "logprobs": null,
                "finish_reason": "stop",
            }],
            "usage": {
                "prompt_tokens": 4,
                "completion_tokens": 12,
                "total_tokens": 16,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
            },
        })
    );
}

#[test]
fn a_stream_is_role_words_finish() {
    let chunks = stream(Endpoint::Chat, &chat(&json!({})));
    for chunk in &chunks {
        assert_eq!(chunk["id"], "chatcmpl-r-1");
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["created"], 1_700_000_000);
        assert_eq!(chunk["model"], "gpt-4");
        assert!(chunk.get("usage").is_none());
    }
    let [first, words @ .., last] = chunks.as_slice() else {
        panic!()
    };
    assert_eq!(
        first["choices"],
        json!([{"index": 0, "delta": {"role": "assistant", "content": "", "refusal": null},
            "logprobs": null, "finish_reason": null}])
    );
    assert_eq!(
        last["choices"],
        json!([{"index": 0, "delta": {}, "logprobs": null, "finish_reason": "stop"}])
    );
    let words: Vec<&str> = words
        .iter()
        .map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().unwrap())
        .collect();
    assert_eq!(words.len(), 12);
    assert_eq!(words[1], " is");
    assert_eq!(words.concat(), HELLO);
}

#[test]
fn usage_is_streamed_last_and_only_when_asked_for() {
    let body = chat(&json!({"stream_options": {"include_usage": true}}));
    let chunks = stream(Endpoint::Chat, &body);
    let (last, others) = chunks.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"], document(Endpoint::Chat, &body)["usage"]);
    assert!(
        others
            .iter()
            .all(|chunk| chunk.get("usage") == Some(&Value::Null))
    );
}

#[test]
fn n_choices_say_the_same_and_count_each() {
    let body = chat(&json!({"n": 3, "max_tokens": 2}));
    let reply = document(Endpoint::Chat, &body);
    let choices = reply["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 3);
    for (index, choice) in choices.iter().enumerate() {
        assert_eq!(choice["index"], index);
        assert_eq!(choice["message"]["content"], "This is");
    }
    assert_eq!(reply["usage"]["completion_tokens"], 6);
    let streamed: Vec<u64> = stream(Endpoint::Chat, &body)
        .iter()
        .map(|chunk| chunk["choices"][0]["index"].as_u64().unwrap())
        .collect();
    assert_eq!(streamed, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
}

#[test]
fn limits_and_stop_texts_end_an_answer() {
    let expect = |more: Value, text: &str, reason: &str| {
        assert_eq!(
            text_of(&more),
            (text.to_owned(), reason.to_owned()),
            "{more}"
        );
    };
    expect(json!({"max_tokens": 3}), "This is millgate's", "length");
    expect(
        json!({"max_completion_tokens": 1, "max_tokens": 3}),
        "This",
        "length",
    );
    expect(json!({"max_tokens": 12}), HELLO, "stop");
    expect(
        json!({"stop": " provider"}),
        "This is millgate's rehearsal",
        "stop",
    );
    expect(json!({"stop": ["model", "gate"]}), "This is mill", "stop");
    expect(json!({"stop": "This"}), "", "stop");
    expect(
        json!({"stop": "rehearsal", "max_tokens": 2}),
        "This is",
        "length",
    );
    expect(json!({"stop": null, "max_tokens": null}), HELLO, "stop");
}

#[test]
fn an_empty_answer_is_still_a_whole_stream() {
    let chunks = stream(Endpoint::Chat, &chat(&json!({"stop": "This"})));
    assert_eq!(chunks.len(), 2);
    assert_eq!(chunks[1]["choices"][0]["finish_reason"], "stop");
}

#[test]
fn content_parts_are_read_and_pictures_passed_over() {
    let picture = json!({"type": "image_url", "image_url": {"url": "data:,"}});
    let body = json!({"messages": [
        {"role": "user", "content": [{"type": "text", "text": "Look at"}, picture, {"type": "text", "text": "this"}]},
        {"role": "assistant", "content": null, "tool_calls": []},
    ]});
    let reply = document(Endpoint::Chat, &body);
    let text = reply["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.ends_with("You said: \"Look at this\""), "{text}");
}

#[test]
fn a_schema_is_answered_with_an_instance_of_it() {
    let schema = json!({"type": "object", "additionalProperties": false, "required": ["city", "degrees"],
        "properties": {"city": {"type": "string"}, "degrees": {"type": "integer", "minimum": 7}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "w", "strict": true, "schema": schema}});
    let (text, reason) = text_of(&json!({"response_format": format}));
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value, json!({"city": "rehearsal", "degrees": 7}));
    assert_eq!(reason, "stop");
    let streamed: String = stream(Endpoint::Chat, &chat(&json!({"response_format": format})))
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(streamed, text);
}

#[test]
fn a_json_object_says_what_it_is_too() {
    let (text, _) = text_of(&json!({"response_format": {"type": "json_object"}}));
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value, json!({"rehearsal": true, "text": HELLO}));
}

#[test]
fn what_cannot_be_answered_is_refused_by_name() {
    let format = |format: Value| chat(&json!({"response_format": format}));
    assert_refused(
        Endpoint::Chat,
        &[
            (json!({}), "messages"),
            (json!({"messages": null}), "messages"),
            (json!({"messages": "hello"}), "messages"),
            (json!({"messages": []}), "messages"),
            (json!({"messages": ["hello"]}), "messages[0]"),
            (
                json!({"messages": [user("a"), {"content": "hello"}]}),
                "messages[1].role",
            ),
            (
                json!({"messages": [{"role": "user", "content": 5}]}),
                "messages[0].content",
            ),
            (
                json!({"messages": [{"role": "user", "content": [{"type": "text"}]}]}),
                "messages[0].content[0].text",
            ),
            (
                json!({"messages": [{"role": "user", "content": ["a"]}]}),
                "messages[0].content[0].type",
            ),
            (chat(&json!({"n": 0})), "n"),
            (chat(&json!({"n": 1000})), "n"),
            (chat(&json!({"n": 1.5})), "n"),
            (chat(&json!({"max_tokens": -1})), "max_tokens"),
            (
                chat(&json!({"max_completion_tokens": "9"})),
                "max_completion_tokens",
            ),
            (chat(&json!({"stop": 5})), "stop"),
            (chat(&json!({"stop": [5]})), "stop"),
            (chat(&json!({"stream_options": true})), "stream_options"),
            (
                chat(&json!({"stream_options": {"include_usage": 1}})),
                "stream_options.include_usage",
            ),
            (format(json!("json")), "response_format.type"),
            (
                format(json!({"type": "json_schema", "json_schema": 5})),
                "response_format",
            ),
            (
                format(json!({"type": "json_schema", "json_schema": {"schema": "a"}})),
                "response_format",
            ),
            (
                format(json!({"type": "json_schema", "json_schema": {"schema": {"type": "wish"}}})),
                "response_format",
            ),
        ],
    );
}

//! What cannot be assembled or told.

use super::*;

fn refusal(endpoint: Endpoint, events: &[&str]) -> AssembleError {
    document(endpoint, &stream(events)).expect_err("no document")
}

#[test]
fn other_endpoints_have_one_form() {
    for endpoint in [Endpoint::Embeddings, Endpoint::Models, Endpoint::Forward] {
        assert_eq!(document(endpoint, &[]), Err(AssembleError::OneForm));
        assert_eq!(events(endpoint, b"{}"), Err(AssembleError::OneForm));
    }
}

#[test]
fn an_error_is_no_answer() {
    for error in [
        r#"{"error":{"message":"m"}}"#,
        r#"{"object":"error","message":"m"}"#,
        r#"{"type":"error","message":"m"}"#,
    ] {
        for endpoint in [Endpoint::Chat, Endpoint::Completions, Endpoint::Responses] {
            assert_eq!(refusal(endpoint, &[error]), AssembleError::Failed);
        }
        assert_eq!(
            events(Endpoint::Chat, error.as_bytes()),
            Err(AssembleError::Failed)
        );
        assert_eq!(
            events(Endpoint::Responses, error.as_bytes()),
            Err(AssembleError::Failed)
        );
    }
    let named = [Bytes::from_static(b"event: error\ndata: {}\n\n")];
    assert_eq!(document(Endpoint::Chat, &named), Err(AssembleError::Failed));
}

#[test]
fn chunks_that_disagree_are_not_guessed_at() {
    let cases = [
        // Two calls under one index, as some upstreams number them.
        (
            r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#,
            r#"{"tool_calls":[{"index":0,"id":"b","function":{"name":"f","arguments":"{}"}}]}"#,
            "id",
        ),
        (
            r#"{"tool_calls":[{"index":0,"function":{"name":"f"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"name":"g"}}]}"#,
            "name",
        ),
        (r#"{"role":"assistant"}"#, r#"{"role":"tool"}"#, "role"),
        (r#"{"content":"a"}"#, r#"{"content":["b"]}"#, "content"),
        (r#"{"content":{"a":1}}"#, r#"{"content":1}"#, "content"),
        (r#"{"content":1}"#, r#"{"content":"1"}"#, "content"),
    ];
    for (one, other, name) in cases {
        let events =
            [one, other].map(|delta| format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#));
        assert_eq!(
            refusal(Endpoint::Chat, &[&events[0], &events[1], "[DONE]"]),
            AssembleError::Contradiction(name.to_owned()),
            "{one} {other}"
        );
    }
}

#[test]
fn what_is_no_stream_of_the_endpoint_is_refused() {
    for events in [
        &["nonsense"][..],
        &["[]"],
        &[r#"{"choices":[{"index":0,"delta":{"content":"a"#],
        &[r#"{"choices":7}"#],
        &[r#"{"choices":[7]}"#],
        &[r#"{"choices":[{"delta":7}]}"#],
        &[r#"{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}"#],
        &[r#"{"choices":[{"delta":{"tool_calls":{"a":1}}}]}"#],
        &[r#"{"choices":[{"delta":{"tool_calls":[7]}}]}"#],
        &[r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{"}}]}}]}"#],
    ] {
        let refusal = refusal(Endpoint::Chat, events);
        assert!(
            matches!(refusal, AssembleError::Malformed(_)),
            "{events:?}: {refusal}"
        );
    }
    for events in [&[][..], &["[DONE]"], &[r#"{"choices":[]}"#, "[DONE]"]] {
        assert_eq!(refusal(Endpoint::Chat, events), AssembleError::Incomplete);
    }
}

#[test]
fn what_is_no_document_of_the_endpoint_is_refused() {
    for document in [
        "",
        "7",
        "{}",
        r#"{"choices":[]}"#,
        r#"{"choices":[{}]}"#,
        r#"{"choices":[{"message":null}]}"#,
        r#"{"choices":[{"index":0,"message":{}},{"index":0,"message":{}}]}"#,
        r#"{"choices":[{"message":{"tool_calls":[1]}}]}"#,
        r#"{"choices":[{"message":{}}]} and more"#,
    ] {
        let told = events(Endpoint::Chat, document.as_bytes());
        assert!(
            matches!(told, Err(AssembleError::Malformed(_))),
            "{document}"
        );
    }
    for document in ["", "{}", r#"{"status":"completed","output":7}"#] {
        let told = events(Endpoint::Responses, document.as_bytes());
        assert!(
            matches!(told, Err(AssembleError::Malformed(_))),
            "{document}"
        );
    }
    for status in ["in_progress", "queued", "cancelled"] {
        let document = format!(r#"{{"status":"{status}","output":[]}}"#);
        let told = events(Endpoint::Responses, document.as_bytes());
        assert_eq!(told, Err(AssembleError::Incomplete));
    }
}

#[test]
fn deep_nesting_is_refused_before_it_is_walked() {
    let deep = format!(
        r#"{{"choices":[{{"delta":{{"x":{}{}}}}}]}}"#,
        r#"{"x":"#.repeat(100_000),
        "1".to_owned() + &"}".repeat(100_000)
    );
    let refusal = refusal(Endpoint::Chat, &[&deep, &deep, "[DONE]"]);
    assert!(matches!(refusal, AssembleError::Malformed(_)));
}

#[test]
fn a_response_that_lost_its_items_is_refused() {
    let refusal = refusal(
        Endpoint::Responses,
        &[
            r#"{"type":"response.output_item.done","output_index":0,"item":{}}"#,
            r#"{"type":"response.completed","response":{"status":"completed","output":[]}}"#,
        ],
    );
    assert!(matches!(refusal, AssembleError::Malformed(_)));
}

use proptest::prelude::*;

use super::*;

fn look(endpoint: Endpoint, event: &str) -> Mark {
    StreamScanner::new(endpoint).look(event.as_bytes())
}

fn chat(data: &str) -> Mark {
    look(Endpoint::Chat, &format!("data: {data}\n\n"))
}

/// A chat chunk around one delta.
fn chunk(delta: &str, finish: &str) -> String {
    format!(
        r#"{{"id":"chatcmpl-9","object":"chat.completion.chunk","created":1726000000,"model":"gpt-4o","system_fingerprint":"fp_1","choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}],"usage":null}}"#
    )
}

fn content() -> Mark {
    Mark {
        content: true,
        ..Mark::default()
    }
}

fn finish() -> Mark {
    Mark {
        content: true,
        end: true,
        ..Mark::default()
    }
}

fn usage(input: u64, output: u64) -> Usage {
    Usage {
        input,
        output,
        ..Usage::default()
    }
}

#[test]
fn deltas_that_say_something_are_content() {
    for delta in [
        r#"{"content":"Hi"}"#,
        r#"{"content":"안녕하세요"}"#,
        r#"{ "role": "assistant", "content" : "Hi" }"#,
        r#"{"content":"\n"}"#,
        r#"{"content":[{"type":"text","text":"Hi"}]}"#,
        r#"{"role":"assistant","content":"","refusal":"No."}"#,
        r#"{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]}"#,
        r#"{"function_call":{"name":"f","arguments":""}}"#,
        r#"{"reasoning_content":"생각"}"#,
        r#"{"content":"","reasoning":"hm"}"#,
        r#"{"content":"","reasoning_details":[{"type":"reasoning.text","text":"hm"}]}"#,
        r#"{"audio":{"id":"audio_1","transcript":"Hi"}}"#,
    ] {
        assert_eq!(chat(&chunk(delta, "null")), content(), "{delta}");
    }
}

#[test]
fn deltas_that_say_nothing_are_not() {
    for delta in [
        "{}",
        r#"{"role":"assistant"}"#,
        r#"{"role":"assistant","content":""}"#,
        r#"{"role": "assistant", "content": "", "refusal": null}"#,
        r#"{"role":"assistant","content":null,"tool_calls":[],"audio":null}"#,
        r#"{"role":"assistant","content":"","reasoning_content":null,"tool_calls":[ ]}"#,
    ] {
        assert_eq!(chat(&chunk(delta, "null")), Mark::default(), "{delta}");
    }
    for event in [
        ": ping\n\n",
        ": OPENROUTER PROCESSING\n\n",
        "\n",
        "id: 1\n\n",
    ] {
        assert_eq!(look(Endpoint::Chat, event), Mark::default(), "{event:?}");
    }
}

#[test]
fn content_that_quotes_the_markers_is_only_content() {
    for text in [
        r#"\"error\":{\"message\":\"x\"}"#,
        r#"{\"usage\": {\"prompt_tokens\": 1}}"#,
        r#"\"finish_reason\":\"stop\""#,
        r#"\"error"#,
        r"error",
        r"usage",
        r"finish_reason",
        r"[DONE]",
        r"data: [DONE]\n\n",
        r#"\\\"error\":1"#,
        r#"event: error\ndata: {\"error\":1}"#,
    ] {
        let delta = format!(r#"{{"content":"{text}"}}"#);
        assert_eq!(chat(&chunk(&delta, "null")), content(), "{text}");
    }
    // Nor does text quote content into being.
    let quoting = r#"{"role":"assistant","content":"","name":"\"content\":\"x\""}"#;
    assert_eq!(chat(&chunk(quoting, "null")), Mark::default());
    let odd_key = r#"{"role":"assistant","my \"content":"x","my \"finish_reason":"x"}"#;
    assert_eq!(chat(&chunk(odd_key, "null")), Mark::default());
}

#[test]
fn a_finish_reason_ends_the_stream() {
    assert_eq!(chat(&chunk("{}", "\"stop\"")), finish());
    assert_eq!(chat(&chunk("{}", " \"tool_calls\"")), finish());
    assert_eq!(chat(&chunk("{}", "\"\"")), Mark::default());
    // Two choices in one chunk, the second of which is done.
    let two = r#"{"choices":[{"index":0,"delta":{"content":""},"finish_reason":null},{"index":1,"delta":{},"finish_reason":"length"}]}"#;
    assert_eq!(chat(two), finish());
    let done = chat("[DONE]");
    assert!(done.done && done.end && !done.content);
    assert!(look(Endpoint::Chat, "data:[DONE]\r\n\r\n").done);
}

#[test]
fn completions_speak_in_text() {
    let mut scanner = StreamScanner::new(Endpoint::Completions);
    let mut mark = |text: &str, finish: &str| {
        let data = format!(
            r#"data: {{"id":"cmpl-1","object":"text_completion","choices":[{{"text":{text},"index":0,"logprobs":null,"finish_reason":{finish}}}]}}"#
        );
        scanner.look(format!("{data}\n\n").as_bytes())
    };
    assert_eq!(mark("\"\"", "null"), Mark::default());
    assert_eq!(mark("\"하나\"", "null"), content());
    assert_eq!(mark("\"\"", "\"length\""), finish());
    assert_eq!(scanner.tokens_seen(), 1, "a finish is not a token");
}

#[test]
fn the_chunk_that_is_there_for_usage_is_told_from_others() {
    let openai = r#"{"id":"chatcmpl-9","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":16,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":4,"audio_tokens":0}}}"#;
    let mark = chat(openai);
    assert_eq!(
        mark.usage,
        Some(Usage {
            input: 19,
            output: 10,
            cached: Some(16),
            reasoning: Some(4)
        })
    );
    assert!(mark.usage_only && !mark.content && !mark.end);

    // vLLM, with spaces and a null for its details.
    let vllm = r#"{"id": "chatcmpl-1", "choices": [ ], "usage": {"prompt_tokens": 7, "total_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": null}}"#;
    let mark = chat(vllm);
    assert_eq!((mark.usage, mark.usage_only), (Some(usage(7, 2)), true));

    // vLLM with continuous_usage_stats: usage in every chunk.
    let continuous = r#"{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}],"usage":{"prompt_tokens":7,"total_tokens":8,"completion_tokens":1}}"#;
    let mark = chat(continuous);
    assert_eq!((mark.usage, mark.usage_only), (Some(usage(7, 1)), false));
    assert!(mark.content);

    // Azure begins with its filters' verdict about the prompt: no choices, no usage.
    let azure = r#"{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"},"jailbreak":{"filtered":false,"detected":false}}}]}"#;
    assert_eq!(chat(azure), Mark::default());
}

#[test]
fn ollama_streams_are_understood() {
    let ollama = |choices: &str| {
        chat(&format!(
            r#"{{"id":"chatcmpl-512","object":"chat.completion.chunk","created":1726000000,"model":"llama3.1","system_fingerprint":"fp_ollama","choices":{choices}}}"#
        ))
    };
    let choice = |delta: &str, finish: &str| {
        format!(
            r#"[{{"index":0,"delta":{{"role":"assistant","content":"{delta}"}},"finish_reason":{finish}}}]"#
        )
    };
    assert_eq!(ollama(&choice("안녕", "null")), content());
    assert_eq!(ollama(&choice("", "\"stop\"")), finish());
    // What its middleware makes of a failure in mid-stream: an empty chunk, which must not count as an end.
    assert_eq!(ollama(&choice("", "null")), Mark::default());
    let thinking = r#"[{"index":0,"delta":{"role":"assistant","content":"","reasoning":"음"},"finish_reason":null}]"#;
    assert_eq!(ollama(thinking), content());
}

#[test]
fn errors_in_a_stream_are_read() {
    let error = |event: &str| *look(Endpoint::Chat, event).error.expect("an error");

    let openai = error(
        "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\",\"param\":null,\"code\":\"x\"}}\n\n",
    );
    assert_eq!(openai.message, "overloaded");
    assert_eq!(openai.kind.as_deref(), Some("server_error"));
    assert_eq!(
        (openai.param.as_deref(), openai.code.as_deref()),
        (None, Some("x"))
    );
    assert_eq!(openai.status(), None);

    let vllm = error(
        "data: {\"error\": {\"object\": \"error\", \"message\": \"too long\", \"type\": \"BadRequestError\", \"param\": null, \"code\": 400}}\n\n",
    );
    assert_eq!(
        (vllm.message.as_str(), vllm.status()),
        ("too long", Some(400))
    );
    let old_vllm = error("data: {\"object\":\"error\",\"message\":\"dead\",\"code\":50001}\n\n");
    assert_eq!(
        (old_vllm.message.as_str(), old_vllm.status()),
        ("dead", None)
    );
    let ollama = error("data: {\"error\":\"model requires more memory\"}\n\n");
    assert_eq!(ollama.message, "model requires more memory");

    let openrouter = look(
        Endpoint::Chat,
        "data: {\"id\":\"gen-1\",\"error\":{\"code\":502,\"message\":\"끊김\"},\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n",
    );
    assert!(!openrouter.content && !openrouter.end, "it must not commit");
    assert_eq!(openrouter.error.expect("an error").status(), Some(502));

    assert_eq!(
        error("event: error\ndata: {\"message\":\"gone\"}\n\n").message,
        "gone"
    );
    assert_eq!(error("data: plain\nevent: error\n\n").message, "plain");
}

#[test]
fn what_only_looks_like_an_error_is_none() {
    for data in [
        chunk(r#"{"content":"error"}"#, "null"),
        // Azure's filter failed, the answer did not.
        r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null,"content_filter_results":{"error":{"code":"content_filter_error","message":"timed out"}}}]}"#.to_owned(),
        r#"{"error":null,"choices":[{"index":0,"delta":{"content":"x"}}]}"#.to_owned(),
        r#"{"error":{},"choices":[{"index":0,"delta":{"content":"x"}}]}"#.to_owned(),
        r#"{"error":"","choices":[{"index":0,"delta":{"content":"x"}}]}"#.to_owned(),
        r#"{"error": false,"choices":[{"index":0,"delta":{"content":"x"}}]}"#.to_owned(),
    ] {
        assert_eq!(chat(&data), content(), "{data}");
    }
}

#[test]
fn what_is_not_this_api_is_garbage() {
    let garbage = Mark {
        garbage: true,
        ..Mark::default()
    };
    for data in [
        "<html>",
        "hello",
        "{\"choices\":[",
        "[1]",
        "\"text\"",
        "null",
    ] {
        assert_eq!(chat(data), garbage, "{data}");
        let event = format!("data: {data}\n\n");
        assert_eq!(look(Endpoint::Responses, &event), garbage, "{data}");
    }
    assert!(chat(r#"{"usage":{"a" 1}}"#).garbage);
}

fn responses(kind: &str, rest: &str) -> Mark {
    let event =
        format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":4,{rest}}}\n\n");
    look(Endpoint::Responses, &event)
}

#[test]
fn responses_streams_are_understood() {
    let created = r#""response":{"id":"resp_1","object":"response","status":"in_progress","error":null,"incomplete_details":null,"output":[],"text":{"format":{"type":"text"}},"usage":null}"#;
    assert_eq!(responses("response.created", created), Mark::default());
    let item = r#""output_index":0,"item":{"id":"msg_1","type":"message","status":"in_progress","role":"assistant","content":[]}"#;
    assert_eq!(
        responses("response.output_item.added", item),
        Mark::default()
    );
    for kind in [
        "response.output_text.delta",
        "response.refusal.delta",
        "response.reasoning_summary_text.delta",
        "response.function_call_arguments.delta",
    ] {
        let delta = |text: &str| format!(r#""item_id":"msg_1","output_index":0,"delta":"{text}""#);
        assert_eq!(responses(kind, &delta("{\\\"가")), content());
        assert_eq!(responses(kind, &delta("")), Mark::default());
    }
    let text = r#""item_id":"msg_1","text":"안녕 \"response.completed\"""#;
    assert_eq!(responses("response.output_text.done", text), content());

    let completed = r#""response":{"id":"resp_1","status":"completed","error":null,"output":[{"type":"message","content":[{"type":"output_text","text":"안녕"}]}],"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":0},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":12},"total_tokens":123}}"#;
    let mark = responses("response.completed", completed);
    assert!(mark.content && mark.end && mark.error.is_none());
    let expected = Usage {
        input: 36,
        output: 87,
        cached: Some(0),
        reasoning: Some(12),
    };
    assert_eq!(mark.usage, Some(expected));
    assert!(responses("response.incomplete", completed).end);
}

#[test]
fn responses_fail_in_their_own_ways() {
    let failed = responses(
        "response.failed",
        r#""response":{"status":"failed","error":{"code":"server_error","message":"The model failed"}}"#,
    );
    assert!(failed.end && !failed.content);
    let error = failed.error.expect("an error");
    assert_eq!(
        (error.message.as_str(), error.code.as_deref()),
        ("The model failed", Some("server_error"))
    );
    assert!(
        responses("response.failed", r#""response":{}"#)
            .error
            .is_some()
    );

    let error = responses(
        "error",
        r#""code":"rate_limit_exceeded","message":"Slow down","param":null"#,
    );
    assert_eq!(error.error.expect("an error").message, "Slow down");

    // Without the event's name, and with its type last.
    let bare = "data: {\"response\":{\"output\":[{\"type\":\"message\"}]},\"type\": \"response.completed\"}\n\n";
    assert!(look(Endpoint::Responses, bare).end);
    let done = look(Endpoint::Responses, "data: [DONE]\n\n");
    assert!(done.done && !done.end);
}

#[test]
fn events_count_as_tokens() {
    let mut scanner = StreamScanner::new(Endpoint::Chat);
    for data in [
        chunk(r#"{"role":"assistant","content":""}"#, "null"),
        chunk(r#"{"content":"안"}"#, "null"),
        chunk(r#"{"content":"녕"}"#, "null"),
        chunk("{}", "\"stop\""),
        "[DONE]".to_owned(),
    ] {
        scanner.look(format!("data: {data}\n\n").as_bytes());
    }
    assert_eq!(scanner.tokens_seen(), 2);
}

#[test]
fn an_event_of_many_tokens_counts_as_many() {
    for (endpoint, event) in [
        (
            Endpoint::Chat,
            chunk(
                &format!(r#"{{"content":"{}"}}"#, "word ".repeat(80)),
                "null",
            ),
        ),
        (
            Endpoint::Completions,
            format!(r#"{{"choices":[{{"text":"{}"}}]}}"#, "word ".repeat(80)),
        ),
        (
            Endpoint::Responses,
            format!(
                r#"{{"type":"response.output_text.delta","delta":"{}"}}"#,
                "word ".repeat(80)
            ),
        ),
    ] {
        let mut scanner = StreamScanner::new(endpoint);
        scanner.look(format!("data: {event}\n\n").as_bytes());
        assert_eq!(scanner.tokens_seen(), 100, "{endpoint:?}");
    }
}

#[test]
fn other_streams_count_any_data_as_content() {
    let look = |event| look(Endpoint::Forward, event);
    assert!(look("data: {\"type\":\"transcript.text.delta\",\"delta\":\"a\"}\n\n").content);
    assert_eq!(look(": ping\n\n"), Mark::default());
    assert!(look("data: [DONE]\n\n").end);
    assert!(
        look("data: {\"error\":{\"message\":\"x\"}}\n\n")
            .error
            .is_some()
    );
}

#[test]
fn whole_replies_tell_their_usage() {
    let chat = r#"{"id":"chatcmpl-1","choices":[{"index":0,"message":{"role":"assistant","content":"\"usage\":{\"prompt_tokens\":1}"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}"#;
    assert_eq!(
        reply_usage(Endpoint::Chat, chat.as_bytes()),
        Some(usage(9, 12))
    );
    let embeddings =
        br#"{"object":"list","data":[],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}"#;
    assert_eq!(
        reply_usage(Endpoint::Embeddings, embeddings),
        Some(usage(8, 0))
    );
    let responses = br#"{"object":"response","usage":{"input_tokens":3,"output_tokens":4}}"#;
    assert_eq!(
        reply_usage(Endpoint::Responses, responses),
        Some(usage(3, 4))
    );
    let half = br#"{"usage":{"input_tokens":3}}"#;
    assert_eq!(reply_usage(Endpoint::Responses, half), None);
    for none in [
        r#"{"usage":null}"#,
        r#"{"usage":{}}"#,
        r#"{"usage":[1]}"#,
        // Half of it.
        r#"{"usage":{"prompt_tokens":11}}"#,
        r#"{"usage":{"completion_tokens":11,"total_tokens":20}}"#,
        "{}",
        "<html>",
        "",
    ] {
        assert_eq!(reply_usage(Endpoint::Chat, none.as_bytes()), None, "{none}");
    }
}

#[test]
fn what_nobody_can_have_counted_is_no_usage() {
    let most = 1_u64 << 32;
    let of =
        |tokens: u64| format!(r#"{{"usage":{{"prompt_tokens":{tokens},"completion_tokens":1}}}}"#);
    assert_eq!(
        reply_usage(Endpoint::Chat, of(most).as_bytes()),
        Some(usage(most, 1))
    );
    assert_eq!(reply_usage(Endpoint::Chat, of(most + 1).as_bytes()), None);
    assert_eq!(reply_usage(Endpoint::Chat, of(u64::MAX).as_bytes()), None);
    let details = r#"{"usage":{"prompt_tokens":1,"completion_tokens":1,"completion_tokens_details":{"reasoning_tokens":1000000000000000000}}}"#;
    assert_eq!(reply_usage(Endpoint::Chat, details.as_bytes()), None);
    // Whoever did not ask for the chunk that tells it does not get it for that.
    let mark = chat(
        r#"{"choices":[],"usage":{"prompt_tokens":1000000000000000000,"completion_tokens":1}}"#,
    );
    assert_eq!((mark.usage, mark.usage_only), (None, true));
}

#[test]
fn errors_under_a_success_status_are_read() {
    let error = reply_error(br#"{"error":{"message":"m","type":"t","param":"p","code":429}}"#);
    let error = error.expect("an error");
    assert_eq!(error.message, "m");
    assert_eq!(error.kind.as_deref(), Some("t"));
    assert_eq!(error.param.as_deref(), Some("p"));
    assert_eq!(error.status(), Some(429));
    let bare = reply_error("{\"error\":\"모델이 없습니다\"}".as_bytes()).expect("an error");
    assert_eq!(bare.message, "모델이 없습니다");
    assert_eq!(
        reply_error(br#"{"error":true}"#).expect("an error").message,
        "true"
    );
    for fine in [
        r#"{"error":null,"object":"response","status":"completed"}"#,
        r#"{"choices":[{"message":{"content":"error"}}]}"#,
        r#"{"choices":[{"message":{"content":"{\"error\":1}"}}],"detail":{"error":1}}"#,
        "error",
    ] {
        assert_eq!(reply_error(fine.as_bytes()), None, "{fine}");
    }
}

#[test]
fn the_end_of_several_choices_is_that_of_the_last() {
    let finish = |index: u8| {
        format!(
            "data: {{\"choices\":[{{\"index\":{index},\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n"
        )
    };
    let mut scanner = StreamScanner::new(Endpoint::Chat).choices_of(2);
    assert!(!scanner.look(finish(1).as_bytes()).end);
    assert!(scanner.look(finish(0).as_bytes()).end);
    let both = r#"data: {"choices":[{"index":0,"finish_reason":"stop"},{"index":1,"finish_reason":"length"}]}"#;
    assert!(
        StreamScanner::new(Endpoint::Chat)
            .choices_of(2)
            .look(both.as_bytes())
            .end
    );
}

proptest! {
    #[test]
    fn any_text_is_content_and_nothing_else(text in "[ -~가-힣\n\t\"\\\\]{1,60}|(\"?(error|usage|content|finish_reason)\"?[:{ ]*){1,5}") {
        let delta = serde_json::json!({ "content": text }).to_string();
        prop_assert_eq!(chat(&chunk(&delta, "null")), content());
    }

    #[test]
    fn arbitrary_bytes_never_panic(noise in prop::collection::vec(any::<u8>(), 0..80), json in r#"[{}\[\]",: \\]{0,10}("(error|usage|type|content)"[:" {}\[\]]{0,4}){0,4}[{}\[\]",: \\]{0,10}"#) {
        for endpoint in [Endpoint::Chat, Endpoint::Responses, Endpoint::Forward] {
            let mut scanner = StreamScanner::new(endpoint);
            scanner.look(&noise);
            scanner.look(format!("event: error\ndata: {{{json}}}\n\n").as_bytes());
            scanner.look(format!("data: {{{json}}}\n\n").as_bytes());
        }
        let _ = (reply_usage(Endpoint::Chat, &noise), reply_error(&noise), Usage::from_json(Endpoint::Chat, json.as_bytes()));
    }
}

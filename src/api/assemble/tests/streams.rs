//! Streams as upstreams send them.

use serde_json::json;

use super::*;

#[test]
fn a_chat_with_everything_becomes_its_document() {
    let events = stream(&[
        r#"{"id":"","object":"chat.completion.chunk","created":0,"model":"","choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#,
        r#"{"id":"c-1","object":"chat.completion.chunk","created":7,"model":"m","service_tier":"default","system_fingerprint":"fp","choices":[{"index":0,"delta":{"role":"assistant","content":null,"refusal":null},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"x1"}"#,
        r#"{"id":"c-1","created":9,"model":"m","choices":[{"index":1,"delta":{"role":"assistant","content":"","reasoning_content":"let "}}]}"#,
        r#"{"choices":[{"index":1,"delta":{"reasoning_content":"me"}}]}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"안"},"logprobs":{"content":[{"token":"안","logprob":-0.12345678901234567,"bytes":null,"top_logprobs":[]}],"refusal":null}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":""}},{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}}]}}]}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"녕","audio":{"id":"au","data":"QQ"}},"logprobs":{"content":[{"token":"녕","logprob":-1e-400,"bytes":[1],"top_logprobs":[]}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"","function":{"name":null,"arguments":":1}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]}},{"index":1,"delta":{"audio":{"id":"au","data":"==","expires_at":5}}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls","content_filter_results":{"hate":{"filtered":false}}}]}"#,
        r#"{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":18446744073709551616}}"#,
        "[DONE]",
        r#"{"choices":[{"index":0,"delta":{"content":"never seen"}}]}"#,
    ]);
    let document = document(Endpoint::Chat, &events).expect("a document");
    let text = std::str::from_utf8(&document).expect("UTF-8");
    for number in ["-0.12345678901234567", "-1e-400", "18446744073709551616"] {
        assert!(text.contains(number), "{number} is as it was written");
    }
    let text = text.replace("-1e-400", "0");
    assert_eq!(
        serde_json::from_str::<Value>(&text).expect("JSON"),
        json!({
            "id": "c-1", "object": "chat.completion", "created": 0, "model": "m", "service_tier": "default",
            "system_fingerprint": "fp", "prompt_filter_results": [{"prompt_index": 0}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 18_446_744_073_709_551_616_f64},
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant", "content": null, "refusal": null,
                        "tool_calls": [
                            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                        ],
                    },
                    "logprobs": null, "finish_reason": "tool_calls",
                    "content_filter_results": {"hate": {"filtered": false}},
                },
                {
                    "index": 1,
                    "message": {
                        "role": "assistant", "content": "안녕", "reasoning_content": "let me",
                        "audio": {"id": "au", "data": "QQ==", "expires_at": 5},
                    },
                    "logprobs": {"refusal": null, "content": [
                        {"token": "안", "logprob": -0.123_456_789_012_345_67, "bytes": null, "top_logprobs": []},
                        {"token": "녕", "logprob": 0, "bytes": [1], "top_logprobs": []},
                    ]},
                    "finish_reason": "stop",
                },
            ],
        })
    );
}

#[test]
fn a_message_says_what_every_message_must() {
    let events = stream(&[
        r#"{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"1"}},{"id":"b","function":{"name":"f","arguments":"2"}}]}}]}"#,
        "[DONE]",
    ]);
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
    assert_eq!(
        assembled(Endpoint::Chat, &events).expect("a document"),
        json!({"object": "chat.completion", "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": null, "tool_calls": [call("a", "1"), call("b", "2")]},
            "finish_reason": null,
        }]})
    );
}

#[test]
fn a_surrogate_pair_may_be_cut_in_two() {
    let events = stream(&[
        r#"{"choices":[{"index":0,"delta":{"content":"\ud83d"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"\ude00"},"finish_reason":"stop"}]}"#,
    ]);
    let document = assembled(Endpoint::Chat, &events).expect("a document");
    assert_eq!(document["choices"][0]["message"]["content"], "😀");
}

#[test]
fn a_completion_becomes_its_document() {
    let events = stream(&[
        r#"{"id":"x","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"a","logprobs":{"tokens":["a"],"text_offset":[0]},"token_ids":[1],"finish_reason":null}]}"#,
        r#"{"id":"x","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"b","logprobs":{"tokens":["b"],"text_offset":[1]},"token_ids":[2],"finish_reason":"stop","stop_reason":"END"}]}"#,
    ]);
    assert_eq!(
        assembled(Endpoint::Completions, &events).expect("a document"),
        json!({
            "id": "x", "object": "text_completion", "created": 1, "model": "m",
            "choices": [{
                "index": 0, "text": "ab", "logprobs": {"tokens": ["a", "b"], "text_offset": [0, 1]},
                "token_ids": [1, 2], "finish_reason": "stop", "stop_reason": "END",
            }],
        })
    );
}

#[test]
fn unknown_members_of_a_delta_follow_the_rules() {
    let events = stream(&[
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","note":"a","n":1,"on":false,"o":{"type":"t","s":"x"},"l":[1],"d":[{"index":1,"type":"t","text":"p"},{"index":1,"type":"u","data":"v"}],"f":""}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","note":"b","n":2,"on":true,"o":{"type":"t","s":"y","u":0},"l":["z"],"d":[{"index":1,"type":"t","text":"q"},{"index":0,"text":"r"},{"text":"s"}],"f":[3]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"note":null,"o":{},"l":[],"f":null},"finish_reason":"stop"}]}"#,
    ]);
    let document = assembled(Endpoint::Chat, &events).expect("a document");
    assert_eq!(
        document["choices"][0]["message"],
        json!({
            "role": "assistant", "content": null, "note": "ab", "n": 2, "on": true,
            "o": {"type": "t", "s": "xy", "u": 0}, "l": [1, "z"],
            "d": [{"index": 1, "type": "t", "text": "pq"}, {"index": 1, "type": "u", "data": "v"}, {"index": 0, "text": "r"}, {"text": "s"}], "f": [3],
        })
    );
}

#[test]
fn a_cut_off_stream_with_its_done_has_no_finish_reason() {
    let events = stream(&[r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#]);
    assert_eq!(
        document(Endpoint::Chat, &events),
        Err(AssembleError::Incomplete)
    );
    let events = [events, stream(&["[DONE]"])].concat();
    let document = assembled(Endpoint::Chat, &events).expect("a document");
    assert_eq!(document["choices"][0]["finish_reason"], Value::Null);
}

use millgate_plugin::{Call, Endpoint, Provider, Refusal, RefusalKind};
use serde_json::{Value, json};

use super::{Config, Ollama};

fn ollama(config: Value) -> Ollama {
    let config: Config = serde_json::from_value(config).unwrap();
    Ollama::new("ollama", config).unwrap()
}

fn call(endpoint: Endpoint, body: &[u8]) -> Call<'_> {
    Call {
        endpoint,
        method: "POST",
        path: "",
        query: None,
        model: "m",
        stream: false,
        body,
        request_id: "r-1",
        created: 1,
    }
}

/// What a call asks of Ollama.
fn ask(endpoint: Endpoint, body: &Value) -> Result<Value, Refusal> {
    ask_with(json!({}), endpoint, body)
}

fn ask_with(config: Value, endpoint: Endpoint, body: &Value) -> Result<Value, Refusal> {
    let provider = ollama(config);
    let mut attempt = provider.begin();
    let request = provider.encode(&mut attempt, &call(endpoint, body.to_string().as_bytes()))?;
    Ok(serde_json::from_slice(&request.body.unwrap()).unwrap())
}

/// A chat with one further member.
fn chat_with(member: &str, value: &Value) -> Result<Value, Refusal> {
    let mut body = json!({"messages": [{"role": "user", "content": "Hi"}]});
    body[member] = value.clone();
    ask(Endpoint::Chat, &body)
}

/// What comes of a whole reply to a chat.
fn reply(body: &str) -> Result<Value, Refusal> {
    let provider = ollama(json!({}));
    let mut attempt = provider.begin();
    let request = br#"{"messages":[{"role":"user","content":"Hi"}]}"#;
    provider.encode(&mut attempt, &call(Endpoint::Chat, request))?;
    let mut out = Vec::new();
    provider.on_data(&mut attempt, body.as_bytes(), false, &mut out)?;
    provider.on_data(&mut attempt, &[], true, &mut out)?;
    Ok(serde_json::from_slice(&out).unwrap())
}

#[test]
fn keep_alive_is_a_duration_or_seconds() {
    let sent = |keep_alive: &str| {
        let config = json!({"keep_alive": keep_alive});
        let body = json!({"messages": [{"role": "user", "content": "Hi"}]});
        ask_with(config, Endpoint::Chat, &body).unwrap()["keep_alive"].clone()
    };
    assert_eq!(sent("600"), 600);
    assert_eq!(sent("-1"), -1);
    for duration in ["10m", "1h30m", "1.5h", "-1m", "250ms"] {
        assert_eq!(sent(duration), duration);
    }
    for wrong in ["", "-", "ten minutes", "m", "10m5", "1..5h", "5 m", "10d"] {
        let config = serde_json::from_value(json!({ "keep_alive": wrong })).unwrap();
        let error = Ollama::new("ollama", config).err().unwrap();
        assert_eq!(error.path, ["keep_alive"], "{wrong}");
    }
}

#[test]
fn a_request_wins_over_the_options_of_the_config() {
    let config =
        json!({"num_ctx": 4096, "options": {"num_ctx": 1, "temperature": 0.1, "mirostat": 2}});
    let body =
        json!({"messages": [{"role": "user", "content": "Hi"}], "temperature": 0.9, "top_p": null});
    let sent = ask_with(config, Endpoint::Chat, &body).unwrap();
    assert_eq!(
        sent["options"],
        json!({"num_ctx": 4096, "temperature": 0.9, "mirostat": 2})
    );
}

#[test]
fn unknown_keys_and_a_window_of_zero_are_refused() {
    for wrong in [json!({"keepalive": "5m"}), json!({"num_ctx": 0})] {
        assert!(serde_json::from_value::<Config>(wrong).is_err());
    }
}

#[test]
fn what_would_be_left_out_silently_is_for_another_target() {
    for (member, value) in [
        ("n", json!(2)),
        ("logit_bias", json!({"50256": -100})),
        ("modalities", json!(["text", "audio"])),
        ("functions", json!([{"name": "f"}])),
        ("web_search_options", json!({})),
        (
            "tools",
            json!([{"type": "custom", "custom": {"name": "f"}}]),
        ),
    ] {
        let refusal = chat_with(member, &value).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Unsupported, "{member}");
        assert!(refusal.param.unwrap().starts_with(member));
    }
    for (member, value) in [
        ("n", json!(1)),
        ("logit_bias", json!({})),
        ("modalities", json!(["text"])),
        ("functions", json!(null)),
        ("tools", json!([])),
        ("tool_choice", json!("auto")),
    ] {
        assert!(chat_with(member, &value).is_ok(), "{member}");
    }
}

#[test]
fn malformed_members_are_named() {
    for (member, value) in [
        ("temperature", json!("hot")),
        ("max_tokens", json!(0)),
        ("max_completion_tokens", json!(-1)),
        ("max_tokens", json!(1.5)),
        ("stop", json!([1])),
        ("tools", json!({})),
        ("response_format", json!({"type": "xml"})),
        ("response_format", json!({"type": "json_schema"})),
        ("reasoning_effort", json!("some")),
        ("messages", json!([])),
        ("messages", json!("Hi")),
        ("messages", json!([{"role": "function", "content": "x"}])),
        ("messages", json!([{"role": "user", "content": null}])),
        (
            "messages",
            json!([{"role": "user", "content": [{"type": "text"}]}]),
        ),
        (
            "messages",
            json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:text/plain;base64,eA=="}}]}]),
        ),
    ] {
        let refusal = chat_with(member, &value).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::InvalidRequest, "{member}");
        assert!(refusal.param.unwrap().starts_with(member));
    }
}

#[test]
fn a_choice_of_tools_narrows_them() {
    let tool =
        |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {}}});
    let names = |choice: Value| {
        let body = json!({
            "messages": [{"role": "user", "content": "Hi"}],
            "tools": [tool("a"), tool("b"), tool("c")],
            "tool_choice": choice,
        });
        ask(Endpoint::Chat, &body).map(|sent| {
            let tools = sent["tools"].as_array().cloned().unwrap_or_default();
            let name = |tool: &Value| tool["function"]["name"].as_str().unwrap().to_owned();
            tools.iter().map(name).collect::<String>()
        })
    };
    assert_eq!(names(Value::Null).unwrap(), "abc");
    assert_eq!(names(json!("required")).unwrap(), "abc");
    assert_eq!(names(json!("none")).unwrap(), "");
    let allowed = json!({"mode": "auto", "tools": [{"function": {"name": "c"}}, {"function": {"name": "a"}}]});
    let allowed = json!({"type": "allowed_tools", "allowed_tools": allowed});
    assert_eq!(names(allowed).unwrap(), "ac");
    for wrong in [
        json!({"type": "function", "function": {"name": "z"}}),
        json!("always"),
        json!({"type": "any"}),
    ] {
        assert_eq!(names(wrong).unwrap_err().param.unwrap(), "tool_choice");
    }
}

#[test]
fn the_nearest_call_names_a_repeated_id() {
    let calls = |name: &str| json!({"role": "assistant", "content": null, "tool_calls": [{"id": "call_0", "type": "function", "function": {"name": name, "arguments": "{}"}}]});
    let result = json!({"role": "tool", "tool_call_id": "call_0", "content": "x"});
    let unknown = json!({"role": "tool", "tool_call_id": "call_9", "name": "c", "content": "x"});
    let messages = json!([calls("a"), result, calls("b"), result, unknown]);
    let sent = chat_with("messages", &messages).unwrap();
    let name = |index: usize| sent["messages"][index]["tool_name"].clone();
    assert_eq!([name(1), name(3), name(4)], ["a", "b", "c"]);
}

#[test]
fn only_text_is_completed_and_embedded() {
    let kind = |endpoint, body: Value| ask(endpoint, &body).map_err(|refusal| refusal.kind).err();
    let completion = |prompt: Value| kind(Endpoint::Completions, json!({ "prompt": prompt }));
    assert_eq!(completion(json!("x")), None);
    assert_eq!(completion(json!(["x"])), None);
    assert_eq!(completion(json!("")), Some(RefusalKind::InvalidRequest));
    assert_eq!(completion(Value::Null), Some(RefusalKind::InvalidRequest));
    for several in [json!(["x", "y"]), json!([1, 2]), json!([[1]]), json!([])] {
        assert_eq!(completion(several), Some(RefusalKind::Unsupported));
    }
    let embedding = |input: Value| kind(Endpoint::Embeddings, json!({ "input": input }));
    assert_eq!(embedding(json!(["x", "y"])), None);
    assert_eq!(embedding(json!([1, 2])), Some(RefusalKind::Unsupported));
    for wrong in [
        json!(""),
        json!([]),
        json!(["x", 1]),
        json!({}),
        json!([null]),
    ] {
        assert_eq!(embedding(wrong), Some(RefusalKind::InvalidRequest));
    }
}

#[test]
fn arguments_may_come_as_text_or_not_at_all() {
    let arguments = |arguments: &str| {
        let line = format!(
            r#"{{"message":{{"tool_calls":[{{"function":{{"name":"f"{arguments}}}}}]}},"done":true,"done_reason":"stop"}}"#
        );
        let choice = reply(&line).unwrap()["choices"][0].take();
        assert_eq!(choice["finish_reason"], "tool_calls");
        choice["message"]["tool_calls"][0]["function"]["arguments"].clone()
    };
    assert_eq!(arguments(""), "{}");
    assert_eq!(arguments(r#","arguments":null"#), "{}");
    assert_eq!(arguments(r#","arguments":{"a":1}"#), r#"{"a":1}"#);
    assert_eq!(arguments(r#","arguments":"{\"a\":1}""#), r#"{"a":1}"#);
}

#[test]
fn every_reason_to_end_is_one_of_openais() {
    for (said, meant) in [
        (r#""stop""#, "stop"),
        (r#""length""#, "length"),
        (r#""load""#, "stop"),
        (r#""unload""#, "stop"),
        (r#""something new""#, "stop"),
        ("null", "stop"),
    ] {
        let line = format!(r#"{{"message":{{"content":"x"}},"done":true,"done_reason":{said}}}"#);
        let reply = reply(&line).unwrap();
        assert_eq!(reply["choices"][0]["finish_reason"], meant);
        assert_eq!(reply["usage"]["total_tokens"], 0);
        assert_eq!(
            reply["model"], "m",
            "the name asked for, where none is given"
        );
    }
}

#[test]
fn a_reply_that_is_none_is_the_upstreams_fault() {
    for body in [
        "",
        "{",
        "[]",
        "<html>",
        r#"{"message":{"content":"x"},"done":false}"#,
        r#"{"error":"llama runner process has terminated"}"#,
    ] {
        assert_eq!(
            reply(body).unwrap_err().kind,
            RefusalKind::BadUpstream,
            "{body}"
        );
    }
}

#[test]
fn as_many_embeddings_as_inputs() {
    let provider = ollama(json!({}));
    let mut attempt = provider.begin();
    let body = br#"{"input":["x","y"]}"#;
    provider
        .encode(&mut attempt, &call(Endpoint::Embeddings, body))
        .unwrap();
    let reply = br#"{"embeddings":[[0.5]]}"#;
    let error = provider.on_data(&mut attempt, reply, true, &mut Vec::new());
    assert_eq!(error.unwrap_err().kind, RefusalKind::BadUpstream);
}

#[test]
fn errors_of_ollama_have_a_meaning() {
    let meaning = |status, said: &str| {
        let body = json!({ "error": said }).to_string();
        let refusal = ollama(json!({})).on_error(status, body.as_bytes())?;
        Some((
            refusal.kind,
            refusal.code.map(String::from),
            refusal.message.into_owned(),
        ))
    };
    let (kind, code, message) =
        meaning(404, r#"model "x:7b" not found, try pulling it first"#).unwrap();
    assert_eq!(kind, RefusalKind::NotFound);
    assert_eq!(code.unwrap(), "model_not_found");
    assert!(message.contains("x:7b") && message.contains("ollama pull"));
    let (kind, ..) = meaning(
        503,
        "server busy, please try again.  maximum pending requests exceeded",
    )
    .unwrap();
    assert_eq!(kind, RefusalKind::Unavailable);
    let (kind, _, message) = meaning(400, r#""llama3.1" does not support tools"#).unwrap();
    assert_eq!(kind, RefusalKind::InvalidRequest);
    assert!(message.contains("does not support tools"));
    let (_, code, _) = meaning(400, "the input length exceeds the context length").unwrap();
    assert_eq!(code.unwrap(), "context_length_exceeded");
    assert_eq!(meaning(500, "model requires more system memory"), None);
    assert_eq!(meaning(404, "file not found"), None);
    assert_eq!(ollama(json!({})).on_error(404, b"404 page not found"), None);
}

#[test]
fn no_message_tells_an_address() {
    for said in [
        "dial tcp 10.1.2.3:11434: connect: connection refused",
        r#"Post "http://127.0.0.1:35557/completion": EOF"#,
        "lookup ollama.internal on 10.0.0.2: no such host",
        "read tcp [::1]:52290->[::1]:36411: reset",
        "upstream gpu-7.internal:8443 is gone",
        "cannot reach 192.168.0.7",
        "connect to localhost refused",
    ] {
        let body = json!({ "error": said }).to_string();
        for status in [400, 429, 503] {
            let refusal = ollama(json!({})).on_error(status, body.as_bytes()).unwrap();
            let message = refusal.message.to_ascii_lowercase();
            for secret in [
                "10.",
                "127.",
                "192.",
                "::1",
                "internal",
                "localhost",
                ":8443",
            ] {
                assert!(!message.contains(secret), "{message}");
            }
        }
        let message = reply(&body).unwrap_err().message;
        assert_eq!(message, "the upstream failed while it answered");
    }
}

#[test]
fn ids_belong_to_the_exchange() {
    use crate::providers::answer::Identity;
    let of = |request_id: &str, created| {
        let call = Call {
            request_id,
            created,
            ..call(Endpoint::Chat, b"")
        };
        Identity::of(&call, "fp")
    };
    assert_eq!(of("r-1", 1), of("r-1", 1));
    assert_ne!(of("r-1", 1).part("call_", 0), of("r-2", 1).part("call_", 0));
    assert_ne!(of("r-1", 1).part("call_", 0), of("r-1", 2).part("call_", 0));
    assert_ne!(of("r-1", 1).part("call_", 0), of("r-1", 1).part("call_", 1));
    assert_eq!(of("a b\"c", 1).whole("chatcmpl-"), "chatcmpl-a-b-c");
    assert!(of(&"r".repeat(200), 1).part("call_", 999).len() <= 40);
}

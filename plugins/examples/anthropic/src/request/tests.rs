use millgate_plugin::Endpoint;

use super::*;

const DEFAULTS: Defaults = Defaults {
    max_tokens: 4096,
    thinking: ThinkingStyle::Adaptive,
    sampling: true,
    prompt_cache: None,
};

/// The request for a chat with these further members.
fn ask(members: Value) -> Result<Value, Refusal> {
    let mut body = json!({"model": "client's", "messages": [{"role": "user", "content": "x"}]});
    let Value::Object(members) = members else {
        panic!("members are an object");
    };
    body.as_object_mut().unwrap().extend(members);
    translate_bytes(body.to_string().as_bytes())
}

fn translate_bytes(body: &[u8]) -> Result<Value, Refusal> {
    let call = Call {
        endpoint: Endpoint::Chat,
        method: "POST",
        path: "/chat/completions",
        query: None,
        model: "the target's",
        stream: false,
        body,
        request_id: "r-1",
        created: 0,
    };
    translate(&DEFAULTS, &call).map(|question| serde_json::from_slice(&question.body).unwrap())
}

/// What is asked beside model, limit and messages.
fn beside(members: Value) -> Value {
    let mut asked = ask(members).unwrap();
    let asked_members = asked.as_object_mut().unwrap();
    for always in ["model", "max_tokens", "messages"] {
        asked_members.remove(always).unwrap();
    }
    asked
}

fn refused(members: Value) -> (RefusalKind, String) {
    let refusal = ask(members).unwrap_err();
    (refusal.kind, refusal.param.unwrap().into_owned())
}

#[test]
fn the_targets_model_is_asked() {
    assert_eq!(ask(json!({})).unwrap()["model"], "the target's");
}

#[test]
fn what_is_not_known_is_not_passed_on() {
    let members = json!({
        "seed": 7, "store": true, "service_tier": "flex", "metadata": {"a": "b"}, "thinking": {"type": "enabled"},
        "presence_penalty": 1, "frequency_penalty": 1, "prediction": {}, "system": "sneaky", "stream": true,
        "logprobs": false, "logit_bias": {}, "n": 1, "modalities": ["text"], "tools": null, "user": "",
    });
    assert_eq!(beside(members), json!({}));
}

#[test]
fn temperatures_end_at_anthropics_default() {
    for (temperature, sent) in [
        (json!(0), json!({"temperature": 0})),
        (json!(0.99), json!({"temperature": 0.99})),
        (json!(1), json!({})),
        (json!(2.0), json!({})),
        (json!(null), json!({})),
    ] {
        assert_eq!(beside(json!({"temperature": temperature})), sent);
    }
    for wrong in [json!(2.1), json!(-0.1), json!("1")] {
        let expected = (RefusalKind::InvalidRequest, "temperature".to_owned());
        assert_eq!(refused(json!({"temperature": wrong})), expected);
    }
}

#[test]
fn of_temperature_and_top_p_one_is_sent() {
    let both = beside(json!({"temperature": 0.5, "top_p": 0.5}));
    assert_eq!(both, json!({"temperature": 0.5}));
    let hot = beside(json!({"temperature": 1.5, "top_p": 0.5}));
    assert_eq!(hot, json!({"top_p": 0.5}));
    assert_eq!(beside(json!({"top_p": 1})), json!({}));
}

#[test]
fn whoever_thinks_is_not_told_how_to_choose_tokens() {
    let sent = beside(json!({"reasoning_effort": "low", "temperature": 0.5, "top_k": 3}));
    let expected = json!({
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": "low"},
    });
    assert_eq!(sent, expected);
    let quiet = beside(json!({"reasoning_effort": "none", "temperature": 0.5}));
    let expected = json!({"temperature": 0.5, "thinking": {"type": "disabled"}});
    assert_eq!(quiet, expected);
}

#[test]
fn a_tool_that_must_be_called_leaves_no_time_to_think() {
    let tools = json!([{"type": "function", "function": {"name": "f", "strict": true}}]);
    let sent = beside(json!({
        "reasoning_effort": "high", "tools": tools, "tool_choice": "required", "parallel_tool_calls": false,
    }));
    let expected = json!({
        "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}, "strict": true}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
        "output_config": {"effort": "high"},
    });
    assert_eq!(sent, expected);
}

#[test]
fn one_call_at_a_time_needs_no_choice() {
    let tools =
        json!([{"type": "function", "function": {"name": "f", "parameters": {"properties": {}}}}]);
    let sent = beside(json!({"tools": tools, "parallel_tool_calls": false}));
    let choice = json!({"type": "auto", "disable_parallel_tool_use": true});
    assert_eq!(sent["tool_choice"], choice);
    assert_eq!(sent["tools"][0]["input_schema"]["type"], "object");
    assert_eq!(
        beside(json!({"tool_choice": "auto", "parallel_tool_calls": false})),
        json!({}),
        "without tools there is nothing to choose"
    );
}

#[test]
fn what_anthropic_cannot_do_is_left_to_another_target() {
    for (members, param) in [
        (json!({"n": 2}), "n"),
        (json!({"logit_bias": {"1": 2}}), "logit_bias"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"modalities": ["text", "audio"]}), "modalities"),
        (json!({"functions": []}), "functions"),
        (json!({"web_search_options": {}}), "web_search_options"),
        (json!({"stop": ["a", "\n"]}), "stop"),
        (
            json!({"tools": [{"type": "custom", "custom": {"name": "f"}}]}),
            "tools[0]",
        ),
        (
            json!({"response_format": {"type": "json_object"}}),
            "response_format.type",
        ),
    ] {
        assert_eq!(
            refused(members),
            (RefusalKind::Unsupported, param.to_owned())
        );
    }
}

#[test]
fn mistakes_are_refused_where_they_stand() {
    let f = json!([{"type": "function", "function": {"name": "f"}}]);
    for (members, param) in [
        (json!({"messages": null}), "messages"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (
            json!({"max_completion_tokens": 1.5}),
            "max_completion_tokens",
        ),
        (json!({"top_p": 2}), "top_p"),
        (json!({"top_k": "x"}), "top_k"),
        (json!({"stop": [1]}), "stop"),
        (json!({"stop": 1}), "stop"),
        (json!({"tools": {}}), "tools"),
        (
            json!({"tools": [{"function": {"name": "f", "parameters": []}}]}),
            "tools[0].function.parameters",
        ),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (json!({"tools": f, "tool_choice": "perhaps"}), "tool_choice"),
        (json!({"tools": f, "tool_choice": 1}), "tool_choice"),
        (
            json!({"tools": f, "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}}),
            "tool_choice",
        ),
        (
            json!({"response_format": {"type": "json_schema"}}),
            "response_format.json_schema.schema",
        ),
        (json!({"response_format": "json"}), "response_format.type"),
        (json!({"reasoning_effort": 3}), "reasoning_effort"),
    ] {
        assert_eq!(
            refused(members),
            (RefusalKind::InvalidRequest, param.to_owned())
        );
    }
    for body in [&b""[..], b"[]", b"{"] {
        let refusal = translate_bytes(body).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::InvalidRequest);
    }
}

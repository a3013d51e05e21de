//! Documents of every kind, made up.

use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Map, Value, json};

pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[ -~가-힣\n\r\t😀\"\\\\]{0,24}",
        1 => Just(String::new()),
    ]
}

fn some_text() -> impl Strategy<Value = String> {
    "[ -~가-힣\n😀]{1,24}"
}

fn name() -> impl Strategy<Value = String> {
    "[a-z_]{1,8}"
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-10.0..0.0).prop_map(|number: f64| json!(number)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((name(), inner), 0..3).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// An object of these members, less those that are absent.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let present = members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(present.collect::<Map<_, _>>())
}

fn nullable(value: impl Strategy<Value = String>) -> impl Strategy<Value = Value> {
    option::of(value).prop_map(Value::from)
}

fn call() -> impl Strategy<Value = Value> {
    (name(), name(), text()).prop_map(|(id, name, arguments)| {
        json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
    })
}

fn logprobs() -> impl Strategy<Value = Value> {
    let token = (text(), -9.0..0.0).prop_map(
        |(token, logprob)| json!({"token": token, "logprob": logprob, "bytes": [1], "top_logprobs": []}),
    );
    prop_oneof![
        Just(Value::Null),
        vec(token, 0..3).prop_map(|content| json!({"content": content, "refusal": null})),
    ]
}

fn message() -> impl Strategy<Value = Value> {
    let texts = (
        nullable(text()),
        option::of(nullable(text())),
        option::of(text()),
        option::of(text()),
    );
    let audio = text()
        .prop_map(|data| json!({"id": "audio", "data": data, "expires_at": 9, "transcript": ""}));
    let details = vec(text(), 0..3).prop_map(|texts| {
        let detail =
            |(index, text)| json!({"type": "reasoning.text", "text": text, "index": index});
        texts.into_iter().enumerate().map(detail).collect::<Value>()
    });
    let rest = (
        option::of(vec(call(), 0..3)),
        option::of(call()),
        option::of(audio),
        option::of(details),
        option::of(anything()),
    );
    (texts, rest).prop_map(
        |((content, refusal, thought, reasoning), (calls, legacy, audio, details, extra))| {
            object([
                ("role", Some(json!("assistant"))),
                ("content", Some(content)),
                ("refusal", refusal),
                ("reasoning_content", thought.map(Value::from)),
                ("reasoning", reasoning.map(Value::from)),
                ("reasoning_details", details),
                ("tool_calls", calls.map(Value::from)),
                ("function_call", legacy.map(|call| call["function"].clone())),
                ("audio", audio),
                ("extra", extra),
            ])
        },
    )
}

fn usage() -> impl Strategy<Value = Value> {
    any::<(u32, u32)>().prop_map(|(input, output)| {
        json!({
            "prompt_tokens": input, "completion_tokens": output,
            "total_tokens": u64::from(input) + u64::from(output),
            "completion_tokens_details": {"reasoning_tokens": 0},
        })
    })
}

/// A document around choices, which are given without their indexes.
fn envelope(
    object_name: &'static str,
    choice: impl Strategy<Value = Value>,
) -> impl Strategy<Value = Value> {
    let rest = (
        option::of(usage()),
        option::of(nullable(name())),
        option::of(anything()),
    );
    (vec(choice, 1..4), name(), any::<u32>(), rest).prop_map(
        move |(mut choices, id, created, (usage, fingerprint, extra))| {
            for (index, choice) in choices.iter_mut().enumerate() {
                choice["index"] = json!(index);
            }
            object([
                ("id", Some(json!(id))),
                ("object", Some(json!(object_name))),
                ("created", Some(json!(created))),
                ("model", Some(json!("모델"))),
                ("choices", Some(json!(choices))),
                ("usage", usage),
                ("system_fingerprint", fingerprint),
                ("service_tier", Some(json!("default"))),
                ("extra", extra),
            ])
        },
    )
}

const REASONS: [&str; 4] = ["stop", "length", "tool_calls", "content_filter"];

pub(super) fn chat() -> impl Strategy<Value = Value> {
    let choice = (
        message(),
        option::of(logprobs()),
        select(&REASONS[..]),
        option::of(anything()),
    );
    let choice = choice.prop_map(|(message, logprobs, reason, extra)| {
        object([
            ("message", Some(message)),
            ("logprobs", logprobs),
            ("finish_reason", Some(json!(reason))),
            ("extra", extra),
        ])
    });
    envelope("chat.completion", choice)
}

pub(super) fn completion() -> impl Strategy<Value = Value> {
    let logprobs =
        vec(text(), 0..3).prop_map(|tokens| json!({"tokens": tokens, "text_offset": [0]}));
    let choice = (text(), option::of(logprobs), select(&REASONS[..2])).prop_map(
        |(text, logprobs, reason)| {
            json!({"text": text, "logprobs": logprobs, "finish_reason": reason})
        },
    );
    envelope("text_completion", choice)
}

fn part() -> impl Strategy<Value = Value> {
    let annotation = Just(json!({
        "type": "url_citation", "start_index": 0, "end_index": 1, "title": "t", "url": "u",
    }));
    prop_oneof![
        (text(), vec(annotation, 0..3)).prop_map(|(text, annotations)| {
            json!({"type": "output_text", "text": text, "annotations": annotations, "logprobs": []})
        }),
        text().prop_map(|text| json!({"type": "refusal", "refusal": text})),
    ]
}

fn item() -> impl Strategy<Value = Value> {
    let texts = |kind: &'static str| {
        vec(text(), 0..3).prop_map(move |texts| {
            let part = |text| json!({"type": kind, "text": text});
            texts.into_iter().map(part).collect::<Value>()
        })
    };
    prop_oneof![
        vec(part(), 0..3).prop_map(|parts| {
            json!({"type": "message", "status": "completed", "role": "assistant", "content": parts})
        }),
        call().prop_map(|call| {
            json!({
                "type": "function_call", "call_id": "", "status": "completed",
                "name": call["function"]["name"], "arguments": call["function"]["arguments"],
            })
        }),
        text().prop_map(|input| {
            json!({"type": "custom_tool_call", "call_id": "", "name": "n", "input": input})
        }),
        (texts("summary_text"), option::of(texts("reasoning_text"))).prop_map(
            |(summary, content)| object([
                ("type", Some(json!("reasoning"))),
                ("summary", Some(summary)),
                ("content", content),
                ("encrypted_content", Some(json!("e"))),
            ])
        ),
        some_text().prop_map(|query| {
            json!({
                "type": "web_search_call", "status": "completed",
                "action": {"type": "search", "query": query},
            })
        }),
    ]
}

pub(super) fn response() -> impl Strategy<Value = Value> {
    let usage = json!({
        "input_tokens": 3, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 7,
    });
    let statuses = select(&["completed", "incomplete", "failed"][..]);
    (vec(item(), 0..4), statuses, name(), option::of(anything())).prop_map(
        move |(mut output, status, id, extra)| {
            for (index, item) in output.iter_mut().enumerate() {
                item["id"] = json!(format!("item_{index}"));
                if let Some(call) = item.get_mut("call_id") {
                    *call = json!(format!("call_{index}"));
                }
            }
            object([
                ("id", Some(json!(id))),
                ("object", Some(json!("response"))),
                ("created_at", Some(json!(1))),
                ("status", Some(json!(status))),
                (
                    "error",
                    Some(match status {
                        "failed" => json!({"code": "server_error", "message": "m"}),
                        _ => Value::Null,
                    }),
                ),
                ("incomplete_details", Some(Value::Null)),
                ("instructions", Some(Value::Null)),
                ("metadata", Some(json!({}))),
                ("model", Some(json!("m"))),
                ("output", Some(json!(output))),
                ("parallel_tool_calls", Some(json!(true))),
                ("temperature", Some(json!(0.5))),
                ("tool_choice", Some(json!("auto"))),
                ("tools", Some(json!([]))),
                ("top_p", Some(json!(1.0))),
                ("usage", Some(usage.clone())),
                ("extra", extra),
            ])
        },
    )
}

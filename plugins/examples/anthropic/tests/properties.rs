//! What holds for any request and any stream.

#![allow(
    clippy::unwrap_used,
    reason = "what makes and reads streams is part of the tests"
)]

mod driver;

use driver::Call;
use proptest::prelude::*;
use serde_json::{Value, json};

fn call(stream: bool) -> Call {
    let messages = json!([{"role": "user", "content": "x"}]);
    Call::read(&json!({"body": {"model": "m", "messages": messages, "stream": stream}}))
}

/// `bytes` in pieces that end where `cuts` says.
fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let mut start = 0;
    ends.into_iter()
        .map(|end| {
            let piece = &bytes[start..end];
            start = end;
            piece
        })
        .collect()
}

fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..16)
}

/// A content block, in the pieces in which it is streamed.
#[derive(Clone, Debug)]
enum Block {
    Text(Vec<String>),
    Thinking(Vec<String>),
    Call {
        name: String,
        arguments: Vec<String>,
    },
    Unknown(Value),
}

/// Something of a type that nobody knows yet, whose members may be anything.
fn future() -> impl Strategy<Value = Value> {
    let member = prop::sample::select(vec![
        "text",
        "thinking",
        "id",
        "name",
        "input",
        "partial_json",
    ]);
    let value = prop::sample::select(vec![json!(null), json!(1), json!("x"), json!({"a": []})]);
    (member, value).prop_map(|(member, value)| json!({"type": "from_the_future", member: value}))
}

fn block() -> impl Strategy<Value = Block> {
    let texts = || prop::collection::vec(any::<String>(), 0..4);
    prop_oneof![
        texts().prop_map(Block::Text),
        texts().prop_map(Block::Thinking),
        ("[a-z_]{1,8}", texts()).prop_map(|(name, arguments)| Block::Call { name, arguments }),
        future().prop_map(Block::Unknown),
    ]
}

impl Block {
    fn events(&self, index: usize) -> Vec<Value> {
        let (begun, name, pieces): (Value, _, &[String]) = match self {
            Self::Text(texts) => (json!({"type": "text", "text": ""}), "text", texts),
            Self::Thinking(texts) => {
                let begun = json!({"type": "thinking", "thinking": "", "signature": ""});
                (begun, "thinking", texts)
            }
            Self::Call { name, arguments } => {
                let id = format!("toolu_{index}");
                let begun = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
                (begun, "partial_json", arguments)
            }
            Self::Unknown(future) => {
                let change =
                    json!({"type": "content_block_delta", "index": index, "delta": future});
                let begun =
                    json!({"type": "content_block_start", "index": index, "content_block": future});
                let mut event = future.clone();
                event["index"] = "x".into();
                return vec![begun, change, event];
            }
        };
        let kind = match name {
            "partial_json" => "input_json_delta".to_owned(),
            name => format!("{name}_delta"),
        };
        let delta = |piece: &String| {
            let delta = json!({"type": kind, name: piece});
            json!({"type": "content_block_delta", "index": index, "delta": delta})
        };
        let begun = json!({"type": "content_block_start", "index": index, "content_block": begun});
        let end = json!({"type": "content_block_stop", "index": index});
        std::iter::once(begun)
            .chain(pieces.iter().map(delta))
            .chain([end])
            .collect()
    }
}

/// A stream whose blocks come one after the other, or all at once.
fn stream(blocks: &[Block], are_mixed: bool) -> String {
    let mut lists: Vec<_> = blocks
        .iter()
        .enumerate()
        .map(|(index, block)| block.events(index).into_iter().peekable())
        .collect();
    let mut content = Vec::new();
    if are_mixed {
        while lists.iter_mut().any(|list| list.peek().is_some()) {
            content.extend(lists.iter_mut().filter_map(Iterator::next));
        }
    } else {
        content.extend(lists.into_iter().flatten());
    }
    let usage = json!({"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 1});
    let start = json!({"id": "msg_1", "model": "claude", "content": [], "stop_reason": null, "usage": usage});
    let last = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}});
    let events: Vec<_> = std::iter::once(json!({"type": "message_start", "message": start}))
        .chain(content)
        .chain([last, json!({"type": "message_stop"})])
        .map(|event| format!("event: x\ndata: {event}\n\n"))
        .collect();
    events.concat()
}

/// Text, thoughts, and the tool calls with their arguments.
type Said = (String, String, Vec<(String, String)>);

fn wanted(blocks: &[Block]) -> Said {
    let mut said = Said::default();
    for block in blocks {
        match block {
            Block::Text(texts) => said.0.extend(texts.iter().map(String::as_str)),
            Block::Thinking(texts) => said.1.extend(texts.iter().map(String::as_str)),
            Block::Call { name, arguments } => {
                let arguments = arguments.concat();
                let none = "{}".to_owned();
                let arguments = if arguments.is_empty() {
                    none
                } else {
                    arguments
                };
                said.2.push((name.clone(), arguments));
            }
            Block::Unknown(_) => {}
        }
    }
    said
}

/// What a client makes of the chunks, holding them to OpenAI's rules on the way.
fn said(out: &[u8]) -> Said {
    let mut said = Said::default();
    let text = std::str::from_utf8(out).unwrap();
    let events = text.strip_suffix("data: [DONE]\n\n").unwrap();
    let chunks: Vec<Value> = events
        .split_terminator("\n\n")
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
        .collect();
    for (at, chunk) in chunks.iter().enumerate() {
        let choice = &chunk["choices"][0];
        let delta = &choice["delta"];
        let (is_first, is_last) = (at == 0, at + 1 == chunks.len());
        assert_eq!(
            delta["role"] == "assistant",
            is_first,
            "the role comes once"
        );
        assert_eq!(
            choice["finish_reason"] == "stop",
            is_last,
            "the end comes once"
        );
        assert_eq!(
            (&chunk["id"], &chunk["model"]),
            (&json!("msg_1"), &json!("claude"))
        );
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        said.0 += &text(&delta["content"]);
        said.1 += &text(&delta["reasoning_content"]);
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = call["index"].as_u64().unwrap() as usize;
            if call.get("id").is_some() {
                assert_eq!(index, said.2.len(), "calls are numbered");
                let name = text(&call["function"]["name"]);
                said.2.push((name, String::new()));
            }
            said.2[index].1 += &text(&call["function"]["arguments"]);
        }
    }
    said
}

/// A message of a conversation.
fn message() -> impl Strategy<Value = Value> {
    let content = prop_oneof![
        any::<String>().prop_map(Value::from),
        prop::collection::vec(any::<String>(), 0..3).prop_map(|texts| {
            let part = |text: &String| json!({"type": "text", "text": text});
            texts.iter().map(part).collect()
        }),
    ];
    let calls = prop::collection::vec("[a-z:.]{1,5}", 0..3).prop_map(|ids| -> Value {
        let call = |id: &String| json!({"id": id, "function": {"name": "f", "arguments": "{}"}});
        ids.iter().map(call).collect()
    });
    let role = prop::sample::select(vec!["system", "developer", "user", "assistant", "tool"]);
    (role, content, calls, "[a-z:.]{1,5}").prop_map(|(role, content, calls, id)| {
        let mut message = json!({"role": role, "content": content});
        match role {
            "assistant" => message["tool_calls"] = calls,
            "tool" => message["tool_call_id"] = id.into(),
            _ => {}
        }
        message
    })
}

proptest! {
    #[test]
    fn noise_is_never_an_answer(
        bytes in prop::collection::vec(any::<u8>(), 0..512),
        cuts in cuts(),
        is_stream in any::<bool>(),
    ) {
        let (_, error) = call(is_stream).decode(pieces(&bytes, &cuts));
        prop_assert!(error.is_some());
    }

    #[test]
    fn events_of_any_shape_never_panic(
        text in "(data: \\{\"type\":\"(message_start|content_block_start|content_block_delta|content_block_stop|message_delta|message_stop|ping|error)\"(,\"(message|content_block|delta|usage|error|index)\":(null|1|\"x\"|\\{\\}|\\[\\]|\\{\"type\":\"(text|tool_use|text_delta|input_json_delta)\"\\}|\\{\"stop_reason\":\"end_turn\"\\}))?\\}\n\n){0,6}",
    ) {
        let (out, error) = call(true).decode([text.as_bytes()]);
        prop_assert_eq!(error.is_none(), out.ends_with(b"data: [DONE]\n\n"));
    }

    #[test]
    fn a_stream_means_the_same_in_any_cuts(
        blocks in prop::collection::vec(block(), 0..6),
        are_mixed in any::<bool>(),
        cuts in cuts(),
    ) {
        let stream = stream(&blocks, are_mixed);
        let (out, error) = call(true).decode(pieces(stream.as_bytes(), &cuts));
        prop_assert_eq!(error, None);
        if are_mixed {
            // Pieces of several texts come in turns then; only calls can be told apart.
            prop_assert_eq!(said(&out).2, wanted(&blocks).2);
        } else {
            prop_assert_eq!(said(&out), wanted(&blocks));
        }
    }

    #[test]
    fn a_whole_answer_says_what_its_stream_would(blocks in prop::collection::vec(block(), 0..6)) {
        let content: Vec<Value> = blocks.iter().enumerate().map(|(index, block)| match block {
            Block::Text(texts) => json!({"type": "text", "text": texts.concat()}),
            Block::Thinking(texts) => json!({"type": "thinking", "thinking": texts.concat()}),
            Block::Call { name, arguments } => {
                let input = json!({"all": arguments.concat()});
                json!({"type": "tool_use", "id": format!("toolu_{index}"), "name": name, "input": input})
            }
            Block::Unknown(future) => future.clone(),
        }).collect();
        let message = json!({"type": "message", "id": "msg_1", "content": content, "stop_reason": "end_turn"});
        let (out, error) = call(false).decode([message.to_string().as_bytes()]);
        prop_assert_eq!(error, None);
        let reply: Value = serde_json::from_slice(&out).unwrap();
        let answer = &reply["choices"][0]["message"];
        let (text, thoughts, calls) = wanted(&blocks);
        prop_assert_eq!(answer["content"].as_str().unwrap_or_default(), text);
        prop_assert_eq!(answer["reasoning_content"].as_str().unwrap_or_default(), thoughts);
        let made: Vec<_> = answer["tool_calls"].as_array().into_iter().flatten().map(|call| &call["function"]["name"]).collect();
        prop_assert_eq!(made, calls.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
    }

    #[test]
    fn turns_alternate_results_come_first_and_nothing_is_lost(
        messages in prop::collection::vec(message(), 1..10),
    ) {
        let body = json!({"model": "m", "messages": messages});
        let Ok(request) = Call::read(&json!({"body": body})).ask() else {
            return Ok(());
        };
        let sent: Value = serde_json::from_slice(&request.body.unwrap()).unwrap();
        let turns = sent["messages"].as_array().unwrap();
        prop_assert!(turns.windows(2).all(|pair| pair[0]["role"] != pair[1]["role"]));
        let (mut calls, mut results) = (0, 0);
        for turn in turns {
            let blocks = turn["content"].as_array().unwrap();
            prop_assert!(!blocks.is_empty());
            let is_result = |block: &Value| block["type"] == "tool_result";
            prop_assert!(blocks.is_sorted_by_key(|block| !is_result(block)));
            results += blocks.iter().filter(|block| is_result(block)).count();
            calls += blocks.iter().filter(|block| block["type"] == "tool_use").count();
            for text in blocks.iter().filter_map(|block| block["text"].as_str()) {
                prop_assert!(!text.trim().is_empty());
            }
        }
        let called = messages.iter().filter_map(|message| message["tool_calls"].as_array());
        prop_assert_eq!(calls, called.map(Vec::len).sum::<usize>());
        prop_assert_eq!(results, messages.iter().filter(|message| message["role"] == "tool").count());
    }

    #[test]
    fn members_of_any_shape_never_panic(
        member in "messages|tools|tool_choice|stop|response_format|temperature|top_p|top_k|max_tokens|reasoning_effort|n|user|stream_options|logit_bias|modalities",
        value in "null|true|0|1|-1|1e300|\"x\"|\"none\"|\"high\"|\\[\\]|\\{\\}|\\[1\\]|\\[\"x\"\\]|\\[null\\]|\\[\\{\\}\\]|\\[\\{\"role\":\"(user|tool|assistant)\"\\}\\]|\\[\\{\"function\":\\{\"name\":\"f\"\\}\\}\\]|\\{\"type\":\"(function|allowed_tools|json_schema|text)\"\\}",
    ) {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
        body[member.as_str()] = serde_json::from_str(&value).unwrap();
        if let Ok(request) = Call::read(&json!({"body": body})).ask() {
            let sent: Value = serde_json::from_slice(&request.body.unwrap()).unwrap();
            prop_assert!(sent["max_tokens"].as_u64().unwrap() >= 1);
            prop_assert!(sent["messages"].is_array());
        }
    }
}

//! Recorded exchanges with Ollama, byte for byte, and the codec under arbitrary input.
//!
//! A case is a folder `tests/golden/ollama/<case>`: `request.json` is the call (`endpoint`, `body`, the provider's
//! `config`), `upstream.ndjson` or `upstream.json` is what Ollama answers. From them follow
//! `upstream_request.json`, `reply.sse` or `reply.json`, and `refusal.json` where the codec says no.
//! `UPDATE_GOLDEN=1 cargo test --test golden_ollama` writes those anew; read the diff before it is committed.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what reads the cases is part of the tests"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use millgate::providers::ollama::Ollama;
use millgate_plugin::{Call, Endpoint, HeadFlow, Provider, Refusal, UpstreamHead, UpstreamRequest};
use proptest::prelude::*;
use serde_json::{Value, json};

struct Case {
    folder: PathBuf,
    provider: Ollama,
    endpoint: Endpoint,
    body: Vec<u8>,
    model: String,
    stream: bool,
}

type Attempt = <Ollama as Provider>::State;

impl Case {
    fn read(folder: PathBuf) -> Self {
        let request: Value =
            serde_json::from_slice(&fs::read(folder.join("request.json")).unwrap()).unwrap();
        let config = request.get("config").cloned().unwrap_or_else(|| json!({}));
        let body = &request["body"];
        Self {
            provider: Ollama::new("ollama", serde_json::from_value(config).unwrap()).unwrap(),
            endpoint: endpoint(request["endpoint"].as_str().unwrap()),
            model: body["model"].as_str().unwrap_or_default().to_owned(),
            stream: body["stream"] == true,
            body: if body.is_null() {
                Vec::new()
            } else {
                serde_json::to_vec(body).unwrap()
            },
            folder,
        }
    }

    fn begin(&self) -> (Attempt, Result<UpstreamRequest, Refusal>) {
        let call = Call {
            endpoint: self.endpoint,
            method: "POST",
            path: "",
            query: None,
            model: &self.model,
            stream: self.stream,
            body: &self.body,
            request_id: "01932f7e-8a40-7c31-9d52-3f1f0a6b8c11",
            created: 1_732_284_000,
        };
        let mut attempt = self.provider.begin();
        let request = self.provider.encode(&mut attempt, &call);
        let head = UpstreamHead {
            status: 200,
            content_type: "application/x-ndjson",
        };
        assert_eq!(self.provider.on_head(&mut attempt, &head), HeadFlow::Decode);
        (attempt, request)
    }

    /// What comes out when the upstream's bytes come in these pieces.
    fn decode<'a>(&self, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, Option<Refusal>) {
        let (mut attempt, _) = self.begin();
        let mut out = Vec::new();
        for piece in pieces {
            if let Err(refusal) = self.provider.on_data(&mut attempt, piece, false, &mut out) {
                return (out, Some(refusal));
            }
        }
        let end = self.provider.on_data(&mut attempt, &[], true, &mut out);
        (out, end.err())
    }

    fn upstream(&self) -> Option<Vec<u8>> {
        let read = |name| fs::read(self.folder.join(name)).ok();
        read("upstream.ndjson").or_else(|| read("upstream.json"))
    }

    /// Compares with the file of this name, or writes it.
    fn expect(&self, name: &str, actual: &[u8]) {
        let path = self.folder.join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, actual).unwrap();
            return;
        }
        let expected =
            fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(
            String::from_utf8_lossy(actual),
            String::from_utf8_lossy(&expected),
            "{}",
            path.display()
        );
    }
}

fn endpoint(name: &str) -> Endpoint {
    (1..=6)
        .filter_map(Endpoint::from_number)
        .find(|endpoint| endpoint.name() == name)
        .unwrap()
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ollama");
    let mut folders: Vec<_> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    assert!(folders.len() >= 16, "cases are missing");
    folders.into_iter().map(Case::read).collect()
}

fn pretty(value: &Value) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).unwrap();
    text.push(b'\n');
    text
}

fn refusal(refusal: &Refusal) -> Vec<u8> {
    pretty(&json!({
        "kind": format!("{:?}", refusal.kind),
        "message": refusal.message,
        "code": refusal.code,
        "param": refusal.param,
    }))
}

#[test]
fn every_case_is_asked_and_answered_as_recorded() {
    for case in cases() {
        let (_, request) = case.begin();
        let request = match request {
            Ok(request) => request,
            Err(error) => {
                case.expect("refusal.json", &refusal(&error));
                continue;
            }
        };
        let body: Option<Value> = request
            .body
            .map(|body| serde_json::from_slice(&body).unwrap());
        case.expect(
            "upstream_request.json",
            &pretty(&json!({"method": request.method, "path": request.path, "body": body})),
        );
        let upstream = case.upstream().unwrap();
        let (out, error) = case.decode(std::iter::once(&upstream[..]));
        if let Some(error) = error {
            case.expect("refusal.json", &refusal(&error));
        }
        if case.stream {
            case.expect("reply.sse", &out);
        } else if !out.is_empty() {
            let reply: Value = serde_json::from_slice(&out).unwrap();
            case.expect("reply.json", &pretty(&reply));
        }
    }
}

#[test]
fn cuts_anywhere_change_nothing() {
    for case in cases() {
        let Some(upstream) = case.upstream() else {
            continue;
        };
        let whole = case.decode(std::iter::once(&upstream[..]));
        assert_eq!(case.decode(upstream.chunks(1)), whole, "{:?}", case.folder);
        for cut in 0..=upstream.len() {
            let (first, second) = upstream.split_at(cut);
            let pieces = [first, second].into_iter();
            assert_eq!(case.decode(pieces), whole, "{:?} at {cut}", case.folder);
        }
    }
}

#[test]
fn every_line_is_passed_on_as_soon_as_it_is_complete() {
    for case in cases().into_iter().filter(|case| case.stream) {
        let Some(upstream) = case.upstream() else {
            continue;
        };
        let (mut attempt, _) = case.begin();
        let mut out = Vec::new();
        for line in upstream.split_inclusive(|byte| *byte == b'\n') {
            let before = out.len();
            let taken = case.provider.on_data(&mut attempt, line, false, &mut out);
            let complete = line.ends_with(b"\n");
            let says_something = taken.is_ok() && complete && !is_silent(case.endpoint, line);
            assert_eq!(out.len() > before, says_something, "{:?}", case.folder);
            assert!(
                out.is_empty() || out.ends_with(b"\n\n"),
                "whole events only"
            );
        }
    }
}

/// Whether a line has nothing to pass on: a text completion shows no empty text and no thinking.
fn is_silent(endpoint: Endpoint, line: &[u8]) -> bool {
    let line: Value = serde_json::from_slice(line).unwrap();
    endpoint == Endpoint::Completions && line["response"] == "" && line["done"] == false
}

/// A case whose upstream does not matter: a streamed chat.
fn chat() -> Case {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ollama");
    Case::read(root.join("chat_stream_korean"))
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

/// A line as Ollama could write it.
fn line() -> impl Strategy<Value = Value> {
    let call = (any::<String>(), any::<String>())
        .prop_map(|(name, value)| json!([{"function": {"name": name, "arguments": {"a": value}}}]));
    (any::<String>(), any::<Option<String>>(), prop::option::of(call)).prop_map(
        |(content, thinking, calls)| {
            json!({
                "model": "m", "done": false,
                "message": {
                    "role": "assistant", "content": content, "thinking": thinking, "tool_calls": calls,
                },
            })
        },
    )
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..512),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        for case in [&chat(), &Case { stream: false, ..chat() }] {
            let (_, error) = case.decode(pieces(&bytes, &cuts).into_iter());
            prop_assert!(error.is_some(), "noise is not an answer");
        }
    }

    #[test]
    fn arbitrary_lines_of_json_never_panic(text in "(\\{\"(message|done|error|model)\":(null|true|1|\"x\"|\\{\\}|\\[\\])\\}\n){0,6}") {
        let case = chat();
        let (_, error) = case.decode(std::iter::once(text.as_bytes()));
        prop_assert_eq!(error.is_none(), text.contains("\"done\":true") && !fails_first(&text));
    }

    #[test]
    fn valid_lines_mean_the_same_in_any_cuts(
        lines in prop::collection::vec(line(), 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..16),
    ) {
        let last = json!({"model": "m", "done": true, "done_reason": "stop", "eval_count": 3});
        let text: String = lines.iter().chain([&last]).flat_map(|line| [line.to_string(), "\n".to_owned()]).collect();
        let case = chat();
        let (out, error) = case.decode(pieces(text.as_bytes(), &cuts).into_iter());
        prop_assert_eq!(error, None);
        prop_assert_eq!(said(&out), wanted(&lines));
        prop_assert!(out.ends_with(b"data: [DONE]\n\n"));
    }

    #[test]
    fn arbitrary_members_never_panic(
        endpoint in 1..=5_u64,
        member in "messages|prompt|input|tools|tool_choice|stop|response_format|instructions|text|reasoning|include",
        value in "null|true|1|\"x\"|\\[\\]|\\{\\}|\\[1\\]|\\[\"x\"\\]|\\[null\\]|\\[\\{\\}\\]|\\[\\{\"type\":\"(message|function|function_call|reasoning)\"\\}\\]|\\{\"type\":\"(function|allowed_tools|json_schema)\"\\}",
    ) {
        let mut body = json!({
            "model": "m", "messages": [{"role": "user", "content": "x"}], "prompt": "x", "input": "x",
            "tools": [{"type": "function", "name": "f", "function": {"name": "f"}}],
        });
        body[member.as_str()] = serde_json::from_str(&value).unwrap();
        let case = Case {
            endpoint: Endpoint::from_number(endpoint).unwrap(),
            body: serde_json::to_vec(&body).unwrap(),
            ..chat()
        };
        let (_, request) = case.begin();
        if let Ok(UpstreamRequest { body: Some(body), .. }) = request {
            prop_assert!(serde_json::from_slice::<Value>(&body).unwrap().is_object());
        }
    }
}

/// Whether a line that ends in a refusal comes before the one that is the end.
fn fails_first(text: &str) -> bool {
    text.lines()
        .take_while(|line| *line != "{\"done\":true}")
        .any(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let fits = match line.as_object().unwrap().iter().next().unwrap() {
                (name, value) if name == "message" => value.is_null() || *value == json!({}),
                (name, value) if name == "model" => value.is_string(),
                (name, value) if name == "done" => value.is_boolean(),
                (_, error) => error.is_null(),
            };
            !fits
        })
}

/// Text, reasoning and tool calls of the chunks.
fn said(out: &[u8]) -> (String, String, Vec<(String, String)>) {
    let (mut content, mut reasoning, mut calls) = (String::new(), String::new(), Vec::new());
    let events = std::str::from_utf8(out).unwrap().split("\n\n");
    for data in events.filter_map(|event| event.strip_prefix("data: {")) {
        let chunk: Value = serde_json::from_str(&format!("{{{data}")).unwrap();
        let delta = &chunk["choices"][0]["delta"];
        content.push_str(delta["content"].as_str().unwrap_or_default());
        reasoning.push_str(delta["reasoning_content"].as_str().unwrap_or_default());
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            assert_eq!(call["index"], calls.len());
            let text = |name: &str| call["function"][name].as_str().unwrap().to_owned();
            calls.push((text("name"), text("arguments")));
        }
    }
    (content, reasoning, calls)
}

fn wanted(lines: &[Value]) -> (String, String, Vec<(String, String)>) {
    let all = |name: &str| -> String {
        let texts = lines
            .iter()
            .filter_map(|line| line["message"][name].as_str());
        texts.collect()
    };
    let calls = lines
        .iter()
        .filter_map(|line| line["message"]["tool_calls"].as_array())
        .flatten()
        .map(|call| {
            let function = &call["function"];
            let name = function["name"].as_str().unwrap().to_owned();
            (name, function["arguments"].to_string())
        });
    (all("content"), all("thinking"), calls.collect())
}

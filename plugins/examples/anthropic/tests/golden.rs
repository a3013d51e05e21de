//! Exchanges with Anthropic, byte for byte, whole and in any cuts.
//!
//! A case is a folder `tests/golden/<case>`: `request.json` is the call (`endpoint`, `body`, the provider's
//! `config`), `upstream.sse` or `upstream.json` is what Anthropic answers. From them follow
//! `upstream_request.json`, `reply.sse` or `reply.json`, and `refusal.json` where the codec says no.
//! `UPDATE_GOLDEN=1 cargo test -p millgate-anthropic --test golden` writes those anew; read the diff before it is
//! committed.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what reads the cases is part of the tests"
)]

mod driver;

use std::{
    fs,
    path::{Path, PathBuf},
};

use driver::Call;
use millgate_plugin::Refusal;
use serde_json::{Value, json};

struct Case {
    folder: PathBuf,
    call: Call,
}

impl Case {
    fn read(folder: PathBuf) -> Self {
        let request = fs::read(folder.join("request.json")).unwrap();
        let call = Call::read(&serde_json::from_slice(&request).unwrap());
        Self { folder, call }
    }

    fn is_stream(&self) -> bool {
        self.folder.join("upstream.sse").exists()
    }

    /// What Anthropic answers; nothing where it is not even asked.
    fn upstream(&self) -> Option<Vec<u8>> {
        let read = |name| fs::read(self.folder.join(name)).ok();
        read("upstream.sse").or_else(|| read("upstream.json"))
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

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
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
        let request = match case.call.ask() {
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
            &pretty(&json!({
                "method": request.method,
                "path": request.path,
                "query": request.query,
                "headers": request.headers,
                "body": body,
            })),
        );
        let upstream = case.upstream().unwrap();
        let (out, error) = case.call.decode([&upstream[..]]);
        if let Some(error) = error {
            case.expect("refusal.json", &refusal(&error));
        }
        if case.is_stream() {
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
        let whole = case.call.decode([&upstream[..]]);
        let folder = &case.folder;
        assert_eq!(case.call.decode(upstream.chunks(1)), whole, "{folder:?}");
        for cut in 0..=upstream.len() {
            let (first, second) = upstream.split_at(cut);
            let cut_once = case.call.decode([first, second]);
            assert_eq!(cut_once, whole, "{folder:?} at {cut}");
        }
    }
}

#[test]
fn a_stream_that_stops_before_its_end_is_never_taken_for_a_whole_one() {
    for case in cases().into_iter().filter(Case::is_stream) {
        let Some(upstream) = case.upstream() else {
            continue;
        };
        let reason = memmem(&upstream, b"\"stop_reason\":\"");
        for cut in 0..reason.unwrap_or(upstream.len()) {
            let (out, error) = case.call.decode([&upstream[..cut]]);
            assert!(error.is_some(), "{:?} at {cut}", case.folder);
            assert!(!out.ends_with(b"[DONE]\n\n"));
            assert!(out.is_empty() || out.ends_with(b"\n\n"), "whole events");
        }
    }
}

fn memmem(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

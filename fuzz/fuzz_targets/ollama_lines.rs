//! However Ollama's lines are cut, they come to the same events, and those are what the gateway itself takes for a
//! proper stream.
//!
//! The last byte of the input is the size of the cuts, the rest is the reply.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use millgate::{http::sse::Splitter, providers::ollama, routing::scanner::StreamScanner};
use millgate_plugin::{Call, Endpoint, Provider, RefusalKind};

/// Endpoints, and a request to each.
const CALLS: [(Endpoint, &str); 3] = [
    (
        Endpoint::Chat,
        r#"{"messages":[{"role":"user","content":"Hi"}],"stream_options":{"include_usage":true}}"#,
    ),
    (Endpoint::Completions, r#"{"prompt":"Hi","echo":true}"#),
    (Endpoint::Responses, r#"{"input":"Hi"}"#),
];

fuzz_target!(|input: &[u8]| {
    let [reply @ .., size] = input else { return };
    let cuts = || reply.chunks(usize::from(*size).max(1));
    for (endpoint, body) in CALLS {
        for stream in [true, false] {
            let whole = decode(endpoint, body, stream, [reply].into_iter());
            let cut = decode(endpoint, body, stream, cuts());
            assert_eq!(
                (String::from_utf8_lossy(&cut.0), cut.1),
                (String::from_utf8_lossy(&whole.0), whole.1)
            );
            if stream {
                is_a_proper_stream(endpoint, whole.0, whole.1.is_none());
            } else if whole.1.is_none() {
                serde_json::from_slice::<serde_json::Value>(&whole.0).expect("JSON");
            }
        }
    }
    let _ = ollama().on_error(400 + u16::from(*size), reply);
});

fn ollama() -> ollama::Ollama {
    ollama::Ollama::new("ollama", ollama::Config::default()).expect("a provider")
}

/// What comes out, and why it ended if that was no proper end.
fn decode<'a>(
    endpoint: Endpoint,
    body: &str,
    stream: bool,
    cuts: impl Iterator<Item = &'a [u8]>,
) -> (Vec<u8>, Option<RefusalKind>) {
    let provider = ollama();
    let mut attempt = provider.begin();
    let call = Call {
        endpoint,
        method: "POST",
        path: "",
        query: None,
        model: "m",
        stream,
        body: body.as_bytes(),
        request_id: "r",
        created: 1,
    };
    provider
        .encode(&mut attempt, &call)
        .expect("a fair request");
    let mut out = Vec::new();
    for cut in cuts {
        if let Err(refusal) = provider.on_data(&mut attempt, cut, false, &mut out) {
            return (out, Some(refusal.kind));
        }
    }
    let ended = provider.on_data(&mut attempt, &[], true, &mut out);
    (out, ended.err().map(|refusal| refusal.kind))
}

fn is_a_proper_stream(endpoint: Endpoint, out: Vec<u8>, is_complete: bool) {
    let mut scanner = StreamScanner::new(endpoint);
    let mut splitter = Splitter::new(usize::MAX);
    splitter.push(Bytes::from(out));
    let mut has_ended = false;
    while let Some(event) = splitter.next_event().expect("no limit") {
        let mark = scanner.look(&event);
        assert!(!mark.garbage && mark.error.is_none(), "{event:?}");
        has_ended |= mark.end;
    }
    assert_eq!(splitter.finish(), None);
    assert_eq!(has_ended, is_complete);
}

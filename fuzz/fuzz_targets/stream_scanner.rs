//! What the host learns from a stream: nothing in it makes the scanner panic, and its search for keys agrees with a
//! whole scan of the JSON.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use millgate::{
    http::sse::Splitter,
    routing::scanner::{self, Document, Mark, StreamScanner},
};
use millgate_plugin::Endpoint;

const ENDPOINTS: [Endpoint; 4] = [
    Endpoint::Chat,
    Endpoint::Completions,
    Endpoint::Responses,
    Endpoint::Forward,
];

fuzz_target!(|input: &[u8]| {
    for endpoint in ENDPOINTS {
        for choices in [1, 3] {
            watch(StreamScanner::new(endpoint).choices_of(choices), input);
        }
    }
    let _ = (scanner::reply_error(input), scanner::reply_usage(Endpoint::Chat, input));
    an_event_says_what_its_document_says(input);
    text_is_content_and_nothing_else(&String::from_utf8_lossy(input));
});

fn watch(mut scanner: StreamScanner, stream: &[u8]) {
    let mut splitter = Splitter::new(1 << 20);
    splitter.push(Bytes::copy_from_slice(stream));
    while let Ok(Some(event)) = splitter.next_event() {
        let mark = scanner.look(&event);
        assert!(!(mark.content && mark.error.is_some()));
    }
}

/// Keys that are written with escapes are not searched for: nobody writes them so.
fn an_event_says_what_its_document_says(data: &[u8]) {
    let Ok(document) = Document::look(Endpoint::Chat, data) else {
        return;
    };
    if data
        .iter()
        .any(|byte| matches!(byte, b'\\' | b'\r' | b'\n'))
    {
        return;
    }
    let event = [b"data: ", data, b"\n\n"].concat();
    let mark = StreamScanner::new(Endpoint::Chat).look(&event);
    assert!(!mark.garbage);
    if document.error.is_some() {
        assert!(mark.error.is_some());
    }
    if mark.error.is_none() {
        assert_eq!(mark.usage, document.usage);
    }
}

fn text_is_content_and_nothing_else(text: &str) {
    let chunk = serde_json::json!({
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}],
        "usage": null,
    });
    let event = format!("data: {chunk}\n\n");
    let expected = Mark {
        content: !text.is_empty(),
        ..Mark::default()
    };
    let mark = StreamScanner::new(Endpoint::Chat).look(event.as_bytes());
    assert_eq!(mark, expected);
}

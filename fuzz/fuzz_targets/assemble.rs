//! Assembling a stream of an upstream: there is a document or an error, and a document can be told and assembled again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use millgate::{
    api::assemble::{self, Event},
    http::sse::Splitter,
};
use millgate_plugin::Endpoint;
use serde_json::Value;

const ENDPOINTS: [Endpoint; 3] = [Endpoint::Chat, Endpoint::Completions, Endpoint::Responses];

fuzz_target!(|input: &[u8]| {
    let events = split(input);
    for endpoint in ENDPOINTS {
        if let Ok(document) = assemble::document(endpoint, &events) {
            let _: &serde_json::value::RawValue =
                serde_json::from_slice(&document).expect("a document is JSON");
            it_comes_back(endpoint, &document);
        }
        it_comes_back(endpoint, input);
    }
});

fn split(stream: &[u8]) -> Vec<Bytes> {
    let mut splitter = Splitter::new(1 << 20);
    splitter.push(Bytes::copy_from_slice(stream));
    std::iter::from_fn(|| splitter.next_event().ok().flatten()).collect()
}

/// What is told of a document is whole events, of which a document can be made; and that one stays what it is.
fn it_comes_back(endpoint: Endpoint, document: &[u8]) {
    let Some(once) = there_and_back(endpoint, document) else {
        return;
    };
    let twice = there_and_back(endpoint, &once).expect("what was assembled can be told");
    let value = |json: &[u8]| serde_json::from_slice::<Value>(json).ok();
    assert_eq!(value(&once), value(&twice));
}

fn there_and_back(endpoint: Endpoint, document: &[u8]) -> Option<Bytes> {
    let told = assemble::events(endpoint, document).ok()?;
    let events: Vec<Bytes> = told.into_iter().map(|Event { bytes, .. }| bytes).collect();
    assert_eq!(split(&events.concat()), events);
    assemble::document(endpoint, &events).ok()
}

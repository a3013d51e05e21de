mod answers;
mod properties;
mod refused;
mod responses;
mod streams;

use bytes::Bytes;
use millgate_plugin::Endpoint;
use serde_json::Value;

use super::*;

fn stream(events: &[&str]) -> Vec<Bytes> {
    let event = |data: &&str| Bytes::from(format!("data: {data}\n\n"));
    events.iter().map(event).collect()
}

fn assembled(endpoint: Endpoint, events: &[Bytes]) -> Result<Value, AssembleError> {
    let document = document(endpoint, events)?;
    Ok(serde_json::from_slice(&document).expect("JSON"))
}

fn told(endpoint: Endpoint, document: &[u8]) -> Vec<Event> {
    events(endpoint, document).expect("a stream")
}

fn bytes(events: &[Event]) -> Vec<Bytes> {
    events.iter().map(|event| event.bytes.clone()).collect()
}

/// What each event says; `[DONE]` as a string.
fn data(events: &[Event]) -> Vec<Value> {
    let read = |event: &Event| {
        let data = crate::http::sse::data(&event.bytes).into_owned();
        serde_json::from_slice(&data)
            .unwrap_or_else(|_| Value::from(String::from_utf8(data).expect("UTF-8")))
    };
    events.iter().map(read).collect()
}

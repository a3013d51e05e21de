//! The other form of an answer: a stream for whoever wants a document, a document for whoever wants a stream.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use millgate_plugin::Endpoint;

use crate::{api::assemble, routing::answer::Piece};

/// The pieces of an answer in the other form; `None` where it has none.
#[must_use]
pub fn other(endpoint: Endpoint, is_stream: bool, pieces: &[Piece]) -> Option<Vec<Piece>> {
    let bytes: Vec<Bytes> = pieces.iter().map(|piece| piece.bytes.clone()).collect();
    let adapted = if is_stream {
        assemble::document(endpoint, &bytes).map(|document| {
            vec![Piece {
                bytes: document,
                is_usage: false,
            }]
        })
    } else {
        assemble::events(endpoint, &bytes.concat()).map(|events| {
            let piece = |event: assemble::Event| Piece {
                bytes: event.bytes,
                is_usage: event.is_usage,
            };
            events.into_iter().map(piece).collect()
        })
    };
    adapted
        .inspect_err(|error| tracing::debug!(%error, "an answer has no other form"))
        .ok()
}

/// Says in the headers which form it is.
pub fn relabel(headers: &mut HeaderMap, is_stream: bool) {
    let content_type = if is_stream {
        "text/event-stream; charset=utf-8"
    } else {
        "application/json"
    };
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
}

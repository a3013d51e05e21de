//! However a stream is cut into frames, and however its events are taken, they are the same.
//!
//! The last byte of the input is the size of the frames, the rest is the stream.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use millgate::http::sse::{self, EventTooLarge, Splitter};

const LIMIT: usize = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let [stream @ .., size] = input else { return };
    let size = usize::from(*size);
    let frames = || stream.chunks(size.max(1));
    let whole = one_by_one([stream].into_iter());
    let split = one_by_one(frames());
    assert_eq!(meaning(&split), meaning(&whole));
    assert_eq!(in_batches(frames()), split);
    for events in [&whole, &split] {
        nothing_is_lost(stream, events);
    }
    stops_at(size, frames());
});

/// The events, and the beginning of one that never ended.
fn one_by_one<'a>(frames: impl Iterator<Item = &'a [u8]>) -> Vec<Bytes> {
    let mut splitter = Splitter::new(LIMIT);
    let mut events = Vec::new();
    for frame in frames {
        splitter.push(Bytes::copy_from_slice(frame));
        while let Some(event) = splitter.next_event().expect("small") {
            events.push(event);
        }
    }
    events.extend(splitter.finish());
    events
}

fn in_batches<'a>(frames: impl Iterator<Item = &'a [u8]>) -> Vec<Bytes> {
    let mut splitter = Splitter::new(LIMIT);
    let mut events = Vec::new();
    for frame in frames {
        splitter.push(Bytes::copy_from_slice(frame));
        let before = events.len();
        let batch = splitter
            .batch(|event| events.push(Bytes::copy_from_slice(event)))
            .expect("small");
        assert_eq!(batch.unwrap_or_default(), events[before..].concat());
    }
    events.extend(splitter.finish());
    events
}

/// What a reader makes of the events: a line feed may stand at the end of one or at the beginning of the next.
fn meaning(events: &[Bytes]) -> Vec<(Vec<u8>, Vec<u8>, bool)> {
    let read = |event: &Bytes| {
        let fields = sse::fields(event);
        (
            fields.name.to_vec(),
            fields.data.to_vec(),
            fields.is_comment_only,
        )
    };
    events.iter().map(read).collect()
}

/// Together they are the stream, less a byte order mark and empty lines at its very end.
fn nothing_is_lost(stream: &[u8], events: &[Bytes]) {
    let text = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    let rest = text
        .strip_prefix(&*events.concat())
        .expect("the same bytes");
    assert!(rest.iter().all(|byte| matches!(byte, b'\r' | b'\n')));
}

/// No event is larger than the limit, and after one that would be nothing comes any more.
fn stops_at<'a>(limit: usize, frames: impl Iterator<Item = &'a [u8]>) {
    let mut splitter = Splitter::new(limit);
    for frame in frames {
        splitter.push(Bytes::copy_from_slice(frame));
        loop {
            match splitter.next_event() {
                Ok(Some(event)) => assert!(event.len() <= limit),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(error, EventTooLarge { limit });
                    assert_eq!(splitter.next_event(), Err(error));
                    return;
                }
            }
        }
    }
}

mod script;

use std::{borrow::Cow, sync::atomic::Ordering, time::Duration};

use millgate_plugin::Gone;

use self::script::{KIND, Script, codec};
use super::*;
use crate::plugin::host::TABLE;

const CALL: Call<'static> = Call {
    endpoint: Endpoint::Chat,
    method: "POST",
    path: "/chat/completions",
    query: None,
    model: "clever",
    stream: true,
    body: b"{}",
    request_id: "req-1",
    created: 7,
};

/// What a client may read of a fault.
const FAULT: &str = "The provider's plugin failed. Operators: see the log.";

#[test]
fn a_request_is_what_the_codec_has_set() {
    let codec = codec(Script {
        encode: |call, inside| {
            assert_eq!(inside.text(call.path), "/chat/completions");
            assert!(call.query.ptr.is_null());
            let set = |part, key: &str, value: &[u8]| inside.request(part, key, value);
            assert_eq!(set(abi::REQUEST_METHOD, "", b"PUT"), abi::NEXT);
            assert_eq!(set(abi::REQUEST_PATH, "", b"/messages"), abi::NEXT);
            assert_eq!(set(abi::REQUEST_QUERY, "", b"beta=true"), abi::NEXT);
            assert_eq!(set(abi::REQUEST_HEADER, "x-version", b"1"), abi::NEXT);
            assert_eq!(set(abi::REQUEST_BODY, "", b"[1]"), abi::NEXT);
            // None of these can be sent.
            assert_eq!(set(abi::REQUEST_METHOD, "", b"P T"), abi::INVALID);
            assert_eq!(set(abi::REQUEST_PATH, "", b"@elsewhere"), abi::INVALID);
            assert_eq!(set(abi::REQUEST_PATH, "", b"/a b"), abi::INVALID);
            assert_eq!(set(abi::REQUEST_PATH, "", b"/a\r\nb: c"), abi::INVALID);
            assert_eq!(set(abi::REQUEST_QUERY, "", b"\n"), abi::INVALID);
            assert_eq!(set(abi::REQUEST_HEADER, "x", b"1\r\ny: 2"), abi::INVALID);
            assert_eq!(set(abi::REQUEST_HEADER, "x y", b"1"), abi::INVALID);
            assert_eq!(set(abi::REQUEST_PATH, "", b"\xff"), abi::INVALID);
            assert_eq!(set(4711, "", b"x"), abi::READ_ONLY);
            abi::NEXT
        },
        ..Script::default()
    });
    let mut state = codec.foreign.begin();
    let expected = UpstreamRequest {
        method: Cow::Borrowed("PUT"),
        path: "/messages".to_owned(),
        query: Some("beta=true".to_owned()),
        headers: vec![(Cow::Borrowed("x-version"), "1".to_owned())],
        body: Some(b"[1]".to_vec()),
    };
    assert_eq!(codec.foreign.encode(&mut *state, &CALL), Ok(expected));
}

#[test]
fn a_refusal_is_passed_on_and_a_fault_is_not_shown_to_the_client() {
    let acts: [(script::Encode, RefusalKind, &str); 6] = [
        (
            |_, inside| {
                inside.reject(abi::REFUSAL_UNSUPPORTED, "No images here.");
                abi::REJECT
            },
            RefusalKind::Unsupported,
            "No images here.",
        ),
        (
            |_, inside| {
                inside.reject(abi::REFUSAL_INVALID_REQUEST, "panicked: at the disco");
                abi::PANICKED
            },
            RefusalKind::Internal,
            FAULT,
        ),
        (|_, _| abi::REJECT, RefusalKind::Internal, FAULT),
        (|_, _| abi::FAILED, RefusalKind::Internal, FAULT),
        (|_, _| 4711, RefusalKind::Internal, FAULT),
        (
            |_, inside| {
                inside.reject(abi::REFUSAL_FORBIDDEN, "no");
                abi::NEXT
            },
            RefusalKind::Internal,
            FAULT,
        ),
    ];
    for (encode, kind, message) in acts {
        let codec = codec(Script {
            encode,
            ..Script::default()
        });
        let mut state = codec.foreign.begin();
        let refusal = codec.foreign.encode(&mut *state, &CALL).unwrap_err();
        assert_eq!((refusal.kind, &*refusal.message), (kind, message));
        drop(state);
        assert_eq!(codec.script.counts(), (1, 1, 0));
    }
}

#[test]
fn bytes_are_decoded_behind_those_that_are_there() {
    let codec = codec(Script {
        head: |status, content_type| {
            assert_eq!((status, content_type), (200, "text/event-stream"));
            abi::DECODE
        },
        data: |data, end, inside| {
            inside.write(data);
            inside.write(if end == 1 { b"." } else { b";" });
            if data == b"bad" {
                inside.reject(abi::REFUSAL_BAD_UPSTREAM, "Garbage.");
                return abi::REJECT;
            }
            abi::NEXT
        },
        ..Script::default()
    });
    let mut state = codec.foreign.begin();
    let head = UpstreamHead {
        status: 200,
        content_type: "text/event-stream",
    };
    assert_eq!(codec.foreign.on_head(&mut *state, &head), HeadFlow::Decode);
    let mut out = b"> ".to_vec();
    codec
        .foreign
        .on_data(&mut *state, b"a", false, &mut out)
        .unwrap();
    let refused = codec.foreign.on_data(&mut *state, b"bad", false, &mut out);
    assert_eq!(refused.unwrap_err().message, "Garbage.");
    codec
        .foreign
        .on_data(&mut *state, b"", true, &mut out)
        .unwrap();
    assert_eq!(out, b"> a;bad;.");
}

#[test]
fn what_is_wrong_with_a_head_is_told_with_the_body() {
    for status in [abi::NEXT, abi::PANICKED, 4711] {
        static STATUS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        STATUS.store(status, Ordering::Relaxed);
        let codec = codec(Script {
            head: |_, _| STATUS.load(Ordering::Relaxed),
            data: |_, _, _| panic!("called after all"),
            ..Script::default()
        });
        let mut state = codec.foreign.begin();
        let head = UpstreamHead {
            status: 200,
            content_type: "",
        };
        assert_eq!(codec.foreign.on_head(&mut *state, &head), HeadFlow::Decode);
        let refused = codec
            .foreign
            .on_data(&mut *state, b"x", false, &mut Vec::new());
        assert_eq!(refused.unwrap_err().message, FAULT, "{status}");
        let plugin = codec.plugin;
        let counted = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        assert_eq!(counted(&plugin.panics) + counted(&plugin.failures), 1);
    }
}

#[test]
fn an_error_is_translated_or_left_to_the_gateway() {
    let codec = codec(Script {
        error: |status, body, inside| match status {
            529 => {
                assert_eq!(body, b"busy");
                inside.reject(abi::REFUSAL_UNAVAILABLE, "Overloaded.");
                abi::REJECT
            }
            500 => abi::REJECT,
            501 => abi::PANICKED,
            _ => abi::NEXT,
        },
        ..Script::default()
    });
    let refusal = codec.foreign.on_error(529, b"busy").unwrap();
    assert_eq!(refusal.kind, RefusalKind::Unavailable);
    for status in [400, 500, 501] {
        assert_eq!(codec.foreign.on_error(status, b""), None);
    }
    assert_eq!(codec.plugin.failures.load(Ordering::Relaxed), 1);
    assert_eq!(codec.plugin.panics.load(Ordering::Relaxed), 1);
}

/// A reader that leaves after so many pieces.
struct Leaving {
    left: usize,
    read: Vec<Vec<u8>>,
    waited: Duration,
    asked: usize,
}

impl Leaving {
    fn after(left: usize) -> Self {
        Self {
            left,
            read: Vec::new(),
            waited: Duration::ZERO,
            asked: 0,
        }
    }
}

impl Answer for Leaving {
    fn emit(&mut self, bytes: Vec<u8>) -> Result<(), Gone> {
        self.asked += 1;
        self.left = self.left.checked_sub(1).ok_or(Gone)?;
        self.read.push(bytes);
        Ok(())
    }

    fn wait(&mut self, time: Duration) -> Result<(), Gone> {
        self.waited += time;
        Ok(())
    }
}

#[test]
fn a_provider_that_answers_by_itself_is_told_when_its_reader_has_left() {
    let codec = codec(Script {
        answer: |call, reader, inside| {
            assert_eq!(inside.text(call.model), "clever");
            assert_eq!(call.stream, 1);
            let pieces = [&b"a"[..], b"b", b"c", b"d", b"e"];
            let sent = pieces.map(|piece| reader.send(piece));
            assert_eq!(
                sent,
                [abi::NEXT, abi::NEXT, abi::GONE, abi::GONE, abi::GONE]
            );
            assert_eq!(reader.pause(30), abi::GONE);
            abi::NEXT
        },
        ..Script::default()
    });
    assert!(codec.foreign.answers());
    let mut reader = Leaving::after(2);
    codec.foreign.answer(&CALL, &mut reader).unwrap();
    assert_eq!(reader.read, [b"a", b"b"]);
    // One that has left is not asked again.
    assert_eq!((reader.asked, reader.waited), (3, Duration::ZERO));
}

#[test]
fn an_answer_may_pause_and_refuse() {
    let codec = codec(Script {
        answer: |_, reader, inside| {
            assert_eq!(reader.pause(30), abi::NEXT);
            inside.reject(abi::REFUSAL_TIMEOUT, "Too slow.");
            abi::REJECT
        },
        ..Script::default()
    });
    let mut reader = Leaving::after(9);
    let refusal = codec.foreign.answer(&CALL, &mut reader).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Timeout);
    assert_eq!(reader.waited, Duration::from_millis(30));
}

#[test]
fn what_it_says_of_itself() {
    let codec = codec(Script {
        features: abi::FEATURE_INCLUDE_USAGE | abi::FEATURE_IS_FREE | 1 << 20,
        serves: |endpoint| match endpoint {
            abi::ENDPOINT_CHAT => 1,
            abi::ENDPOINT_EMBEDDINGS => 7,
            _ => 0,
        },
        ..Script::default()
    });
    let codec = &codec.foreign;
    assert_eq!(codec.kind(), "scripted/codec");
    assert_eq!(codec.base_path(), "/v9");
    assert!(codec.include_usage() && !codec.charges());
    assert!(codec.serves(Endpoint::Chat) && codec.serves(Endpoint::Embeddings));
    assert!(!codec.serves(Endpoint::Forward));
}

#[test]
fn a_codec_of_few_functions_passes_everything_on() {
    static BARE: abi::ProviderType = abi::ProviderType {
        flags: 0,
        features: None,
        begin: None,
        on_head: None,
        on_data: None,
        on_error: None,
        answer: None,
        end: None,
        ..script::kind()
    };
    let codec = script::try_codec(&BARE, Script::default()).unwrap();
    let mut state = codec.foreign.begin();
    codec.foreign.encode(&mut *state, &CALL).unwrap();
    let head = UpstreamHead {
        status: 200,
        content_type: "",
    };
    assert_eq!(
        codec.foreign.on_head(&mut *state, &head),
        HeadFlow::Passthrough
    );
    assert_eq!(codec.foreign.on_error(500, b""), None);
    assert!(!codec.foreign.answers());
    assert!(codec.foreign.charges() && !codec.foreign.include_usage());
    assert!(codec.foreign.answer(&CALL, &mut Leaving::after(1)).is_err());
    assert!(
        codec
            .foreign
            .on_data(&mut *state, b"", true, &mut Vec::new())
            .is_err()
    );
}

#[test]
fn state_and_provider_are_freed_once_and_in_order() {
    let codec = codec(Script::default());
    let script = codec.script;
    let state = codec.foreign.begin();
    drop(codec);
    assert_eq!(script.counts(), (1, 0, 0));
    drop(state);
    assert_eq!(script.counts(), (1, 1, 1));
}

#[test]
fn a_provider_whose_plugin_is_switched_off_refuses() {
    let codec = codec(Script {
        encode: |_, _| abi::PANICKED,
        ..Script::default()
    });
    let encode = || {
        let mut state = codec.foreign.begin();
        codec.foreign.encode(&mut *state, &CALL).unwrap_err()
    };
    for _ in 0..10 {
        assert_eq!(encode().message, FAULT);
    }
    assert!(encode().message.contains("switched off"));
    assert!(codec.foreign.answer(&CALL, &mut Leaving::after(1)).is_err());
    assert_eq!(codec.foreign.on_error(500, b""), None);
    assert_eq!(codec.plugin.panics.load(Ordering::Relaxed), 10);
}

#[test]
fn the_schema_is_what_the_kind_writes() {
    static WITHOUT: abi::ProviderType = abi::ProviderType {
        schema: None,
        ..script::kind()
    };
    assert_eq!(schema(&KIND).as_deref(), Some(r#"{"type":"object"}"#));
    assert_eq!(schema(&WITHOUT), None);
}

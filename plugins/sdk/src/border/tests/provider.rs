//! The functions of a provider.

use std::{collections::BTreeMap, ffi::c_void, ptr::null_mut, time::Duration};

use millgate_plugin_abi::{self as abi, Slice, Status};
use serde_json::{Value, json};

use super::{
    super::{
        provider_type,
        slices::{NOTHING, slice},
    },
    gateway::{Output, Reader, Refused, Setup, connect},
};
use crate::{
    Answer, Call, Endpoint, Gone, HeadFlow, Provider, Refusal, RefusalKind, SetupError,
    UpstreamHead, UpstreamRequest,
};

/// A codec that does what its table says.
struct Codec {
    acts: BTreeMap<String, String>,
}

impl Codec {
    fn act(&self, what: &str) -> &str {
        self.acts.get(what).map_or("", String::as_str)
    }
}

impl Provider for Codec {
    const KIND: &'static str = "codec";
    const ANSWERS: bool = true;
    const BASE_PATH: &'static str = "/v2";
    type Config = BTreeMap<String, String>;
    type State = String;

    fn new(name: &str, acts: Self::Config) -> Result<Self, SetupError> {
        if acts.contains_key("refuse") {
            return Err(SetupError::at(["refuse"], format!("{name} refuses")));
        }
        Ok(Self { acts })
    }

    fn serves(&self, endpoint: Endpoint) -> bool {
        assert!(self.act("serves") != "panic", "in serves");
        endpoint == Endpoint::Chat
    }

    fn include_usage(&self) -> bool {
        self.act("usage") == "yes"
    }

    fn charges(&self) -> bool {
        self.act("charges") != "no"
    }

    fn begin(&self) -> String {
        assert!(self.act("begin") != "panic", "in begin");
        String::new()
    }

    fn encode(&self, state: &mut String, call: &Call<'_>) -> Result<UpstreamRequest, Refusal> {
        match self.act("encode") {
            "panic" => panic!("in encode"),
            "refuse" => return Err(Refusal::new(RefusalKind::Unsupported, "Not this.")),
            "plain" => {
                return Ok(UpstreamRequest {
                    path: "/plain".to_owned(),
                    ..UpstreamRequest::default()
                });
            }
            _ => {}
        }
        state.push_str(call.model);
        Ok(UpstreamRequest {
            method: "PUT".into(),
            path: format!("{}/{:?}", call.path, call.endpoint),
            query: Some(format!("{:?} {} {}", call.query, call.stream, call.created)),
            headers: vec![("x-id".into(), call.request_id.to_owned())],
            body: Some([call.method.as_bytes(), b" ", call.body].concat()),
        })
    }

    fn on_head(&self, _: &mut String, head: &UpstreamHead<'_>) -> HeadFlow {
        assert!(head.status != 299, "in on_head");
        if head.content_type == "text/plain" {
            HeadFlow::Passthrough
        } else {
            HeadFlow::Decode
        }
    }

    fn on_data(
        &self,
        state: &mut String,
        data: &[u8],
        end: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        state.push_str(&String::from_utf8_lossy(data));
        if end {
            out.extend_from_slice(state.as_bytes());
        }
        match data {
            b"panic" => panic!("in on_data"),
            b"refuse" => {
                out.extend_from_slice(b"half");
                Err(Refusal::new(RefusalKind::BadUpstream, "Broken off."))
            }
            _ => Ok(()),
        }
    }

    fn on_error(&self, status: u16, body: &[u8]) -> Option<Refusal> {
        assert!(body != b"panic", "in on_error");
        (status == 418).then(|| Refusal::new(RefusalKind::NotFound, "No coffee."))
    }

    fn answer(&self, call: &Call<'_>, answer: &mut dyn Answer) -> Result<(), Refusal> {
        assert!(call.model != "panic", "in answer");
        let emit = |answer: &mut dyn Answer| {
            answer.emit(b"one".to_vec())?;
            answer.wait(Duration::from_micros(1500))?;
            answer.emit(b"two".to_vec())
        };
        emit(answer).map_err(|Gone| Refusal::new(RefusalKind::Internal, "The reader left."))
    }
}

struct Made {
    kind: abi::ProviderType,
    provider: *mut c_void,
    state: *mut c_void,
}

impl Made {
    fn new(acts: &Value) -> Self {
        connect();
        let kind = provider_type::<Codec>();
        let (mut setup, mut provider) = (Setup::default(), null_mut());
        let config = acts.to_string();
        // SAFETY: all of it lives for the calls.
        let state = unsafe {
            let status = kind.create.unwrap()(
                (&raw mut setup).cast(),
                slice(b"it"),
                slice(config.as_bytes()),
                &raw mut provider,
            );
            assert_eq!(status, abi::NEXT);
            kind.begin.unwrap()(provider)
        };
        Self {
            kind,
            provider,
            state,
        }
    }

    fn encode(&self, call: &abi::Call) -> (Status, Output) {
        let mut output = Output::default();
        // SAFETY: provider and state are of these functions; the rest lives for the call.
        let status = unsafe {
            self.kind.encode.unwrap()(self.provider, self.state, call, (&raw mut output).cast())
        };
        (status, output)
    }

    fn head(&self, status: u32, content_type: &str) -> Status {
        // SAFETY: as above.
        unsafe {
            self.kind.on_head.unwrap()(
                self.provider,
                self.state,
                status,
                slice(content_type.as_bytes()),
            )
        }
    }

    fn data(&self, data: &[u8], end: u32) -> (Status, Output) {
        let mut output = Output::default();
        // SAFETY: as above.
        let status = unsafe {
            self.kind.on_data.unwrap()(
                self.provider,
                self.state,
                slice(data),
                end,
                (&raw mut output).cast(),
            )
        };
        (status, output)
    }

    fn error(&self, status: u32, body: &[u8]) -> (Status, Output) {
        let mut output = Output::default();
        // SAFETY: as above.
        let status = unsafe {
            self.kind.on_error.unwrap()(
                self.provider,
                status,
                slice(body),
                (&raw mut output).cast(),
            )
        };
        (status, output)
    }

    fn answer(&self, model: &str, reader: &mut Reader) -> (Status, Output) {
        let mut output = Output::default();
        let call = call(model);
        // SAFETY: as above.
        let status = unsafe {
            self.kind.answer.unwrap()(
                self.provider,
                &raw const call,
                (&raw mut *reader).cast(),
                (&raw mut output).cast(),
            )
        };
        (status, output)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // SAFETY: made by these functions, and freed once.
        unsafe {
            self.kind.end.unwrap()(self.state);
            self.kind.destroy.unwrap()(self.provider);
        }
    }
}

fn call(model: &str) -> abi::Call {
    abi::Call {
        size: size_of::<abi::Call>() as u32,
        endpoint: abi::ENDPOINT_CHAT,
        method: slice(b"POST"),
        path: slice(b"/chat/completions"),
        query: NOTHING,
        model: slice(model.as_bytes()),
        stream: 1,
        reserved: 0,
        body: slice(b"{}"),
        request_id: slice(b"r-1"),
        created: 7,
    }
}

fn refusal(kind: u32, message: &str) -> Refused {
    let mut refused = Refused {
        kind,
        ..Refused::default()
    };
    message.clone_into(&mut refused.texts[0]);
    refused
}

#[test]
fn a_call_is_encoded() {
    let made = Made::new(&json!({}));
    let (status, output) = made.encode(&call("m"));
    assert_eq!(status, abi::NEXT);
    let part = |part, key: &str, value: &str| (part, key.to_owned(), value.to_owned());
    assert_eq!(
        output.parts,
        [
            part(abi::REQUEST_METHOD, "", "PUT"),
            part(abi::REQUEST_PATH, "", "/chat/completions/Chat"),
            part(abi::REQUEST_QUERY, "", "None true 7"),
            part(abi::REQUEST_HEADER, "x-id", "r-1"),
            part(abi::REQUEST_BODY, "", "POST {}"),
        ]
    );
    // A query that is there and empty, an endpoint of a newer gateway.
    let odd = abi::Call {
        endpoint: 99,
        query: Slice {
            len: 0,
            ..slice(b"x")
        },
        ..call("m")
    };
    let (_, output) = made.encode(&odd);
    assert_eq!(output.parts[1].2, "/chat/completions/Forward");
    assert_eq!(output.parts[2].2, r#"Some("") true 7"#);

    let plain = Made::new(&json!({"encode": "plain"}));
    let (_, output) = plain.encode(&call("m"));
    assert_eq!(output.parts, [part(abi::REQUEST_PATH, "", "/plain")]);
}

#[test]
fn refusals_and_panics_are_handed_over() {
    let refuses = Made::new(&json!({"encode": "refuse"}));
    let (status, output) = refuses.encode(&call("m"));
    assert_eq!(status, abi::REJECT);
    assert_eq!(
        output.refusal.unwrap(),
        refusal(abi::REFUSAL_UNSUPPORTED, "Not this.")
    );
    assert!(output.parts.is_empty());

    let panics = Made::new(&json!({"encode": "panic"}));
    let (status, output) = panics.encode(&call("m"));
    assert_eq!(status, abi::PANICKED);
    assert_eq!(
        output.refusal.unwrap(),
        refusal(abi::REFUSAL_INTERNAL, "panicked: in encode")
    );

    let none = Made::new(&json!({"begin": "panic"}));
    assert!(none.state.is_null());
    assert_eq!(none.encode(&call("m")).0, abi::REJECT);
    assert_eq!(none.head(200, ""), abi::PANICKED);
    assert_eq!(none.data(b"", 1).0, abi::REJECT);
}

#[test]
fn a_reply_is_decoded() {
    let made = Made::new(&json!({}));
    made.encode(&call("m:"));
    assert_eq!(made.head(200, "text/plain"), abi::PASSTHROUGH);
    assert_eq!(made.head(200, ""), abi::DECODE);
    assert_eq!(made.head(299, ""), abi::PANICKED);
    assert_eq!(made.data(b"a", 0), (abi::NEXT, Output::default()));
    assert_eq!(made.data(b"", 1).1.bytes, b"m:a");
    let (status, output) = made.data(b"refuse", 0);
    assert_eq!((status, &*output.bytes), (abi::REJECT, &b"half"[..]));
    assert_eq!(
        output.refusal.unwrap(),
        refusal(abi::REFUSAL_BAD_UPSTREAM, "Broken off.")
    );
    assert_eq!(made.data(b"panic", 0).0, abi::PANICKED);
}

#[test]
fn an_error_is_its_own_or_the_gateways() {
    let made = Made::new(&json!({}));
    assert_eq!(made.error(500, b"").0, abi::NEXT);
    let (status, output) = made.error(418, b"");
    assert_eq!(status, abi::REJECT);
    assert_eq!(
        output.refusal.unwrap(),
        refusal(abi::REFUSAL_NOT_FOUND, "No coffee.")
    );
    assert_eq!(made.error(500, b"panic").0, abi::PANICKED);
    assert_eq!(made.error(u32::MAX, b"").0, abi::NEXT);
}

#[test]
fn it_answers_until_the_reader_leaves() {
    let made = Made::new(&json!({}));
    for (leaves_after, status, pieces) in [
        (9, abi::NEXT, &["one", "two"][..]),
        (1, abi::REJECT, &["one"]),
        (0, abi::REJECT, &[]),
    ] {
        let mut reader = Reader {
            leaves_after,
            ..Reader::default()
        };
        assert_eq!(made.answer("m", &mut reader).0, status);
        assert_eq!(reader.pieces, pieces);
        assert_eq!(reader.waited, if leaves_after == 0 { 0 } else { 2 });
    }
    assert_eq!(
        made.answer("panic", &mut Reader::default()).0,
        abi::PANICKED
    );
}

#[test]
fn what_a_provider_is_like_is_asked_of_it() {
    let ask = |acts: &Value| {
        let made = Made::new(acts);
        // SAFETY: the provider is that of these functions.
        unsafe {
            (
                made.kind.features.unwrap()(made.provider),
                [1, 2, 99].map(|endpoint| made.kind.serves.unwrap()(made.provider, endpoint)),
            )
        }
    };
    assert_eq!(ask(&json!({})), (0, [1, 0, 0]));
    assert_eq!(
        ask(&json!({"usage": "yes", "charges": "no"})).0,
        abi::FEATURE_INCLUDE_USAGE | abi::FEATURE_IS_FREE
    );
    assert_eq!(ask(&json!({"charges": "no"})).0, abi::FEATURE_IS_FREE);
    assert_eq!(ask(&json!({"serves": "panic"})).1, [0; 3]);

    let kind = provider_type::<Codec>();
    assert_eq!(kind.flags, abi::PROVIDER_ANSWERS);
    // SAFETY: the name of a type is constant.
    let texts = unsafe { [kind.name, kind.base_path].map(|text| super::super::slices::text(text)) };
    assert_eq!(texts, ["codec", "/v2"]);
}

#[test]
fn a_table_is_refused_and_nothing_is_freed_where_nothing_is() {
    connect();
    let kind = provider_type::<Codec>();
    let (mut setup, mut provider) = (Setup::default(), null_mut());
    // SAFETY: all of it lives for the call; null is none.
    unsafe {
        let status = kind.create.unwrap()(
            (&raw mut setup).cast(),
            slice(b"it"),
            slice(br#"{"refuse": ""}"#),
            &raw mut provider,
        );
        assert_eq!(status, abi::FAILED);
        kind.destroy.unwrap()(provider);
        kind.end.unwrap()(null_mut());
    }
    let refused = (r#"["refuse"]"#.to_owned(), "it refuses".to_owned());
    assert_eq!(setup.error, Some(refused));
}

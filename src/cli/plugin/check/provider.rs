//! A kind of provider on sample calls.

use std::sync::Arc;

use millgate_plugin::{
    Answer, Call, Endpoint, HeadFlow, Refusal, UpstreamHead,
    testing::{FakeCall, FakeReader, Value, json},
};

use super::{
    drive::Times,
    inside::{Table, doing, fact, fault},
};
use crate::providers::{ProviderKind, erased::ErasedProvider};

/// Replies of some upstream or other: the codec may find that they are none of its own.
const REPLIES: [(&str, &[u8]); 4] = [
    ("application/json", br#"{"id":"1","object":"chat.completion","created":1700000000,"model":"sample","choices":[{"index":0,"message":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}]}"#),
    ("text/event-stream", b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello.\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"),
    ("application/json", b"{\"cut"),
    ("application/json", b""),
];

const ENDPOINTS: [Endpoint; 6] = [
    Endpoint::Chat,
    Endpoint::Completions,
    Endpoint::Embeddings,
    Endpoint::Responses,
    Endpoint::Models,
    Endpoint::Forward,
];

/// Makes a provider of this kind, runs its functions and tells how it did. Whether there is one.
pub(super) fn check_provider(kind: &ProviderKind, table: &Table) -> bool {
    doing(format!("making a {}", kind.kind));
    let Some(provider) = table.make(|section| (kind.make)("check", section)) else {
        return false;
    };
    let codec = Codec {
        name: kind.kind,
        provider,
        times: Times::default(),
    };
    let served: Vec<_> = ENDPOINTS
        .into_iter()
        .filter(|endpoint| codec.provider.serves(*endpoint))
        .collect();
    let Some(endpoint) = served.first().copied() else {
        fault(format!("{} serves no endpoint", kind.kind));
        return true;
    };
    let names: Vec<_> = served.iter().map(|endpoint| endpoint.name()).collect();
    fact("serves", names.join(", "));
    for stream in [false, true] {
        let body = json!({
            "model": "sample", "stream": stream, "input": "Say hello.", "prompt": "Say hello.",
            "messages": [{"role": "user", "content": "Say hello."}],
        });
        let call = FakeCall::to(endpoint, &body);
        let name = if stream { "a stream" } else { "a call" };
        if kind.answers {
            codec.answers(name, &call.call());
        } else {
            codec.translates(name, &call.call());
        }
    }
    fact("median times", codec.times.medians());
    doing(format!("freeing a {}", kind.kind));
    drop(codec);
    true
}

struct Codec {
    name: &'static str,
    provider: Arc<dyn ErasedProvider>,
    times: Times,
}

impl Codec {
    fn doing(&self, function: &str) {
        doing(format!("{function} of {}", self.name));
    }

    /// What it asks for a call, and what it makes of replies and errors.
    fn translates(&self, name: &str, call: &Call<'_>) {
        self.doing("encode");
        let mut state = self.provider.begin();
        match self.provider.encode(&mut *state, call) {
            Ok(request) => {
                let method = if request.method.is_empty() {
                    call.method
                } else {
                    &request.method
                };
                fact(name, format!("asks {method} {}", request.path));
            }
            Err(refusal) => return fact(name, refused(&refusal)),
        }
        drop(state);
        for (content_type, reply) in REPLIES {
            self.doing("on_head and on_data");
            self.decode(call, content_type, reply);
        }
        self.doing("on_error");
        for status in [400, 401, 404, 429, 500, 529] {
            let body = br#"{"error":{"type":"sample","message":"A sample."}}"#;
            self.times
                .of("on_error", || self.provider.on_error(status, body));
        }
        self.doing("timing");
        self.times
            .measure(|| self.decode(call, REPLIES[0].0, REPLIES[0].1));
    }

    fn decode(&self, call: &Call<'_>, content_type: &str, reply: &[u8]) {
        let mut state = self.provider.begin();
        let encoded = self
            .times
            .of("encode", || self.provider.encode(&mut *state, call));
        let head = UpstreamHead {
            status: 200,
            content_type,
        };
        let flow = self
            .times
            .of("on_head", || self.provider.on_head(&mut *state, &head));
        if encoded.is_err() || flow == HeadFlow::Passthrough {
            return;
        }
        let mut out = Vec::new();
        let (first, second) = reply.split_at(reply.len() / 2);
        for (data, end) in [(first, false), (second, false), (b"".as_slice(), true)] {
            let decoded = self.times.of("on_data", || {
                self.provider.on_data(&mut *state, data, end, &mut out)
            });
            if decoded.is_err() {
                return;
            }
        }
    }

    /// What it answers by itself, to a reader who stays and to one who leaves.
    fn answers(&self, name: &str, call: &Call<'_>) {
        self.doing("answer");
        let mut reader = FakeReader::new();
        let answered = self
            .times
            .of("answer", || self.provider.answer(call, &mut reader));
        match answered {
            Ok(()) => {
                let answer = reader.pieces.concat();
                fact(
                    name,
                    format!(
                        "answers with {} pieces, {} bytes",
                        reader.pieces.len(),
                        answer.len()
                    ),
                );
                if let Err(why) = shape(call.stream, &answer) {
                    fault(format!("{}, {name}: {why}", self.name));
                }
            }
            Err(refusal) => fact(name, refused(&refusal)),
        }
        self.doing("answer, where the reader leaves,");
        let mut leaves: Box<dyn Answer> = Box::new(FakeReader::leaving_after(1));
        // Whether that is a refusal is up to it.
        let _ = self.provider.answer(call, &mut *leaves);
    }
}

/// Whether an answer is whole, of its kind.
fn shape(stream: bool, answer: &[u8]) -> Result<(), &'static str> {
    if !stream {
        let document = serde_json::from_slice::<Value>(answer);
        return document
            .map(drop)
            .map_err(|_| "what it answers is no JSON document");
    }
    if answer.starts_with(b"data:") && answer.ends_with(b"\n\n") {
        Ok(())
    } else {
        Err("what it answers is no stream of whole events, each with its empty line")
    }
}

fn refused(refusal: &Refusal) -> String {
    format!("is refused, {}: {}", refusal.kind.status(), refusal.message)
}

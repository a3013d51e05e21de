//! Drives the codec as a gateway would: a call in, an upstream's bytes in, what a client reads out.

#![allow(
    clippy::unwrap_used,
    reason = "what drives the codec is part of the tests"
)]

use millgate_anthropic::{Anthropic, Attempt};
use millgate_plugin::{Endpoint, HeadFlow, Provider, Refusal, UpstreamHead, UpstreamRequest};
use serde_json::{Value, json};

/// A call, and the table of the provider that gets it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) config: Value,
    pub(crate) endpoint: Endpoint,
    pub(crate) body: Vec<u8>,
    pub(crate) model: String,
    pub(crate) stream: bool,
}

impl Call {
    /// From `{"endpoint", "config", "body"}`, of which only the body has to be there.
    pub(crate) fn read(request: &Value) -> Self {
        let body = &request["body"];
        let endpoint = request["endpoint"].as_str().unwrap_or("chat");
        Self {
            config: request.get("config").cloned().unwrap_or_else(|| json!({})),
            endpoint: (1..=6)
                .filter_map(Endpoint::from_number)
                .find(|known| known.name() == endpoint)
                .unwrap(),
            body: if body.is_null() {
                Vec::new()
            } else {
                serde_json::to_vec(body).unwrap()
            },
            model: body["model"].as_str().unwrap_or_default().to_owned(),
            stream: body["stream"] == true,
        }
    }

    /// An attempt that has begun, and what is sent for it.
    fn begin(&self) -> (Anthropic, Attempt, Result<UpstreamRequest, Refusal>) {
        let config = serde_json::from_value(self.config.clone()).unwrap();
        let provider = Anthropic::new("claude", config).unwrap();
        let call = millgate_plugin::Call {
            endpoint: self.endpoint,
            method: "POST",
            path: "",
            query: None,
            model: &self.model,
            stream: self.stream,
            body: &self.body,
            request_id: "01932f7e-8a40-7c31-9d52-3f1f0a6b8c11",
            created: 1_732_284_000,
        };
        let mut attempt = provider.begin();
        let request = provider.encode(&mut attempt, &call);
        (provider, attempt, request)
    }
}

/// What is sent to Anthropic.
pub(crate) fn upstream_request(call: &Call) -> Result<UpstreamRequest, Refusal> {
    call.begin().2
}

/// What a client reads when the upstream's bytes come in these pieces.
pub(crate) fn decode<'a>(
    call: &Call,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<u8>, Option<Refusal>) {
    let (provider, mut attempt, _) = call.begin();
    let head = UpstreamHead {
        status: 200,
        content_type: "",
    };
    assert_eq!(provider.on_head(&mut attempt, &head), HeadFlow::Decode);
    let mut out = Vec::new();
    for piece in pieces {
        if let Err(refusal) = provider.on_data(&mut attempt, piece, false, &mut out) {
            return (out, Some(refusal));
        }
    }
    let end = provider.on_data(&mut attempt, &[], true, &mut out);
    (out, end.err())
}

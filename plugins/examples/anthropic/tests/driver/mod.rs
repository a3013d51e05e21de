//! Drives the codec as a gateway would: a call in, an upstream's bytes in, what a client reads out.

#![allow(
    clippy::unwrap_used,
    reason = "what drives the codec is part of the tests"
)]

use millgate_anthropic::{Anthropic, Attempt};
use millgate_plugin::{
    Endpoint, HeadFlow, Provider, Refusal, UpstreamHead, UpstreamRequest,
    testing::{FakeCall, Value, json, provider},
};

/// A call, and the provider that gets it.
pub(crate) struct Call {
    provider: Anthropic,
    call: FakeCall,
}

impl Call {
    /// From `{"endpoint", "config", "body"}`, of which only the body has to be there.
    pub(crate) fn read(request: &Value) -> Self {
        let name = request["endpoint"].as_str().unwrap_or("chat");
        let endpoint = (1..=6)
            .filter_map(Endpoint::from_number)
            .find(|known| known.name() == name)
            .unwrap();
        let none = json!({});
        let table = request.get("config").unwrap_or(&none);
        Self {
            provider: provider(table).unwrap(),
            call: FakeCall::to(endpoint, &request["body"]),
        }
    }

    /// What is sent to Anthropic.
    pub(crate) fn ask(&self) -> Result<UpstreamRequest, Refusal> {
        self.begin().1
    }

    fn begin(&self) -> (Attempt, Result<UpstreamRequest, Refusal>) {
        let mut attempt = self.provider.begin();
        let request = self.provider.encode(&mut attempt, &self.call.call());
        (attempt, request)
    }

    /// What a client reads when the upstream's bytes come in these pieces, and why no more came.
    pub(crate) fn decode<'a>(
        &self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Vec<u8>, Option<Refusal>) {
        let (mut attempt, _) = self.begin();
        let head = UpstreamHead {
            status: 200,
            content_type: "",
        };
        assert_eq!(self.provider.on_head(&mut attempt, &head), HeadFlow::Decode);
        let mut out = Vec::new();
        for piece in pieces {
            if let Err(refusal) = self.provider.on_data(&mut attempt, piece, false, &mut out) {
                return (out, Some(refusal));
            }
        }
        let end = self.provider.on_data(&mut attempt, &[], true, &mut out);
        (out, end.err())
    }
}

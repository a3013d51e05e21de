//! Calls of a provider, and their answers.

use std::time::Duration;

use serde_json::Value;

use crate::{Answer, Call, Endpoint, Gone, HeadFlow, Provider, Refusal, UpstreamHead, UpstreamRequest};

/// The most places that a reply is cut at.
const MOST_CUTS: usize = 4096;

/// A call for a provider.
#[derive(Clone, Debug)]
pub struct FakeCall {
    endpoint: Endpoint,
    path: String,
    model: String,
    stream: bool,
    body: Vec<u8>,
}

/// The path of an endpoint after `/v1`.
pub(super) const fn path(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Chat => "/chat/completions",
        Endpoint::Completions => "/completions",
        Endpoint::Embeddings => "/embeddings",
        Endpoint::Responses => "/responses",
        Endpoint::Models => "/models",
        Endpoint::Forward => "/moderations",
    }
}

impl FakeCall {
    /// A chat with this body.
    #[must_use]
    pub fn chat(body: &Value) -> Self {
        Self::to(Endpoint::Chat, body)
    }

    /// A call of an endpoint with this body; model and stream are as it says.
    #[must_use]
    pub fn to(endpoint: Endpoint, body: &Value) -> Self {
        Self {
            endpoint,
            path: path(endpoint).to_owned(),
            model: body["model"].as_str().unwrap_or_default().to_owned(),
            stream: body["stream"] == Value::Bool(true),
            body: if body.is_null() {
                Vec::new()
            } else {
                body.to_string().into_bytes()
            },
        }
    }

    /// With another path after `/v1`.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The call; its id is `request-1`, and it was made at 1700000000.
    #[must_use]
    pub fn call(&self) -> Call<'_> {
        Call {
            endpoint: self.endpoint,
            method: if self.endpoint == Endpoint::Models {
                "GET"
            } else {
                "POST"
            },
            path: &self.path,
            query: None,
            model: &self.model,
            stream: self.stream,
            body: &self.body,
            request_id: "request-1",
            created: 1_700_000_000,
        }
    }
}

/// What a codec made of a call and its reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// What is sent upstream.
    pub request: UpstreamRequest,
    /// What the client gets.
    pub body: Vec<u8>,
}

impl Translation {
    /// The body as JSON; `null` where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The `data` of every event of a stream, as JSON; what is no JSON, such as `[DONE]`, as a text.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let text = String::from_utf8_lossy(&self.body);
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| data.into()))
            .collect()
    }
}

/// A call through a codec, and a 200 with `reply` as its body back. The reply comes in one piece, byte by byte, and cut in
/// two at every place: what is made of it must not depend on that.
///
/// # Panics
/// Where it does.
pub fn translate<P: Provider>(
    provider: &P,
    call: &FakeCall,
    content_type: &str,
    reply: &[u8],
) -> Result<Translation, Refusal> {
    let once = |cuts: &mut dyn Iterator<Item = usize>| {
        let mut state = provider.begin();
        let request = provider.encode(&mut state, &call.call())?;
        let head = UpstreamHead {
            status: 200,
            content_type,
        };
        let mut body = Vec::new();
        if provider.on_head(&mut state, &head) == HeadFlow::Passthrough {
            body.extend_from_slice(reply);
            return Ok(Translation { request, body });
        }
        let mut from = 0;
        for to in cuts {
            provider.on_data(&mut state, &reply[from..to], false, &mut body)?;
            from = to;
        }
        provider.on_data(&mut state, &reply[from..], true, &mut body)?;
        Ok(Translation { request, body })
    };
    let whole = once(&mut std::iter::empty());
    let same = |how: &str, other: Result<Translation, Refusal>| {
        assert!(
            whole == other,
            "{how}, the reply means\n{}\nand in one piece\n{}",
            show(&other),
            show(&whole)
        );
    };
    same("byte by byte", once(&mut (1..=reply.len())));
    for at in (0..=reply.len()).step_by(reply.len() / MOST_CUTS + 1) {
        same(&format!("cut at byte {at}"), once(&mut std::iter::once(at)));
    }
    whole
}

fn show(translated: &Result<Translation, Refusal>) -> String {
    match translated {
        Ok(translation) => String::from_utf8_lossy(&translation.body).into_owned(),
        Err(refusal) => format!("{refusal:?}"),
    }
}

/// The reader of what a provider answers by itself.
#[derive(Debug, Default)]
pub struct FakeReader {
    /// What was emitted, piece by piece.
    pub pieces: Vec<Vec<u8>>,
    /// How long was waited in all. No time has passed in truth.
    pub waited: Duration,
    patience: Option<usize>,
}

impl FakeReader {
    /// A reader who stays to the end.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A reader who leaves after so many pieces.
    #[must_use]
    pub fn leaving_after(pieces: usize) -> Self {
        Self {
            patience: Some(pieces),
            ..Self::default()
        }
    }

    fn stays(&self) -> Result<(), Gone> {
        match self.patience {
            Some(patience) if self.pieces.len() >= patience => Err(Gone),
            _ => Ok(()),
        }
    }
}

impl Answer for FakeReader {
    fn emit(&mut self, bytes: Vec<u8>) -> Result<(), Gone> {
        self.stays()?;
        self.pieces.push(bytes);
        Ok(())
    }

    fn wait(&mut self, time: Duration) -> Result<(), Gone> {
        self.waited += time;
        self.stays()
    }
}

//! The provider kind: which question goes where, and how its answer is read.

use millgate_plugin::{
    Call, Endpoint, HeadFlow, Provider, Refusal, RefusalKind, SetupError, UpstreamHead,
    UpstreamRequest,
};

use crate::{
    completion::Identity,
    config::{Config, Headers},
    error, models, reply,
    request::{self, Defaults},
    stream::Stream,
};

/// Largest reply that is not a stream, in bytes.
const LARGEST: usize = 128 << 20;

/// The provider kind `anthropic/messages`.
pub struct Anthropic {
    headers: Headers,
    defaults: Defaults,
}

/// One attempt.
pub struct Attempt {
    reply: Reply,
    /// A reply that is not a stream, as far as it has come.
    body: Vec<u8>,
}

/// What the reply will be, known from what was asked.
enum Reply {
    Unasked,
    Message(Identity),
    Stream(Box<Stream>),
    Models,
}

impl Provider for Anthropic {
    const KIND: &'static str = "messages";
    const BASE_PATH: &'static str = "/v1";
    type Config = Config;
    type State = Attempt;

    fn new(_name: &str, mut config: Config) -> Result<Self, SetupError> {
        Ok(Self {
            headers: Headers::new(&mut config)?,
            defaults: Defaults {
                max_tokens: config.max_tokens.get().into(),
                thinking: config.thinking,
                sampling: config.sampling,
                prompt_cache: config.prompt_cache,
            },
        })
    }

    fn serves(&self, endpoint: Endpoint) -> bool {
        matches!(endpoint, Endpoint::Chat | Endpoint::Models)
    }

    fn include_usage(&self) -> bool {
        true
    }

    fn begin(&self) -> Attempt {
        Attempt {
            reply: Reply::Unasked,
            body: Vec::new(),
        }
    }

    fn encode(&self, state: &mut Attempt, call: &Call<'_>) -> Result<UpstreamRequest, Refusal> {
        match call.endpoint {
            Endpoint::Chat => self.chat(state, call),
            Endpoint::Models => {
                state.reply = Reply::Models;
                Ok(UpstreamRequest {
                    method: "GET".into(),
                    path: "/models".to_owned(),
                    query: Some("limit=1000".to_owned()),
                    headers: self.headers.all(),
                    body: None,
                })
            }
            _ => Err(Refusal::new(
                RefusalKind::Unsupported,
                "Anthropic does not serve this path: ask /v1/chat/completions",
            )),
        }
    }

    fn on_head(&self, _state: &mut Attempt, _head: &UpstreamHead<'_>) -> HeadFlow {
        HeadFlow::Decode
    }

    fn on_data(
        &self,
        state: &mut Attempt,
        data: &[u8],
        end: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        if let Reply::Stream(stream) = &mut state.reply {
            return stream.feed(data, end, out);
        }
        if state.body.len() + data.len() > LARGEST {
            return Err(Refusal::new(
                RefusalKind::BadUpstream,
                "the upstream's reply is too large",
            ));
        }
        state.body.extend_from_slice(data);
        if !end {
            return Ok(());
        }
        let body = std::mem::take(&mut state.body);
        match &state.reply {
            Reply::Message(identity) => reply::document(identity, &body, out),
            Reply::Models => models::document(&body, out),
            Reply::Stream(_) | Reply::Unasked => Err(error::garbled()),
        }
    }

    fn on_error(&self, status: u16, body: &[u8]) -> Option<Refusal> {
        error::of_reply(status, body)
    }
}

impl Anthropic {
    fn chat(&self, state: &mut Attempt, call: &Call<'_>) -> Result<UpstreamRequest, Refusal> {
        let question = request::translate(&self.defaults, call)?;
        let identity = Identity::of(call);
        state.reply = if call.stream {
            Reply::Stream(Box::new(Stream::new(identity, question.include_usage)))
        } else {
            Reply::Message(identity)
        };
        let mut headers = self.headers.all();
        headers.push(("content-type".into(), "application/json".to_owned()));
        Ok(UpstreamRequest {
            method: "POST".into(),
            path: "/messages".to_owned(),
            query: None,
            headers,
            body: Some(question.body),
        })
    }
}

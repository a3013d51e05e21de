//! A provider kind: a codec between the OpenAI shape and what an upstream speaks.
//!
//! A codec is a pure function of bytes. The host resolves the target, connects, authenticates, times out,
//! retries and cancels; the codec says what to send and what the answer means.

use std::{borrow::Cow, time::Duration};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Endpoint, Refusal, SetupError};

/// One call for a provider, in the OpenAI shape.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// What kind of call it is.
    pub endpoint: Endpoint,
    /// HTTP method of the client's request.
    pub method: &'a str,
    /// Path after `/v1`, with its leading slash: `/chat/completions`.
    pub path: &'a str,
    /// Query of the client's request, without the `?`.
    pub query: Option<&'a str>,
    /// The model to ask for, also written in `body` already; empty where the call has none.
    pub model: &'a str,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// The body in the OpenAI shape: valid JSON for the endpoints that are understood;
    /// empty where there is none or where it streams past.
    pub body: &'a [u8],
    /// The id of the exchange.
    pub request_id: &'a str,
    /// Seconds since the epoch at the start of the exchange, for `created`.
    pub created: u64,
}

/// What to send upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamRequest {
    /// HTTP method; empty means the client's.
    pub method: Cow<'static, str>,
    /// Path below the provider's base URL, with its leading slash.
    pub path: String,
    /// Query without the `?`.
    pub query: Option<String>,
    /// Headers beside those that the host sets.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The body; `None` sends the call's own, untouched.
    pub body: Option<Vec<u8>>,
}

/// The head of an upstream's successful (2xx) reply.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamHead<'a> {
    /// HTTP status.
    pub status: u16,
    /// `content-type`, empty where there is none.
    pub content_type: &'a str,
}

/// What to do with the body of a successful reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum HeadFlow {
    /// It is in the OpenAI shape already: bytes are passed on untouched.
    Passthrough = 1,
    /// It goes through [`Provider::on_data`].
    Decode = 2,
}

/// The reader of an answer has left; stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// Where a provider that answers by itself writes to.
pub trait Answer {
    /// Hands over bytes in the OpenAI shape: of a stream, whole events; else the JSON document.
    /// Blocks while the reader is slow.
    fn emit(&mut self, bytes: Vec<u8>) -> Result<(), Gone>;

    /// Waits, or comes back early with [`Gone`] when the reader leaves.
    fn wait(&mut self, time: Duration) -> Result<(), Gone>;
}

/// A provider kind.
pub trait Provider: Send + Sync + Sized + 'static {
    /// What `kind = "…"` says in the config.
    const KIND: &'static str;
    /// Whether it answers by itself ([`Provider::answer`]) instead of being reached over a network.
    const ANSWERS: bool = false;
    /// The path that belongs to every base URL: `base_url` is completed with it where it names no version.
    const BASE_PATH: &'static str = "";
    /// Its table in the config, less the keys that every provider has (`kind`, `base_url`, `api_key`, `model` …).
    type Config: DeserializeOwned + JsonSchema;
    /// What it remembers of one attempt.
    type State: Send + 'static;

    /// Makes the provider `name` from its table.
    fn new(name: &str, config: Self::Config) -> Result<Self, SetupError>;

    /// Whether it can serve an endpoint. A target that cannot is skipped.
    fn serves(&self, endpoint: Endpoint) -> bool;

    /// Whether its upstream understands `stream_options.include_usage`.
    fn include_usage(&self) -> bool {
        false
    }

    /// Whether its upstream sends bills. Where it does not, models have the prices that the config gives them, and no
    /// others, whatever they are called.
    fn charges(&self) -> bool {
        true
    }

    /// The state of an attempt that begins.
    fn begin(&self) -> Self::State;

    /// What to send for a call.
    fn encode(&self, state: &mut Self::State, call: &Call<'_>) -> Result<UpstreamRequest, Refusal>;

    /// What to do with the body of a reply whose status is 2xx.
    fn on_head(&self, _state: &mut Self::State, _head: &UpstreamHead<'_>) -> HeadFlow {
        HeadFlow::Passthrough
    }

    /// Takes the next bytes of the body, cut anywhere, and appends to `out` what they mean in the OpenAI shape:
    /// of a stream, whole events (`data: …\n\n`, with `data: [DONE]` last where the endpoint has it),
    /// else the JSON document. Called once more with `end` when the body is complete.
    fn on_data(
        &self,
        _state: &mut Self::State,
        _data: &[u8],
        _end: bool,
        _out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        Ok(())
    }

    /// What an error reply (status ≥ 400) means; `None` leaves it to the host, which knows
    /// `{"error":{…}}`, `{"error":"text"}` and plain text.
    fn on_error(&self, _status: u16, _body: &[u8]) -> Option<Refusal> {
        None
    }

    /// Answers a call without any network, where [`Provider::ANSWERS`] is set. Runs on a thread of its own that
    /// may block. An error before the first `emit` is a failed attempt; after it, an error event.
    fn answer(&self, _call: &Call<'_>, _answer: &mut dyn Answer) -> Result<(), Refusal> {
        Err(Refusal::new(
            crate::RefusalKind::Internal,
            "this provider does not answer by itself",
        ))
    }
}

//! Ollama, through its native API.
//!
//! Its own OpenAI layer (`/v1`) knows neither `num_ctx` nor `keep_alive`, forgets errors in mid-stream and repeats
//! ids; the native API has all of it, so this codec translates. A `base_url` names the server's root. Shapes as in
//! Ollama's `docs/api.md`.
//!
//! | asked for | asked of Ollama |
//! |---|---|
//! | chat completions, responses | `POST /api/chat` |
//! | completions | `POST /api/generate` |
//! | embeddings | `POST /api/embed` |
//! | models | `GET /api/tags` |
//!
//! What Ollama cannot do and what would change the answer is refused as unsupported, so that the next target is asked:
//! `n` above 1, `logit_bias`, audio, files, several prompts, tokens as a prompt or an input. Images must be data URLs.
//! `tool_choice` `required` or a named function narrows the tools, but the model stays free not to call one;
//! `parallel_tool_calls`, `store`, `user`, `metadata` and `service_tier` change nothing.
//! Thinking is given as `reasoning_content`, in responses as `reasoning` items.

mod embeddings;
mod encode;
mod generation;
mod lines;
mod messages;
mod models;
mod options;
mod refusals;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;

use millgate_plugin::{
    Call, Endpoint, HeadFlow, Provider, Refusal, RefusalKind, SetupError, UpstreamHead,
    UpstreamRequest,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use self::{embeddings::Embeddings, generation::Generation};
use super::{
    answer::{Identity, request_object},
    chat, completion, responses,
};

/// Largest reply that is not a stream, in bytes.
const LARGEST: usize = 128 << 20;

/// The `system_fingerprint` of chats and completions, as Ollama's own OpenAI layer has it.
const FINGERPRINT: &str = "fp_ollama";

/// Keys of a provider of kind `ollama`, beside those of every provider.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long the model stays loaded after a request: a duration (`"10m"`), seconds (`600`), `-1` for ever, `0`
    /// not at all. Default: the Ollama server's own (5 minutes, or its `OLLAMA_KEEP_ALIVE`).
    pub keep_alive: Option<KeepAlive>,
    /// Size of the context window in tokens. Default: the Ollama server's own, and what does not fit is cut off
    /// without a word.
    pub num_ctx: Option<NonZeroU32>,
    /// Further `options` of Ollama (`num_gpu`, `mirostat`, `top_k` …), used where a request does not set them itself.
    /// Default: none.
    pub options: Map<String, Value>,
}

/// How long a model stays loaded.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(untagged)]
pub enum KeepAlive {
    /// Seconds; below zero for ever.
    Seconds(i64),
    /// A duration, `"1h30m"`, or seconds as text.
    Text(String),
}

/// What is added to every request.
struct Defaults {
    keep_alive: Option<Value>,
    options: Map<String, Value>,
}

/// The provider kind `ollama`.
pub struct Ollama {
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
    Generation(Generation),
    Embeddings(Embeddings),
    Models,
}

impl Provider for Ollama {
    const KIND: &'static str = "ollama";
    type Config = Config;
    type State = Attempt;

    fn new(_name: &str, config: Config) -> Result<Self, SetupError> {
        let mut options = config.options;
        if let Some(num_ctx) = config.num_ctx {
            options.insert("num_ctx".to_owned(), num_ctx.get().into());
        }
        let keep_alive = config.keep_alive.map(keep_alive).transpose()?;
        Ok(Self {
            defaults: Defaults {
                keep_alive,
                options,
            },
        })
    }

    fn serves(&self, endpoint: Endpoint) -> bool {
        endpoint.is_understood()
    }

    fn include_usage(&self) -> bool {
        true
    }

    fn charges(&self) -> bool {
        false
    }

    fn begin(&self) -> Attempt {
        Attempt {
            reply: Reply::Unasked,
            body: Vec::new(),
        }
    }

    fn encode(&self, state: &mut Attempt, call: &Call<'_>) -> Result<UpstreamRequest, Refusal> {
        let (path, body, reply) = self.ask(call)?;
        state.reply = reply;
        Ok(UpstreamRequest {
            method: if body.is_some() { "POST" } else { "GET" }.into(),
            path: path.to_owned(),
            body: body.map(|body| Value::Object(body).to_string().into_bytes()),
            ..UpstreamRequest::default()
        })
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
        if let Reply::Generation(generation) = &mut state.reply
            && generation.is_stream()
        {
            return generation.feed(data, end, out);
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
        match &mut state.reply {
            Reply::Generation(generation) => generation.document(&body, out),
            Reply::Embeddings(embeddings) => embeddings.document(&body, out),
            Reply::Models => models::document(&body, out),
            Reply::Unasked => Err(refusals::garbled()),
        }
    }

    fn on_error(&self, status: u16, body: &[u8]) -> Option<Refusal> {
        refusals::reply(status, body)
    }
}

/// Path, body (none for a GET) and the reply to expect.
type Question = (&'static str, Option<Map<String, Value>>, Reply);

impl Ollama {
    fn ask(&self, call: &Call<'_>) -> Result<Question, Refusal> {
        match call.endpoint {
            Endpoint::Chat => self.chat(call),
            Endpoint::Completions => self.completion(call),
            Endpoint::Embeddings => self.embeddings(call),
            Endpoint::Responses => self.response(call),
            Endpoint::Models => Ok(("/api/tags", None, Reply::Models)),
            _ => Err(Refusal::new(
                RefusalKind::Unsupported,
                "Ollama does not serve this path",
            )),
        }
    }

    fn chat(&self, call: &Call<'_>) -> Result<Question, Refusal> {
        let body = request_object(call.body)?;
        let identity = Identity::of(call, FINGERPRINT);
        let shape = chat::shape(&identity, call.stream, encode::wants_usage(&body));
        let body = encode::chat(&self.defaults, call, body)?;
        let reply = Generation::new(shape, identity, call.model, call.stream, String::new());
        Ok(("/api/chat", Some(body), Reply::Generation(reply)))
    }

    fn response(&self, call: &Call<'_>) -> Result<Question, Refusal> {
        let body = request_object(call.body)?;
        let identity = Identity::of(call, FINGERPRINT);
        let shape = responses::shape(identity.clone(), call.stream, &body);
        let body = encode::chat(&self.defaults, call, responses::to_chat(body)?)?;
        let reply = Generation::new(shape, identity, call.model, call.stream, String::new());
        Ok(("/api/chat", Some(body), Reply::Generation(reply)))
    }

    fn completion(&self, call: &Call<'_>) -> Result<Question, Refusal> {
        let body = request_object(call.body)?;
        let identity = Identity::of(call, FINGERPRINT);
        let shape = completion::shape(&identity, call.stream, encode::wants_usage(&body));
        let echo = body.get("echo").is_some_and(|echo| *echo == true);
        let (body, prompt) = encode::completion(&self.defaults, call, body)?;
        let echo = if echo { prompt } else { String::new() };
        let reply = Generation::new(shape, identity, call.model, call.stream, echo);
        Ok(("/api/generate", Some(body), Reply::Generation(reply)))
    }

    fn embeddings(&self, call: &Call<'_>) -> Result<Question, Refusal> {
        let mut body = request_object(call.body)?;
        let base64 = encode::wants_base64(&mut body)?;
        let (body, count) = encode::embeddings(&self.defaults, call, body)?;
        let reply = Embeddings {
            count,
            base64,
            model: call.model.to_owned(),
        };
        Ok(("/api/embed", Some(body), Reply::Embeddings(reply)))
    }
}

/// `keep_alive` as Ollama reads it: text is a duration to it, with a unit, so seconds must be a number.
fn keep_alive(keep_alive: KeepAlive) -> Result<Value, SetupError> {
    let text = match keep_alive {
        KeepAlive::Seconds(seconds) => return Ok(seconds.into()),
        KeepAlive::Text(text) => text,
    };
    if let Ok(seconds) = text.parse::<i64>() {
        return Ok(seconds.into());
    }
    if is_duration(&text) {
        return Ok(text.into());
    }
    Err(SetupError::at(
        ["keep_alive"],
        format!(
            "`{text}` is no duration: write \"10m\" or \"1h30m\", a number of seconds, or -1 for ever"
        ),
    ))
}

/// Whether this is a duration as Go writes it (`time.ParseDuration`): numbers with units, `-1h30m`, `1.5h`.
fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let digits = rest.len()
            - rest
                .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
                .len();
        let (number, tail) = rest.split_at(digits);
        let units = ["ns", "us", "µs", "ms", "s", "m", "h"];
        let letters = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        if number.parse::<f64>().is_err() || !units.contains(&unit) {
            return false;
        }
        rest = tail;
    }
    true
}

//! A plugin for tests: it panics, fails and blocks where it is told to, and answers by itself.
#![allow(clippy::panic, reason = "that is what it is for")]

use std::time::Duration;

use millgate_plugin::{
    Answer, Bytes, Call, Chunk, ChunkFlow, Endpoint, Exchange, Field, Flow, Hooks, Host, Outcome,
    Provider, Refusal, Reply, SetupError, Stage, StageError, UpstreamRequest, WaitCell,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// What happens in which hook, for all exchanges. A request can ask for more with the header `x-trouble`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `panic`, `fail`, `block`, `hang`, `wait`, `abort` or `reply`.
    what: Option<String>,
    /// `new`, `on_request`, `on_response`, `on_chunk` or `on_end`.
    at: Option<String>,
}

/// A stage that makes trouble.
pub struct Maker(Config);

/// What is waited for, which never comes.
type State = WaitCell<()>;

impl Config {
    fn here(&self, hook: &str, exchange: Option<&dyn Exchange>) -> Option<String> {
        if self.at.as_deref() == Some(hook) {
            return self.what.clone();
        }
        let asked = exchange?.text(Field::RequestHeader, "x-trouble")?;
        let (what, at) = asked.split_once(' ')?;
        (at == hook).then(|| what.to_owned())
    }
}

/// Makes trouble; says whether it is of a kind that the hook has to make itself.
fn trouble(what: Option<String>, hook: &str) -> Result<Option<String>, StageError> {
    match what.as_deref() {
        Some("panic") => panic!("{hook} panics, as it was told to"),
        Some("fail") => Err(StageError(format!("{hook} fails, as it was told to"))),
        Some("block") => {
            std::thread::sleep(Duration::from_millis(1500));
            Ok(None)
        }
        Some("hang") => loop {
            std::thread::park();
        },
        Some("abort") => std::process::abort(),
        _ => Ok(what),
    }
}

impl Stage for Maker {
    const KIND: &'static str = "maker";
    type Config = Config;
    type State = State;

    fn new(_: &str, config: Config, _: &Host) -> Result<Self, SetupError> {
        trouble(config.here("new", None), "new")
            .map_err(|error| SetupError::at(["what"], error.0))?;
        Ok(Self(config))
    }

    fn hooks(&self) -> Hooks {
        Hooks::REQUEST | Hooks::RESPONSE | Hooks::CHUNK | Hooks::END
    }

    fn begin(&self) -> State {
        WaitCell::new()
    }

    fn on_request(
        &self,
        state: &mut State,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        let what = trouble(self.0.here("on_request", Some(exchange)), "on_request")?;
        Ok(match what.as_deref() {
            Some("wait") => Flow::Wait(state.filled()),
            Some("reply") => Flow::Reply(own_reply()),
            _ => Flow::Next,
        })
    }

    fn on_response(&self, _: &mut State, exchange: &mut dyn Exchange) -> Result<Flow, StageError> {
        let what = trouble(self.0.here("on_response", Some(exchange)), "on_response")?;
        Ok(match what.as_deref() {
            Some("reply") => Flow::Reply(own_reply()),
            _ => Flow::Next,
        })
    }

    fn on_chunk(
        &self,
        _: &mut State,
        exchange: &mut dyn Exchange,
        _: Chunk<'_>,
    ) -> Result<ChunkFlow, StageError> {
        trouble(self.0.here("on_chunk", Some(exchange)), "on_chunk")?;
        Ok(ChunkFlow::Keep)
    }

    fn on_end(&self, _: &mut State, exchange: &mut dyn Exchange, _: Outcome) {
        // There is nobody to fail to.
        let _ = trouble(self.0.here("on_end", Some(exchange)), "on_end");
    }
}

fn own_reply() -> Reply {
    Reply {
        status: 203,
        headers: vec![("content-type".into(), "text/plain".to_owned())],
        body: Bytes::from_static(b"a reply of its own"),
    }
}

/// A provider that answers by itself: it says the last message back, word by word.
pub struct Parrot;

/// A table without keys.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

impl Provider for Parrot {
    const KIND: &'static str = "parrot";
    const ANSWERS: bool = true;
    type Config = Nothing;
    type State = ();

    fn new(_: &str, _: Nothing) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn serves(&self, endpoint: Endpoint) -> bool {
        endpoint == Endpoint::Chat
    }

    fn begin(&self) {}

    fn encode(&self, (): &mut (), _: &Call<'_>) -> Result<UpstreamRequest, Refusal> {
        Ok(UpstreamRequest::default())
    }

    fn answer(&self, call: &Call<'_>, answer: &mut dyn Answer) -> Result<(), Refusal> {
        let body: Value = serde_json::from_slice(call.body).unwrap_or_default();
        let last = body["messages"]
            .as_array()
            .and_then(|messages| messages.last());
        let text = last.and_then(|last| last["content"].as_str());
        let text = text.unwrap_or_default();
        assert!(text != "panic", "the parrot panics, as it was told to");
        // A reader who has left wants no more.
        let _ = if call.stream {
            stream(text, answer)
        } else {
            let choice = json!({"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"});
            let document = json!({"id": "parrot", "object": "chat.completion", "created": 1, "model": "parrot", "choices": [choice]});
            answer.emit(document.to_string().into_bytes())
        };
        Ok(())
    }
}

fn stream(text: &str, answer: &mut dyn Answer) -> Result<(), millgate_plugin::Gone> {
    let mut event = |delta: Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        let document = json!({"id": "parrot", "object": "chat.completion.chunk", "created": 1, "model": "parrot", "choices": [choice]});
        answer.emit(format!("data: {document}\n\n").into_bytes())
    };
    for word in text.split_inclusive(' ') {
        event(json!({"content": word}), Value::Null)?;
    }
    event(json!({}), "stop".into())?;
    answer.emit(b"data: [DONE]\n\n".to_vec())
}

millgate_plugin::export_plugin! {
    name: "trouble",
    stages: [Maker],
    providers: [Parrot],
}

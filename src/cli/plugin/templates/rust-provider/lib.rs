//! A provider for millgate: a codec between chat completions and an upstream that takes `POST /generate` with
//! `{"model", "prompt"}` and answers `{"text"}`.

use millgate_plugin::{
    Call, Endpoint, HeadFlow, Provider, Refusal, RefusalKind, SetupError, UpstreamHead,
    UpstreamRequest,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// Its table in the config, beside the keys of every provider (`base_url`, `api_key`, `model` …). Doc comments go into
/// its schema.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The path to ask, below `base_url`. Default: `"/generate"`.
    #[serde(default = "generate")]
    path: String,
}

fn generate() -> String {
    "/generate".to_owned()
}

/// The provider: one object for all calls.
pub struct MyProvider {
    path: String,
}

/// What it remembers of one attempt.
#[derive(Default)]
pub struct Attempt {
    stream: bool,
    id: String,
    created: u64,
    model: String,
    reply: Vec<u8>,
}

impl Provider for MyProvider {
    /// `kind = "my-plugin/provider"` in the config.
    const KIND: &'static str = "provider";
    type Config = Config;
    type State = Attempt;

    fn new(_name: &str, config: Config) -> Result<Self, SetupError> {
        if !config.path.starts_with('/') {
            return Err(SetupError::at(
                ["path"],
                "begins with a slash: \"/generate\"",
            ));
        }
        Ok(Self { path: config.path })
    }

    fn serves(&self, endpoint: Endpoint) -> bool {
        endpoint == Endpoint::Chat
    }

    fn begin(&self) -> Attempt {
        Attempt::default()
    }

    fn encode(&self, attempt: &mut Attempt, call: &Call<'_>) -> Result<UpstreamRequest, Refusal> {
        let body: Value = serde_json::from_slice(call.body).unwrap_or_default();
        let Some(prompt) = last_text(&body) else {
            let message = "This model wants a message whose content is a text.";
            return Err(Refusal::new(RefusalKind::Unsupported, message).param("messages"));
        };
        *attempt = Attempt {
            stream: call.stream,
            id: call.request_id.to_owned(),
            created: call.created,
            model: call.model.to_owned(),
            reply: Vec::new(),
        };
        Ok(UpstreamRequest {
            method: "POST".into(),
            path: self.path.clone(),
            headers: vec![("content-type".into(), "application/json".to_owned())],
            body: Some(
                json!({"model": call.model, "prompt": prompt})
                    .to_string()
                    .into_bytes(),
            ),
            ..UpstreamRequest::default()
        })
    }

    fn on_head(&self, _: &mut Attempt, _: &UpstreamHead<'_>) -> HeadFlow {
        HeadFlow::Decode
    }

    fn on_data(
        &self,
        attempt: &mut Attempt,
        data: &[u8],
        end: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        // Pieces are cut anywhere: the document is read once it is complete.
        attempt.reply.extend_from_slice(data);
        if !end {
            return Ok(());
        }
        let reply: Value = serde_json::from_slice(&attempt.reply).unwrap_or_default();
        let Some(text) = reply["text"].as_str() else {
            let message = "The model answered with something that it should not.";
            return Err(Refusal::new(RefusalKind::BadUpstream, message));
        };
        out.extend_from_slice(attempt.answer(text).as_bytes());
        Ok(())
    }
}

impl Attempt {
    /// The answer as chat completions have it: a document, or events.
    fn answer(&self, text: &str) -> String {
        let (object, member) = match self.stream {
            true => ("chat.completion.chunk", "delta"),
            false => ("chat.completion", "message"),
        };
        let document = json!({
            "id": format!("chatcmpl-{}", self.id),
            "object": object,
            "created": self.created,
            "model": self.model,
            "choices": [{
                "index": 0,
                member: {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }],
        });
        match self.stream {
            true => format!("data: {document}\n\ndata: [DONE]\n\n"),
            false => document.to_string(),
        }
    }
}

fn last_text(body: &Value) -> Option<&str> {
    body["messages"].as_array()?.last()?["content"].as_str()
}

millgate_plugin::export_plugin! {
    providers: [MyProvider],
}

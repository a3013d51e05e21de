//! Whose API a path belongs to, and what a request asks of it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::reply::Reply;
use super::script::{Fault, Script};
use super::{Request, fault, ollama, openai};

/// The name that a request without a model, and a listing without names, are given.
const MODEL: &str = "mock-model";

/// Whose API it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    OpenAi,
    Ollama,
}

impl Shape {
    fn of(path: &str) -> Self {
        if path == "/" || path.starts_with("/api/") {
            Self::Ollama
        } else {
            Self::OpenAi
        }
    }

    /// An error body with this message.
    pub(super) fn error(self, status: u16, message: &str) -> Value {
        match self {
            Self::OpenAi => openai::error(status, message),
            Self::Ollama => json!({ "error": message }),
        }
    }
}

/// The members of a request body that change an answer.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Ask<'a> {
    #[serde(borrow)]
    pub(super) model: Option<Cow<'a, str>>,
    pub(super) stream: Option<bool>,
    pub(super) stream_options: StreamOptions,
    pub(super) tools: Vec<Tool>,
    pub(super) tool_choice: Value,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
    pub(super) encoding_format: Option<String>,
    pub(super) dimensions: Option<usize>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct StreamOptions {
    pub(super) include_usage: bool,
}

/// A tool, of chat (`function.name`) or of responses (`name`).
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Tool {
    function: Function,
    name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Function {
    name: Option<String>,
}

impl Ask<'_> {
    /// Reads the body of a request that has one in JSON. Fails on what looks like JSON and is not.
    pub(super) fn read(request: &Request) -> Result<Ask<'_>, serde_json::Error> {
        if request.body.first() == Some(&b'{') {
            serde_json::from_slice(&request.body)
        } else {
            Ok(Ask::default())
        }
    }

    /// Whether a tool must be called.
    fn demands_tool(&self) -> bool {
        !self.tools.is_empty() && (self.tool_choice.is_object() || self.tool_choice == "required")
    }

    /// The name of the tool to call: the one that is named, else the first.
    fn tool_name(&self) -> &str {
        let named = [
            &self.tool_choice["function"]["name"],
            &self.tool_choice["name"],
        ];
        let first = self
            .tools
            .first()
            .and_then(|tool| tool.name.as_deref().or(tool.function.name.as_deref()));
        named
            .into_iter()
            .find_map(Value::as_str)
            .or(first)
            .unwrap_or("mock_tool")
    }
}

/// One call: what is asked, and what the script has to say to it.
pub(super) struct Call<'a> {
    pub(super) request: &'a Request,
    pub(super) ask: &'a Ask<'a>,
    pub(super) script: &'a Script,
    /// Number of the request on this server, for ids.
    pub(super) serial: u64,
    pub(super) models: &'a [String],
}

impl Call<'_> {
    pub(super) fn model(&self) -> &str {
        self.ask.model.as_deref().unwrap_or(MODEL)
    }

    pub(super) fn tool_name(&self) -> &str {
        self.ask.tool_name()
    }

    pub(super) fn tool_calls(&self) -> usize {
        self.script
            .tool_calls
            .unwrap_or(usize::from(self.ask.demands_tool()))
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.script.fault == Some(fault)
    }

    pub(super) fn prompt_tokens(&self) -> u64 {
        self.script.prompt_tokens.unwrap_or(11)
    }

    pub(super) fn completion_tokens(&self, events: usize) -> u64 {
        self.script.completion_tokens.unwrap_or(events as u64)
    }

    /// The names to list.
    pub(super) fn listed(&self) -> Vec<&str> {
        if self.models.is_empty() {
            vec![MODEL]
        } else {
            self.models.iter().map(String::as_str).collect()
        }
    }

    /// Number of inputs to embed: a string and a list of tokens are one, another list is as many.
    pub(super) fn inputs(&self) -> usize {
        let input = self
            .ask
            .input
            .and_then(|input| serde_json::from_str(input.get()).ok());
        match input {
            Some(Value::Array(items)) if items.first().is_none_or(|item| !item.is_number()) => {
                items.len()
            }
            _ => 1,
        }
    }

    /// The embedding of the input with this number: the same for every request.
    pub(super) fn embedding(&self, index: usize) -> Vec<f32> {
        let dimensions = self.ask.dimensions.unwrap_or(8);
        (0..dimensions)
            .map(|dimension| (index * dimensions + dimension) as f32 / 64.0 - 0.5)
            .collect()
    }
}

/// The reply to `request`, faults and all.
pub(super) fn answer(
    request: &Request,
    ask: Result<Ask, serde_json::Error>,
    script: &Script,
    serial: u64,
    models: &[String],
    exists: bool,
) -> Reply {
    let shape = Shape::of(&request.path);
    let mut reply = match (ask, script.status) {
        (_, Some(status @ 400..)) => Reply::json(
            status,
            &shape.error(status, "The scripted error of the mock."),
        ),
        (Err(error), _) => Reply::json(
            400,
            &shape.error(400, &format!("The body is not what it should be: {error}")),
        ),
        (Ok(ask), _) if !exists => {
            let model = ask.model.unwrap_or_default();
            Reply::json(
                404,
                &shape.error(404, &format!("model '{model}' not found")),
            )
        }
        (Ok(ask), _) => {
            let call = Call {
                request,
                ask: &ask,
                script,
                serial,
                models,
            };
            match shape {
                Shape::OpenAi => openai::answer(&call),
                Shape::Ollama => ollama::answer(&call),
            }
        }
    };
    reply.status = script.status.unwrap_or(reply.status);
    if let Some(body) = &script.body {
        reply.set_recorded(body);
    }
    if let Some(fault) = script.fault {
        fault::commit(fault, script.at, shape, &mut reply);
    }
    reply.dress(script);
    if request.method == "HEAD" || reply.has_no_body() {
        reply.drop_body();
    }
    if request.closes() {
        reply.close_after();
    }
    reply
}

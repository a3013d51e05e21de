//! What Ollama answers to `/api/chat` and `/api/generate`: lines of JSON, or one document like the last line.

use std::borrow::Cow;

use millgate_plugin::Refusal;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, value::RawValue};

use super::{lines::Lines, refusals};
use crate::providers::answer::{Finish, Identity, Piece, Shape, TokenLogprobs, Usage};

/// One line, of a chat (`message`) or a completion (`response`). Counts that are zero are left out.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    model: Cow<'a, str>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    response: Option<Cow<'a, str>>,
    thinking: Option<Cow<'a, str>>,
    logprobs: Option<Vec<TokenLogprobs>>,
    #[serde(default)]
    done: bool,
    done_reason: Option<Cow<'a, str>>,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Message<'a> {
    content: Option<Cow<'a, str>>,
    thinking: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    id: Option<String>,
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    /// An object, kept as it is written: numbers lose nothing.
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

/// One answer in the making.
pub(super) struct Generation {
    shape: Box<dyn Shape>,
    identity: Identity,
    /// Name of the model where the upstream gives none.
    model: String,
    /// Text that stands before the answer: the prompt, where a completion is to repeat it.
    echo: String,
    stream: bool,
    lines: Lines,
    progress: Progress,
    /// Tool calls so far.
    calls: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Waiting,
    Begun,
    Done,
}

impl Generation {
    pub(super) fn new(
        shape: Box<dyn Shape>,
        identity: Identity,
        model: &str,
        stream: bool,
        echo: String,
    ) -> Self {
        Self {
            shape,
            identity,
            model: model.to_owned(),
            echo,
            stream,
            lines: Lines::default(),
            progress: Progress::Waiting,
            calls: 0,
        }
    }

    /// Whether the answer comes line by line, as opposed to in one document.
    pub(super) const fn is_stream(&self) -> bool {
        self.stream
    }

    /// Takes the next bytes of a stream.
    pub(super) fn feed(
        &mut self,
        data: &[u8],
        end: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let mut lines = std::mem::take(&mut self.lines);
        lines.feed(data, |line| self.line(line, out))?;
        if !end {
            self.lines = lines;
            return Ok(());
        }
        // A last line without its line feed is as good as any; half a line only says that the stream was cut.
        let rest = lines.rest();
        if serde_json::from_slice::<IgnoredAny>(&rest).is_ok() {
            self.line(&rest, out)?;
        }
        self.finished()
    }

    /// Takes a whole document.
    pub(super) fn document(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        self.line(body, out)?;
        self.finished()
    }

    fn finished(&self) -> Result<(), Refusal> {
        match self.progress {
            Progress::Done => Ok(()),
            Progress::Waiting | Progress::Begun => Err(refusals::cut()),
        }
    }

    fn line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let line = line.trim_ascii();
        if line.is_empty() || self.progress == Progress::Done {
            return Ok(());
        }
        let line: Line<'_> = serde_json::from_slice(line).map_err(|_| refusals::garbled())?;
        if let Some(error) = line.error {
            return Err(refusals::in_stream(&error));
        }
        if self.progress == Progress::Waiting {
            self.begin(&line.model, out);
        }
        if let Some(thinking) = &line.thinking {
            self.reasoning(thinking, out);
        }
        if let Some(text) = &line.response {
            self.text(text, line.logprobs.as_deref(), out);
        }
        if let Some(message) = &line.message {
            self.message(message, line.logprobs.as_deref(), out);
        }
        if line.done {
            self.end(&line, out);
        }
        Ok(())
    }

    fn begin(&mut self, model: &str, out: &mut Vec<u8>) {
        self.progress = Progress::Begun;
        let model = if model.is_empty() { &self.model } else { model };
        self.shape.begin(model, out);
        if !self.echo.is_empty() {
            self.shape.piece(Piece::Text(&self.echo, None), out);
        }
    }

    fn message(
        &mut self,
        message: &Message<'_>,
        logprobs: Option<&[TokenLogprobs]>,
        out: &mut Vec<u8>,
    ) {
        if let Some(thinking) = &message.thinking {
            self.reasoning(thinking, out);
        }
        if let Some(text) = &message.content {
            self.text(text, logprobs, out);
        }
        for call in message.tool_calls.iter().flatten() {
            self.tool_call(call, out);
        }
    }

    fn reasoning(&mut self, text: &str, out: &mut Vec<u8>) {
        if !text.is_empty() {
            self.shape.piece(Piece::Reasoning(text), out);
        }
    }

    fn text(&mut self, text: &str, logprobs: Option<&[TokenLogprobs]>, out: &mut Vec<u8>) {
        if !text.is_empty() {
            self.shape.piece(Piece::Text(text, logprobs), out);
        }
    }

    fn tool_call(&mut self, call: &ToolCall<'_>, out: &mut Vec<u8>) {
        let id = match &call.id {
            Some(id) if !id.is_empty() => Cow::Borrowed(id.as_str()),
            _ => Cow::Owned(self.identity.part("call_", self.calls)),
        };
        self.calls += 1;
        let piece = Piece::ToolCall {
            id: &id,
            name: &call.function.name,
            arguments: &arguments(call.function.arguments),
        };
        self.shape.piece(piece, out);
    }

    fn end(&mut self, line: &Line<'_>, out: &mut Vec<u8>) {
        self.progress = Progress::Done;
        // `load` and `unload` answer a request that asks for nothing; what else there may be one day is an end too.
        let finish = match line.done_reason.as_deref() {
            Some("length") => Finish::Length,
            _ if self.calls > 0 => Finish::ToolCalls,
            _ => Finish::Stop,
        };
        let usage = Usage {
            input: line.prompt_eval_count.unwrap_or(0),
            output: line.eval_count.unwrap_or(0),
        };
        self.shape.finish(finish, out);
        self.shape.end(usage, out);
    }
}

/// The text of the arguments' object. Servers that imitate Ollama also send that text itself, or nothing.
fn arguments(arguments: Option<&RawValue>) -> Cow<'_, str> {
    match arguments.map(RawValue::get) {
        None | Some("null") => Cow::Borrowed("{}"),
        Some(text) if text.starts_with('"') => match serde_json::from_str(text) {
            Ok(text) => Cow::Owned(text),
            Err(_) => Cow::Borrowed(text),
        },
        Some(object) => Cow::Borrowed(object),
    }
}

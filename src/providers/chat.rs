//! Chat completions: the chunks of a stream and the whole document.
//!
//! Shapes as in OpenAI's API reference (`chat.completion`, `chat.completion.chunk`). Reasoning is given as
//! `reasoning_content`, the name that most clients which show it look for.

use serde::Serialize;

use super::{
    answer::{Finish, Identity, Piece, Shape, TokenLogprobs, Usage},
    choices::Envelope,
};

/// The shape of one chat completion.
///
/// `include_usage` is the request's `stream_options.include_usage`; a whole reply always tells its usage.
#[must_use]
pub fn shape(identity: &Identity, stream: bool, include_usage: bool) -> Box<dyn Shape> {
    let envelope = |object| Envelope::new(identity, "chatcmpl-", object, include_usage);
    if stream {
        Box::new(Stream {
            envelope: envelope("chat.completion.chunk"),
            index: 0,
            has_role: false,
            calls: 0,
        })
    } else {
        Box::new(Document {
            envelope: envelope("chat.completion"),
            choices: Vec::new(),
            open: Choice::default(),
        })
    }
}

#[derive(Default, Serialize)]
struct ChunkChoice<'a> {
    index: usize,
    delta: Delta<'a>,
    logprobs: Option<Logprobs<&'a [TokenLogprobs]>>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(flatten)]
    opening: Option<Opening>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[ToolCallDelta<'a>; 1]>,
}

/// The delta that begins a choice. Its content is null where a tool is called and nothing said before.
#[derive(Serialize)]
struct Opening {
    role: &'static str,
    content: Option<&'static str>,
    refusal: Option<()>,
}

#[derive(Serialize)]
struct Logprobs<L> {
    content: L,
    refusal: Option<()>,
}

/// A tool call, or what is added to the arguments of one: then without id, type and name.
#[derive(Serialize)]
struct ToolCallDelta<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    function: FunctionDelta<'a>,
}

#[derive(Serialize)]
struct FunctionDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

struct Stream {
    envelope: Envelope,
    /// Of the choice that is being written.
    index: usize,
    /// Whether that choice has begun.
    has_role: bool,
    /// How many tool calls it has.
    calls: usize,
}

impl Stream {
    fn open(&mut self, content: Option<&'static str>, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_role, true) {
            return;
        }
        let opening = Opening {
            role: "assistant",
            content,
            refusal: None,
        };
        let delta = Delta {
            opening: Some(opening),
            ..Delta::default()
        };
        self.write(delta, None, out);
    }

    fn write(&self, delta: Delta<'_>, logprobs: Option<&[TokenLogprobs]>, out: &mut Vec<u8>) {
        let choice = ChunkChoice {
            index: self.index,
            delta,
            logprobs: logprobs.map(|content| Logprobs {
                content,
                refusal: None,
            }),
            finish_reason: None,
        };
        self.envelope.chunk(choice, out);
    }
}

impl Shape for Stream {
    fn begin(&mut self, model: &str, _out: &mut Vec<u8>) {
        self.envelope.name(model);
    }

    fn piece(&mut self, piece: Piece<'_>, out: &mut Vec<u8>) {
        let is_call = matches!(piece, Piece::ToolCall { .. });
        self.open((!is_call).then_some(""), out);
        let mut delta = Delta::default();
        let mut logprobs = None;
        match piece {
            Piece::Text(text, of_text) => {
                delta.content = Some(text);
                logprobs = of_text;
            }
            Piece::Reasoning(text) => delta.reasoning_content = Some(text),
            Piece::ToolCall {
                id,
                name,
                arguments,
            } => {
                delta.tool_calls = Some([ToolCallDelta {
                    index: self.calls,
                    id: Some(id),
                    kind: Some("function"),
                    function: FunctionDelta {
                        name: Some(name),
                        arguments,
                    },
                }]);
                self.calls += 1;
            }
            Piece::Arguments(arguments) => {
                delta.tool_calls = Some([ToolCallDelta {
                    index: self.calls.saturating_sub(1),
                    id: None,
                    kind: None,
                    function: FunctionDelta {
                        name: None,
                        arguments,
                    },
                }]);
            }
        }
        self.write(delta, logprobs, out);
    }

    fn finish(&mut self, finish: Finish, out: &mut Vec<u8>) {
        self.open(Some(""), out);
        let choice = ChunkChoice {
            index: self.index,
            finish_reason: Some(finish.name()),
            ..ChunkChoice::default()
        };
        self.envelope.chunk(choice, out);
        self.index += 1;
        self.has_role = false;
        self.calls = 0;
    }

    fn end(&mut self, usage: Usage, out: &mut Vec<u8>) {
        self.envelope.end(usage, out);
    }
}

#[derive(Default, Serialize)]
struct Choice {
    index: usize,
    message: Message,
    logprobs: Option<Logprobs<Vec<TokenLogprobs>>>,
    finish_reason: &'static str,
}

#[derive(Default, Serialize)]
struct Message {
    role: &'static str,
    content: Option<String>,
    refusal: Option<()>,
    #[serde(skip_serializing_if = "String::is_empty")]
    reasoning_content: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall>,
}

#[derive(Serialize)]
struct ToolCall {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function,
}

#[derive(Serialize)]
struct Function {
    name: String,
    arguments: String,
}

struct Document {
    envelope: Envelope,
    choices: Vec<Choice>,
    /// The choice that is being written.
    open: Choice,
}

impl Shape for Document {
    fn begin(&mut self, model: &str, _out: &mut Vec<u8>) {
        self.envelope.name(model);
    }

    fn piece(&mut self, piece: Piece<'_>, _out: &mut Vec<u8>) {
        let message = &mut self.open.message;
        match piece {
            Piece::Text(text, logprobs) => {
                message.content.get_or_insert_default().push_str(text);
                if let Some(logprobs) = logprobs.filter(|all| !all.is_empty()) {
                    let all = self.open.logprobs.get_or_insert(Logprobs {
                        content: Vec::new(),
                        refusal: None,
                    });
                    all.content.extend_from_slice(logprobs);
                }
            }
            Piece::Reasoning(text) => message.reasoning_content.push_str(text),
            Piece::ToolCall {
                id,
                name,
                arguments,
            } => message.tool_calls.push(ToolCall {
                id: id.to_owned(),
                kind: "function",
                function: Function {
                    name: name.to_owned(),
                    arguments: arguments.to_owned(),
                },
            }),
            Piece::Arguments(more) => {
                if let Some(call) = message.tool_calls.last_mut() {
                    call.function.arguments.push_str(more);
                }
            }
        }
    }

    fn finish(&mut self, finish: Finish, _out: &mut Vec<u8>) {
        let mut choice = std::mem::take(&mut self.open);
        choice.index = self.choices.len();
        choice.message.role = "assistant";
        choice.finish_reason = finish.name();
        // Only an answer that does nothing but call tools has no content.
        if choice.message.tool_calls.is_empty() {
            choice.message.content.get_or_insert_default();
        }
        self.choices.push(choice);
    }

    fn end(&mut self, usage: Usage, out: &mut Vec<u8>) {
        self.envelope.document(&self.choices, usage, out);
    }
}

//! Chat completions: the chunks of a stream and the whole document.
//!
//! Shapes as in OpenAI's API reference (`chat.completion`, `chat.completion.chunk`). Reasoning is given as
//! `reasoning_content`, the name that most clients which show it look for.

use serde::Serialize;

use super::answer::{
    DONE, Finish, Identity, Piece, Shape, TokenLogprobs, Usage, write_event, write_json,
};

/// The shape of one chat completion.
///
/// `include_usage` is the request's `stream_options.include_usage`; a whole reply always tells its usage.
#[must_use]
pub fn shape(identity: &Identity, stream: bool, include_usage: bool) -> Box<dyn Shape> {
    if stream {
        Box::new(Stream {
            id: identity.whole(ID),
            created: identity.created,
            model: String::new(),
            include_usage,
            calls: 0,
        })
    } else {
        Box::new(Document {
            id: identity.whole(ID),
            created: identity.created,
            model: String::new(),
            text: String::new(),
            reasoning: String::new(),
            calls: Vec::new(),
            logprobs: Vec::new(),
        })
    }
}

const ID: &str = "chatcmpl-";

/// Usage in the words of chat and text completions.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Tokens {
    #[serde(rename = "prompt_tokens")]
    input: u64,
    #[serde(rename = "completion_tokens")]
    output: u64,
    #[serde(rename = "total_tokens")]
    total: u64,
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        Self {
            input: usage.input,
            output: usage.output,
            total: usage.input.saturating_add(usage.output),
        }
    }
}

/// The chunks of a stream, and the document of a whole reply: the same but for their choices.
#[derive(Serialize)]
struct Completion<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [C],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Tokens>,
}

#[derive(Default, Serialize)]
struct ChunkChoice<'a> {
    index: u32,
    delta: Delta<'a>,
    logprobs: Option<Logprobs<'a>>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[ToolCall<&'a str>; 1]>,
}

#[derive(Serialize)]
struct Logprobs<'a> {
    content: &'a [TokenLogprobs],
    refusal: Option<()>,
}

#[derive(Serialize)]
struct ToolCall<S> {
    /// Only the chunks of a stream number their calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    id: S,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<S>,
}

#[derive(Serialize)]
struct Function<S> {
    name: S,
    arguments: S,
}

struct Stream {
    id: String,
    created: u64,
    model: String,
    include_usage: bool,
    calls: usize,
}

impl Stream {
    fn write(&self, choices: &[ChunkChoice<'_>], usage: Option<Tokens>, out: &mut Vec<u8>) {
        write_event(
            out,
            &Completion {
                id: &self.id,
                object: "chat.completion.chunk",
                created: self.created,
                model: &self.model,
                choices,
                usage,
            },
        );
    }
}

impl Shape for Stream {
    fn begin(&mut self, model: &str, out: &mut Vec<u8>) {
        model.clone_into(&mut self.model);
        let delta = Delta {
            role: Some("assistant"),
            content: Some(""),
            ..Delta::default()
        };
        let choice = ChunkChoice {
            delta,
            ..ChunkChoice::default()
        };
        self.write(&[choice], None, out);
    }

    fn piece(&mut self, piece: Piece<'_>, out: &mut Vec<u8>) {
        let mut choice = ChunkChoice::default();
        match piece {
            Piece::Text(text, logprobs) => {
                choice.delta.content = Some(text);
                choice.logprobs = logprobs.map(|content| Logprobs {
                    content,
                    refusal: None,
                });
            }
            Piece::Reasoning(text) => choice.delta.reasoning_content = Some(text),
            Piece::ToolCall {
                id,
                name,
                arguments,
            } => {
                choice.delta.tool_calls = Some([ToolCall {
                    index: Some(self.calls),
                    id,
                    kind: "function",
                    function: Function { name, arguments },
                }]);
                self.calls += 1;
            }
        }
        self.write(&[choice], None, out);
    }

    fn end(&mut self, finish: Finish, usage: Usage, out: &mut Vec<u8>) {
        let choice = ChunkChoice {
            finish_reason: Some(finish.name()),
            ..ChunkChoice::default()
        };
        self.write(&[choice], None, out);
        if self.include_usage {
            self.write(&[], Some(usage.into()), out);
        }
        out.extend_from_slice(DONE);
    }
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    message: Message<'a>,
    logprobs: Option<Logprobs<'a>>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    refusal: Option<()>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reasoning_content: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tool_calls: &'a [ToolCall<String>],
}

struct Document {
    id: String,
    created: u64,
    model: String,
    text: String,
    reasoning: String,
    calls: Vec<ToolCall<String>>,
    logprobs: Vec<TokenLogprobs>,
}

impl Shape for Document {
    fn begin(&mut self, model: &str, _out: &mut Vec<u8>) {
        model.clone_into(&mut self.model);
    }

    fn piece(&mut self, piece: Piece<'_>, _out: &mut Vec<u8>) {
        match piece {
            Piece::Text(text, logprobs) => {
                self.text.push_str(text);
                self.logprobs
                    .extend_from_slice(logprobs.unwrap_or_default());
            }
            Piece::Reasoning(text) => self.reasoning.push_str(text),
            Piece::ToolCall {
                id,
                name,
                arguments,
            } => self.calls.push(ToolCall {
                index: None,
                id: id.to_owned(),
                kind: "function",
                function: Function {
                    name: name.to_owned(),
                    arguments: arguments.to_owned(),
                },
            }),
        }
    }

    fn end(&mut self, finish: Finish, usage: Usage, out: &mut Vec<u8>) {
        let only_calls = self.text.is_empty() && !self.calls.is_empty();
        let choice = Choice {
            index: 0,
            message: Message {
                role: "assistant",
                content: (!only_calls).then_some(self.text.as_str()),
                refusal: None,
                reasoning_content: &self.reasoning,
                tool_calls: &self.calls,
            },
            logprobs: (!self.logprobs.is_empty()).then_some(Logprobs {
                content: &self.logprobs,
                refusal: None,
            }),
            finish_reason: finish.name(),
        };
        write_json(
            out,
            &Completion {
                id: &self.id,
                object: "chat.completion",
                created: self.created,
                model: &self.model,
                choices: &[choice],
                usage: Some(usage.into()),
            },
        );
    }
}

//! What clients read: chat completions and their chunks (OpenAI's API reference, `chat.completion`).

use millgate_plugin::Call;
use serde::Serialize;

use crate::message::Usage;

/// What every chunk of an answer repeats.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    id: String,
    created: u64,
    model: String,
}

impl Identity {
    /// The identity of the answer to `call`, until its upstream names itself.
    pub(crate) fn of(call: &Call<'_>) -> Self {
        Self {
            id: format!("chatcmpl-{}", call.request_id),
            created: call.created,
            model: call.model.to_owned(),
        }
    }

    /// Takes the id and the name of the model that the upstream tells, so that an answer can be found at Anthropic.
    pub(crate) fn name(&mut self, id: &str, model: &str) {
        for (mine, theirs) in [(&mut self.id, id), (&mut self.model, model)] {
            if !theirs.is_empty() {
                theirs.clone_into(mine);
            }
        }
    }

    /// Writes one chunk; `counts` says whether the stream will end with its usage.
    pub(crate) fn chunk(&self, choice: ChunkChoice<'_>, counts: bool, out: &mut Vec<u8>) {
        let usage = if counts { Told::Later } else { Told::Untold };
        write_event(out, &self.around("chat.completion.chunk", &[choice], usage));
    }

    /// Writes the chunk that tells the usage.
    pub(crate) fn usage_chunk(&self, usage: &Usage, out: &mut Vec<u8>) {
        let choices: [ChunkChoice<'_>; 0] = [];
        let usage = Told::Now(usage.into());
        write_event(out, &self.around("chat.completion.chunk", &choices, usage));
    }

    /// Writes a whole completion.
    pub(crate) fn document(&self, choice: Choice<'_>, usage: &Usage, out: &mut Vec<u8>) {
        let usage = Told::Now(usage.into());
        write_json(out, &self.around("chat.completion", &[choice], usage));
    }

    fn around<'a, C>(
        &'a self,
        object: &'static str,
        choices: &'a [C],
        usage: Told,
    ) -> Completion<'a, C> {
        Completion {
            id: &self.id,
            object,
            created: self.created,
            model: &self.model,
            choices,
            usage,
        }
    }
}

#[derive(Serialize)]
struct Completion<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [C],
    #[serde(skip_serializing_if = "Told::is_untold")]
    usage: Told,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Told {
    Untold,
    /// `null`: it comes with the last chunk.
    Later,
    Now(Counts),
}

impl Told {
    const fn is_untold(&self) -> bool {
        matches!(self, Self::Untold)
    }
}

#[derive(Serialize)]
struct Counts {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    audio_tokens: u64,
}

#[derive(Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
    audio_tokens: u64,
}

impl From<&Usage> for Counts {
    fn from(usage: &Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt(),
            completion_tokens: usage.completion(),
            total_tokens: usage.prompt().saturating_add(usage.completion()),
            prompt_tokens_details: PromptDetails {
                cached_tokens: usage.cached(),
                audio_tokens: 0,
            },
            completion_tokens_details: CompletionDetails {
                reasoning_tokens: usage.reasoning(),
                audio_tokens: 0,
            },
        }
    }
}

/// The choice of a chunk. There is only ever one, with the index 0.
#[derive(Default, Serialize)]
pub(crate) struct ChunkChoice<'a> {
    index: u32,
    delta: Delta<'a>,
    logprobs: (),
    finish_reason: Option<&'static str>,
}

impl ChunkChoice<'_> {
    /// The one that ends the answer.
    pub(crate) fn last(finish_reason: &'static str) -> Self {
        Self {
            finish_reason: Some(finish_reason),
            ..Self::default()
        }
    }
}

impl<'a> From<Delta<'a>> for ChunkChoice<'a> {
    fn from(delta: Delta<'a>) -> Self {
        Self {
            delta,
            ..Self::default()
        }
    }
}

/// What a chunk adds.
#[derive(Default, Serialize)]
pub(crate) struct Delta<'a> {
    #[serde(flatten)]
    pub(crate) opening: Option<Opening>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool_calls: Option<[ToolCallDelta<'a>; 1]>,
}

/// The delta that begins an answer. Its content is null where a tool is called and nothing said before.
#[derive(Serialize)]
pub(crate) struct Opening {
    role: &'static str,
    content: Option<&'static str>,
    refusal: (),
}

impl Opening {
    pub(crate) fn new(begins_with_text: bool) -> Self {
        Self {
            role: "assistant",
            content: begins_with_text.then_some(""),
            refusal: (),
        }
    }
}

/// A tool call, or what is added to the arguments of one: then without id, type and name.
#[derive(Serialize)]
pub(crate) struct ToolCallDelta<'a> {
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

impl<'a> ToolCallDelta<'a> {
    /// The call with this index begins.
    pub(crate) fn begin(index: usize, id: &'a str, name: &'a str) -> Self {
        Self {
            index,
            id: Some(id),
            kind: Some("function"),
            function: FunctionDelta {
                name: Some(name),
                arguments: "",
            },
        }
    }

    /// More of its arguments.
    pub(crate) fn more(index: usize, arguments: &'a str) -> Self {
        Self {
            index,
            id: None,
            kind: None,
            function: FunctionDelta {
                name: None,
                arguments,
            },
        }
    }
}

/// The choice of a whole completion.
#[derive(Serialize)]
pub(crate) struct Choice<'a> {
    index: u32,
    message: Answer<'a>,
    logprobs: (),
    finish_reason: &'static str,
}

/// What the model says.
#[derive(Default, Serialize)]
pub(crate) struct Answer<'a> {
    role: &'static str,
    pub(crate) content: Option<String>,
    refusal: (),
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) reasoning_content: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tool_calls: Vec<ToolCall<'a>>,
}

/// A call of a tool.
#[derive(Serialize)]
pub(crate) struct ToolCall<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

impl<'a> ToolCall<'a> {
    pub(crate) fn new(id: &'a str, name: &'a str, arguments: &'a str) -> Self {
        Self {
            id,
            kind: "function",
            function: Function { name, arguments },
        }
    }
}

impl<'a> Choice<'a> {
    pub(crate) fn new(answer: Answer<'a>, finish_reason: &'static str) -> Self {
        Self {
            index: 0,
            message: Answer {
                role: "assistant",
                ..answer
            },
            logprobs: (),
            finish_reason,
        }
    }
}

/// The end of every stream.
pub(crate) const DONE: &[u8] = b"data: [DONE]\n\n";

/// Appends `value` as JSON. Nothing that is written this way can fail to: keys are strings, and memory takes it all.
pub(crate) fn write_json(out: &mut Vec<u8>, value: &impl Serialize) {
    let _ = serde_json::to_writer(out, value);
}

fn write_event(out: &mut Vec<u8>, value: &impl Serialize) {
    out.extend_from_slice(b"data: ");
    write_json(out, value);
    out.extend_from_slice(b"\n\n");
}

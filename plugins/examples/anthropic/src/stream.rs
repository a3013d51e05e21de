//! A streamed answer, from Anthropic's events to chunks of a chat completion.

use std::borrow::Cow;

use millgate_plugin::Refusal;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, value::RawValue};

use crate::{
    completion::{ChunkChoice, DONE, Delta, Identity, Opening, ToolCallDelta},
    error,
    events::Events,
    message::{self, Block, Message, Usage, finish_reason},
};

/// One event; its type decides which members it has.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(default)]
    index: u64,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    usage: Option<Usage>,
    error: Option<Value>,
}

/// The types of events that mean something here; `ping` does not.
const KNOWN: [&str; 7] = [
    "error",
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
];

/// What a `content_block_delta` adds; its type decides which members it has.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Change<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Cow<'a, str>,
    #[serde(borrow)]
    thinking: Cow<'a, str>,
    #[serde(borrow)]
    partial_json: Cow<'a, str>,
}

impl<'a> Change<'a> {
    /// Reads one; `None` where it means nothing here, as signatures and citations.
    fn read(delta: &'a RawValue) -> Result<Option<Self>, Refusal> {
        let known = ["text_delta", "thinking_delta", "input_json_delta"];
        message::read(delta.get().as_bytes(), &known)
    }
}

/// What a `message_delta` adds.
#[derive(Deserialize)]
struct Ending<'a> {
    #[serde(borrow)]
    stop_reason: Option<Cow<'a, str>>,
}

/// A streamed answer in the making.
pub(crate) struct Stream {
    events: Events,
    writer: Writer,
    progress: Progress,
    usage: Usage,
    finish_reason: Option<&'static str>,
    /// The tool calls that are being written: as a rule one, or none.
    open_calls: Vec<OpenCall>,
    /// Tool calls so far.
    calls: usize,
}

/// How far an answer has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Waiting,
    Begun,
    Done,
}

/// A tool call whose content block has not ended.
struct OpenCall {
    /// Index of its content block.
    block: u64,
    /// Index among the tool calls.
    index: usize,
    /// What stands for the arguments where no delta brings any.
    input: Option<String>,
}

impl Stream {
    pub(crate) fn new(identity: Identity, include_usage: bool) -> Self {
        Self {
            events: Events::default(),
            writer: Writer {
                identity,
                include_usage,
                has_role: false,
            },
            progress: Progress::Waiting,
            usage: Usage::default(),
            finish_reason: None,
            open_calls: Vec::new(),
            calls: 0,
        }
    }

    /// Takes the next bytes of the stream.
    pub(crate) fn feed(
        &mut self,
        data: &[u8],
        end: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let mut events = std::mem::take(&mut self.events);
        events.feed(data, |event| self.event(event, out))?;
        if !end {
            self.events = events;
            return Ok(());
        }
        // Without its last blank line an event is as good as any; half an event only says that the stream was cut.
        let rest = events.rest();
        if serde_json::from_slice::<IgnoredAny>(&rest).is_ok() {
            self.event(&rest, out)?;
        }
        self.end(out)
    }

    fn event(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        if self.progress == Progress::Done {
            return Ok(());
        }
        let Some(event) = message::read::<Event<'_>>(data, &KNOWN)? else {
            return Ok(());
        };
        match &*event.kind {
            "error" => return Err(error::in_answer(event.error.unwrap_or_default())),
            "message_start" => {
                let message = event.message.ok_or_else(error::garbled)?;
                self.progress = Progress::Begun;
                self.writer.identity.name(&message.id, &message.model);
                self.usage = message.usage;
            }
            "content_block_start" => {
                let block = event.content_block.ok_or_else(error::garbled)?;
                if let Some(block) = Block::read(block)? {
                    self.begin_block(event.index, &block, out);
                }
            }
            "content_block_delta" => {
                let delta = event.delta.ok_or_else(error::garbled)?;
                if let Some(change) = Change::read(delta)? {
                    self.change_block(event.index, &change, out);
                }
            }
            "content_block_stop" => self.end_block(event.index, out),
            "message_delta" => {
                self.usage.update(event.usage.unwrap_or_default());
                let delta = event.delta.ok_or_else(error::garbled)?;
                let ending: Ending<'_> =
                    serde_json::from_str(delta.get()).map_err(|_| error::garbled())?;
                if let Some(reason) = ending.stop_reason {
                    self.finish_reason = Some(finish_reason(&reason));
                }
            }
            "message_stop" => return self.end(out),
            _ => {}
        }
        Ok(())
    }

    fn begin_block(&mut self, block: u64, begun: &Block<'_>, out: &mut Vec<u8>) {
        match &*begun.kind {
            "text" => self.writer.text(&begun.text, out),
            "thinking" => self.writer.reasoning(&begun.thinking, out),
            "tool_use" => {
                let call = ToolCallDelta::begin(self.calls, &begun.id, &begun.name);
                self.writer.tool_call(call, out);
                self.open_calls.push(OpenCall {
                    block,
                    index: self.calls,
                    input: Some(begun.arguments().to_owned()),
                });
                self.calls += 1;
            }
            _ => {}
        }
    }

    fn change_block(&mut self, block: u64, change: &Change<'_>, out: &mut Vec<u8>) {
        match &*change.kind {
            "text_delta" => self.writer.text(&change.text, out),
            "thinking_delta" => self.writer.reasoning(&change.thinking, out),
            "input_json_delta" if !change.partial_json.is_empty() => {
                let mut calls = self.open_calls.iter_mut();
                if let Some(call) = calls.find(|call| call.block == block) {
                    call.input = None;
                    let more = ToolCallDelta::more(call.index, &change.partial_json);
                    self.writer.tool_call(more, out);
                }
            }
            _ => {}
        }
    }

    fn end_block(&mut self, block: u64, out: &mut Vec<u8>) {
        let mut calls = self.open_calls.iter();
        if let Some(at) = calls.position(|call| call.block == block) {
            let call = self.open_calls.swap_remove(at);
            if let Some(input) = &call.input {
                let all = ToolCallDelta::more(call.index, input);
                self.writer.tool_call(all, out);
            }
        }
    }

    /// Writes the end. An answer that has told why it stopped is complete.
    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        if self.progress == Progress::Done {
            return Ok(());
        }
        let finish_reason = self.finish_reason.ok_or_else(error::cut)?;
        self.progress = Progress::Done;
        self.writer.finish(finish_reason, &self.usage, out);
        Ok(())
    }
}

/// Writes chunks, the role first.
struct Writer {
    identity: Identity,
    include_usage: bool,
    has_role: bool,
}

impl Writer {
    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        if !text.is_empty() {
            self.open(true, out);
            let delta = Delta {
                content: Some(text),
                ..Delta::default()
            };
            self.write(delta.into(), out);
        }
    }

    fn reasoning(&mut self, text: &str, out: &mut Vec<u8>) {
        if !text.is_empty() {
            self.open(true, out);
            let delta = Delta {
                reasoning_content: Some(text),
                ..Delta::default()
            };
            self.write(delta.into(), out);
        }
    }

    fn tool_call(&mut self, call: ToolCallDelta<'_>, out: &mut Vec<u8>) {
        self.open(false, out);
        let delta = Delta {
            tool_calls: Some([call]),
            ..Delta::default()
        };
        self.write(delta.into(), out);
    }

    fn finish(&mut self, finish_reason: &'static str, usage: &Usage, out: &mut Vec<u8>) {
        self.open(true, out);
        self.write(ChunkChoice::last(finish_reason), out);
        if self.include_usage {
            self.identity.usage_chunk(usage, out);
        }
        out.extend_from_slice(DONE);
    }

    fn open(&mut self, begins_with_text: bool, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.has_role, true) {
            let delta = Delta {
                opening: Some(Opening::new(begins_with_text)),
                ..Delta::default()
            };
            self.write(delta.into(), out);
        }
    }

    fn write(&self, choice: ChunkChoice<'_>, out: &mut Vec<u8>) {
        self.identity.chunk(choice, self.include_usage, out);
    }
}

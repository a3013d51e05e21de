//! The chunks of chat and text completions, assembled.

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
};

use bytes::Bytes;
use millgate_plugin::Endpoint;

use super::{
    AssembleError,
    merge::{Fields, Growing, take, write_fields},
    raw::{self, Object, Raw, Writer, is_empty},
};
use crate::http::{
    json,
    sse::{self, Fields as EventFields},
};

/// Members that every chunk repeats; upstreams that know no better count time in them.
const FIRST_COUNTS: [&str; 4] = ["id", "created", "model", "system_fingerprint"];

/// Members of a chunk that its document does not have, or has otherwise.
const OF_CHUNKS: [&str; 3] = ["object", "choices", "obfuscation"];

pub(super) fn document(endpoint: Endpoint, events: &[Bytes]) -> Result<Bytes, AssembleError> {
    let events: Vec<EventFields<'_>> = events.iter().map(|event| sse::fields(event)).collect();
    let mut answer = Answer::default();
    for event in &events {
        let data = event.data.trim_ascii();
        if data.starts_with(b"[DONE]") {
            answer.is_done = true;
            break;
        }
        if event.name == b"error" {
            return Err(AssembleError::Failed);
        }
        if !data.is_empty() {
            answer.chunk(data)?;
        }
    }
    if !answer.is_complete() {
        return Err(AssembleError::Incomplete);
    }
    Ok(answer.write(endpoint).into())
}

#[derive(Default)]
struct Answer<'a> {
    members: BTreeMap<Cow<'a, str>, Raw<'a>>,
    choices: BTreeMap<u64, Choice<'a>>,
    is_done: bool,
}

impl<'a> Answer<'a> {
    fn chunk(&mut self, data: &'a [u8]) -> Result<(), AssembleError> {
        let chunk = Object::read(data, "an event is not a JSON object")?;
        if chunk.is_error() {
            return Err(AssembleError::Failed);
        }
        if let Some(choices) = chunk.filled("choices") {
            let choices = raw::elements(choices, "choices are not an array")?;
            for (at, choice) in choices.into_iter().enumerate() {
                let choice = Object::read(choice, "a choice is not an object")?;
                let index = choice.get("index").and_then(json::as_u64);
                let known = self.choices.entry(index.unwrap_or(at as u64)).or_default();
                known.delta(choice)?;
            }
        }
        for (name, value) in chunk {
            if !OF_CHUNKS.contains(&name.as_ref()) {
                self.member(name, value);
            }
        }
        Ok(())
    }

    fn member(&mut self, name: Cow<'a, str>, value: Raw<'a>) {
        match self.members.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(value);
            }
            Entry::Occupied(mut entry) => {
                let stays = FIRST_COUNTS.contains(&entry.key().as_ref()) && !is_empty(entry.get());
                if !stays && !is_empty(value) {
                    entry.insert(value);
                }
            }
        }
    }

    fn is_complete(&self) -> bool {
        let mut choices = self.choices.values();
        !self.choices.is_empty() && (self.is_done || choices.all(Choice::is_finished))
    }

    fn write(mut self, endpoint: Endpoint) -> Vec<u8> {
        let is_chat = endpoint == Endpoint::Chat;
        let object = if is_chat {
            "chat.completion"
        } else {
            "text_completion"
        };
        // A usage that stayed null in every chunk was never told.
        if self
            .members
            .get("usage")
            .is_some_and(|usage| is_empty(usage))
        {
            self.members.remove("usage");
        }
        let mut writer = Writer::default();
        if let Some(id) = self.members.remove("id") {
            writer.raw("id", id);
        }
        writer.text("object", object);
        for name in ["created", "model"] {
            if let Some(value) = self.members.remove(name) {
                writer.raw(name, value);
            }
        }
        raw::write_array(
            writer.name("choices"),
            self.choices,
            |out, (index, choice)| out.extend_from_slice(&choice.write(index, is_chat)),
        );
        for (name, value) in &self.members {
            writer.raw(name, value);
        }
        writer.finish()
    }
}

#[derive(Default)]
struct Choice<'a> {
    message: Fields<'a>,
    calls: BTreeMap<u64, Fields<'a>>,
    /// The text of a completion, and whatever else stands beside the delta.
    members: Fields<'a>,
}

impl<'a> Choice<'a> {
    fn delta(&mut self, choice: Object<'a>) -> Result<(), AssembleError> {
        if choice.filled("message").is_some() && choice.get("delta").is_none() {
            return Err(AssembleError::Malformed(
                "a choice has a message, not a delta",
            ));
        }
        for (name, value) in choice {
            match name.as_ref() {
                "delta" if !is_empty(value) => {
                    for (name, value) in Object::read(value, "a delta is not an object")? {
                        self.take(name, value)?;
                    }
                }
                // Some upstreams repeat the message so far beside each delta.
                "index" | "delta" | "message" => {}
                "text" | "logprobs" => take(&mut self.members, name, value)?,
                _ => match self.members.entry(name) {
                    Entry::Vacant(entry) => {
                        entry.insert(Growing::Whole(value));
                    }
                    Entry::Occupied(mut entry) => {
                        let name = entry.key().clone();
                        entry.get_mut().renew(value, &name)?;
                    }
                },
            }
        }
        Ok(())
    }

    fn take(&mut self, name: Cow<'a, str>, value: Raw<'a>) -> Result<(), AssembleError> {
        if name != "tool_calls" || is_empty(value) {
            return take(&mut self.message, name, value);
        }
        for call in raw::elements(value, "tool_calls are not an array")? {
            let call = Object::read(call, "a tool call is not an object")?;
            let fields = self.calls.entry(self.index_of(&call)?).or_default();
            for (name, value) in call {
                if name != "index" {
                    take(fields, name, value)?;
                }
            }
        }
        Ok(())
    }

    fn index_of(&self, call: &Object<'a>) -> Result<u64, AssembleError> {
        if let Some(index) = call.get("index").and_then(json::as_u64) {
            return Ok(index);
        }
        let next = match self.calls.last_key_value() {
            Some((last, _)) => last.checked_add(1),
            None => Some(0),
        };
        let is_another = call.filled("id").is_some();
        next.filter(|_| is_another)
            .ok_or(AssembleError::Malformed("it is unclear whose tool call"))
    }

    fn is_finished(&self) -> bool {
        let reason = self.members.get("finish_reason");
        reason.is_some_and(|reason| !reason.is_empty())
    }

    fn write(mut self, index: u64, is_chat: bool) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.raw("index", index.to_string().as_bytes());
        if is_chat {
            writer.raw("message", &write_message(self.message, self.calls));
        } else {
            let text = self.members.entry(Cow::Borrowed("text"));
            text.or_insert(Growing::Whole(b"\"\""));
        }
        let reason = self.members.entry(Cow::Borrowed("finish_reason"));
        reason.or_insert(Growing::Whole(b"null"));
        for (name, value) in &self.members {
            value.write(writer.name(name));
        }
        writer.finish()
    }
}

fn write_message(mut message: Fields<'_>, calls: BTreeMap<u64, Fields<'_>>) -> Vec<u8> {
    let mut writer = Writer::default();
    let role = message.remove("role").filter(|role| !role.is_empty());
    let content = message.remove("content");
    role.unwrap_or(Growing::Whole(b"\"assistant\""))
        .write(writer.name("role"));
    content
        .unwrap_or(Growing::Whole(b"null"))
        .write(writer.name("content"));
    if !calls.is_empty() {
        message.remove("tool_calls");
        raw::write_array(writer.name("tool_calls"), calls, |out, (_, mut call)| {
            if call.contains_key("function") {
                let kind = call.entry(Cow::Borrowed("type"));
                let kind = kind.or_insert(Growing::Whole(b"null"));
                if kind.is_empty() {
                    *kind = Growing::Whole(b"\"function\"");
                }
            }
            out.extend_from_slice(&write_fields(&call));
        });
    }
    for (name, value) in &message {
        value.write(writer.name(name));
    }
    writer.finish()
}

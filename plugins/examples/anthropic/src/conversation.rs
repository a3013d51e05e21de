//! The messages of a chat as Anthropic's `system` and turns.
//!
//! Anthropic has two roles that take turns. System and developer messages become `system`, wherever they stand; what
//! follows in the same role becomes one turn; results of tools belong to the user, before all else that he says.

use millgate_plugin::Refusal;
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use crate::{
    content::{self, Block, take},
    error::{invalid, unsupported},
};

/// What has been said.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    pub(crate) system: Vec<Block>,
    pub(crate) turns: Vec<Turn>,
}

/// One turn.
#[derive(Debug, Serialize)]
pub(crate) struct Turn {
    role: &'static str,
    content: Vec<Block>,
}

impl Conversation {
    /// Reads `messages`.
    pub(crate) fn read(messages: Value) -> Result<Self, Refusal> {
        let Value::Array(messages) = messages else {
            return Err(invalid("messages", "`messages` must be an array"));
        };
        let mut conversation = Self::default();
        for (index, message) in messages.into_iter().enumerate() {
            conversation.add(&format!("messages[{index}]"), message)?;
        }
        conversation.trim_last();
        if conversation.turns.is_empty() {
            let message = "`messages` must hold at least one message of the user that is not empty";
            return Err(invalid("messages", message));
        }
        Ok(conversation)
    }

    /// Whether the model waits for nothing but results of tools: it is in the middle of its own work.
    pub(crate) fn is_amid_tools(&self) -> bool {
        self.turns.last().is_some_and(|turn| {
            let is_result = |block: &Block| matches!(block, Block::ToolResult { .. });
            turn.content.iter().any(is_result)
        })
    }

    fn add(&mut self, at: &str, mut message: Value) -> Result<(), Refusal> {
        let content = take(&mut message, "content");
        match message["role"].as_str() {
            Some(role @ ("system" | "developer")) => {
                self.system.extend(content::texts(at, role, content)?);
            }
            Some("user") => self.say("user", content::blocks(at, content)?),
            Some("assistant") => {
                let mut blocks = content::texts(at, "assistant", content)?;
                if let Value::String(refusal) = take(&mut message, "refusal") {
                    content::add_text(&mut blocks, refusal);
                }
                blocks.extend(tool_calls(at, &mut message)?);
                self.say("assistant", blocks);
            }
            Some("tool") => {
                let result = Block::ToolResult {
                    tool_use_id: tool_id(
                        &format!("{at}.tool_call_id"),
                        &take(&mut message, "tool_call_id"),
                    )?,
                    content: content::blocks(at, content)?,
                };
                self.add_result(result);
            }
            Some("function") => {
                let message = "messages of role `function` are not understood: answer `tool_calls` with role `tool`";
                return Err(unsupported(format!("{at}.role"), message));
            }
            _ => {
                return Err(invalid(
                    format!("{at}.role"),
                    "a message's role must be system, developer, user, assistant or tool",
                ));
            }
        }
        Ok(())
    }

    fn say(&mut self, role: &'static str, blocks: Vec<Block>) {
        match self.turns.last_mut().filter(|last| last.role == role) {
            Some(last) => last.content.extend(blocks),
            None if blocks.is_empty() => {}
            None => self.turns.push(Turn {
                role,
                content: blocks,
            }),
        }
    }

    /// Results come first in a turn, in their own order.
    fn add_result(&mut self, result: Block) {
        match self.turns.last_mut().filter(|last| last.role == "user") {
            Some(last) => {
                let is_result = |block: &Block| matches!(block, Block::ToolResult { .. });
                let results = last.content.iter().filter(|block| is_result(block)).count();
                last.content.insert(results, result);
            }
            None => self.say("user", vec![result]),
        }
    }

    /// An answer that is to be continued must not end in space; Anthropic refuses it.
    fn trim_last(&mut self) {
        if let Some(Turn {
            role: "assistant",
            content,
        }) = self.turns.last_mut()
            && let Some(Block::Text { text }) = content.last_mut()
        {
            text.truncate(text.trim_end().len());
        }
    }
}

fn tool_calls(at: &str, message: &mut Value) -> Result<Vec<Block>, Refusal> {
    if !message["function_call"].is_null() {
        let said = "`function_call` is not understood: use `tool_calls`";
        return Err(unsupported(format!("{at}.function_call"), said));
    }
    let calls = match take(message, "tool_calls") {
        Value::Null => return Ok(Vec::new()),
        Value::Array(calls) => calls,
        _ => {
            let said = "`tool_calls` must be an array";
            return Err(invalid(format!("{at}.tool_calls"), said));
        }
    };
    calls
        .into_iter()
        .enumerate()
        .map(|(index, call)| tool_call(&format!("{at}.tool_calls[{index}]"), call))
        .collect()
}

fn tool_call(at: &str, mut call: Value) -> Result<Block, Refusal> {
    let id = tool_id(&format!("{at}.id"), &take(&mut call, "id"))?;
    let mut function = take(&mut call, "function");
    let Value::String(name) = take(&mut function, "name") else {
        let message = "a tool call must name its function; other kinds of tool calls are unknown";
        return Err(invalid(format!("{at}.function.name"), message));
    };
    let input = input(take(&mut function, "arguments")).ok_or_else(|| {
        invalid(
            format!("{at}.function.arguments"),
            "the arguments of a tool call must be a string that holds a JSON object",
        )
    })?;
    Ok(Block::ToolUse { id, name, input })
}

/// The arguments as the object that Anthropic wants. Clients write none as `""` or `{}`, and some send the object itself.
fn input(arguments: Value) -> Option<Box<RawValue>> {
    let text = match arguments {
        Value::Null => "{}".to_owned(),
        Value::String(text) if text.trim().is_empty() => "{}".to_owned(),
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    let input = RawValue::from_string(text).ok()?;
    input.get().starts_with('{').then_some(input)
}

/// An id that Anthropic takes: it allows letters, digits, `_` and `-`, and ids that other providers made up may hold
/// more. Calls and results are renamed alike.
fn tool_id(at: &str, id: &Value) -> Result<String, Refusal> {
    match id.as_str() {
        Some(id) if !id.is_empty() => {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            Ok(id.replace(|c| !is_plain(c), "_"))
        }
        _ => Err(invalid(
            at,
            "a tool call and its result must have the same id, as a string",
        )),
    }
}

#[cfg(test)]
mod tests;

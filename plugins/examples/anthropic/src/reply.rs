//! A whole answer, from Anthropic's message to a chat completion.

use millgate_plugin::Refusal;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    completion::{Answer, Choice, Identity, ToolCall},
    error,
    message::{Block, Message, finish_reason},
};

/// A message, or an error in its place.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    error: Option<Value>,
}

/// Writes the completion for a whole reply.
pub(crate) fn document(identity: &Identity, body: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    let said: Body<'_> = serde_json::from_slice(body).map_err(|_| error::garbled())?;
    match (said.kind, said.error) {
        ("message", _) => {}
        ("error", error) => return Err(error::in_answer(error.unwrap_or_default())),
        _ => return Err(error::garbled()),
    }
    let message: Message<'_> = serde_json::from_slice(body).map_err(|_| error::garbled())?;
    let mut identity = identity.clone();
    identity.name(&message.id, &message.model);
    let blocks = message.blocks()?;
    let reason = message.stop_reason.as_deref().unwrap_or_default();
    let choice = Choice::new(answer(&blocks), finish_reason(reason));
    identity.document(choice, &message.usage, out);
    Ok(())
}

fn answer<'a>(blocks: &'a [Block<'_>]) -> Answer<'a> {
    let mut answer = Answer::default();
    for block in blocks {
        match &*block.kind {
            "text" => answer.content.get_or_insert_default().push_str(&block.text),
            "thinking" => answer.reasoning_content.push_str(&block.thinking),
            "tool_use" => {
                let call = ToolCall::new(&block.id, &block.name, block.arguments());
                answer.tool_calls.push(call);
            }
            _ => {}
        }
    }
    // Only an answer that does nothing but call tools has no content.
    if answer.tool_calls.is_empty() {
        answer.content.get_or_insert_default();
    }
    answer
}

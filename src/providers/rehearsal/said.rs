//! What an answer consists of, in chat as in responses.

use super::{
    tools::ToolCall,
    words::{self, Clipped},
};

/// What is said.
#[derive(Debug)]
pub(super) enum Said {
    /// A text, plain or JSON.
    Text(Clipped),
    /// A call of a function, never cut short, so that its arguments stay valid.
    Call(ToolCall),
}

impl Said {
    /// Tokens of the answer.
    pub(super) fn tokens(&self) -> u64 {
        match self {
            Self::Text(clipped) => words::count(&clipped.text),
            Self::Call(call) => words::count(&call.name) + words::count(&call.arguments),
        }
    }
}

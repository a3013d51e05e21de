//! What an answer consists of, whatever its shape.

use super::{
    tools::ToolCall,
    words::{self, Clipped},
};
use crate::providers::answer::Finish;

/// One choice of a reply.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    /// The prompt with a line feed, where a completion is to repeat it.
    pub(super) echo: String,
    pub(super) said: Said,
}

impl From<Said> for Choice {
    fn from(said: Said) -> Self {
        let echo = String::new();
        Self { echo, said }
    }
}

/// What is said.
#[derive(Clone, Debug)]
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

    /// Why it ends.
    pub(super) const fn finish(&self) -> Finish {
        match self {
            Self::Text(clipped) => clipped.finish,
            Self::Call(_) => Finish::ToolCalls,
        }
    }
}

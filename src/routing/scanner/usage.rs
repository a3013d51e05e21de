//! What an answer used, in either shape of the API.

use millgate_plugin::Endpoint;
use serde::{Deserialize, Serialize};

use crate::http::json;

/// A larger number of tokens is none that anybody has counted.
const MOST: u64 = 1 << 32;

/// Tokens of one answer, as the upstream counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub input: u64,
    /// Tokens of the answer, reasoning included.
    pub output: u64,
    /// Of `input`, those that the upstream had cached; `None` where it does not say.
    pub cached: Option<u64>,
    /// Of `output`, those spent on reasoning; `None` where it does not say.
    pub reasoning: Option<u64>,
}

impl Usage {
    /// What an answer used as far as lengths tell.
    #[must_use]
    pub const fn estimated(input: u64, output: u64) -> Self {
        Self {
            input,
            output,
            cached: None,
            reasoning: None,
        }
    }

    /// Reads the raw value of a `usage` member: `prompt_tokens` and `completion_tokens` (chat, completions,
    /// embeddings) or `input_tokens` and `output_tokens` (responses), with their `…_details`.
    /// `None` where it does not count both (embeddings have no output), and where a number is larger than 2^32.
    #[must_use]
    pub fn from_json(endpoint: Endpoint, raw: &[u8]) -> Option<Self> {
        let members = json::scan(raw).ok()?;
        let number = |name| members.get(raw, name).and_then(json::as_u64);
        let detail = |group, name| {
            let group = members.get(raw, group)?;
            json::as_u64(json::scan(group).ok()?.get(group, name)?)
        };
        let input = number("prompt_tokens").or_else(|| number("input_tokens"));
        let output = number("completion_tokens").or_else(|| number("output_tokens"));
        let usage = Self {
            input: input?,
            output: output.or((endpoint == Endpoint::Embeddings).then_some(0))?,
            cached: detail("prompt_tokens_details", "cached_tokens")
                .or_else(|| detail("input_tokens_details", "cached_tokens")),
            reasoning: detail("completion_tokens_details", "reasoning_tokens")
                .or_else(|| detail("output_tokens_details", "reasoning_tokens")),
        };
        usage.is_credible().then_some(usage)
    }

    fn is_credible(&self) -> bool {
        let details = [self.cached, self.reasoning];
        let mut all = [self.input, self.output]
            .into_iter()
            .chain(details.into_iter().flatten());
        all.all(|tokens| tokens <= MOST)
    }
}

/// What a whole JSON reply used; `None` where it does not say or is not a JSON object.
#[must_use]
pub fn reply_usage(endpoint: Endpoint, body: &[u8]) -> Option<Usage> {
    let members = json::scan(body).ok()?;
    Usage::from_json(endpoint, members.get(body, "usage")?)
}

/// What an event that ends a Responses stream says of its `response`.
pub(super) fn of_response(event_data: &[u8]) -> Option<Usage> {
    let members = json::scan(event_data).ok()?;
    reply_usage(Endpoint::Responses, members.get(event_data, "response")?)
}

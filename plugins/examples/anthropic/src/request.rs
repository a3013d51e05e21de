//! A chat completion's request as Anthropic's.

use millgate_plugin::{Call, Refusal, RefusalKind};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    config::{CacheTime, ThinkingStyle},
    content::Block,
    conversation::{Conversation, Turn},
    error::unsupported,
    format,
    sampling::{self, Sampling, given},
    thinking::{self, Circumstances},
    tools::Tools,
};

/// What the provider's table says about every request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    pub(crate) max_tokens: u64,
    pub(crate) thinking: ThinkingStyle,
    pub(crate) sampling: bool,
    pub(crate) prompt_cache: Option<CacheTime>,
}

/// What to ask.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) body: Vec<u8>,
    /// Whether a stream is to end with its usage.
    pub(crate) include_usage: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block>,
    messages: Vec<Turn>,
    #[serde(flatten)]
    tools: Tools,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Value>,
    #[serde(skip_serializing_if = "OutputConfig::is_empty")]
    output_config: OutputConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Value>,
}

#[derive(Serialize)]
struct OutputConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Value>,
}

impl OutputConfig {
    const fn is_empty(&self) -> bool {
        self.effort.is_none() && self.format.is_none()
    }
}

/// The request for a call. Members that are not known here are not passed on.
pub(crate) fn translate(defaults: &Defaults, call: &Call<'_>) -> Result<Question, Refusal> {
    let mut body: Map<String, Value> = serde_json::from_slice(call.body).map_err(|_| {
        Refusal::new(
            RefusalKind::InvalidRequest,
            "the request body must be a JSON object",
        )
    })?;
    refuse_unknown(&mut body)?;
    let conversation = Conversation::read(body.remove("messages").unwrap_or_default())?;
    let tools = Tools::read(&mut body)?;
    let max_tokens = sampling::max_tokens(&mut body, defaults.max_tokens)?;
    let circumstances = Circumstances {
        max_tokens,
        is_tool_forced: tools.is_forced(),
        is_amid_tools: conversation.is_amid_tools(),
    };
    let effort = given(&mut body, "reasoning_effort");
    let thinking = thinking::read(effort, defaults.thinking, circumstances)?;
    let mut sampling = Sampling::read(&mut body)?;
    if thinking.is_on || !defaults.sampling {
        sampling = Sampling::default();
    }
    let include_usage =
        given(&mut body, "stream_options").is_some_and(|options| options["include_usage"] == true);
    let asked = Body {
        model: call.model,
        max_tokens,
        stream: call.stream,
        cache_control: defaults
            .prompt_cache
            .map(|time| json!({"type": "ephemeral", "ttl": time.name()})),
        system: conversation.system,
        messages: conversation.turns,
        tools,
        temperature: sampling.temperature,
        top_p: sampling.top_p,
        top_k: sampling.top_k,
        stop_sequences: sampling::stop(&mut body)?,
        thinking: thinking.mode,
        output_config: OutputConfig {
            effort: thinking.effort,
            format: format::read(given(&mut body, "response_format"))?,
        },
        metadata: user(&mut body).map(|user| json!({"user_id": user})),
    };
    let body = serde_json::to_vec(&asked).map_err(|_| {
        Refusal::new(
            RefusalKind::Internal,
            "the request could not be translated for Anthropic",
        )
    })?;
    Ok(Question {
        body,
        include_usage,
    })
}

/// Who asks: `safety_identifier` is OpenAI's newer name for `user`.
fn user(body: &mut Map<String, Value>) -> Option<String> {
    ["safety_identifier", "user"]
        .into_iter()
        .find_map(|name| match given(body, name) {
            Some(Value::String(user)) if !user.is_empty() => Some(user),
            _ => None,
        })
}

/// Refuses what Anthropic does not know though it changes the answer.
fn refuse_unknown(body: &mut Map<String, Value>) -> Result<(), Refusal> {
    if given(body, "n").is_some_and(|count| count != 1) {
        let message = "Anthropic gives one answer for a request: leave `n` out";
        return Err(unsupported("n", message));
    }
    let bias = given(body, "logit_bias");
    if bias.is_some_and(|bias| bias.as_object().is_none_or(|bias| !bias.is_empty())) {
        return Err(unsupported("logit_bias", "Anthropic knows no `logit_bias`"));
    }
    if given(body, "logprobs").is_some_and(|wanted| wanted != false) {
        return Err(unsupported(
            "logprobs",
            "Anthropic tells no log probabilities: leave `logprobs` out",
        ));
    }
    let modalities = given(body, "modalities");
    if modalities.is_some_and(|modalities| modalities != json!(["text"])) {
        return Err(unsupported(
            "modalities",
            "Anthropic only answers with text",
        ));
    }
    for (name, message) in [
        (
            "functions",
            "`functions` is not understood: offer them as `tools`",
        ),
        (
            "web_search_options",
            "this provider does not search the web: leave `web_search_options` out",
        ),
    ] {
        if given(body, name).is_some() {
            return Err(unsupported(name, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

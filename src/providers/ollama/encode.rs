//! What to ask Ollama for a call: one function per endpoint.

use millgate_plugin::{Call, Refusal};
use serde_json::{Map, Value};

use super::{
    Defaults, messages,
    options::{self, given},
};
use crate::providers::answer::{invalid, unsupported};

/// The body for `/api/chat`.
pub(super) fn chat(
    defaults: &Defaults,
    call: &Call<'_>,
    mut body: Map<String, Value>,
) -> Result<Map<String, Value>, Refusal> {
    options::refuse_unknown(&mut body)?;
    let mut out = head(call);
    let messages = messages::messages(body.remove("messages").unwrap_or_default())?;
    out.insert("messages".to_owned(), messages.into());
    if let Some(tools) = options::tools(&mut body)? {
        out.insert("tools".to_owned(), tools);
    }
    options::logprobs(&mut body, &mut out);
    answer_options(defaults, &mut body, &mut out)?;
    Ok(out)
}

/// The body for `/api/generate`, and the prompt.
///
/// As in Ollama's own OpenAI layer the model's template stays around the prompt: chat models, which most are, only
/// ramble without it.
pub(super) fn completion(
    defaults: &Defaults,
    call: &Call<'_>,
    mut body: Map<String, Value>,
) -> Result<(Map<String, Value>, String), Refusal> {
    options::refuse_unknown(&mut body)?;
    if given(&mut body, "logprobs").is_some_and(|count| count != false) {
        let message = "log probabilities are only given for chats: ask /v1/chat/completions";
        return Err(unsupported("logprobs", message));
    }
    let prompt = prompt(body.remove("prompt").unwrap_or_default())?;
    let mut out = head(call);
    out.insert("prompt".to_owned(), prompt.as_str().into());
    match given(&mut body, "suffix") {
        None => {}
        Some(Value::String(suffix)) if suffix.is_empty() => {}
        Some(suffix @ Value::String(_)) => {
            out.insert("suffix".to_owned(), suffix);
        }
        Some(_) => return Err(invalid("suffix", "`suffix` must be a string")),
    }
    answer_options(defaults, &mut body, &mut out)?;
    Ok((out, prompt))
}

/// The body for `/api/embed`, and how many embeddings it asks for.
pub(super) fn embeddings(
    defaults: &Defaults,
    call: &Call<'_>,
    mut body: Map<String, Value>,
) -> Result<(Map<String, Value>, usize), Refusal> {
    let input = body.remove("input").unwrap_or_default();
    let count = match &input {
        Value::String(text) if !text.is_empty() => 1,
        Value::Array(texts) if !texts.is_empty() && texts.iter().all(Value::is_string) => {
            texts.len()
        }
        Value::Array(tokens)
            if tokens
                .first()
                .is_some_and(|one| one.is_number() || one.is_array()) =>
        {
            let message = "Ollama takes no tokens as `input`: send text, or an array of texts (LangChain: `check_embedding_ctx_length=False`)";
            return Err(unsupported("input", message));
        }
        _ => {
            let message = "`input` must be a string or an array of strings, and not empty";
            return Err(invalid("input", message));
        }
    };
    let mut out = Map::new();
    out.insert("model".to_owned(), call.model.into());
    out.insert("input".to_owned(), input);
    if let Some(dimensions) = given(&mut body, "dimensions") {
        out.insert("dimensions".to_owned(), dimensions);
    }
    finish(defaults, defaults.options.clone(), &mut out);
    Ok((out, count))
}

/// Whether embeddings are wanted in base64. The official SDKs ask for it unless told otherwise.
pub(super) fn wants_base64(body: &mut Map<String, Value>) -> Result<bool, Refusal> {
    let format = given(body, "encoding_format");
    match format.as_ref().map(|format| format.as_str()) {
        None | Some(Some("float")) => Ok(false),
        Some(Some("base64")) => Ok(true),
        Some(_) => Err(invalid(
            "encoding_format",
            "`encoding_format` must be float or base64",
        )),
    }
}

/// Whether the client asked for the usage of a stream.
pub(super) fn wants_usage(body: &Map<String, Value>) -> bool {
    body.get("stream_options")
        .is_some_and(|options| options["include_usage"] == true)
}

fn prompt(prompt: Value) -> Result<String, Refusal> {
    let prompt = match prompt {
        Value::String(prompt) => prompt,
        Value::Array(mut prompts) if prompts.len() == 1 && prompts[0].is_string() => {
            return self::prompt(prompts.remove(0));
        }
        Value::Array(_) => {
            let message =
                "Ollama takes one prompt, as text: send several prompts one by one, and no tokens";
            return Err(unsupported("prompt", message));
        }
        _ => return Err(invalid("prompt", "`prompt` must be a string")),
    };
    // Without a prompt Ollama would only load the model and answer nothing.
    if prompt.is_empty() {
        return Err(invalid("prompt", "`prompt` must not be empty"));
    }
    Ok(prompt)
}

/// What begins the body of every answer. Ollama streams unless it is told not to.
fn head(call: &Call<'_>) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("model".to_owned(), call.model.into());
    out.insert("stream".to_owned(), call.stream.into());
    out
}

/// What chats and completions may say alike about how to answer.
fn answer_options(
    defaults: &Defaults,
    body: &mut Map<String, Value>,
    out: &mut Map<String, Value>,
) -> Result<(), Refusal> {
    if let Some(format) = options::format(body)? {
        out.insert("format".to_owned(), format);
    }
    if let Some(think) = options::think(body)? {
        out.insert("think".to_owned(), think);
    }
    let mut options = defaults.options.clone();
    options::sampling(body, &mut options)?;
    finish(defaults, options, out);
    Ok(())
}

fn finish(defaults: &Defaults, options: Map<String, Value>, out: &mut Map<String, Value>) {
    if let Some(keep_alive) = &defaults.keep_alive {
        out.insert("keep_alive".to_owned(), keep_alive.clone());
    }
    if !options.is_empty() {
        out.insert("options".to_owned(), options.into());
    }
}

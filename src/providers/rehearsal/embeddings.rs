//! Embeddings: vectors that mean nothing, equal for equal input and different otherwise.

use base64::{Engine, prelude::BASE64_STANDARD};
use millgate_plugin::{Call, Refusal};
use serde_json::{Value, json};

use super::{
    chance,
    request::{Body, Input, inputs, invalid, wrong},
    script::Script,
    words,
};

/// Length of a vector where the request does not ask for another.
const DIMENSIONS: u64 = 256;
/// Longest vector to ask for.
const MAX_DIMENSIONS: u64 = 4096;
/// Most inputs of a request, as OpenAI limits them.
const MAX_INPUTS: usize = 2048;

pub(super) fn script(call: &Call<'_>) -> Result<Script, Refusal> {
    let body = Body::parse(call.body)?;
    let inputs = inputs(&body, "input")?;
    if inputs.len() > MAX_INPUTS {
        return Err(invalid(
            "input",
            format!("`input` has more than {MAX_INPUTS} entries"),
        ));
    }
    if inputs.iter().any(|input| matches!(input, Input::Text(""))) {
        return Err(invalid(
            "input",
            "`input` must not be an empty string".to_owned(),
        ));
    }
    let dimensions = body
        .whole("dimensions", 1..=MAX_DIMENSIONS)?
        .unwrap_or(DIMENSIONS) as usize;
    let is_base64 = match body.text("encoding_format")? {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(wrong("encoding_format", "\"float\" or \"base64\"")),
    };
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let vector = vector(input, dimensions);
            let embedding = if is_base64 {
                encoded(&vector)
            } else {
                listed(&vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let tokens: u64 = inputs.iter().map(token_count).sum();
    Ok(Script::document(&json!({
        "object": "list",
        "data": data,
        "model": call.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })))
}

/// A vector of length 1 in a direction that depends on the input alone.
fn vector(input: &Input<'_>, dimensions: usize) -> Vec<f32> {
    let seed = match input {
        Input::Text(text) => chance::hash("text", text.as_bytes()),
        Input::Tokens(numbers) => {
            let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
            chance::hash("tokens", &bytes)
        }
    };
    let raw: Vec<f64> = chance::sequence(seed)
        .take(dimensions)
        // Never 0, so that even a vector of one dimension has a length.
        .map(|bits| 2.0 * chance::fraction(bits | 1 << 11) - 1.0)
        .collect();
    let length = raw.iter().map(|x| x * x).sum::<f64>().sqrt();
    raw.into_iter().map(|x| (x / length) as f32).collect()
}

/// The numbers in their shortest spelling that reads back as the same `f32`.
fn listed(vector: &[f32]) -> Value {
    let shortest = |x: &f32| x.to_string().parse::<f64>().unwrap_or_default();
    vector.iter().map(shortest).collect()
}

/// `encoding_format: "base64"`: the numbers as little-endian `f32`, which the OpenAI SDKs ask for by default.
fn encoded(vector: &[f32]) -> Value {
    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    BASE64_STANDARD.encode(bytes).into()
}

fn token_count(input: &Input<'_>) -> u64 {
    match input {
        Input::Text(text) => words::count(text),
        Input::Tokens(numbers) => numbers.len() as u64,
    }
}

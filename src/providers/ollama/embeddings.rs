//! Embeddings, from `/api/embed` to OpenAI's list.

use base64::{Engine, prelude::BASE64_STANDARD};
use millgate_plugin::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::refusals;
use crate::providers::answer::write_json;

/// What was asked, and so what the reply is to be.
#[derive(Debug)]
pub(super) struct Embeddings {
    /// How many there must be.
    pub(super) count: usize,
    /// Whether they are wanted as base64 of little-endian 32-bit floats, as opposed to numbers.
    pub(super) base64: bool,
    /// Name of the model where the upstream gives none.
    pub(super) model: String,
}

#[derive(Deserialize)]
struct Reply {
    model: Option<String>,
    #[serde(default)]
    embeddings: Vec<Vec<f32>>,
    prompt_eval_count: Option<u64>,
    error: Option<Value>,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: &'a [Embedding],
    model: &'a str,
    usage: Value,
}

#[derive(Serialize)]
struct Embedding {
    object: &'static str,
    index: usize,
    #[serde(rename = "embedding")]
    vector: Vector,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    Base64(String),
    Floats(Vec<f32>),
}

impl Embeddings {
    /// Writes the list for a whole reply.
    pub(super) fn document(&self, body: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let reply: Reply = serde_json::from_slice(body).map_err(|_| refusals::garbled())?;
        if let Some(error) = reply.error {
            return Err(refusals::in_stream(&error));
        }
        if reply.embeddings.len() != self.count {
            return Err(refusals::garbled());
        }
        let embedding = |(index, floats)| Embedding {
            object: "embedding",
            index,
            vector: self.vector(floats),
        };
        let data: Vec<_> = reply
            .embeddings
            .into_iter()
            .enumerate()
            .map(embedding)
            .collect();
        let tokens = reply.prompt_eval_count.unwrap_or(0);
        let list = List {
            object: "list",
            data: &data,
            model: reply.model.as_deref().unwrap_or(&self.model),
            usage: json!({"prompt_tokens": tokens, "total_tokens": tokens}),
        };
        write_json(out, &list);
        Ok(())
    }

    fn vector(&self, floats: Vec<f32>) -> Vector {
        if !self.base64 {
            return Vector::Floats(floats);
        }
        let bytes: Vec<u8> = floats.iter().flat_map(|one| one.to_le_bytes()).collect();
        Vector::Base64(BASE64_STANDARD.encode(bytes))
    }
}

//! The `OpenAI` API: which endpoint answers, and those that answer in one piece.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::reply::Reply;
use super::shape::Call;
use super::{chat, gzip, responses};

/// When everything here was made, in seconds since 1970: a constant, so that replies can be compared.
pub(super) const CREATED: u64 = 1_700_000_000;

pub(super) fn answer(call: &Call) -> Reply {
    let request = call.request;
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/v1/chat/completions") => chat::chat(call),
        ("POST", "/v1/completions") => chat::completion(call),
        ("POST", "/v1/responses") => responses::answer(call),
        ("POST", "/v1/embeddings") => embeddings(call),
        ("POST", "/v1/audio/speech") => speech(call),
        ("POST", "/v1/files") => file(call),
        ("GET", "/v1/models") => models(call),
        (_, path) if path.starts_with("/v1/") => echo(call),
        _ => Reply::json(404, &error(404, "There is nothing at this path.")),
    }
}

/// The error object of the API.
pub(super) fn error(status: u16, message: &str) -> Value {
    let (kind, code) = match status {
        401 => ("invalid_request_error", "invalid_api_key"),
        404 => ("invalid_request_error", "model_not_found"),
        429 => ("requests", "rate_limit_exceeded"),
        400..=499 => ("invalid_request_error", "bad_request"),
        _ => ("server_error", "mock_error"),
    };
    json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
}

fn models(call: &Call) -> Reply {
    let models: Vec<Value> = call
        .listed()
        .into_iter()
        .map(|id| json!({ "id": id, "object": "model", "created": CREATED, "owned_by": "mock" }))
        .collect();
    Reply::json(200, &json!({ "object": "list", "data": models }))
}

/// Floats, or their little-endian bytes in base64, which is what the SDKs ask for unless told otherwise.
fn embeddings(call: &Call) -> Reply {
    let base64 = call.ask.encoding_format.as_deref() == Some("base64");
    let embedding = |index| {
        let floats = call.embedding(index);
        if base64 {
            let bytes: Vec<u8> = floats.into_iter().flat_map(f32::to_le_bytes).collect();
            json!(BASE64_STANDARD.encode(bytes))
        } else {
            json!(floats)
        }
    };
    let data: Vec<Value> = (0..call.inputs())
        .map(
            |index| json!({ "object": "embedding", "index": index, "embedding": embedding(index) }),
        )
        .collect();
    let tokens = call.prompt_tokens();
    let usage = json!({ "prompt_tokens": tokens, "total_tokens": tokens });
    Reply::json(
        200,
        &json!({ "object": "list", "data": data, "model": call.model(), "usage": usage }),
    )
}

/// Every byte value in turn, so that a change to any of them shows.
fn speech(call: &Call) -> Reply {
    let bytes = call.script.chunk_bytes.unwrap_or(1024);
    let pieces = (0..call.script.chunks.unwrap_or(4)).map(|piece| {
        (piece * bytes..(piece + 1) * bytes)
            .map(|n| n as u8)
            .collect::<Bytes>()
    });
    Reply::bytes("audio/mpeg", pieces.collect())
}

fn file(call: &Call) -> Reply {
    let body = &call.request.body;
    Reply::json(
        200,
        &json!({
            "id": format!("file-mock-{}", call.serial),
            "object": "file",
            "bytes": body.len(),
            "crc32": format!("{:08x}", gzip::crc32(body)),
            "content_type": call.request.header("content-type"),
            "created_at": CREATED,
        }),
    )
}

fn echo(call: &Call) -> Reply {
    let request = call.request;
    Reply::json(
        200,
        &json!({
            "object": "echo",
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "bytes": request.body.len(),
            "crc32": format!("{:08x}", gzip::crc32(&request.body)),
        }),
    )
}

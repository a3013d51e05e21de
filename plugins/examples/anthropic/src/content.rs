//! What a message says and shows: OpenAI's content parts as Anthropic's content blocks.

use millgate_plugin::Refusal;
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use crate::error::{invalid, unsupported};

/// A content block of a request.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Block {
    Text {
        text: String,
    },
    Image {
        source: Source,
    },
    ToolUse {
        id: String,
        name: String,
        /// An object, kept as it was written: numbers lose nothing.
        input: Box<RawValue>,
    },
    ToolResult {
        tool_use_id: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Block>,
    },
}

/// Where an image comes from.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Source {
    Base64 {
        media_type: &'static str,
        data: String,
    },
    Url {
        url: String,
    },
}

/// The blocks of a `content`: a string, or parts. Text that is empty or only space is left out, because Anthropic
/// refuses it.
pub(crate) fn blocks(at: &str, content: Value) -> Result<Vec<Block>, Refusal> {
    let at = format!("{at}.content");
    let mut blocks = Vec::new();
    match content {
        Value::Null => {}
        Value::String(text) => add_text(&mut blocks, text),
        Value::Array(parts) => {
            for (index, part) in parts.into_iter().enumerate() {
                add_part(&mut blocks, &format!("{at}[{index}]"), part)?;
            }
        }
        _ => {
            let message = "`content` must be a string or an array of parts";
            return Err(invalid(at, message));
        }
    }
    Ok(blocks)
}

/// The same where only text is understood.
pub(crate) fn texts(at: &str, who: &str, content: Value) -> Result<Vec<Block>, Refusal> {
    let blocks = blocks(at, content)?;
    if blocks
        .iter()
        .all(|block| matches!(block, Block::Text { .. }))
    {
        return Ok(blocks);
    }
    let message = format!("Anthropic takes nothing but text from the {who}: show images as user");
    Err(unsupported(format!("{at}.content"), message))
}

/// Adds a text, unless Anthropic would refuse it for saying nothing.
pub(crate) fn add_text(blocks: &mut Vec<Block>, text: String) {
    if !text.trim().is_empty() {
        blocks.push(Block::Text { text });
    }
}

fn add_part(blocks: &mut Vec<Block>, at: &str, mut part: Value) -> Result<(), Refusal> {
    let kind = part["type"].as_str().unwrap_or_default().to_owned();
    match kind.as_str() {
        "text" | "refusal" => {
            let Value::String(text) = take(&mut part, &kind) else {
                let message = format!("`{kind}` must be a string");
                return Err(invalid(format!("{at}.{kind}"), message));
            };
            add_text(blocks, text);
        }
        "image_url" => blocks.push(Block::Image {
            source: source(at, &mut part)?,
        }),
        "input_audio" | "file" => {
            let message = format!(
                "content of type `{kind}` is not understood by this provider: send text or images"
            );
            return Err(unsupported(at, message));
        }
        _ => {
            let message = "a part of `content` must have the type text or image_url";
            return Err(invalid(format!("{at}.type"), message));
        }
    }
    Ok(())
}

/// An image, given as a data URL (RFC 2397) or as an address that Anthropic fetches.
fn source(at: &str, part: &mut Value) -> Result<Source, Refusal> {
    let at = format!("{at}.image_url");
    let mut url = take(part, "image_url");
    if url.is_object() {
        url = take(&mut url, "url");
    }
    let Value::String(url) = url else {
        return Err(invalid(at, "`image_url.url` must be a string"));
    };
    if starts_with(&url, "https://") {
        return Ok(Source::Url { url });
    }
    let Some((kind, data)) = url
        .split_once(',')
        .filter(|(kind, _)| starts_with(kind, "data:"))
    else {
        return Err(unsupported(
            at,
            "Anthropic takes images as data URLs (`data:image/png;base64,…`) and fetches only `https://`",
        ));
    };
    let kind = kind["data:".len()..].to_ascii_lowercase();
    let Some(media_type) = kind.strip_suffix(";base64") else {
        return Err(invalid(
            at,
            "a data URL must hold an image in base64 (`data:image/png;base64,…`)",
        ));
    };
    let media_type = match media_type.split(';').next().unwrap_or_default() {
        "image/png" => "image/png",
        "image/jpeg" | "image/jpg" => "image/jpeg",
        "image/gif" => "image/gif",
        "image/webp" => "image/webp",
        _ => {
            return Err(unsupported(
                at,
                "Anthropic understands images that are PNG, JPEG, GIF or WebP",
            ));
        }
    };
    Ok(Source::Base64 {
        media_type,
        data: data.to_owned(),
    })
}

fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(start))
}

/// Takes a member out of an object; null where there is none, or no object.
pub(crate) fn take(object: &mut Value, member: &str) -> Value {
    object.get_mut(member).map(Value::take).unwrap_or_default()
}

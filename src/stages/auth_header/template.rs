//! Header values with placeholders that are filled for every attempt.

use std::borrow::Cow;

use millgate_plugin::{Exchange, Field};

/// A value, parsed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Uuid,
    Value {
        field: Source,
        key: String,
        default: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    RequestId,
    Model,
    Provider,
    CallerId,
    CallerTeam,
    CallerMeta,
}

impl Source {
    fn field(self) -> Field {
        match self {
            Self::RequestId => Field::RequestId,
            Self::Model => Field::TargetModel,
            Self::Provider => Field::Provider,
            Self::CallerId => Field::CallerId,
            Self::CallerTeam => Field::CallerTeam,
            Self::CallerMeta => Field::CallerMeta,
        }
    }
}

/// What became of a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rendered<'a> {
    /// A header value.
    Value(Cow<'a, str>),
    /// A part of it is not known and has no default.
    Unknown,
    /// A part of it holds a line break or another control character.
    Forbidden,
}

impl Template {
    /// Parses a value; the error says what is wrong with it.
    pub(super) fn parse(value: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = value;
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let tail = &rest[at..];
            if tail.starts_with("{{") || tail.starts_with("}}") {
                text.push_str(&tail[..1]);
                rest = &tail[2..];
                continue;
            }
            let end = tail
                .strip_prefix('{')
                .and_then(|inner| inner.find('}'))
                .ok_or("a brace stands alone: write {{ or }} for a brace itself")?;
            if !text.is_empty() {
                parts.push(Part::Text(encode(&std::mem::take(&mut text))?));
            }
            parts.push(placeholder(&tail[1..=end])?);
            rest = &tail[end + 2..];
        }
        text.push_str(rest);
        if !text.is_empty() || parts.is_empty() {
            parts.push(Part::Text(encode(&text)?));
        }
        Ok(Self(parts))
    }

    /// Fills the placeholders.
    pub(super) fn render(&self, exchange: &dyn Exchange) -> Rendered<'_> {
        if let [Part::Text(text)] = &*self.0 {
            return Rendered::Value(Cow::Borrowed(text));
        }
        let mut value = String::with_capacity(48);
        for part in &self.0 {
            match part {
                Part::Text(text) => value.push_str(text),
                Part::Uuid => {
                    // Unique, not secret: no system call for its randomness.
                    let mut random = [0; 16];
                    fastrand::fill(&mut random);
                    let uuid = uuid::Builder::from_random_bytes(random).into_uuid();
                    value.push_str(
                        uuid.hyphenated()
                            .encode_lower(&mut uuid::Uuid::encode_buffer()),
                    );
                }
                Part::Value {
                    field,
                    key,
                    default,
                } => {
                    let known = exchange
                        .text(field.field(), key)
                        .filter(|known| !known.is_empty());
                    let Some(known) = known.or(default.as_deref()) else {
                        return Rendered::Unknown;
                    };
                    let Ok(known) = encode(known) else {
                        return Rendered::Forbidden;
                    };
                    value.push_str(&known);
                }
            }
        }
        Rendered::Value(Cow::Owned(value))
    }
}

/// What is between two braces.
fn placeholder(inner: &str) -> Result<Part, String> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default.to_owned())),
        None => (inner, None),
    };
    let value = |field, key: &str| Part::Value {
        field,
        key: key.to_owned(),
        default: default.clone(),
    };
    Ok(match name {
        "uuid" => Part::Uuid,
        "request.id" => value(Source::RequestId, ""),
        "model" => value(Source::Model, ""),
        "provider" => value(Source::Provider, ""),
        "caller.id" => value(Source::CallerId, ""),
        "caller.team" => value(Source::CallerTeam, ""),
        _ => match name.strip_prefix("caller.meta.") {
            Some(key) if !key.is_empty() => value(Source::CallerMeta, key),
            _ => {
                return Err(format!(
                    "unknown placeholder {{{name}}}: there are {{uuid}}, {{request.id}}, {{model}}, {{provider}}, {{caller.id}}, {{caller.team}} and {{caller.meta.NAME}}"
                ));
            }
        },
    })
}

/// Percent-encoded UTF-8 for what is not ASCII; control characters are refused, for they could begin a header.
fn encode(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("a header value has no line breaks or other control characters".to_owned());
    }
    Ok(percent_encoding::utf8_percent_encode(text, percent_encoding::CONTROLS).to_string())
}

//! Values that must never be shown.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use super::{
    finding::sounds_secret,
    tree::{Node, Value},
};

/// A text that is wiped from memory when dropped and that neither `Debug` nor an error message shows.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// The value itself: for the wire, never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A secret, best given as \"${NAME}\" or \"${file:/path}\".",
            "type": "string",
        })
    }
}

/// Shorter values are words that stand in logs for other reasons.
const SHORTEST: usize = 8;

/// Names that sound secret and tell where a secret is, or something about it.
const HARMLESS: &[&str] = &["_file", "_path", "_url", "_sha256"];

/// What is counted by that name, and no secret, where a number of them is said.
const COUNTED: &str = "tokens";

/// No number of tokens takes more digits than this.
const MOST_DIGITS: usize = 12;

/// The secrets of a resolved config: texts under keys that sound secret, and texts that come from variables which do.
/// Of a text with placeholders of its own (`Bearer {caller.meta.ticket}`) these are the parts between them.
#[must_use]
pub fn secrets(tree: &Node) -> Vec<Secret> {
    let mut found = Vec::new();
    collect(tree, false, &mut found);
    found
}

fn collect(node: &Node, is_secret: bool, found: &mut Vec<Secret>) {
    match &node.value {
        Value::Table(table) => {
            for (key, child) in table.iter() {
                let is_harmless = HARMLESS.iter().any(|end| key.name.ends_with(end));
                let is_harmless = is_harmless || is_count(&key.name, child);
                let is_named = sounds_secret(&key.name) && !is_harmless;
                // A table's name says nothing of what is in it: `[providers.token-service]`.
                collect(child, is_named && child.as_table().is_none(), found);
            }
        }
        Value::Array(elements) => {
            for element in elements {
                collect(element, is_secret, found);
            }
        }
        Value::String(text) if is_secret || text.from.iter().any(|from| sounds_secret(from)) => {
            let literal = text.text.split(['{', '}']).step_by(2);
            let parts = literal.flat_map(|part| part.split_whitespace());
            let long = parts.filter(|part| part.len() >= SHORTEST);
            found.extend(long.map(|part| Secret::from(part.to_owned())));
        }
        _ => {}
    }
}

/// Whether a key says how many tokens something may take: `tokens = "600k/min"`, `max_tokens = 100`. The name alone does not
/// tell: `api_tokens = ["…"]` are secrets.
pub(super) fn is_count(name: &str, node: &Node) -> bool {
    let is_number = match &node.value {
        Value::Integer(_) | Value::Float(_) => true,
        Value::String(text) => is_number(&text.text),
        _ => false,
    };
    is_number && name.contains(COUNTED) && !sounds_secret(&name.replace(COUNTED, ""))
}

/// Whether a text is a number, with a unit perhaps, and with a time that it is for: `600`, `1_000`, `1.5M/day`.
fn is_number(text: &str) -> bool {
    let (number, time) = text.split_once('/').unwrap_or((text, "s"));
    let number = number.trim().trim_end_matches(['k', 'K', 'm', 'M']);
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    (1..=MOST_DIGITS).contains(&digits)
        && number
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"._".contains(&byte))
        && time.len() <= MOST_DIGITS
        && time.trim().bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_the_value() {
        let secret = Secret::from("sk-canary".to_owned());
        assert_eq!(format!("{:?}", Some(&secret)), "Some([secret])");
        assert_eq!(secret.expose(), "sk-canary");
    }
}

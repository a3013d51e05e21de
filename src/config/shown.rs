//! The config as operators may see it: every secret as `***`.

use serde_json::{Map, Value as Json};

use super::{
    finding::sounds_secret,
    secret::{Secret, secrets},
    tree::{Node, Text, Value},
};

/// What stands for a secret.
const MASK: &str = "***";

/// Names that sound secret and hold none.
const HARMLESS: &[&str] = &["_file", "_path", "tokens"];

/// Tables whose texts go to an upstream as they are, whatever they are called.
const HEADERS: &str = "headers";

/// From here down a table's name was chosen by whoever wrote the stage; above it by whoever wrote the config.
const OWN_NAMES: usize = 2;

/// A resolved config as JSON. Masked are texts under names that sound secret, texts from variables that do and from
/// files, headers other than those made anew for each request, what stands in a URL before its host or in its query,
/// and wherever it occurs whatever is a secret elsewhere in the file.
#[must_use]
pub fn masked(tree: &Node) -> Json {
    let known = secrets(tree);
    Masking { known }.node(tree, 0, false)
}

struct Masking {
    known: Vec<Secret>,
}

impl Masking {
    fn node(&self, node: &Node, depth: usize, is_secret: bool) -> Json {
        match &node.value {
            Value::Bool(value) => (*value).into(),
            Value::Integer(_) | Value::Float(_) if is_secret => MASK.into(),
            Value::Integer(value) => (*value).into(),
            Value::Float(value) => (*value).into(),
            Value::Datetime(text) => text.as_str().into(),
            Value::String(text) => self.text(text, is_secret),
            Value::Unset(_) => Json::Null,
            Value::Array(elements) => elements
                .iter()
                .map(|element| self.node(element, depth + 1, is_secret))
                .collect(),
            Value::Table(table) => {
                let entry = |(key, child): (&super::tree::Key, &Node)| {
                    let is_named = is_secret_name(&key.name) || key.name == HEADERS;
                    let is_secret = is_secret || is_named && depth >= OWN_NAMES;
                    // Of `[traces]`, for one; a stage may be called so as well.
                    let is_secret = is_secret || key.name == HEADERS && depth > 0 && is_flat(child);
                    let is_secret = is_secret || is_named && child.as_table().is_none();
                    (key.name.clone(), self.node(child, depth + 1, is_secret))
                };
                Json::Object(table.iter().map(entry).collect::<Map<_, _>>())
            }
        }
    }

    fn text(&self, text: &Text, is_secret: bool) -> Json {
        let is_from_secret = |from: &String| sounds_secret(from) || from.starts_with("the file ");
        let holds_one = |secret: &Secret| text.text.contains(secret.expose());
        let is_secret = is_secret && !is_made_anew(&text.text)
            || text.from.iter().any(is_from_secret)
            || self.known.iter().any(holds_one);
        if is_secret && !text.text.is_empty() {
            return MASK.into();
        }
        without_login(&text.text).into()
    }
}

/// Whether a table holds texts and nothing else.
fn is_flat(node: &Node) -> bool {
    let is_text = |child: &Node| matches!(child.value, Value::String(_));
    node.as_table()
        .is_some_and(|table| table.iter().all(|(_, child)| is_text(child)))
}

fn is_secret_name(name: &str) -> bool {
    sounds_secret(name) && !HARMLESS.iter().any(|end| name.ends_with(end))
}

/// Whether a text is one placeholder that is resolved for each request: `{uuid}`.
fn is_made_anew(text: &str) -> bool {
    let inner = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|inner| !inner.contains(['{', '}']))
}

/// A URL less what stands before its host, and less its query; any other text as it is.
fn without_login(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    // A password may hold any character, if it should not.
    let (login, rest) = rest
        .rsplit_once('@')
        .map_or(("", rest), |(_, rest)| ("***@", rest));
    let (host, query) = rest
        .split_once('?')
        .map_or((rest, ""), |(host, _)| (host, "?***"));
    format!("{scheme}://{login}{host}{query}")
}

#[cfg(test)]
mod tests;

//! The config as operators may see it: every secret as `***`.

use serde_json::{Map, Value as Json};

use super::{
    finding::sounds_secret,
    secret::{Secret, is_count, secrets},
    tree::{Node, Text, Value},
};

/// What stands for a secret.
const MASK: &str = "***";

/// Names that sound secret and tell where a secret is.
const HARMLESS: &[&str] = &["_file", "_path"];

/// Tables whose texts go to an upstream as they are, whatever they are called.
const HEADERS: &str = "headers";

/// From here down a table's name was chosen by whoever wrote the stage; above it by whoever wrote the config.
const OWN_NAMES: usize = 2;

/// A part of a URL's path that is as long as this, and no word, may be a secret.
const LONG: usize = 16;

/// A resolved config as JSON. Masked are texts under names that sound secret, texts from variables that do and from
/// files, headers other than those made anew for each request, what callers are said to be (`meta`, which headers carry),
/// what stands in a URL before its host, in its query and, where it looks like a secret, in its path; and wherever it occurs
/// whatever is a secret elsewhere in the file.
#[must_use]
pub fn masked(tree: &Node) -> Json {
    let known = secrets(tree);
    Masking { known }.node(tree, &[], false)
}

struct Masking {
    known: Vec<Secret>,
}

impl Masking {
    /// `path` has the names of the tables that it stands in; of elements of an array, an empty one.
    fn node(&self, node: &Node, path: &[&str], is_secret: bool) -> Json {
        match &node.value {
            Value::Bool(value) => (*value).into(),
            Value::Integer(_) | Value::Float(_) | Value::Datetime(_) if is_secret => MASK.into(),
            Value::Integer(value) => (*value).into(),
            Value::Float(value) => (*value).into(),
            Value::Datetime(text) => text.as_str().into(),
            Value::String(text) => self.text(text, is_secret),
            Value::Unset(_) => Json::Null,
            Value::Array(elements) => elements
                .iter()
                .map(|element| self.node(element, &[path, &[""]].concat(), is_secret))
                .collect(),
            Value::Table(table) => {
                let entry = |(key, child): (&super::tree::Key, &Node)| {
                    let is_secret = is_secret || is_secret_at(path, &key.name, child);
                    let path = [path, &[&*key.name]].concat();
                    (key.name.clone(), self.node(child, &path, is_secret))
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
            || self.known.iter().any(holds_one)
            || tells_a_secret(&text.text);
        if is_secret && !text.text.is_empty() {
            return MASK.into();
        }
        without_login(&text.text).into()
    }
}

/// Whether all that is at this name in the tables of `path` is to be masked.
fn is_secret_at(path: &[&str], name: &str, child: &Node) -> bool {
    if matches!(path, ["callers", _]) && name == "meta" {
        return true;
    }
    // Of `[traces]`, for one; a stage may be called so as well.
    let is_of_headers = name == HEADERS && !path.is_empty() && is_flat(child);
    let is_named = is_secret_name(name) && !is_count(name, child) || name == HEADERS;
    is_of_headers || is_named && (path.len() >= OWN_NAMES || child.as_table().is_none())
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

/// Whether a text is a private key, or has a secret by its name in it, as `host=db password=…` does.
fn tells_a_secret(text: &str) -> bool {
    let is_named = |part: &str| {
        let named = part.split_once('=');
        named.is_some_and(|(name, value)| !value.is_empty() && sounds_secret(name))
    };
    // A URL has a place for them, which is cut out of it.
    let mut parts = text.split(|c: char| c.is_whitespace() || ";,&".contains(c));
    text.contains("PRIVATE KEY-----") || !text.contains("://") && parts.any(is_named)
}

/// A URL less what stands before its host, less its query, and less what looks like a secret in its path; any other text
/// as it is.
fn without_login(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    // A password may hold any character, if it should not.
    let (login, rest) = rest
        .rsplit_once('@')
        .map_or(("", rest), |(_, rest)| ("***@", rest));
    let (rest, query) = rest.find(['?', '#']).map_or((rest, String::new()), |at| {
        (&rest[..at], format!("{}***", &rest[at..=at]))
    });
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let mut before = "";
    let parts = path.split('/').map(|part| {
        let is_secret = is_token(part) || sounds_secret(before) && !part.is_empty();
        before = part;
        if is_secret { MASK } else { part }
    });
    let path = parts.collect::<Vec<_>>().join("/");
    format!("{scheme}://{login}{host}{path}{query}")
}

/// Whether a part of a path is more likely a secret than a word: long, and of letters and digits, or of one piece.
fn is_token(part: &str) -> bool {
    let pieces = part.split(|c: char| !c.is_ascii_alphanumeric());
    let length: usize = pieces.clone().map(str::len).sum();
    let has_digits = part.bytes().any(|byte| byte.is_ascii_digit());
    length >= LONG && (has_digits || pieces.count() == 1)
}

#[cfg(test)]
mod tests;

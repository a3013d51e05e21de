//! What TOML makes of a type's schema: there is no null, and whatever is written as a word or a number may also be
//! written as a string with a placeholder.

use serde_json::{Map, Value, json};

use super::one_line;

/// What describes a value without constraining it.
const ANNOTATIONS: &[&str] = &["title", "description", "default", "examples"];

/// Rewrites the schema of a type to that of its value in the file, whatever the depth.
pub(super) fn for_file(schema: &mut Value) {
    simplify(schema);
    let Value::Object(node) = schema else { return };
    descend(node);
    if let Some(mut branches) = take_branches(node) {
        let is_word = |branch: &Value| is_scalar(branch) && !takes_any_text(branch);
        if branches.iter().any(is_word) && !branches.iter().any(takes_any_text) {
            branches.push(placeholder());
        }
        node.insert("anyOf".to_owned(), branches.into());
        return;
    }
    if is_scalar(schema) && !takes_any_text(schema) {
        open(schema);
    }
}

/// A string with a placeholder, whatever else is in it.
pub(super) fn placeholder() -> Value {
    json!({ "type": "string", "pattern": r"\$\{" })
}

fn descend(node: &mut Map<String, Value>) {
    if let Some(Value::Object(properties)) = node.get_mut("properties") {
        properties.values_mut().for_each(for_file);
    }
    for key in ["items", "additionalProperties"] {
        node.get_mut(key).into_iter().for_each(for_file);
    }
    for key in ["anyOf", "oneOf"] {
        for branch in node
            .get_mut(key)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if let Value::Object(branch) = branch {
                descend(branch);
            }
        }
    }
}

fn take_branches(node: &mut Map<String, Value>) -> Option<Vec<Value>> {
    ["anyOf", "oneOf"]
        .iter()
        .find_map(|key| match node.shift_remove(*key) {
            Some(Value::Array(branches)) => Some(branches),
            _ => None,
        })
}

/// Takes away what only a type has: `null`, a choice of one, number formats, line breaks of doc comments.
fn simplify(schema: &mut Value) {
    let Value::Object(node) = schema else { return };
    if node.get("default").is_some_and(Value::is_null) {
        node.shift_remove("default");
    }
    if let Some(Value::String(text)) = node.get_mut("description") {
        *text = one_line(text);
    }
    // `uint32` and the like mean nothing to an editor.
    node.shift_remove("format");
    if let Some(Value::Array(types)) = node.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            node.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(words)) = node.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    let Some(Value::Array(branches)) = node.get_mut("anyOf") else {
        return;
    };
    branches.retain(|branch| branch["type"] != "null");
    if branches.len() > 1 {
        return;
    }
    let only = branches.pop();
    node.shift_remove("anyOf");
    if let Some(Value::Object(only)) = only {
        for (key, value) in only {
            node.entry(key).or_insert(value);
        }
    }
    simplify(schema);
}

fn is_scalar(schema: &Value) -> bool {
    let is_named = |name: &Value| {
        ["string", "number", "integer", "boolean"]
            .iter()
            .any(|scalar| name == scalar)
    };
    match &schema["type"] {
        Value::Array(types) => types.iter().any(is_named),
        Value::String(_) => is_named(&schema["type"]),
        _ => !schema["enum"].is_null() || !schema["const"].is_null(),
    }
}

/// Whether a string with a placeholder is fine as it is.
fn takes_any_text(schema: &Value) -> bool {
    let is_text = match &schema["type"] {
        Value::Array(types) => types.iter().any(|name| name == "string"),
        name => name == "string",
    };
    let constraints = ["pattern", "enum", "const"];
    is_text && constraints.iter().all(|key| schema[*key].is_null())
}

/// Lets a value be a placeholder instead.
fn open(schema: &mut Value) {
    let Value::Object(node) = schema.take() else {
        return;
    };
    let (mut outer, inner): (Map<_, _>, Map<_, _>) = node
        .into_iter()
        .partition(|(key, _)| ANNOTATIONS.contains(&key.as_str()));
    outer.insert("anyOf".to_owned(), json!([inner, placeholder()]));
    *schema = outer.into();
}

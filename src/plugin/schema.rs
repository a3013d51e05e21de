//! The table of a plugin's stage or provider: as JSON, and held against the JSON Schema that the plugin carries, before
//! the plugin sees it.

mod check;
mod rules;
#[cfg(test)]
mod tests;
mod words;

use serde_json::Value;

use self::{
    check::{Fault, Kind},
    rules::{Rules, escaped},
};
use crate::config::{
    Section,
    tree::{self, Node},
};

/// What a plugin says that a table looks like.
pub struct TableSchema(Option<Rules>);

impl TableSchema {
    /// From the text of a JSON Schema; without one, anything goes.
    pub fn parse(text: Option<&str>) -> Result<Self, String> {
        let Some(text) = text else {
            return Ok(Self(None));
        };
        let schema: Value =
            serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
        Rules::new(&schema).map(|rules| Self(Some(rules)))
    }

    /// The table as JSON, for the plugin; `None` after telling the section what is wrong with it. It holds secrets.
    #[must_use]
    pub fn read(&self, section: &Section<'_>) -> Option<Value> {
        // Tells of placeholders without a value.
        let _: Value = section.read()?;
        let mut table = json(section.node());
        let Some(rules) = &self.0 else {
            return Some(table);
        };
        adapt(rules, section.node(), &mut table);
        let faults = rules.check(&table);
        for fault in &faults {
            fault.tell(section);
        }
        faults.is_empty().then_some(table)
    }
}

/// A string that is wholly one placeholder takes the type that the schema wants: where it is wrong as a text, it becomes
/// the number or the boolean that it reads like.
fn adapt(rules: &Rules, node: &Node, table: &mut Value) {
    let mut wrong = Vec::new();
    places(&rules.check(table), &mut wrong);
    for path in wrong {
        let Some(tree::Value::String(text)) = node.at(&path).map(|node| &node.value) else {
            continue;
        };
        let steps = path.iter().map(|step| escaped(step));
        let pointer = steps.fold(String::new(), |pointer, step| pointer + "/" + &step);
        if let (true, Some(adapted), Some(place)) = (
            text.adapts,
            read_like(text.text.trim()),
            table.pointer_mut(&pointer),
        ) {
            *place = adapted;
        }
    }
}

/// The values that faults are about, the shapes included that a value might have had.
fn places(faults: &[Fault], found: &mut Vec<Vec<String>>) {
    for fault in faults {
        found.push(fault.path.clone());
        if let Kind::NoShape(shapes) = &fault.kind {
            for faults in shapes {
                places(faults, found);
            }
        }
    }
}

fn read_like(text: &str) -> Option<Value> {
    serde_json::from_str(text)
        .ok()
        .filter(|value: &Value| value.is_number() || value.is_boolean())
}

/// A value as JSON. Dates are texts.
fn json(node: &Node) -> Value {
    match &node.value {
        tree::Value::Bool(value) => (*value).into(),
        tree::Value::Integer(value) => (*value).into(),
        // Always finite: TOML's other numbers are out of range for a config.
        tree::Value::Float(value) => (*value).into(),
        tree::Value::Datetime(text) => text.as_str().into(),
        tree::Value::String(text) => text.text.as_str().into(),
        // Told of before.
        tree::Value::Unset(_) => Value::Null,
        tree::Value::Array(elements) => elements.iter().map(json).collect(),
        tree::Value::Table(table) => {
            let entry = |(key, node): (&tree::Key, &Node)| (key.name.clone(), json(node));
            table.iter().map(entry).collect()
        }
    }
}

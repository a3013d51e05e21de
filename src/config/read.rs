//! From a table to a typed value, telling all that is wrong with it.
//!
//! Serde stops at the first error. So a faulty value is taken out and the table read again, until it can be read or
//! nothing is left to take out; errors that only follow from what was taken out are not told.

mod attempts;
mod deserializer;
mod error;
#[cfg(test)]
mod tests;

pub(super) use attempts::{Reading, Strictness, read_node};

use serde::de::DeserializeOwned;

use super::{
    finding::{Finding, Findings, Place},
    tree::{Node, Value},
};

/// A table of the file, to be read into a type.
#[derive(Clone, Debug)]
pub struct Section<'a> {
    node: Node,
    findings: &'a Findings,
    /// Keys that belong here too but are read elsewhere; only to be suggested.
    elsewhere: Vec<String>,
}

impl<'a> Section<'a> {
    /// A table of a tree; what is wrong with it goes to `findings`.
    #[must_use]
    pub fn new(node: &Node, findings: &'a Findings) -> Self {
        Self {
            node: node.clone(),
            findings,
            elsewhere: Vec::new(),
        }
    }

    /// Reads the table. Every unknown key and every wrong type becomes a finding; the answer is `None` where there
    /// is any. A placeholder without a value is an error.
    #[must_use]
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        self.reading(Strictness::Strict).clean()
    }

    /// The same for a table that no active route reaches: keys whose placeholders have no value count as absent,
    /// and the answer is `None`, without a finding, where the type cannot do without them.
    #[must_use]
    pub fn read_lenient<T: DeserializeOwned>(&self) -> Option<T> {
        self.reading(Strictness::Lenient).clean()
    }

    pub(super) fn reading<T: DeserializeOwned>(&self, strictness: Strictness) -> Reading<T> {
        read_node(&self.node, strictness, &self.elsewhere, self.findings)
    }

    /// Divides the table into the host's keys, which are `known`, and those of its kind.
    #[must_use]
    pub fn split(self, known: &[&str]) -> (Self, Self) {
        let Value::Table(table) = self.node.value else {
            return (self.clone(), self);
        };
        let part = |table, elsewhere| Self {
            node: Node {
                value: Value::Table(table),
                place: self.node.place.clone(),
            },
            findings: self.findings,
            elsewhere,
        };
        let (host, kind) = table.partition(|key| known.contains(&key));
        let known = known.iter().map(|&key| key.to_owned()).collect();
        (part(host, Vec::new()), part(kind, known))
    }

    /// Tells what is wrong at `path` below this table, for example where a
    /// [`SetupError`](millgate_plugin::SetupError) points to. Values from outside the file are kept out of the
    /// message.
    pub fn report<S: AsRef<str>>(&self, path: &[S], message: impl Into<String>) {
        self.report_value(path, message, None);
    }

    /// The same with what to do about it.
    pub fn report_value<S: AsRef<str>>(
        &self,
        path: &[S],
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.add(self.node.value_place(path), message.into(), help);
    }

    /// The same with the caret at the key.
    pub fn report_key<S: AsRef<str>>(
        &self,
        path: &[S],
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.add(self.node.key_place(path), message.into(), help);
    }

    fn add(&self, place: Place, message: String, help: Option<String>) {
        let message = self.node.without_foreign_text(message);
        self.findings
            .add(Finding::error(message).at(place).help(help));
    }

    /// The table itself.
    #[must_use]
    pub const fn node(&self) -> &Node {
        &self.node
    }
}

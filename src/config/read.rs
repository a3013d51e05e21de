//! From a table to a typed value, telling all that is wrong with it.

use serde::de::DeserializeOwned;

use super::{Finding, Findings, tree::Node};

/// A table of the file, to be read into a type.
#[derive(Debug)]
pub struct Section<'a> {
    node: Node,
    findings: &'a Findings,
    /// Keys that belong here too but are read elsewhere; only to be suggested.
    elsewhere: Vec<String>,
}

impl<'a> Section<'a> {
    /// Reads the table. Every unknown key and every wrong type becomes a finding; the answer is `None` where there
    /// is any error. A placeholder without a value is an error.
    #[must_use]
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        todo!()
    }

    /// The same for a table that no active route reaches: keys whose placeholders have no value count as absent,
    /// and the answer is `None`, without a finding, where the type cannot do without them.
    #[must_use]
    pub fn read_lenient<T: DeserializeOwned>(&self) -> Option<T> {
        todo!()
    }

    /// Divides the table into the host's keys and those of its kind.
    #[must_use]
    pub fn split(self, known: &[&str]) -> (Self, Self) {
        todo!()
    }

    /// Tells what is wrong at `path` below this table, for example where a
    /// [`SetupError`](millgate_plugin::SetupError) points to.
    pub fn report<S: AsRef<str>>(&self, path: &[S], message: impl Into<String>) {
        todo!()
    }
    /// The table itself.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }
}

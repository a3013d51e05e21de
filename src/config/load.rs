//! From a path to a checked configuration.

use std::path::Path;

use super::{
    Config, Findings, Section, Severity, finding::Place, placeholder::Variable, tree::Node,
};

/// A configuration as it was read, and all that is wrong with it.
#[derive(Debug)]
pub struct Loaded {
    /// The typed tables. What could not be read has its default; whether that happened, the findings tell.
    pub config: Config,
    /// The whole file, overlay and placeholders resolved.
    pub tree: Node,
    /// The environment whose overlay is in it: `ENVIRONMENT`, else `development`.
    pub environment_name: String,
    /// Every variable that the file asks for, and where its value came from.
    pub variables: Vec<Variable>,
    /// All that is wrong so far.
    pub findings: Findings,
}

/// Reads the configuration at `path`, the `.env` beside it and what both ask of the process environment.
pub fn load(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Loaded {
    todo!()
}

impl Loaded {
    /// The table at `path`, such as `["stages", "limit"]`; `None` where there is no table.
    #[must_use]
    pub fn section<S: AsRef<str>>(&self, path: &[S]) -> Option<Section<'_>> {
        todo!()
    }

    /// Tells what is wrong with the value at `path`; an element of an array is named by its index. Where the path
    /// leads past what the file says, the caret stands at the last key that it does say.
    pub fn report<S: AsRef<str>>(
        &self,
        path: &[S],
        severity: Severity,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        todo!()
    }

    /// The same with the caret at the key.
    pub fn report_key<S: AsRef<str>>(
        &self,
        path: &[S],
        severity: Severity,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        todo!()
    }

    /// Where the value at `path` stands.
    #[must_use]
    pub fn value_place<S: AsRef<str>>(&self, path: &[S]) -> Option<Place> {
        todo!()
    }

    /// Where the key at `path` stands.
    #[must_use]
    pub fn key_place<S: AsRef<str>>(&self, path: &[S]) -> Option<Place> {
        todo!()
    }
}

//! From a path to a checked configuration.

mod file;
mod included;
mod otel;
mod tables;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Config,
    dotenv::Dotenv,
    finding::{Finding, Findings, Place, Severity, Source},
    placeholder::{Resolver, Variable},
    read::Section,
    tree::{self, Node, Table, Value},
};
use crate::nearest::nearest;

/// A configuration as it was read, and all that is wrong with it.
#[derive(Debug)]
pub struct Loaded {
    /// The typed tables. What could not be read has its default; whether that happened, the findings tell.
    pub config: Config,
    /// The whole file, overlay and placeholders resolved.
    pub tree: Node,
    /// The whole file as it is written: all overlays apart, placeholders as they are.
    pub written: Node,
    /// Where relative paths begin: the folder of the file.
    pub folder: PathBuf,
    /// The environment whose overlay is in it: `ENVIRONMENT`, else `development`.
    pub environment_name: String,
    /// Every variable that the file asks for, and where its value came from.
    pub variables: Vec<Variable>,
    /// All that is wrong so far.
    pub findings: Findings,
}

/// Reads the configuration at `path`, the `.env` beside it, and what both ask of the environment of the process,
/// which is handed in. Whatever is wrong becomes a finding; there is always an answer.
pub fn load(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Loaded {
    let findings = Findings::default();
    let folder = path.parent().unwrap_or(Path::new(""));
    let dotenv = file::read_optional(&folder.join(".env"), &findings);
    let source = file::read(path, &findings);
    Input {
        source,
        dotenv,
        folder,
        environment,
    }
    .load(findings)
}

/// What a configuration is made from.
struct Input<'a> {
    /// The file; `None` where it could not be read.
    source: Option<Arc<Source>>,
    dotenv: Option<Arc<Source>>,
    /// Where relative paths begin.
    folder: &'a Path,
    environment: &'a dyn Fn(&str) -> Option<String>,
}

impl Input<'_> {
    fn load(self, findings: Findings) -> Loaded {
        let dotenv = match &self.dotenv {
            Some(source) => Dotenv::parse(source, &findings),
            None => Dotenv::default(),
        };
        let resolver = Resolver::new(self.environment, &dotenv, self.folder);
        let environment = resolver.variable("ENVIRONMENT");
        let environment_name = match &environment {
            Some((name, origin)) => {
                resolver.note("ENVIRONMENT", origin.clone());
                name.trim().to_owned()
            }
            None => "development".to_owned(),
        };
        let parsed = self
            .source
            .as_ref()
            .and_then(|source| tree::parse(source, &findings));
        let is_parsed = parsed.is_some();
        let mut tree = parsed.unwrap_or_else(empty);
        let written = tree.clone();
        overlay(
            &mut tree,
            &environment_name,
            environment.is_some(),
            &findings,
        );
        resolver.resolve(&mut tree, &findings);
        included::callers(&mut tree, self.folder, &resolver, &findings);
        let mut config = Config::default();
        if is_parsed {
            otel::lay_under(&mut tree, &resolver, &findings);
            config = tables::read(&tree, &findings);
        }
        if let Some((value, origin)) = resolver.variable("LLM_DEBUG") {
            resolver.note("LLM_DEBUG", origin);
            if matches!(
                value.trim().to_ascii_lowercase().as_str(),
                "true" | "1" | "yes" | "on"
            ) {
                "debug".clone_into(&mut config.log.level);
            }
        }
        Loaded {
            config,
            tree,
            written,
            folder: self.folder.to_owned(),
            environment_name,
            variables: resolver.into_variables(),
            findings,
        }
    }
}

fn empty() -> Node {
    let source = Source {
        name: String::new(),
        text: String::new(),
        shown: false,
    };
    Node {
        value: Value::Table(Table::default()),
        place: Place {
            source: Arc::new(source),
            span: 0..0,
        },
    }
}

/// Takes `[environment]` out of the file and lays the chosen one over the rest.
fn overlay(tree: &mut Node, name: &str, is_chosen: bool, findings: &Findings) {
    let Value::Table(root) = &mut tree.value else {
        return;
    };
    let Some((key, node)) = root.remove("environment") else {
        return;
    };
    let Value::Table(mut environments) = node.value else {
        let finding = Finding::error("expected tables like [environment.production.server]");
        findings.add(finding.at(key.place));
        return;
    };
    for (key, node) in environments.iter() {
        if let Some(table) = node.as_table() {
            if let Some((inner, _)) = table.entry("environment") {
                let finding = Finding::error("an environment cannot hold environments");
                findings.add(finding.at(inner.place.clone()));
            }
        } else {
            let found = node.kind();
            let message = format!("expected a table [environment.{}], found {found}", key.name);
            findings.add(Finding::error(message).at(node.place.clone()));
        }
    }
    match environments.remove(name).map(|(_, node)| node.value) {
        Some(Value::Table(mut over)) => {
            over.remove("environment");
            root.overlay(over);
        }
        None if is_chosen => {
            let names = environments.iter().map(|(key, _)| key.name.as_str());
            if let Some(meant) = nearest(name, names) {
                let message = format!("ENVIRONMENT is `{name}`, for which the file has no table");
                let finding = Finding::warning(message).at(key.place);
                findings.add(finding.help(format!("did you mean `{meant}`?")));
            }
        }
        _ => {}
    }
}

impl Loaded {
    /// The table at `path`, such as `["stages", "limit"]`; `None` where there is no table.
    #[must_use]
    pub fn section<S: AsRef<str>>(&self, path: &[S]) -> Option<Section<'_>> {
        let node = self
            .tree
            .at(path)
            .filter(|node| node.as_table().is_some())?;
        Some(Section::new(node, &self.findings))
    }

    /// Tells what is wrong with the value at `path`; an element of an array is named by its index. Where the path
    /// leads past what the file says, the caret stands at the last part that it does say.
    pub fn report<S: AsRef<str>>(
        &self,
        path: &[S],
        severity: Severity,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.add(self.value_place(path), severity, message.into(), help);
    }

    /// The same with the caret at the key.
    pub fn report_key<S: AsRef<str>>(
        &self,
        path: &[S],
        severity: Severity,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.add(self.key_place(path), severity, message.into(), help);
    }

    fn add(&self, place: Option<Place>, severity: Severity, message: String, help: Option<String>) {
        self.findings.add(Finding {
            severity,
            message,
            place,
            help,
        });
    }

    /// Where the value at `path`, or the nearest above it, stands; of a table with a header, the header.
    #[must_use]
    pub fn value_place<S: AsRef<str>>(&self, path: &[S]) -> Option<Place> {
        Some(self.tree.value_place(path)).filter(|place| !place.span.is_empty())
    }

    /// Where the key at `path`, or the nearest above it, stands.
    #[must_use]
    pub fn key_place<S: AsRef<str>>(&self, path: &[S]) -> Option<Place> {
        Some(self.tree.key_place(path)).filter(|place| !place.span.is_empty())
    }
}

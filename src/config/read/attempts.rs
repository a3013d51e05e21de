//! Reads, takes out what is wrong, and reads again.

use std::{cell::RefCell, collections::HashSet, ops::ControlFlow};

use serde::de::DeserializeOwned;

use super::{
    deserializer::{Context, NodeDeserializer},
    error::{Kind, ReadError},
};
use crate::{
    config::{
        finding::{Finding, Findings},
        tree::{Node, Value},
    },
    nearest::nearest,
};

/// More faults in one table than this are not told at once.
const MOST_ATTEMPTS: usize = 1000;

/// What becomes of placeholders without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Strictness {
    /// They are errors.
    Strict,
    /// Their keys count as absent.
    Lenient,
}

/// What came of reading.
pub(in crate::config) struct Reading<T> {
    /// The value, with the default of everything that was taken out; `None` where it cannot do without.
    pub(in crate::config) value: Option<T>,
    /// Whether anything was wrong.
    pub(in crate::config) is_faulty: bool,
}

impl<T> Reading<T> {
    /// The value, if nothing was wrong.
    pub(in crate::config) fn clean(self) -> Option<T> {
        self.value.filter(|_| !self.is_faulty)
    }
}

/// A path of keys and indices.
pub(super) type Path = Vec<String>;

/// Reads a node into a type, and tells all that is wrong with it.
pub(in crate::config) fn read_node<T: DeserializeOwned>(
    node: &Node,
    strictness: Strictness,
    elsewhere: &[String],
    findings: &Findings,
) -> Reading<T> {
    let mut attempts = Attempts {
        node,
        strictness,
        elsewhere,
        findings,
        dropped: HashSet::new(),
        excused: HashSet::new(),
        is_faulty: false,
    };
    let value = match (0..MOST_ATTEMPTS).try_for_each(|_| attempts.next()) {
        ControlFlow::Break(value) => value,
        ControlFlow::Continue(()) => None,
    };
    Reading {
        value,
        is_faulty: attempts.is_faulty,
    }
}

struct Attempts<'a> {
    node: &'a Node,
    strictness: Strictness,
    elsewhere: &'a [String],
    findings: &'a Findings,
    /// What was taken out.
    dropped: HashSet<Path>,
    /// Keys that were surely meant by an unknown one, and so are not missing.
    excused: HashSet<Path>,
    is_faulty: bool,
}

impl Attempts<'_> {
    /// One more try. It breaks with the value, or with none where taking things out does not help.
    fn next<T: DeserializeOwned>(&mut self) -> ControlFlow<Option<T>> {
        let context = Context {
            dropped: &self.dropped,
            unknown: RefCell::default(),
        };
        let result = T::deserialize(NodeDeserializer::root(self.node, &context));
        for (path, fields) in context.unknown.into_inner() {
            self.unknown_key(path, fields);
        }
        let error = match result {
            Ok(value) => return ControlFlow::Break(Some(value)),
            Err(error) => error,
        };
        let path = error.path.clone().unwrap_or_default();
        if let Kind::UnknownField { name, known } = &error.kind {
            self.unknown_key(join(&path, name), known);
            return ControlFlow::Continue(());
        }
        if !self.follows(&path, &error.kind) {
            self.tell(&path, error);
        }
        let is_progress = !path.is_empty() && self.dropped.insert(path);
        if is_progress {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(None)
        }
    }

    /// Whether an error only comes from what was taken out before.
    fn follows(&self, path: &[String], kind: &Kind) -> bool {
        match kind {
            Kind::Unset(_) => self.strictness == Strictness::Lenient,
            Kind::Missing(field) => {
                let field = join(path, field);
                self.dropped.contains(&field) || self.excused.contains(&field)
            }
            _ => self
                .dropped
                .iter()
                .any(|dropped| dropped.len() > path.len() && dropped.starts_with(path)),
        }
    }

    fn unknown_key(&mut self, path: Path, known: &[&'static str]) {
        let Some((name, parent)) = path.split_last() else {
            return;
        };
        let elsewhere = if parent.is_empty() {
            self.elsewhere
        } else {
            &[]
        };
        let elsewhere = elsewhere.iter().map(String::as_str);
        let suggestion = nearest(name, known.iter().copied().chain(elsewhere));
        let help = match suggestion {
            Some(meant) => Some(format!("did you mean `{meant}`?")),
            None if known.is_empty() => None,
            None => Some(format!("known keys: {}", known.join(", "))),
        };
        let finding = Finding::error(format!("unknown key `{name}`"));
        self.findings
            .add(finding.at(self.node.key_place(&path)).help(help));
        self.is_faulty = true;
        self.excused
            .extend(suggestion.map(|meant| join(parent, meant)));
        self.dropped.insert(path);
    }

    fn tell(&mut self, path: &[String], error: ReadError) {
        self.is_faulty = true;
        let Some(node) = self.node.at(path) else {
            return;
        };
        let finding = match error.kind {
            Kind::Unset(unset) => Finding::from(&unset),
            kind => {
                let (message, help) = kind.describe(node, path);
                Finding::error(message).at(node.place.clone()).help(help)
            }
        };
        self.findings.add(finding);
    }
}

pub(super) fn join(path: &[String], key: &str) -> Path {
    let mut path = path.to_vec();
    path.push(key.to_owned());
    path
}

impl Node {
    /// The message without any text that came from outside the file. Shorter texts than a secret could be would
    /// only tear words apart.
    pub(super) fn without_foreign_text(&self, message: String) -> String {
        match &self.value {
            Value::String(text) if text.is_foreign() && text.text.len() >= 4 => {
                message.replace(&text.text, "…")
            }
            Value::Array(elements) => elements
                .iter()
                .fold(message, |message, node| node.without_foreign_text(message)),
            Value::Table(table) => table.iter().fold(message, |message, (_, node)| {
                node.without_foreign_text(message)
            }),
            _ => message,
        }
    }
}

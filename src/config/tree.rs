//! The file as a tree in which every key and value knows where it stands.

mod parse;

use std::fmt;

pub use parse::parse;

use super::finding::Place;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it stands; of a table with a header, the header.
    pub place: Place,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// A date or time, as it is written.
    Datetime(String),
    /// A text.
    String(Text),
    /// A text with a placeholder that came to nothing.
    Unset(Unset),
    /// An array.
    Array(Vec<Node>),
    /// A table.
    Table(Table),
}

/// A text and what is known of its placeholders.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    /// The text, placeholders resolved.
    pub text: String,
    /// The placeholders that it was written with, as `check` may show them: `` `LLM_TIMEOUT` (from the environment) ``.
    /// Empty where the text stands in the file as it is.
    pub from: Vec<String>,
    /// Whether it is wholly one placeholder and so takes the type that is wanted.
    pub adapts: bool,
}

impl Text {
    /// A text that stands in the file as it is.
    pub fn literal(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            from: Vec::new(),
            adapts: false,
        }
    }

    /// Whether some of it came from outside the file, so that it must not be shown.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        !self.from.is_empty()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[text]")
    }
}

/// A placeholder that came to nothing: an error only where the value is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unset {
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// Where the placeholder stands.
    pub place: Place,
}

/// A key and where it stands.
#[derive(Clone, Debug)]
pub struct Key {
    /// The key.
    pub name: String,
    /// Where it stands.
    pub place: Place,
}

/// Keys and values in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Table {
    entries: Vec<(Key, Node)>,
}

impl Table {
    /// The key and value of that name.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<(&Key, &Node)> {
        self.iter().find(|(key, _)| key.name == name)
    }

    /// The value of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.entry(name).map(|(_, node)| node)
    }

    /// Keys and values in the order of the file.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Key, &Node)> + ExactSizeIterator {
        self.entries.iter().map(|(key, node)| (key, node))
    }

    /// Keys and values in the order of the file, the values to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Key, &mut Node)> {
        self.entries.iter_mut().map(|(key, node)| (&*key, node))
    }

    /// Sets a value, in its old place in the order if there was one.
    pub fn insert(&mut self, key: Key, node: Node) {
        let old = self.entries.iter_mut().find(|(k, _)| k.name == key.name);
        match old {
            Some(entry) => *entry = (key, node),
            None => self.entries.push((key, node)),
        }
    }

    /// Takes a value out.
    pub fn remove(&mut self, name: &str) -> Option<(Key, Node)> {
        let at = self.entries.iter().position(|(k, _)| k.name == name)?;
        Some(self.entries.remove(at))
    }

    /// Divides the table into the entries for which `first` holds and the rest.
    #[must_use]
    pub fn partition(self, first: impl Fn(&str) -> bool) -> (Self, Self) {
        let (first, rest) = self.entries.into_iter().partition(|(k, _)| first(&k.name));
        (Self { entries: first }, Self { entries: rest })
    }

    /// Lays another table over this one: tables merge, whatever the depth, anything else replaces.
    pub fn overlay(&mut self, over: Self) {
        for (key, node) in over.entries {
            let old = self.entries.iter_mut().find(|(k, _)| k.name == key.name);
            match (old, node) {
                (
                    Some((
                        _,
                        Node {
                            value: Value::Table(under),
                            ..
                        },
                    )),
                    Node {
                        value: Value::Table(over),
                        ..
                    },
                ) => under.overlay(over),
                (Some(old), node) => *old = (key, node),
                (None, node) => self.entries.push((key, node)),
            }
        }
    }
}

impl Node {
    /// The table that it is, if it is one.
    #[must_use]
    pub fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// What is below it by this key or index.
    #[must_use]
    pub fn child(&self, step: &str) -> Option<&Self> {
        match &self.value {
            Value::Table(table) => table.get(step),
            Value::Array(elements) => elements.get(step.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// The value at a path of keys and indices.
    pub fn at<S: AsRef<str>>(&self, path: &[S]) -> Option<&Self> {
        path.iter()
            .try_fold(self, |node, step| node.child(step.as_ref()))
    }

    /// Where the value at a path stands, or the nearest above it that is written down.
    pub fn value_place<S: AsRef<str>>(&self, path: &[S]) -> Place {
        self.places(path).1.clone()
    }

    /// Where the key at a path stands, or the nearest above it that is written down; an element of an array is its
    /// own key.
    pub fn key_place<S: AsRef<str>>(&self, path: &[S]) -> Place {
        let (key, value) = self.places(path);
        key.unwrap_or(value).clone()
    }

    /// Where the key, if there is one, and the value at a path stand.
    fn places<S: AsRef<str>>(&self, path: &[S]) -> (Option<&Place>, &Place) {
        let mut nodes = vec![(None, self)];
        for step in path {
            let Some((_, node)) = nodes.last() else { break };
            let Some(child) = node.child(step.as_ref()) else {
                // `[stages.x]` makes a table `stages` that is not written down anywhere by itself.
                while nodes.len() > 1
                    && nodes
                        .last()
                        .is_some_and(|(key, node)| *key == Some(&node.place))
                {
                    nodes.pop();
                }
                break;
            };
            let key = node.as_table().and_then(|table| table.entry(step.as_ref()));
            nodes.push((key.map(|(key, _)| &key.place), child));
        }
        nodes
            .last()
            .map_or((None, &self.place), |(key, node)| (*key, &node.place))
    }

    /// What it is, in the words of an operator.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.value {
            Value::Bool(_) => "a boolean",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a decimal number",
            Value::Datetime(_) => "a date",
            Value::String(_) | Value::Unset(_) => "a string",
            Value::Array(_) => "an array",
            Value::Table(_) => "a table",
        }
    }

    /// Whether both say the same, wherever they stand and in whatever order their keys are.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Integer(a), Value::Integer(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Value::Datetime(a), Value::Datetime(b)) => a == b,
            (Value::String(a), Value::String(b)) => (&a.text, a.adapts) == (&b.text, b.adapts),
            (Value::Unset(a), Value::Unset(b)) => a.message == b.message,
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.says_the_same(b))
            }
            (Value::Table(a), Value::Table(b)) => {
                let same = |(key, node): (&Key, &Self)| {
                    b.get(&key.name)
                        .is_some_and(|other| node.says_the_same(other))
                };
                a.iter().len() == b.iter().len() && a.iter().all(same)
            }
            _ => false,
        }
    }
}

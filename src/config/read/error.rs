//! What serde finds wrong, in the words of an operator.

use std::fmt;

use serde::de::{Expected, Unexpected};

use super::attempts::Path;
use crate::{
    config::{
        finding::sounds_secret,
        tree::{Node, Unset, Value},
    },
    nearest::nearest,
};

/// An error of reading a value, and where.
#[derive(Debug)]
pub(super) struct ReadError {
    /// Where; `None` until the value that it belongs to is known.
    pub(super) path: Option<Path>,
    /// What.
    pub(super) kind: Kind,
}

/// What is wrong with a value.
#[derive(Debug)]
pub(super) enum Kind {
    /// In the words of the type.
    Custom(String),
    /// It is of another type, or of the type but not allowed.
    Unfit {
        expected: String,
        found: String,
        /// Whether `found` is the value itself rather than its type.
        is_value: bool,
    },
    /// It is none of the words that are allowed.
    UnknownVariant {
        name: String,
        known: &'static [&'static str],
    },
    /// The table has a key that the type does not know.
    UnknownField {
        name: String,
        known: &'static [&'static str],
    },
    /// The table lacks a key.
    Missing(&'static str),
    /// A placeholder in it came to nothing.
    Unset(Unset),
}

impl ReadError {
    pub(super) const fn new(kind: Kind) -> Self {
        Self { path: None, kind }
    }

    /// The error at `path`, unless its place is known already.
    pub(super) fn or_at(mut self, path: &[String]) -> Self {
        self.path.get_or_insert_with(|| path.to_vec());
        self
    }
}

impl Kind {
    /// The message and what to do, for the value at fault.
    pub(super) fn describe(self, node: &Node, path: &[String]) -> (String, Option<String>) {
        let from = match &node.value {
            Value::String(text) if text.is_foreign() => Some(text.from.join(" and ")),
            _ => None,
        };
        let unfit = |expected: &str, found: &str| match &from {
            Some(from) => format!("expected {expected}, which the value of {from} is not"),
            None => format!("expected {expected}, found {found}"),
        };
        match self {
            Self::Custom(message) => {
                let message = node.without_foreign_text(message);
                let message = match from {
                    Some(from) => format!("{message}; the value comes from {from}"),
                    None => message,
                };
                (message, None)
            }
            Self::Unfit {
                expected,
                found,
                is_value,
            } => {
                let is_secret = path.iter().any(|key| sounds_secret(key));
                let found = if is_value && is_secret {
                    node.kind()
                } else {
                    &found
                };
                (unfit(&expected, found), None)
            }
            Self::UnknownVariant { name, known } => {
                let quoted: Vec<_> = known.iter().map(|word| format!("\"{word}\"")).collect();
                let expected = match quoted.as_slice() {
                    [one] => one.clone(),
                    many => format!("one of {}", many.join(", ")),
                };
                let meant = nearest(&name, known.iter().copied());
                let help = meant.filter(|_| from.is_none());
                let help = help.map(|meant| format!("did you mean \"{meant}\"?"));
                (unfit(&expected, &shown(&name)), help)
            }
            Self::Missing(key) => (format!("the key `{key}` is missing here"), None),
            Self::UnknownField { name, .. } => (format!("unknown key `{name}`"), None),
            Self::Unset(unset) => (unset.message, Some(unset.help)),
        }
    }
}

impl serde::de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let message = message.to_string();
        let message = if message.starts_with("data did not match any variant") {
            "this value has none of the shapes that are possible here".to_owned()
        } else {
            message
        };
        Self::new(Kind::Custom(message))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Kind::Unfit {
            expected: type_words(&expected.to_string()),
            found: found_type(found).to_owned(),
            is_value: false,
        })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Kind::Unfit {
            expected: value_words(&expected.to_string()),
            found: match found {
                Unexpected::Bool(value) => value.to_string(),
                Unexpected::Unsigned(value) => value.to_string(),
                Unexpected::Signed(value) => value.to_string(),
                Unexpected::Float(value) => value.to_string(),
                Unexpected::Str(text) => shown(text),
                other => found_type(other).to_owned(),
            },
            is_value: true,
        })
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::new(Kind::Unfit {
            expected: type_words(&expected.to_string()),
            found: if length == 1 {
                "1 element".to_owned()
            } else {
                format!("{length} elements")
            },
            is_value: false,
        })
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Self {
        let name = name.to_owned();
        Self::new(Kind::UnknownVariant { name, known })
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        let name = name.to_owned();
        Self::new(Kind::UnknownField { name, known })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Kind::Missing(field))
    }
}

/// Without the value at fault.
impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of the configuration is not as expected")
    }
}

impl std::error::Error for ReadError {}

/// A text in quotes, shortened.
fn shown(text: &str) -> String {
    const LONGEST: usize = 40;
    if text.chars().count() <= LONGEST {
        return format!("\"{text}\"");
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!("\"{start}…\"")
}

const fn found_type(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a whole number",
        Unexpected::Float(_) => "a decimal number",
        Unexpected::Char(_) | Unexpected::Str(_) | Unexpected::Bytes(_) => "a string",
        Unexpected::Seq | Unexpected::TupleVariant => "an array",
        Unexpected::Map | Unexpected::Enum | Unexpected::StructVariant => "a table",
        Unexpected::UnitVariant | Unexpected::NewtypeVariant | Unexpected::NewtypeStruct => {
            "a word"
        }
        Unexpected::Unit | Unexpected::Option | Unexpected::Other(_) => "something else",
    }
}

/// What serde's and the standard library's types say they expect, as an operator would say it.
fn type_words(expected: &str) -> String {
    let length = ["a tuple of size ", "an array of length "]
        .iter()
        .find_map(|prefix| expected.strip_prefix(prefix));
    if let Some(length) = length {
        return format!("an array of {length} elements");
    }
    let words = match expected {
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" | "isize" => {
            "a whole number"
        }
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "a table",
        "path string" => "a path",
        other if other.starts_with("a nonzero ") => "a whole number other than 0",
        other if other.starts_with("struct ") => "a table",
        other if other.starts_with("enum ") || other.starts_with("variant ") => "a string",
        other if other.starts_with("tuple ") => "an array",
        other => other,
    };
    words.to_owned()
}

/// The same with the range of numbers.
fn value_words(expected: &str) -> String {
    let (least, most) = match expected {
        "u8" => (0, u64::from(u8::MAX)),
        "u16" => (0, u64::from(u16::MAX)),
        "u32" => (0, u64::from(u32::MAX)),
        "a nonzero u8" => (1, u64::from(u8::MAX)),
        "a nonzero u16" => (1, u64::from(u16::MAX)),
        "a nonzero u32" => (1, u64::from(u32::MAX)),
        "u64" | "usize" => return "a whole number, 0 or more".to_owned(),
        "a nonzero u64" | "a nonzero usize" => return "a whole number, 1 or more".to_owned(),
        other => return type_words(other),
    };
    format!("a whole number from {least} to {most}")
}

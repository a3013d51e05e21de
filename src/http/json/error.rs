//! Why a document was refused, in words for the client that sent it.

use std::fmt;

use super::MAX_DEPTH;

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonErrorKind {
    /// There is nothing but white space.
    Empty,
    /// The bytes are not UTF-8.
    InvalidUtf8,
    /// The grammar is broken; the text says what should stand there.
    Syntax(&'static str),
    /// Nested beyond [`MAX_DEPTH`].
    TooDeep,
    /// The document is something other than an object.
    NotAnObject,
    /// A top-level member, by its decoded name, stands twice.
    DuplicateKey(String),
    /// The document ends before it is complete.
    Truncated,
    /// Something follows the object.
    Trailing,
}

/// A refused document. `Display` is meant for the client: what is wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// What is wrong.
    pub kind: JsonErrorKind,
    /// Where, in bytes from the start.
    pub offset: usize,
    /// The line of `offset`, from 1.
    pub line: usize,
    /// The column of `offset` in characters, from 1.
    pub column: usize,
}

/// How much of a duplicate member's name is quoted, in characters.
const QUOTED: usize = 64;

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = format_args!("line {}, column {}", self.line, self.column);
        match &self.kind {
            JsonErrorKind::Empty => f.write_str("the body is empty; send a JSON object"),
            JsonErrorKind::InvalidUtf8 => {
                write!(f, "the body is not UTF-8 at {place}; encode it as UTF-8")
            }
            JsonErrorKind::Syntax(expected) => {
                write!(f, "the body is not valid JSON at {place}: {expected}")
            }
            JsonErrorKind::TooDeep => write!(
                f,
                "the body nests deeper than {MAX_DEPTH} levels at {place}; send a flatter document"
            ),
            JsonErrorKind::NotAnObject => {
                f.write_str("the body is not a JSON object; put the members between { and }")
            }
            JsonErrorKind::DuplicateKey(name) => {
                let name: String = name.chars().take(QUOTED).collect();
                write!(
                    f,
                    "the body has the member {name:?} a second time at {place}; send it once"
                )
            }
            JsonErrorKind::Truncated => write!(
                f,
                "the JSON body ends early, at {place}; send the whole document"
            ),
            JsonErrorKind::Trailing => write!(
                f,
                "the body goes on after its JSON object at {place}; send one object and nothing else"
            ),
        }
    }
}

impl std::error::Error for JsonError {}

/// An error before its line and column are known: the walk itself counts neither.
#[derive(Debug)]
pub(super) struct Fault {
    kind: JsonErrorKind,
    offset: usize,
}

impl Fault {
    pub(super) fn new(kind: JsonErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    pub(super) fn locate(self, bytes: &[u8]) -> JsonError {
        let before = bytes.get(..self.offset).unwrap_or(bytes);
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let starts_char = |byte: &&u8| **byte & 0xC0 != 0x80;
        JsonError {
            kind: self.kind,
            offset: self.offset,
            line: memchr::memchr_iter(b'\n', before).count() + 1,
            column: before[line_start..].iter().filter(starts_char).count() + 1,
        }
    }
}

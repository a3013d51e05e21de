//! `${…}` in strings: `${NAME}`, `${NAME:-default}` (an empty variable counts as unset), `${file:/path}`; `$${` is
//! a literal `${`. What comes out is not looked at again. Braces without a dollar are left to who reads the value.

mod parse;
mod resolve;
#[cfg(test)]
mod tests;

use std::{fmt, path::PathBuf};

pub use resolve::Resolver;

/// Where the value of a variable came from. Never the value itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The environment of the process.
    Environment,
    /// The `.env` file, at this line.
    DotEnv {
        /// Line of the file, from 1.
        line: usize,
    },
    /// The default that stands in the placeholder.
    Default,
    /// A file, for `${file:…}`.
    File(PathBuf),
    /// Nowhere.
    Unset,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("from the environment"),
            Self::DotEnv { line } => write!(f, "from line {line} of .env"),
            Self::Default => f.write_str("by default"),
            Self::File(path) => write!(f, "from {}", path.display()),
            Self::Unset => f.write_str("not set"),
        }
    }
}

/// A variable that the configuration asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name; of `${file:…}` the path with its `file:`.
    pub name: String,
    /// Where its value came from.
    pub origin: Origin,
}

/// Whether it is the name of an environment variable: letters, digits and `_`, no digit first.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.bytes().all(is_word) && text.starts_with(|c: char| !c.is_ascii_digit())
}

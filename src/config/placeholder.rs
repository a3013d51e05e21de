//! `${…}` in strings.

use std::path::PathBuf;

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

/// A variable that the configuration asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name; of `${file:…}` the path with its `file:`.
    pub name: String,
    /// Where its value came from.
    pub origin: Origin,
}

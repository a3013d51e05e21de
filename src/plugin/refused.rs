//! Why a library is not loaded.

use std::{io, path::Path};

/// Why, in words, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What of its table in the config is at fault.
    pub at: At,
    /// What is wrong, in one line without a full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// A part of `[plugins.NAME]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The table's name.
    Name,
    /// `path`, and so the file.
    Path,
    /// `sha256`.
    Pin,
}

impl Refused {
    /// The file is at fault.
    pub(super) fn file(message: impl Into<String>) -> Self {
        Self {
            at: At::Path,
            message: message.into(),
            help: None,
        }
    }

    /// No path leads there.
    #[must_use]
    pub fn unopened(path: &Path, error: &io::Error) -> Self {
        Self::file(format!(
            "`{}` is no path that can be opened: {error}",
            path.display()
        ))
    }

    /// The table is not called as the plugin is, which calls itself `name`.
    #[must_use]
    pub fn misnamed(name: &str) -> Self {
        Self {
            at: At::Name,
            message: format!("this plugin calls itself `{name}`, and so must its table"),
            help: Some(format!("write [plugins.{name}]")),
        }
    }

    /// The same with what to do about it.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

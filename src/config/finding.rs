//! What is wrong with the configuration, and where.

mod mask;
mod render;
#[cfg(test)]
mod tests;
mod width;

use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub(crate) use mask::sounds_secret;
pub use render::Renderer;
pub(crate) use render::printable;
pub(crate) use width::width;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, but is hardly what was meant.
    Warning,
}

impl Severity {
    /// The word that begins its line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A file as it was read.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// Its path, as the operator gave it.
    pub name: String,
    /// Its text, without a byte order mark.
    pub text: String,
    /// Whether its lines may be shown. Those of a `.env` may not: they are mostly secrets.
    pub shown: bool,
}

impl Source {
    /// The line and column of a byte, both from 1; a column is a character.
    #[must_use]
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(byte)];
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (line, before[start..].chars().count() + 1)
    }
}

/// Without the text, which may hold secrets.
impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub source: Arc<Source>,
    /// Bytes of its text.
    pub span: Range<usize>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line without a full stop; never a value that came from outside the file.
    pub message: String,
    /// Where, if anywhere in particular.
    pub place: Option<Place>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Finding {
    /// An error without a place.
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            place: None,
            help: None,
        }
    }

    /// A warning without a place.
    pub fn warning(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(message)
        }
    }

    /// The same at a place.
    #[must_use]
    pub fn at(mut self, place: impl Into<Option<Place>>) -> Self {
        self.place = place.into();
        self
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }
}

/// Where findings are gathered while the configuration is read and compiled.
#[derive(Debug, Default)]
pub struct Findings(Mutex<Vec<Finding>>);

impl Findings {
    /// Adds one, unless the very same is there already.
    pub fn add(&self, finding: Finding) {
        let mut all = self.lock();
        if !all.contains(&finding) {
            all.push(finding);
        }
    }

    /// Whether there is an error among them.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.lock().iter().any(|f| f.severity == Severity::Error)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// All of them: those without a place first, then by file and place.
    #[must_use]
    pub fn sorted(&self) -> Vec<Finding> {
        let mut all = self.lock().clone();
        all.sort_by(|a, b| a.order().cmp(&b.order()));
        all
    }

    /// A poisoned lock only means that some thread panicked; the list is whole all the same.
    fn lock(&self) -> MutexGuard<'_, Vec<Finding>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Finding {
    fn order(&self) -> Option<(&str, usize, usize)> {
        let place = self.place.as_ref()?;
        Some((&place.source.name, place.span.start, place.span.end))
    }
}

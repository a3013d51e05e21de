//! What can be wrong with a ledger, and what to do about it.

#[cfg(feature = "sqlite")]
use crate::store::database::StoreError;

/// Why the ledger cannot be used. Its text is for operators and holds no password.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file of SQLite.
    #[cfg(feature = "sqlite")]
    #[error("{0}")]
    File(#[from] StoreError),
    /// The server could not be reached, or does not answer.
    #[error(
        "PostgreSQL cannot be reached: {0}\n  see that the server runs and that [ledger] url is right"
    )]
    Server(String),
    /// The server would not do what it was asked.
    #[error(
        "PostgreSQL refuses: {0}\n  see that the user of [ledger] url may create tables and write to them"
    )]
    Refused(String),
    /// The server would not take a row as it is.
    #[error("PostgreSQL does not take a row: {0}")]
    Row(String),
    /// A later version has changed the tables.
    #[error(
        "the tables in PostgreSQL are of a newer millgate (schema {found}, this one knows up to {known})\n  update this millgate, or set another [ledger] url"
    )]
    Newer {
        /// The schema of the database.
        found: i32,
        /// The newest that is known here.
        known: i32,
    },
    /// This build lacks what it takes.
    #[error(
        "this millgate was built without the feature `{0}`, which the ledger needs\n  take another build, or set another [ledger] url"
    )]
    NotBuilt(&'static str),
    /// What was captured cannot be decrypted.
    #[error("{0}")]
    Sealed(&'static str),
}

impl LedgerError {
    /// Whether the connection may be kept: it passes by itself.
    pub(super) fn passes(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::File(error) => error.passes(),
            Self::Row(_) => true,
            _ => false,
        }
    }

    /// Whether one row is the cause, and the others would be taken.
    pub(super) const fn is_of_a_row(&self) -> bool {
        matches!(self, Self::Row(_))
    }

    /// Whether there is no ledger to read yet.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        #[cfg(feature = "sqlite")]
        if let Self::File(StoreError::Missing { .. }) = self {
            return true;
        }
        false
    }
}

impl From<LedgerError> for String {
    fn from(error: LedgerError) -> Self {
        error.to_string()
    }
}

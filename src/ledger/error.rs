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
    /// The file is not the one that was opened, or nothing is in it any more.
    #[cfg(feature = "sqlite")]
    #[error(
        "{} is gone, was emptied, or is another file now\n  a running gateway begins a new one, and writes what waits; put the old one back before, or read it by itself",
        .0.display()
    )]
    Gone(std::path::PathBuf),
    /// The server could not be reached.
    #[error(
        "PostgreSQL cannot be reached: {0}\n  see that the server runs, and that the host, port and sslmode of [ledger] url are right"
    )]
    Server(String),
    /// Its certificate is not one that is trusted.
    #[error(
        "PostgreSQL shows a certificate that is not trusted: {0}\n  name the file of the authority that has issued it in [ledger] ca_file, and the server in [ledger] url as the certificate does"
    )]
    Untrusted(String),
    /// It was reached and then said nothing for 15 seconds.
    #[error(
        "PostgreSQL does not answer within 15 seconds\n  see what keeps the server, or the network to it, busy"
    )]
    Silent,
    /// A statement took longer than it may.
    #[error(
        "PostgreSQL does not get it done within 10 seconds: {0}\n  see what keeps the server busy; less time is told of sooner"
    )]
    Slow(String),
    /// More at once than the server can take.
    #[error("this is more than PostgreSQL takes at once: {0}\n  less is tried")]
    TooMuch(String),
    /// The server's disk is full.
    #[error(
        "the disk of PostgreSQL is full: {0}\n  make room there, or set a smaller [ledger] max_size"
    )]
    Full(String),
    /// The server has too much to do, or others are in the way.
    #[error(
        "PostgreSQL cannot do it now: {0}\n  it is tried again; if it lasts, see the log of the server"
    )]
    Busy(String),
    /// The server would not do what it was asked.
    #[error(
        "PostgreSQL refuses: {0}\n  see that [ledger] url is right, and that its user may create tables and write to them"
    )]
    Refused(String),
    /// The server would not take a row as it is.
    #[error("PostgreSQL does not take a row: {0}")]
    Row(String),
    /// A database of SQLite took too long to tell.
    #[error(
        "the ledger has not been read within 10 seconds\n  ask for less time, with `since` and `until`"
    )]
    Long,
    /// Nothing was ever written there.
    #[error("there is no ledger in this database of PostgreSQL")]
    Missing,
    /// An earlier version has made the tables, which reading does not change.
    #[error(
        "the tables of the ledger are of an older millgate (schema {found}, this one reads {known})\n  start the gateway in this version, which brings them up to it"
    )]
    Older {
        /// The schema of the database.
        found: u32,
        /// The one that is read here.
        known: u32,
    },
    /// A later version has changed the tables.
    #[error(
        "the tables in PostgreSQL are of a newer millgate (schema {found}, this one knows up to {known})\n  update this millgate, or set another [ledger] url"
    )]
    Newer {
        /// The schema of the database.
        found: u32,
        /// The newest that is known here.
        known: u32,
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
            Self::Row(_) | Self::Slow(_) | Self::TooMuch(_) | Self::Full(_) | Self::Busy(_) => true,
            _ => false,
        }
    }

    /// Whether fewer rows might be taken where these were not: one of them is the cause, or all of them are too much.
    pub(super) const fn is_of_these_rows(&self) -> bool {
        matches!(
            self,
            Self::Row(_) | Self::Slow(_) | Self::TooMuch(_) | Self::Silent
        )
    }

    /// Whether the server has refused at once, so that it can be asked again at once.
    pub(super) const fn is_quick(&self) -> bool {
        matches!(self, Self::Row(_) | Self::TooMuch(_))
    }

    /// Whether there is no ledger to read yet.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        #[cfg(feature = "sqlite")]
        if let Self::File(StoreError::Missing { .. }) = self {
            return true;
        }
        matches!(self, Self::Missing)
    }
}

impl From<LedgerError> for String {
    fn from(error: LedgerError) -> Self {
        error.to_string()
    }
}

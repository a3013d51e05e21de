//! Where a ledger is.

use std::path::PathBuf;

#[cfg(feature = "sqlite")]
use super::sqlite::Sqlite;
use super::{
    LedgerError,
    backend::{Backend, Purpose},
};
use crate::config::Secret;

/// How long a question may take: whoever asks has gone then. `PostgreSQL` has its own limit, of the same length.
#[cfg(feature = "sqlite")]
const QUESTION: std::time::Duration = std::time::Duration::from_secs(10);

/// The name of the file in its folder.
pub const FILE: &str = "ledger.db";

/// Where a ledger is.
#[derive(Clone, Debug)]
pub enum Place {
    /// The file [`FILE`].
    Sqlite {
        /// The folder that it is in.
        folder: PathBuf,
    },
    /// The tables `millgate_…` of a database.
    Postgres {
        /// How to connect to it. It may hold a password.
        url: Secret,
        /// Certificate authorities to trust beside those of the system.
        ca_file: Option<PathBuf>,
    },
}

impl Place {
    /// `"sqlite"` or `"postgres"`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "sqlite",
            Self::Postgres { .. } => "postgres",
        }
    }

    /// Opens it.
    pub(super) fn open(&self, purpose: Purpose) -> Result<Box<dyn Backend>, LedgerError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { folder } => Ok(Box::new(match purpose {
                Purpose::Begin => Sqlite::open(folder, true)?,
                Purpose::Resume => Sqlite::open(folder, false)?,
                Purpose::Read => Sqlite::read(folder, QUESTION)?,
            })),
            #[cfg(feature = "postgres")]
            Self::Postgres { url, ca_file } => Ok(Box::new(super::postgres::Postgres::connect(
                url,
                ca_file.as_deref(),
                purpose,
            )?)),
            #[cfg(not(all(feature = "sqlite", feature = "postgres")))]
            _ => {
                let _ = purpose;
                Err(LedgerError::NotBuilt(self.kind()))
            }
        }
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sqlite { folder }, Self::Sqlite { folder: theirs }) => folder == theirs,
            (
                Self::Postgres { url, ca_file },
                Self::Postgres {
                    url: their_url,
                    ca_file: their_file,
                },
            ) => url.expose() == their_url.expose() && ca_file == their_file,
            _ => false,
        }
    }
}

//! The SQLite file: opened safely, brought up to the schema of this version, read and written.
//!
//! Everything here blocks. Commands call it from their own thread, the gateway from the store's writer alone.

mod errors;
mod file;
pub mod keys;
mod opened;
mod schema;
pub(super) mod tallies;

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use errors::StoreError;
pub(crate) use file::{Identity, prepare};
pub(crate) use opened::Opened;
pub(crate) use schema::Schema;

/// The name of the file in its folder.
pub const FILE: &str = "millgate.db";

/// An open store.
pub struct Database {
    connection: Connection,
    path: PathBuf,
    identity: Identity,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// Make what is not there: the folder, the file.
    pub create: bool,
    /// How long to wait for others who write.
    pub patience: Duration,
    /// Whether a commit is on the disk when it returns: it then outlives a loss of power, and not only of the process.
    pub durable: bool,
}

impl Database {
    /// Opens the store in `folder` and brings it to this version's schema. The errors say what to do.
    pub fn open(folder: &Path, opening: Opening) -> Result<Self, StoreError> {
        let Opened {
            connection,
            path,
            identity,
        } = Opened::open(folder, FILE, opening, &schema::STORE)?;
        Ok(Self {
            connection,
            path,
            identity,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A number that changes when another connection has changed the file (`PRAGMA data_version`). The error tells
    /// a file that is gone, or is another one now.
    pub fn version(&self) -> Result<i64, StoreError> {
        if Identity::of(&self.path).ok() != Some(self.identity) {
            return Err(StoreError::Gone {
                path: self.path.clone(),
            });
        }
        self.connection
            .pragma_query_value(None, "data_version", |row| row.get(0))
            .map_err(|error| self.error(error))
    }

    /// Makes the disk as full as a test wants it.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: u32) {
        let set =
            self.connection
                .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()));
        set.unwrap();
    }

    /// Does several things as one; nobody else writes meanwhile.
    fn transact<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate);
        let done = transaction.and_then(|transaction| {
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        });
        done.map_err(|error| StoreError::of(error, &self.path))
    }

    fn error(&self, error: rusqlite::Error) -> StoreError {
        StoreError::of(error, &self.path)
    }
}

/// Seconds since the epoch, as the store keeps times.
fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

/// The other way; `None` for what no clock shows.
fn time(seconds: i64) -> Option<SystemTime> {
    let since = Duration::from_secs(seconds.max(0).cast_unsigned());
    SystemTime::UNIX_EPOCH.checked_add(since)
}

#[cfg(test)]
mod tests;

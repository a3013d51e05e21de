//! Any file of SQLite: opened safely and brought up to its schema.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};

use super::{
    Opening, StoreError,
    file::{self, Identity},
    schema::{self, Schema},
};

/// How often a file is tried that another process has locked.
const LOCKED_PAUSE: Duration = Duration::from_millis(20);

/// An open file.
pub(crate) struct Opened {
    /// The only connection to it that this owner has.
    pub(crate) connection: Connection,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Which it is.
    pub(crate) identity: Identity,
}

impl Opened {
    /// Opens the file of that name in `folder` and brings it to this version's schema. The errors say what to do.
    pub(crate) fn open(
        folder: &Path,
        name: &str,
        opening: Opening,
        schema: &Schema,
    ) -> Result<Self, StoreError> {
        let path = folder.join(name);
        let identity = file::prepare(folder, &path, opening.create)?;
        let until = Instant::now() + opening.patience;
        loop {
            match connect(&path, opening, schema) {
                // Whoever turns a new file to WAL locks out others without SQLite waiting for it.
                Err(StoreError::Locked { .. }) if Instant::now() < until => {
                    std::thread::sleep(LOCKED_PAUSE);
                }
                connected => {
                    return Ok(Self {
                        connection: connected?,
                        path,
                        identity,
                    });
                }
            }
        }
    }
}

fn connect(path: &Path, opening: Opening, schema: &Schema) -> Result<Connection, StoreError> {
    let told = |error| StoreError::of(error, path);
    // Without SQLITE_OPEN_CREATE: the file has been made, with the right mode.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(told)?;
    connection.busy_timeout(opening.patience).map_err(told)?;
    if schema.shrinks {
        // Means something only before the first table is there.
        connection
            .pragma_update(None, "auto_vacuum", "INCREMENTAL")
            .map_err(told)?;
    }
    schema::bring_up(&mut connection, path, schema)?;
    let synchronous = if opening.durable { "FULL" } else { "NORMAL" };
    connection
        .pragma_update(None, "synchronous", synchronous)
        .map_err(told)?;
    Ok(connection)
}

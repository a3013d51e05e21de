//! A file that is read, beside the gateway that writes it: nothing in it is changed, its schema neither.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};

use super::{PATIENCE, Sqlite, schema};
use crate::{
    ledger::{LedgerError, place::FILE},
    store::database::{Identity, StoreError, prepare},
};

/// After so many instructions of SQLite's machine it is looked whether the time is over; some microseconds.
const INSTRUCTIONS: i32 = 10_000;

impl Sqlite {
    /// Opens the file in `folder` to read, for as long as `limit`: what is asked of it then ends with an error.
    pub(in crate::ledger) fn read(folder: &Path, limit: Duration) -> Result<Self, LedgerError> {
        let path = folder.join(FILE);
        let identity = prepare(folder, &path, false)?;
        let connection = open(&path, identity, limit)?;
        Ok(Self {
            connection,
            path,
            identity,
            log: None,
            insert: String::new(),
        })
    }
}

fn open(path: &Path, identity: Identity, limit: Duration) -> Result<Connection, LedgerError> {
    let told = |error| StoreError::of(error, path);
    // To read a file with a log, SQLite writes into what is beside it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(told)?;
    connection.busy_timeout(PATIENCE).map_err(told)?;
    connection
        .pragma_update(None, "query_only", true)
        .map_err(told)?;
    if Identity::of(path).ok() != Some(identity) {
        return Err(LedgerError::Gone(path.to_owned()));
    }
    check(&connection, path)?;
    let until = Instant::now() + limit;
    connection
        .progress_handler(INSTRUCTIONS, Some(move || Instant::now() >= until))
        .map_err(told)?;
    Ok(connection)
}

/// Refuses what is not a ledger of this version.
fn check(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let told = |error| StoreError::of(error, path);
    // Both of one moment: a gateway may be making the file what it should be.
    let moment = connection.unchecked_transaction().map_err(told)?;
    let number = |query: &str| moment.query_row(query, [], |row| row.get::<_, u32>(0));
    let application = number("PRAGMA application_id").map_err(told)?;
    let found = number("PRAGMA user_version").map_err(told)?;
    let tables = number("SELECT count(*) FROM sqlite_schema").map_err(told)?;
    let path = path.to_owned();
    let known = schema::LEDGER.known();
    if (application, found, tables) == (0, 0, 0) {
        return Err(StoreError::Missing { path }.into());
    }
    if application != schema::LEDGER.application {
        return Err(StoreError::Foreign { path }.into());
    }
    match found {
        _ if found > known => Err(StoreError::Newer { path, found, known }.into()),
        _ if found < known => Err(LedgerError::Older { found, known }),
        _ => Ok(()),
    }
}

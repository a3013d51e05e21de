//! The tables, and how a file comes to have those of this version.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// `PRAGMA application_id`: "mlgt", by which `file` and other programs know whose it is.
const APPLICATION: u32 = 0x6d6c_6774;

/// What a file holds, and whose it is.
pub(crate) struct Schema {
    /// `PRAGMA application_id`.
    pub(crate) application: u32,
    /// From each schema to the next; `PRAGMA user_version` counts those that a file has had. Never change one that was
    /// released, only add.
    pub(crate) steps: &'static [&'static str],
    /// Whether pages that are given up can be given back to the disk.
    pub(crate) shrinks: bool,
}

impl Schema {
    /// The newest version.
    pub(crate) const fn known(&self) -> u32 {
        self.steps.len() as u32
    }
}

/// That of the store.
pub(super) const STORE: Schema = Schema {
    application: APPLICATION,
    steps: STEPS,
    shrinks: false,
};

const STEPS: &[&str] = &["
CREATE TABLE keys (
    hash    BLOB PRIMARY KEY CHECK (length(hash) = 32), -- SHA-256 of the key
    caller  TEXT NOT NULL,
    team    TEXT,
    tags    TEXT NOT NULL CHECK (json_valid(tags)),     -- array of strings
    meta    TEXT NOT NULL CHECK (json_valid(meta)),     -- object of strings
    models  TEXT CHECK (json_valid(models)),            -- array of globs; all models where null
    created INTEGER NOT NULL,                           -- this and what follows: seconds since the epoch
    expires INTEGER,
    rotated INTEGER,                                    -- when another key took its place
    revoked INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX keys_by_caller ON keys (caller);

CREATE TABLE tallies (
    key      TEXT PRIMARY KEY,
    amount   INTEGER NOT NULL,
    revision INTEGER NOT NULL, -- the number of the last write to it, as counted in revisions
    changed  INTEGER NOT NULL  -- seconds since the epoch, never going back
) STRICT, WITHOUT ROWID;
CREATE INDEX tallies_by_revision ON tallies (revision);
CREATE INDEX tallies_by_change ON tallies (changed);

-- By which a process finds out what others have changed.
CREATE TABLE revisions (
    of     TEXT PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO revisions VALUES ('keys', 0), ('tallies', 0);
CREATE TRIGGER keys_inserted AFTER INSERT ON keys BEGIN UPDATE revisions SET number = number + 1 WHERE of = 'keys'; END;
CREATE TRIGGER keys_updated AFTER UPDATE ON keys BEGIN UPDATE revisions SET number = number + 1 WHERE of = 'keys'; END;
CREATE TRIGGER keys_deleted AFTER DELETE ON keys BEGIN UPDATE revisions SET number = number + 1 WHERE of = 'keys'; END;
"];

/// Refuses what is not ours or newer than this version, and takes the steps that are missing. Several processes may
/// do so at once.
pub(super) fn bring_up(
    connection: &mut Connection,
    path: &Path,
    schema: &Schema,
) -> Result<(), StoreError> {
    let told = |error| StoreError::of(error, path);
    refuse_others(connection, path, schema)?;
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(told)?;
    if mode != "wal" {
        tracing::warn!(path = %path.display(), mode, "the file is not in WAL mode: its writers wait for readers");
    }
    if known_version(connection).map_err(told)? == schema.known() {
        return Ok(());
    }
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(told)?;
    // Another process may have been here in the meantime.
    let version = known_version(&transaction).map_err(told)?;
    let missing = schema
        .steps
        .get(version as usize..)
        .ok_or_else(|| newer(path, version, schema))?;
    for step in missing {
        transaction.execute_batch(step).map_err(told)?;
    }
    transaction
        .pragma_update(None, "application_id", schema.application)
        .and_then(|()| transaction.pragma_update(None, "user_version", schema.known()))
        .and_then(|()| transaction.commit())
        .map_err(told)
}

fn refuse_others(connection: &Connection, path: &Path, schema: &Schema) -> Result<(), StoreError> {
    let told = |error| StoreError::of(error, path);
    // All of one moment: another process may be making the file what it should be.
    let moment = connection.unchecked_transaction().map_err(told)?;
    let number = |query: &str| moment.query_row(query, [], |row| row.get::<_, u32>(0));
    let application = number("PRAGMA application_id").map_err(told)?;
    let tables = number("SELECT count(*) FROM sqlite_schema").map_err(told)?;
    let version = known_version(&moment).map_err(told)?;
    drop(moment);
    if application != schema.application && (application != 0 || version != 0 || tables != 0) {
        let path = path.to_owned();
        return Err(StoreError::Foreign { path });
    }
    if version > schema.known() {
        return Err(newer(path, version, schema));
    }
    Ok(())
}

fn known_version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn newer(path: &Path, found: u32, schema: &Schema) -> StoreError {
    StoreError::Newer {
        path: path.to_owned(),
        found,
        known: schema.known(),
    }
}

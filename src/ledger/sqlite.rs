//! The ledger in a file of SQLite.

mod reading;
mod schema;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};
use uuid::Uuid;

use super::{
    LedgerError,
    backend::{Backend, CHUNK},
    capture::Sealed,
    clock::Believed,
    place::FILE,
    row::{COLUMNS, Row, millis, time},
    usage::{By, NUMBERS, UsageRow, query, usage_row},
};
use crate::{
    calendar,
    store::database::{Identity, Opened, Opening, StoreError},
};

/// How long others who write are waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The log beside a file (`-wal`) is cut to this size once it has been written into the file; so much of the size that a
/// ledger may have is kept for it, or a quarter, where that is less.
const LOG_SIZE: u64 = 8 << 20;

/// Pages that are given back to the disk at a time.
const PAGES: i64 = 4096;

/// The open file.
pub(super) struct Sqlite {
    connection: Connection,
    path: PathBuf,
    identity: Identity,
    /// The log beside it, once there is one.
    log: Option<Identity>,
    insert: String,
}

impl Sqlite {
    /// Opens the file in `folder` to write. What is not there is made, the folder too where `is_first`: later it may be away
    /// for a while only. A damaged file is moved aside and a new one begun.
    pub(super) fn open(folder: &Path, is_first: bool) -> Result<Self, LedgerError> {
        let create = is_first || folder.is_dir();
        let opening = Opening {
            create,
            patience: PATIENCE,
            durable: false,
        };
        let path = folder.join(FILE);
        let before = Identity::of(&path).ok();
        let opened = match Opened::open(folder, FILE, opening, &schema::LEDGER) {
            Err(StoreError::Damaged { error, .. })
                if create && before.is_some() && Identity::of(&path).ok() == before =>
            {
                let error = error.to_string();
                move_aside(&path, &error).map_err(|error| StoreError::File { path, error })?;
                Opened::open(folder, FILE, opening, &schema::LEDGER)?
            }
            opened => opened?,
        };
        let places = vec!["?"; COLUMNS.split(',').count()].join(", ");
        let sqlite = Self {
            connection: opened.connection,
            path: opened.path,
            identity: opened.identity,
            log: None,
            insert: format!(
                "INSERT INTO exchanges ({COLUMNS}) VALUES ({places}) ON CONFLICT (id) DO NOTHING"
            ),
        };
        let limit = sqlite.connection.pragma_update_and_check(
            None,
            "journal_size_limit",
            LOG_SIZE.cast_signed(),
            |_| Ok(()),
        );
        limit.map_err(|error| sqlite.error(error))?;
        Ok(sqlite)
    }

    fn error(&self, error: rusqlite::Error) -> LedgerError {
        if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
            return LedgerError::Long;
        }
        StoreError::of(error, &self.path).into()
    }

    /// Whether the file and its log are still those that were opened, and something is in the file: SQLite itself goes on with
    /// files that nobody can find any more.
    fn check(&self) -> Result<(), LedgerError> {
        let is_whole = Identity::of(&self.path).ok() == Some(self.identity)
            && fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() > 0);
        let has_log = self.log.is_none() || Identity::of(&self.log_path()).ok() == self.log;
        if is_whole && has_log {
            return Ok(());
        }
        Err(LedgerError::Gone(self.path.clone()))
    }

    fn log_path(&self) -> PathBuf {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        log.into()
    }

    fn number(&self, pragma: &str) -> rusqlite::Result<i64> {
        self.connection
            .pragma_query_value(None, pragma, |row| row.get(0))
    }

    /// Bytes of the pages that something is on.
    fn used(&self) -> rusqlite::Result<u64> {
        let pages = self.number("page_count")? - self.number("freelist_count")?;
        Ok((pages * self.number("page_size")?).max(0).cast_unsigned())
    }

    /// Bytes of the log beside the file.
    fn log_size(&self) -> u64 {
        fs::metadata(self.log_path()).map_or(0, |metadata| metadata.len())
    }

    /// Writes the log into the file and cuts it. Not while others read: nobody is waited for.
    fn cut_log(&self) -> rusqlite::Result<()> {
        self.connection.busy_timeout(Duration::ZERO)?;
        let cut = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        self.connection.busy_timeout(PATIENCE)?;
        cut
    }

    fn insert(&mut self, rows: &[Row], sealed: &[(Uuid, Sealed)]) -> rusqlite::Result<()> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut insert = transaction.prepare(&self.insert)?;
        for row in rows {
            insert.execute(params![
                row.id.to_string(),
                millis(row.time),
                row.request_id,
                row.caller,
                row.team,
                row.ticket,
                row.method,
                row.endpoint,
                row.route,
                row.asked,
                row.model,
                row.provider,
                row.attempts,
                row.status,
                row.outcome,
                row.error,
                row.cache,
                row.shared,
                row.stream,
                row.input,
                row.output,
                row.cached,
                row.reasoning,
                row.estimated,
                row.cost,
                row.saved,
                row.total,
                row.reading,
                row.upstream,
                row.first,
                row.overhead,
                row.request_bytes,
                row.bytes,
            ])?;
        }
        drop(insert);
        for (id, sealed) in sealed {
            transaction.execute(
                "INSERT INTO captured (id, key, content) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING",
                params![id.to_string(), sealed.key, sealed.content],
            )?;
        }
        transaction.commit()
    }

    fn delete(&mut self, condition: &str, number: i64) -> rusqlite::Result<usize> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let chosen = format!("SELECT id FROM exchanges {condition} ORDER BY time LIMIT ?");
        transaction.execute(
            &format!("DELETE FROM captured WHERE id IN ({chosen})"),
            [number],
        )?;
        let deleted = transaction.execute(
            &format!("DELETE FROM exchanges WHERE id IN ({chosen})"),
            [number],
        )?;
        transaction.commit()?;
        Ok(deleted)
    }

    /// Gives pages that nothing is on back to the disk. True where there are more.
    fn shrink(&self) -> rusqlite::Result<bool> {
        let mut statement = self
            .connection
            .prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        // The file itself shrinks when the log is written into it.
        self.connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        Ok(self.number("freelist_count")? > 0)
    }

    fn prune_some(&mut self, cut: SystemTime, max_size: u64) -> rusqlite::Result<bool> {
        let before = format!("WHERE time < {}", millis(cut));
        let mut deleted = self.delete(&before, CHUNK)?;
        let (for_rows, for_log) = shares(max_size);
        if deleted == 0 && self.log_size() > for_log {
            self.cut_log()?;
        }
        if deleted == 0 && self.used()? > for_rows {
            deleted = self.delete("", CHUNK / 2)?;
        }
        let (pages, free) = (self.number("page_count")?, self.number("freelist_count")?);
        // A few are kept for the rows to come.
        let is_loose = free > pages / 10 && free > 64;
        let has_more = (deleted > 0 || is_loose) && self.shrink()?;
        Ok(has_more || deleted > 0)
    }
}

impl Backend for Sqlite {
    fn write(&mut self, rows: &[Row], sealed: &[(Uuid, Sealed)]) -> Result<(), LedgerError> {
        self.check()?;
        self.insert(rows, sealed)
            .map_err(|error| self.error(error))?;
        self.log = self.log.or_else(|| Identity::of(&self.log_path()).ok());
        Ok(())
    }

    fn prune(&mut self, cut: SystemTime, max_size: u64) -> Result<bool, LedgerError> {
        self.check()?;
        self.prune_some(cut, max_size)
            .map_err(|error| self.error(error))
    }

    fn is_larger(&mut self, max_size: u64) -> bool {
        let (for_rows, for_log) = shares(max_size);
        self.used().is_ok_and(|used| used > for_rows) || self.log_size() > for_log
    }

    fn known_time(&mut self) -> Result<Option<Believed>, LedgerError> {
        let known = "SELECT coalesce((SELECT time FROM believed), (SELECT max(time) FROM exchanges)), \
                     coalesce((SELECT running FROM believed), 0), (SELECT least FROM believed)";
        let known = self.connection.query_row(known, [], |row| {
            let (running, least): (_, Option<String>) = (row.get(1)?, row.get(2)?);
            Ok(row.get::<_, Option<i64>>(0)?.map(|latest| Believed {
                time: time(latest),
                running,
                least: Believed::read_least(least.as_deref()),
            }))
        });
        known.map_err(|error| self.error(error))
    }

    fn note_time(&mut self, believed: &Believed) -> Result<(), LedgerError> {
        let note = "INSERT INTO believed (one, time, running, least) VALUES (1, ?, ?, ?) \
                    ON CONFLICT (one) DO UPDATE SET time = excluded.time, running = excluded.running, least = excluded.least";
        let noted = self.connection.execute(
            note,
            params![
                millis(believed.time),
                believed.running,
                believed.least_text()
            ],
        );
        noted.map_err(|error| self.error(error))?;
        Ok(())
    }

    fn usage(
        &mut self,
        since: SystemTime,
        until: SystemTime,
        by: By,
    ) -> Result<Vec<UsageRow>, LedgerError> {
        let day = "strftime('%Y-%m-%d', time / 1000, 'unixepoch')";
        let read = || -> rusqlite::Result<Vec<UsageRow>> {
            let mut sums = self
                .connection
                .prepare(&query(by, day, "exchanges", "?1", "?2"))?;
            let rows = sums.query_map([millis(since), millis(until)], |row| {
                let mut numbers = [None; NUMBERS];
                for (at, number) in numbers.iter_mut().enumerate() {
                    *number = row.get(at + 1)?;
                }
                Ok(usage_row(row.get(0)?, &numbers))
            })?;
            rows.collect()
        };
        read().map_err(|error| self.error(error))
    }

    #[cfg(test)]
    fn limit_pages(&self, pages: u32) {
        let limited =
            self.connection
                .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()));
        limited.unwrap();
    }

    fn captured(&mut self, id: Uuid) -> Result<Option<Sealed>, LedgerError> {
        let read = "SELECT key, content FROM captured WHERE id = ?";
        let sealed = self
            .connection
            .query_row(read, [id.to_string()], |row| {
                Ok(Sealed {
                    key: row.get(0)?,
                    content: row.get(1)?,
                })
            })
            .optional();
        sealed.map_err(|error| self.error(error))
    }
}

/// How much of the size that a ledger may have is for its rows, and how much for the log beside it.
fn shares(max_size: u64) -> (u64, u64) {
    let for_log = LOG_SIZE.min(max_size / 4);
    (max_size - for_log, for_log)
}

/// Gives a damaged file, and those beside it, another name.
fn move_aside(path: &Path, error: &str) -> std::io::Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = calendar::timestamp(now.unwrap_or_default().as_secs()).replace([':', '-'], "");
    let aside = format!("{}.corrupt-{now}", path.display());
    fs::rename(path, &aside)?;
    for beside in ["-wal", "-shm"] {
        // They need not be there.
        let _ = fs::rename(
            format!("{}{beside}", path.display()),
            format!("{aside}{beside}"),
        );
    }
    tracing::error!(
        error,
        aside,
        "the ledger is damaged: it was moved aside and a new one begun; to save its rows: sqlite3 FILE .recover"
    );
    Ok(())
}

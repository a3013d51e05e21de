//! Sums on disk.

use std::time::{Duration, SystemTime};

use rusqlite::{Connection, params};

use super::{Database, StoreError, seconds};
use crate::store::tallies::Increment;

/// A sum that nobody has added to for so long is given up: the longest period of a budget, a month, is over.
pub(in crate::store) const KEPT: Duration = Duration::from_hours(40 * 24);

/// How far the sums of the store have been read: those with a later revision are news.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Mark(i64);

/// Keys, and what the store holds under each.
pub(in crate::store) type Sums = Vec<(Box<str>, i64)>;

/// What a write has found and left.
#[derive(Debug, Default)]
pub(in crate::store) struct Written {
    /// What others had added before.
    pub news: Sums,
    /// What there is now under each key that was written, in their order.
    pub stored: Vec<i64>,
    /// All of which is known now.
    pub mark: Mark,
}

impl Database {
    /// Sums written by anybody since `mark`, and the mark after them.
    pub(in crate::store) fn tallies_since(
        &mut self,
        mark: Mark,
    ) -> Result<(Sums, Mark), StoreError> {
        let read = self.connection.transaction().and_then(|transaction| {
            let number = "SELECT number FROM revisions WHERE of = 'tallies'";
            let number = transaction.query_row(number, [], |row| row.get(0))?;
            Ok((since(&transaction, mark)?, Mark(number)))
        });
        read.map_err(|error| self.error(error))
    }

    /// Adds increments, all or none of them.
    pub(in crate::store) fn add(
        &mut self,
        increments: &[Increment],
        mark: Mark,
        now: SystemTime,
    ) -> Result<Written, StoreError> {
        let now = seconds(now);
        self.transact(|transaction| {
            let news = since(transaction, mark)?;
            let revision: i64 = transaction.query_row(
                "UPDATE revisions SET number = number + 1 WHERE of = 'tallies' RETURNING number",
                [],
                |row| row.get(0),
            )?;
            let mut add = transaction.prepare(
                "INSERT INTO tallies (key, amount, revision, changed) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (key) DO UPDATE SET
                     -- A sum past 64 bits stays at their end: one bad row must not hold up the others.
                     amount = CASE typeof(amount + excluded.amount) WHEN 'integer' THEN amount + excluded.amount
                         ELSE iif(amount > 0, 9223372036854775807, -9223372036854775807 - 1) END,
                     revision = excluded.revision, changed = max(changed, excluded.changed)
                 RETURNING amount",
            )?;
            let stored = increments.iter().map(|increment| {
                let row = params![increment.key(), increment.amount(), revision, now];
                add.query_row(row, |row| row.get(0))
            });
            Ok(Written {
                news,
                stored: stored.collect::<rusqlite::Result<_>>()?,
                mark: Mark(revision),
            })
        })
    }

    /// Gives up the sums that nobody has added to for [`KEPT`]: their keys.
    pub(in crate::store) fn prune_tallies(
        &mut self,
        now: SystemTime,
    ) -> Result<Vec<Box<str>>, StoreError> {
        let before = seconds(now).saturating_sub_unsigned(KEPT.as_secs());
        self.transact(|transaction| {
            let mut delete =
                transaction.prepare("DELETE FROM tallies WHERE changed < ?1 RETURNING key")?;
            let keys = delete.query_map([before], |row| row.get(0))?;
            keys.collect()
        })
    }
}

fn since(connection: &Connection, mark: Mark) -> rusqlite::Result<Sums> {
    let mut read = connection.prepare("SELECT key, amount FROM tallies WHERE revision > ?1")?;
    let rows = read.query_map([mark.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

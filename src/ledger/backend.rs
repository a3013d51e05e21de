//! What a database has to do for the ledger.

use std::time::SystemTime;

use uuid::Uuid;

use super::{
    LedgerError,
    capture::Sealed,
    clock::Believed,
    row::Row,
    usage::{By, UsageRow},
};

#[cfg(any(feature = "sqlite", feature = "postgres"))]
/// So many rows are deleted at a time, so that writing does not wait long.
pub(super) const CHUNK: i64 = 2000;

/// What it is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To write, for the first time: what is not there is made.
    Begin,
    /// To write again after a failure.
    Resume,
    /// To read what is there, which changes nothing.
    Read,
}

/// A database that is open. Everything here blocks.
pub(super) trait Backend: Send {
    /// Writes rows, and what was captured of them, all or none. Those that it has already are left as they are.
    fn write(&mut self, rows: &[Row], sealed: &[(Uuid, Sealed)]) -> Result<(), LedgerError>;

    /// Deletes up to [`CHUNK`] of the rows before `cut`, or of the oldest where the ledger is larger than `max_size`
    /// bytes. True where there may be more to delete.
    fn prune(&mut self, cut: SystemTime, max_size: u64) -> Result<bool, LedgerError>;

    /// Whether it is known, without much ado, to be larger than that.
    fn is_larger(&mut self, _max_size: u64) -> bool {
        false
    }

    /// What [`note_time`](Self::note_time) was told last; where it was never told anything, the time of the latest row.
    fn known_time(&mut self) -> Result<Option<Believed>, LedgerError>;

    /// Notes what is believed of the time.
    fn note_time(&mut self, believed: &Believed) -> Result<(), LedgerError>;

    /// Sums of the rows from `since` to before `until`, by a key.
    fn usage(
        &mut self,
        since: SystemTime,
        until: SystemTime,
        by: By,
    ) -> Result<Vec<UsageRow>, LedgerError>;

    /// Makes the disk as full as a test wants it.
    #[cfg(test)]
    fn limit_pages(&self, _pages: u32) {}

    /// What was captured of an exchange.
    fn captured(&mut self, id: Uuid) -> Result<Option<Sealed>, LedgerError>;
}

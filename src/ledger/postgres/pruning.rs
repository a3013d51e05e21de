//! Deleting rows that are old or too many.

use std::time::SystemTime;

use tokio_postgres::{Client, Error, Transaction, types::ToSql};

use crate::ledger::backend::CHUNK;

/// "mlgtprun": whoever has this lock deletes, so that gateways do not all do so at once.
const PRUNING: i64 = 0x6d6c_6774_7072_756e;

/// So many pages of a table are looked at to know how many rows it has and how large they are.
const SAMPLE: f64 = 1000.0;

/// What a row takes beside its own columns: its head, its share of the indexes, pages that are not full.
const BESIDE_A_ROW: f64 = 160.0;
const BESIDE_CONTENT: f64 = 90.0;

/// What has become of it.
#[derive(Default)]
pub(super) struct Pruned {
    /// Whether there may be more to delete at once.
    pub(super) has_more: bool,
    /// So many of the oldest rows are still too many.
    pub(super) surplus: i64,
}

/// Deletes a chunk of the rows before `cut`; where there are none, of the oldest, as long as there are too many. `surplus`: how
/// many those are, as far as known from the last time.
pub(super) async fn prune(
    client: &mut Client,
    cut: SystemTime,
    max_size: u64,
    surplus: i64,
) -> Result<Pruned, Error> {
    let transaction = client.transaction().await?;
    let lock = "SELECT pg_try_advisory_xact_lock($1)";
    let is_ours: bool = transaction.query_one(lock, &[&PRUNING]).await?.get(0);
    if !is_ours {
        return Ok(Pruned::default());
    }
    let old = delete(&transaction, "WHERE time < $1", &[&cut], CHUNK).await?;
    if old > 0 {
        transaction.commit().await?;
        return Ok(Pruned {
            has_more: true,
            surplus: 0,
        });
    }
    let surplus = match surplus {
        0 => too_many(&transaction, max_size).await?,
        known => known,
    };
    if surplus <= 0 {
        return Ok(Pruned::default());
    }
    let deleted = delete(&transaction, "", &[], surplus.min(CHUNK)).await?;
    transaction.commit().await?;
    let surplus = if deleted == 0 {
        0
    } else {
        (surplus - deleted).max(0)
    };
    Ok(Pruned {
        has_more: surplus > 0,
        surplus,
    })
}

async fn delete(
    transaction: &Transaction<'_>,
    condition: &str,
    before: &[&(dyn ToSql + Sync)],
    number: i64,
) -> Result<i64, Error> {
    let delete = format!(
        "WITH chosen AS (DELETE FROM millgate_exchanges WHERE id IN \
         (SELECT id FROM millgate_exchanges {condition} ORDER BY time LIMIT {number}) RETURNING id), \
         content AS (DELETE FROM millgate_captured WHERE id IN (SELECT id FROM chosen)) SELECT count(*) FROM chosen"
    );
    Ok(transaction.query_one(&delete, before).await?.get(0))
}

/// How many rows are too many, as far as a sample tells. The tables do not shrink when rows are deleted: by their size alone
/// rows would be deleted to the last; it tells only where there is nothing to do.
async fn too_many(transaction: &Transaction<'_>, max_size: u64) -> Result<i64, Error> {
    let size = "SELECT (pg_total_relation_size('millgate_exchanges') + pg_total_relation_size('millgate_captured'))::int8";
    let size: i64 = transaction.query_one(size, &[]).await?.get(0);
    if size.cast_unsigned() <= max_size {
        return Ok(0);
    }
    let (rows, mean) = sample(transaction, "millgate_exchanges", "millgate_exchanges.*").await?;
    let (contents, mean_content) = sample(transaction, "millgate_captured", "content").await?;
    let used = rows * (mean + BESIDE_A_ROW) + contents * (mean_content + BESIDE_CONTENT);
    let over = (used - max_size as f64) / used.max(1.0);
    Ok((rows * over.max(0.0)).ceil() as i64)
}

/// How many rows a table has, and the mean size of this of a row: exactly of a small table, of a large one from some of its pages.
async fn sample(
    transaction: &Transaction<'_>,
    table: &str,
    what: &str,
) -> Result<(f64, f64), Error> {
    let pages = format!(
        "SELECT (pg_relation_size('{table}') / current_setting('block_size')::int8)::float8"
    );
    let pages: f64 = transaction.query_one(&pages, &[]).await?.get(0);
    let percent = (100.0 * SAMPLE / pages.max(1.0)).min(100.0);
    let rows = format!(
        "SELECT count(*)::float8, coalesce(avg(pg_column_size({what})), 0)::float8 \
         FROM {table} TABLESAMPLE SYSTEM ({percent})"
    );
    let row = transaction.query_one(&rows, &[]).await?;
    let (seen, mean): (f64, f64) = (row.get(0), row.get(1));
    Ok((seen * 100.0 / percent, mean))
}

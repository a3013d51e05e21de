//! The ledger in a `PostgreSQL` server, which several gateways may share.
//!
//! The thread of the ledger has a runtime of its own for it, which runs while the thread waits for an answer. Whatever the
//! server or the network do, no wait is longer than 15 seconds.

mod connection;
mod pruning;
mod schema;

use std::{path::Path, time::SystemTime};

use tokio::runtime::Runtime;
use tokio_postgres::{Client, Error, Transaction};
use uuid::Uuid;

use self::connection::answer;
pub(crate) use self::connection::check_url;
use super::{
    LedgerError,
    backend::{Backend, Purpose},
    capture::Sealed,
    clock::Believed,
    row::{COLUMNS, Row},
    usage::{By, NUMBERS, UsageRow, query, usage_row},
};
use crate::config::Secret;

/// An open connection.
pub(super) struct Postgres {
    runtime: Runtime,
    client: Client,
    insert: String,
    /// So many of the oldest rows are still to be deleted, because the ledger is too large.
    surplus: i64,
}

impl Postgres {
    /// Connects, and brings the tables to this version's schema; to read, nothing is changed, and they have to be of it.
    pub(super) fn connect(
        url: &Secret,
        ca_file: Option<&Path>,
        purpose: Purpose,
    ) -> Result<Self, LedgerError> {
        let (runtime, client) =
            with_runtime(|runtime| connection::open(runtime, url, ca_file, purpose))?;
        let places: Vec<_> = TYPES
            .iter()
            .enumerate()
            .map(|(at, of)| format!("${}::{of}[]", at + 1))
            .collect();
        let insert = format!(
            "INSERT INTO millgate_exchanges ({COLUMNS}) SELECT * FROM unnest({}) ON CONFLICT (id) DO NOTHING",
            places.join(", ")
        );
        let mut postgres = Self {
            runtime,
            client,
            insert,
            surplus: 0,
        };
        postgres.bring_up(purpose)?;
        Ok(postgres)
    }

    fn bring_up(&mut self, purpose: Purpose) -> Result<(), LedgerError> {
        let found = if purpose == Purpose::Read {
            let found = answer(&self.runtime, schema::version(&self.client))?;
            found.ok_or(LedgerError::Missing)?
        } else {
            answer(&self.runtime, schema::bring_up(&mut self.client))?
        };
        let found = u32::try_from(found).unwrap_or_default();
        let known = schema::STEPS.len() as u32;
        if found > known {
            return Err(LedgerError::Newer { found, known });
        }
        if found < known {
            return Err(LedgerError::Older { found, known });
        }
        Ok(())
    }
}

/// Begins work in a runtime of its own. Where it fails nothing more is waited for: a system that still looks for a host's address
/// may take its time, and the runtime would wait for it to end.
fn with_runtime<T>(
    work: impl FnOnce(&Runtime) -> Result<T, LedgerError>,
) -> Result<(Runtime, T), LedgerError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| LedgerError::Server(error.to_string()))?;
    match work(&runtime) {
        Ok(done) => Ok((runtime, done)),
        Err(error) => {
            runtime.shutdown_background();
            Err(error)
        }
    }
}

/// The types of the columns, in their order.
const TYPES: [&str; 33] = [
    "uuid",
    "timestamptz",
    "text",
    "text",
    "text",
    "text",
    "text",
    "text",
    "text",
    "text",
    "text",
    "text",
    "int8",
    "int8",
    "text",
    "text",
    "text",
    "bool",
    "bool",
    "int8",
    "int8",
    "int8",
    "int8",
    "bool",
    "int8",
    "int8",
    "int8",
    "int8",
    "int8",
    "int8",
    "int8",
    "int8",
    "int8",
];

/// One column of all rows: a batch is one statement, whatever its length.
macro_rules! column {
    ($rows:ident, $field:ident) => {
        &$rows.iter().map(|row| &row.$field).collect::<Vec<_>>()
    };
    ($rows:ident, $field:ident as text) => {
        &$rows.iter().map(|row| &*row.$field).collect::<Vec<&str>>()
    };
    ($rows:ident, $field:ident as option) => {
        &$rows
            .iter()
            .map(|row| row.$field.as_deref())
            .collect::<Vec<Option<&str>>>()
    };
}

async fn insert(transaction: &Transaction<'_>, statement: &str, rows: &[Row]) -> Result<(), Error> {
    transaction
        .execute(
            statement,
            &[
                column!(rows, id),
                column!(rows, time),
                column!(rows, request_id as text),
                column!(rows, caller as text),
                column!(rows, team as option),
                column!(rows, ticket as option),
                column!(rows, method as text),
                column!(rows, endpoint),
                column!(rows, route as option),
                column!(rows, asked as option),
                column!(rows, model as option),
                column!(rows, provider as option),
                column!(rows, attempts),
                column!(rows, status),
                column!(rows, outcome),
                column!(rows, error as option),
                column!(rows, cache),
                column!(rows, shared),
                column!(rows, stream),
                column!(rows, input),
                column!(rows, output),
                column!(rows, cached),
                column!(rows, reasoning),
                column!(rows, estimated),
                column!(rows, cost),
                column!(rows, saved),
                column!(rows, total),
                column!(rows, reading),
                column!(rows, upstream),
                column!(rows, first),
                column!(rows, overhead),
                column!(rows, request_bytes),
                column!(rows, bytes),
            ],
        )
        .await?;
    Ok(())
}

async fn insert_sealed(
    transaction: &Transaction<'_>,
    sealed: &[(Uuid, Sealed)],
) -> Result<(), Error> {
    if sealed.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = sealed.iter().map(|(id, _)| id).collect();
    let keys: Vec<_> = sealed.iter().map(|(_, sealed)| &*sealed.key).collect();
    let contents: Vec<_> = sealed.iter().map(|(_, sealed)| &*sealed.content).collect();
    transaction
        .execute(
            "INSERT INTO millgate_captured (id, key, content) SELECT * FROM unnest($1::uuid[], $2::text[], $3::bytea[]) \
             ON CONFLICT (id) DO NOTHING",
            &[&ids, &keys, &contents],
        )
        .await?;
    Ok(())
}

impl Backend for Postgres {
    fn write(&mut self, rows: &[Row], sealed: &[(Uuid, Sealed)]) -> Result<(), LedgerError> {
        let (client, statement) = (&mut self.client, &self.insert);
        let work = async {
            let transaction = client.transaction().await?;
            insert(&transaction, statement, rows).await?;
            insert_sealed(&transaction, sealed).await?;
            transaction.commit().await
        };
        answer(&self.runtime, work)
    }

    fn prune(&mut self, cut: SystemTime, max_size: u64) -> Result<bool, LedgerError> {
        let (client, surplus) = (&mut self.client, self.surplus);
        let work = pruning::prune(client, cut, max_size, surplus);
        let pruned = answer(&self.runtime, work)?;
        self.surplus = pruned.surplus;
        Ok(pruned.has_more)
    }

    fn known_time(&mut self) -> Result<Option<Believed>, LedgerError> {
        let known = "SELECT coalesce((SELECT time FROM millgate_believed), (SELECT max(time) FROM millgate_exchanges)), \
                     coalesce((SELECT running FROM millgate_believed), 0), (SELECT least FROM millgate_believed)";
        let row = answer(&self.runtime, self.client.query_one(known, &[]))?;
        let time: Option<SystemTime> = row.get(0);
        Ok(time.map(|time| Believed {
            time,
            running: row.get(1),
            least: Believed::read_least(row.get(2)),
        }))
    }

    fn note_time(&mut self, believed: &Believed) -> Result<(), LedgerError> {
        let note = "INSERT INTO millgate_believed (one, time, running, least) VALUES (1, $1, $2, $3) \
                    ON CONFLICT (one) DO UPDATE SET time = excluded.time, running = excluded.running, least = excluded.least";
        let (client, least) = (&self.client, believed.least_text());
        let work = async {
            client
                .execute(note, &[&believed.time, &believed.running, &least])
                .await
        };
        answer(&self.runtime, work)?;
        Ok(())
    }

    fn usage(
        &mut self,
        since: SystemTime,
        until: SystemTime,
        by: By,
    ) -> Result<Vec<UsageRow>, LedgerError> {
        let day = "to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD')";
        let query = query(by, day, "millgate_exchanges", "$1", "$2");
        let rows = answer(&self.runtime, self.client.query(&query, &[&since, &until]))?;
        let row = |row: &tokio_postgres::Row| {
            let mut numbers = [None; NUMBERS];
            for (at, number) in numbers.iter_mut().enumerate() {
                *number = row.get(at + 1);
            }
            usage_row(row.get(0), &numbers)
        };
        Ok(rows.iter().map(row).collect())
    }

    fn captured(&mut self, id: Uuid) -> Result<Option<Sealed>, LedgerError> {
        let read = "SELECT key, content FROM millgate_captured WHERE id = $1";
        let row = answer(&self.runtime, self.client.query_opt(read, &[&id]))?;
        Ok(row.map(|row| Sealed {
            key: row.get(0),
            content: row.get(1),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc::channel, time::Duration};

    use super::*;

    #[test]
    fn a_look_up_that_does_not_end_is_not_waited_for() {
        let (end, ended) = channel::<()>();
        let (fail, failed) = channel();
        std::thread::spawn(move || {
            let begun: Result<(_, ()), _> = with_runtime(|runtime| {
                runtime.spawn_blocking(move || ended.recv());
                Err(LedgerError::Silent)
            });
            fail.send(begun.is_err())
        });
        assert_eq!(failed.recv_timeout(Duration::from_secs(10)), Ok(true));
        drop(end);
    }
}

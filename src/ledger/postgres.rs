//! The ledger in a `PostgreSQL` server, which several gateways may share.
//!
//! The thread of the ledger has a runtime of its own for it, which runs while the thread waits for an answer. Whatever the
//! server or the network do, no wait is longer than [`ANSWER`].

mod schema;

use std::{
    future::Future,
    path::Path,
    time::{Duration, SystemTime},
};

use tokio::runtime::Runtime;
use tokio_postgres::{Client, Config, Error, Transaction, config::SslMode, error::SqlState};
use tokio_postgres_rustls::MakeRustlsConnect;
use uuid::Uuid;

use super::{
    LedgerError,
    backend::{Backend, CHUNK},
    capture::Sealed,
    row::{COLUMNS, Row},
    usage::{By, UsageRow, query, usage_row},
};
use crate::{config::Secret, routing::transport::tls_config};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a statement may take, by the server's clock and, a little later, by ours.
const STATEMENT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(15);

/// How long a lock is waited for: less than a statement may take, so that others who are in the way can be told from work
/// that is too much.
const LOCK: Duration = Duration::from_secs(5);

/// "mlgtprun": whoever has this lock deletes, so that gateways do not all do so at once.
const PRUNING: i64 = 0x6d6c_6774_7072_756e;

/// An open connection.
pub(super) struct Postgres {
    runtime: Runtime,
    client: Client,
    insert: String,
}

/// Says what is wrong with a URL, without it.
pub(crate) fn check_url(url: &str) -> Result<(), String> {
    config_of(url).map(|_| ())
}

fn config_of(url: &str) -> Result<Config, String> {
    // Certificates are always verified where TLS is spoken: the words for that mean nothing more here.
    let url = url
        .trim()
        .replace("sslmode=verify-full", "sslmode=require")
        .replace("sslmode=verify-ca", "sslmode=require");
    let mut config: Config = url
        .parse()
        .map_err(|error: Error| format!("this URL cannot be understood: {}", words(&error)))?;
    if config.get_hosts().is_empty() {
        return Err("this URL names no host".to_owned());
    }
    config
        .connect_timeout(CONNECT)
        .keepalives_idle(Duration::from_secs(30))
        .application_name("millgate");
    Ok(config)
}

/// An error with its causes, in one line.
fn words(error: &Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("{} ({})", error.message(), error.code().code());
    }
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

fn told(error: &Error) -> LedgerError {
    let Some(code) = error.code() else {
        return LedgerError::Server(words(error));
    };
    if *code == SqlState::DISK_FULL {
        return LedgerError::Full(words(error));
    }
    if *code == SqlState::QUERY_CANCELED {
        return LedgerError::Slow(words(error));
    }
    // What a server says need not be what one says.
    match code.code().get(..2).unwrap_or_default() {
        // Data that the server cannot hold, or a constraint.
        "22" | "23" => LedgerError::Row(words(error)),
        "54" => LedgerError::TooMuch(words(error)),
        _ if *code == SqlState::OUT_OF_MEMORY => LedgerError::TooMuch(words(error)),
        _ if *code == SqlState::LOCK_NOT_AVAILABLE => LedgerError::Busy(words(error)),
        // Resources, transactions of others, the system: all that may pass.
        "53" | "40" | "58" => LedgerError::Busy(words(error)),
        // The connection, an operator who ends the server.
        "08" | "57" => LedgerError::Server(words(error)),
        _ => LedgerError::Refused(words(error)),
    }
}

impl Postgres {
    /// Connects and brings the tables to this version's schema.
    #[expect(
        clippy::disallowed_methods,
        reason = "the runtime is the connection's own, and ends with it"
    )]
    pub(super) fn connect(url: &Secret, ca_file: Option<&Path>) -> Result<Self, LedgerError> {
        let config = config_of(url.expose()).map_err(LedgerError::Server)?;
        let needs_tls = config.get_ssl_mode() != SslMode::Disable;
        let tls = tls_config(needs_tls, ca_file).map_err(LedgerError::Server)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| LedgerError::Server(error.to_string()))?;
        let connect = async {
            let (client, connection) = config.connect(MakeRustlsConnect::new(tls)).await?;
            // It ends with the client; why it ended, the client's next call says.
            tokio::spawn(async { drop(connection.await) });
            let statement = STATEMENT.as_millis();
            let limits = format!(
                "SET statement_timeout = {statement}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {}",
                LOCK.as_millis(),
                2 * statement
            );
            client.batch_execute(&limits).await?;
            Ok(client)
        };
        let client = answer(&runtime, connect)?;
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
        };
        postgres.bring_up()?;
        Ok(postgres)
    }

    fn bring_up(&mut self) -> Result<(), LedgerError> {
        let found = answer(&self.runtime, schema::bring_up(&mut self.client))?;
        let known = i32::try_from(schema::STEPS.len()).unwrap_or(i32::MAX);
        if found > known {
            return Err(LedgerError::Newer { found, known });
        }
        Ok(())
    }
}

/// Waits for what the server says, but not for ever.
fn answer<T>(
    runtime: &Runtime,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, LedgerError> {
    let answered = runtime.block_on(async { tokio::time::timeout(ANSWER, work).await });
    match answered {
        Ok(answered) => answered.map_err(|error| told(&error)),
        Err(_) => Err(LedgerError::Silent),
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

async fn delete(
    transaction: &Transaction<'_>,
    condition: &str,
    before: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    number: i64,
) -> Result<u64, Error> {
    let delete = format!(
        "WITH chosen AS (DELETE FROM millgate_exchanges WHERE id IN \
         (SELECT id FROM millgate_exchanges {condition} ORDER BY time LIMIT {number}) RETURNING id), \
         content AS (DELETE FROM millgate_captured WHERE id IN (SELECT id FROM chosen)) SELECT count(*) FROM chosen"
    );
    let deleted: i64 = transaction.query_one(&delete, before).await?.get(0);
    Ok(deleted.cast_unsigned())
}

/// How many rows are too many, as far as their mean size tells. A table does not shrink when rows are deleted: its size alone
/// would have them deleted to the last.
async fn surplus(transaction: &Transaction<'_>, max_size: u64) -> Result<i64, Error> {
    let sizes = transaction
        .query_one(
            "SELECT (pg_total_relation_size('millgate_exchanges') + pg_total_relation_size('millgate_captured'))::int8",
            &[],
        )
        .await?;
    let max_size = i64::try_from(max_size).unwrap_or(i64::MAX);
    if sizes.get::<_, i64>(0) <= max_size {
        return Ok(0);
    }
    // What a row takes beside its own columns: its head, its share of three indexes, pages that are not full.
    let counted = transaction
        .query_one(
            "SELECT (SELECT count(*) FROM millgate_exchanges), \
             (SELECT coalesce(avg(pg_column_size(e.*)), 0)::int8 + 160 FROM (SELECT * FROM millgate_exchanges ORDER BY time DESC LIMIT 1000) e), \
             (SELECT coalesce(sum(pg_column_size(c.*)), 0)::int8 FROM millgate_captured c)",
            &[],
        )
        .await?;
    let (rows, mean, captured): (i64, i64, i64) = (counted.get(0), counted.get(1), counted.get(2));
    let mean = mean + captured / rows.max(1);
    Ok(rows - max_size / mean.max(1))
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
        let client = &mut self.client;
        let work = async {
            let transaction = client.transaction().await?;
            let lock = "SELECT pg_try_advisory_xact_lock($1)";
            let is_ours: bool = transaction.query_one(lock, &[&PRUNING]).await?.get(0);
            if !is_ours {
                return Ok(false);
            }
            let mut deleted = delete(&transaction, "WHERE time < $1", &[&cut], CHUNK).await?;
            if deleted == 0 {
                let surplus = surplus(&transaction, max_size).await?;
                if surplus > 0 {
                    deleted = delete(&transaction, "", &[], surplus.min(CHUNK)).await?;
                }
            }
            transaction.commit().await?;
            Ok(deleted > 0)
        };
        answer(&self.runtime, work)
    }

    fn known_time(&mut self) -> Result<Option<SystemTime>, LedgerError> {
        let latest = "SELECT coalesce((SELECT time FROM millgate_believed), (SELECT max(time) FROM millgate_exchanges))";
        let row = answer(&self.runtime, self.client.query_one(latest, &[]))?;
        Ok(row.get(0))
    }

    fn note_time(&mut self, time: SystemTime) -> Result<(), LedgerError> {
        let note = "INSERT INTO millgate_believed (one, time) VALUES (1, $1) ON CONFLICT (one) DO UPDATE SET time = excluded.time";
        answer(&self.runtime, self.client.execute(note, &[&time]))?;
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
            let mut numbers = [None; 12];
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
    use super::*;

    #[test]
    fn a_url_is_read_or_told_without_its_password() {
        for url in [
            "postgres://me:canary@db/usage",
            "postgresql://me@db:5433/usage?sslmode=verify-full",
            "postgres:///usage?host=/run/postgresql",
        ] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        for url in [
            "postgres://",
            "postgres://me:canary@db:port/usage",
            "postgres://me:canary@db/usage?sslmode=canary",
            "postgres://me:canary@db/usage?unknown=1",
        ] {
            let error = check_url(url).unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
    }
}

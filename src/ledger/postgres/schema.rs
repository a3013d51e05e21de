//! The tables in `PostgreSQL`.

use tokio_postgres::{Client, Error};

/// "mlgtledg": whoever has this lock changes the tables.
const MIGRATING: i64 = 0x6d6c_6774_6c65_6467;

/// From each schema to the next. Never change one that was released, only add.
pub(super) const STEPS: &[&str] = &["
CREATE TABLE millgate_exchanges (
    id               uuid PRIMARY KEY,          -- UUIDv7
    time             timestamptz NOT NULL,
    request_id       text NOT NULL,
    caller           text NOT NULL,             -- its id, else its address
    team             text,
    ticket           text,
    method           text NOT NULL,
    endpoint         text NOT NULL,
    route            text,
    asked            text,                      -- the model asked for
    model            text,                      -- the model that answered
    provider         text,
    attempts         int8 NOT NULL,
    status           int8,                      -- null: the client left before there was one
    outcome          text NOT NULL,
    error            text,
    cache            text,
    shared           bool NOT NULL,             -- another exchange was charged for the answer
    stream           bool NOT NULL,
    input_tokens     int8,
    output_tokens    int8,
    cached_tokens    int8,
    reasoning_tokens int8,
    estimated        bool NOT NULL,             -- nobody has counted the tokens
    cost             int8,                      -- billionths of a US dollar; null: the price is not known
    saved            int8,
    total_us         int8 NOT NULL,
    reading_us       int8 NOT NULL,
    upstream_us      int8,
    first_us         int8,
    overhead_us      int8 NOT NULL,
    request_bytes    int8 NOT NULL,
    bytes            int8 NOT NULL
);
CREATE INDEX millgate_exchanges_by_time ON millgate_exchanges (time);
CREATE TABLE millgate_captured (
    id      uuid PRIMARY KEY,                   -- of the exchange
    key     text NOT NULL,                      -- which key it is encrypted with
    content bytea NOT NULL                      -- nonce, AES-256-GCM of the content, tag
);
CREATE TABLE millgate_believed (
    one  int4 PRIMARY KEY CHECK (one = 1),
    time timestamptz NOT NULL
);
", "
-- Since when the clock is ahead and not believed; null: it is believed.
ALTER TABLE millgate_believed ADD COLUMN doubted_since timestamptz;
", "
-- How long gateways have run, in milliseconds, and what the clock has said in each of the last hours of it, as JSON: pairs of the
-- hour and of the least time, in milliseconds since the epoch, at which all that running would have begun. The gateways of an
-- earlier version that still run go on with the columns that they know.
ALTER TABLE millgate_believed ADD COLUMN running int8 NOT NULL DEFAULT 0;
ALTER TABLE millgate_believed ADD COLUMN least text;
"];

/// The version that is there; `None` where there is none.
pub(super) async fn version(client: &Client) -> Result<Option<i32>, Error> {
    let is_there = "SELECT to_regclass('millgate_schema') IS NOT NULL";
    let is_there: bool = client.query_one(is_there, &[]).await?.get(0);
    if !is_there {
        return Ok(None);
    }
    let version = "SELECT max(version) FROM millgate_schema";
    Ok(client.query_one(version, &[]).await?.get(0))
}

/// Takes the steps that are missing; the version that is there then. Several gateways may do so at once.
pub(super) async fn bring_up(client: &mut Client) -> Result<i32, Error> {
    let transaction = client.transaction().await?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATING])
        .await?;
    let is_there = "SELECT to_regclass('millgate_schema') IS NOT NULL";
    let is_there: bool = transaction.query_one(is_there, &[]).await?.get(0);
    if !is_there {
        transaction
            .batch_execute(
                "CREATE TABLE millgate_schema (version int4 PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())",
            )
            .await?;
    }
    let version = "SELECT coalesce(max(version), 0) FROM millgate_schema";
    let mut version: i32 = transaction.query_one(version, &[]).await?.get(0);
    while let Some(step) = STEPS.get(usize::try_from(version).unwrap_or(usize::MAX)) {
        transaction.batch_execute(step).await?;
        version += 1;
        transaction
            .execute(
                "INSERT INTO millgate_schema (version) VALUES ($1)",
                &[&version],
            )
            .await?;
    }
    transaction.commit().await?;
    Ok(version)
}

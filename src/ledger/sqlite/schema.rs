//! The tables in SQLite.

use crate::store::database::Schema;

/// That of the ledger; its file says that it is "mlgl".
pub(super) const LEDGER: Schema = Schema {
    application: 0x6d6c_676c,
    steps: STEPS,
    shrinks: true,
};

const STEPS: &[&str] = &["
CREATE TABLE exchanges (
    id               TEXT PRIMARY KEY,  -- UUIDv7
    time             INTEGER NOT NULL,  -- milliseconds since the epoch
    request_id       TEXT NOT NULL,
    caller           TEXT NOT NULL,     -- its id, else its address
    team             TEXT,
    ticket           TEXT,
    method           TEXT NOT NULL,
    endpoint         TEXT NOT NULL,
    route            TEXT,
    asked            TEXT,              -- the model asked for
    model            TEXT,              -- the model that answered
    provider         TEXT,
    attempts         INTEGER NOT NULL,
    status           INTEGER,           -- null: the client left before there was one
    outcome          TEXT NOT NULL,
    error            TEXT,
    cache            TEXT,
    shared           INTEGER NOT NULL,  -- 1: another exchange was charged for the answer
    stream           INTEGER NOT NULL,
    input_tokens     INTEGER,
    output_tokens    INTEGER,
    cached_tokens    INTEGER,
    reasoning_tokens INTEGER,
    estimated        INTEGER NOT NULL,  -- 1: nobody has counted the tokens
    cost             INTEGER,           -- billionths of a US dollar; null: the price is not known
    saved            INTEGER,
    total_us         INTEGER NOT NULL,
    reading_us       INTEGER NOT NULL,
    upstream_us      INTEGER,
    first_us         INTEGER,
    overhead_us      INTEGER NOT NULL,
    request_bytes    INTEGER NOT NULL,
    bytes            INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX exchanges_by_time ON exchanges (time);

CREATE TABLE captured (
    id      TEXT PRIMARY KEY,           -- of the exchange
    key     TEXT NOT NULL,              -- which key it is encrypted with
    content BLOB NOT NULL               -- nonce, AES-256-GCM of the content, tag; the id's bytes are the associated data
) STRICT;

-- The time that rows were last deleted by: a clock that leaps ahead is not believed at once.
CREATE TABLE believed (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    time INTEGER NOT NULL
) STRICT;
", "
-- Since when the clock is ahead and not believed; null: it is believed.
ALTER TABLE believed ADD COLUMN doubted_since INTEGER;
", "
-- How long gateways have run, in milliseconds, and what the clock has said in each of the last hours of it, as JSON: pairs of the
-- hour and of the least time, in milliseconds since the epoch, at which all that running would have begun.
ALTER TABLE believed DROP COLUMN doubted_since;
ALTER TABLE believed ADD COLUMN running INTEGER NOT NULL DEFAULT 0;
ALTER TABLE believed ADD COLUMN least TEXT;
"];

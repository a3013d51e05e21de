//! The ledger behind the real binary: one exact row for every exchange, whatever became of it and whatever becomes of the
//! database, in SQLite and in `PostgreSQL`.
#![cfg(feature = "sqlite")]
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::format_push_string,
    clippy::match_wild_err_arm,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::too_many_lines,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "what drives the gateway is part of the tests"
)]

#[path = "ledger/database.rs"]
mod database;
#[path = "ledger/killed.rs"]
mod killed;
#[path = "ledger/mix.rs"]
mod mix;
#[cfg(feature = "postgres")]
#[path = "ledger/postgres.rs"]
mod postgres;
mod support;
#[path = "ledger/trouble.rs"]
mod trouble;

use std::{path::Path, process::Output};

/// Runs `millgate usage` with the config in this folder.
fn usage(config: &Path, arguments: &[&str]) -> Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_millgate"))
        .arg("usage")
        .args(arguments)
        .args(["--config", config.to_str().unwrap()])
        .env_clear()
        .output()
        .unwrap()
}

/// What `millgate usage --json` says.
fn usage_json(config: &Path, by: &str) -> serde_json::Value {
    let output = usage(config, &["--json", "--since", "1h", "--by", by]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

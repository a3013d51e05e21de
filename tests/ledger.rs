//! The ledger behind the real binary: one exact row for every exchange, whatever became of it and whatever becomes of the
//! database, in SQLite and in `PostgreSQL`.
#![cfg(feature = "sqlite")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what drives the gateway is part of the tests"
)]

#[path = "ledger/cached.rs"]
mod cached;
#[cfg(feature = "postgres")]
#[path = "ledger/cluster.rs"]
mod cluster;
#[path = "ledger/database.rs"]
mod database;
#[path = "ledger/killed.rs"]
mod killed;
#[path = "ledger/mix.rs"]
mod mix;
#[cfg(feature = "postgres")]
#[path = "ledger/postgres.rs"]
mod postgres;
#[cfg(feature = "postgres")]
#[path = "ledger/pruned.rs"]
mod pruned;
mod support;
#[cfg(feature = "postgres")]
#[path = "ledger/tls.rs"]
mod tls;
#[path = "ledger/trouble.rs"]
mod trouble;

use std::{path::Path, process::Output};

/// Runs `millgate usage` with the config in this folder.
fn usage(config: &Path, arguments: &[&str]) -> Output {
    usage_with(config, arguments, &[])
}

/// The same with these variables in its environment, which has no others.
fn usage_with(config: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_millgate"))
        .arg("usage")
        .args(arguments)
        .args(["--config", config.to_str().unwrap()])
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

/// What `millgate usage --json` says.
fn usage_json(config: &Path, by: &str) -> serde_json::Value {
    let output = usage(config, &["--json", "--since", "1h", "--by", by]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

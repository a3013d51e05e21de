//! `[ledger]`: where every exchange is written down.

use std::{num::NonZeroU32, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Duration, Secret, Size};

/// Where every exchange is written down, with its tokens and what it cost. What is read by `millgate usage`. A reload that
/// changes this table takes effect.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ledger {
    /// Whether there is one. Default: true.
    pub enabled: bool,
    /// A `PostgreSQL` server, which several gateways may share: `"postgres://user:password@host/database?sslmode=verify-full"`;
    /// it takes a build with the feature `postgres`. An empty text is none. Default: the file `ledger.db` in `[server] state_dir`.
    pub url: Option<Secret>,
    /// PEM file with certificate authorities to trust beside those of the system, for a server that is connected to with
    /// TLS. Relative to the config file. Default: none.
    pub ca_file: Option<PathBuf>,
    /// How often rows are written. What a killed process loses at most is what has ended in this time, and what was
    /// under way. Default: `"1s"`.
    pub interval: Duration,
    /// So many rows wait in memory where they cannot be written; further ones are lost, and counted. Default: 65536.
    pub queue: NonZeroU32,
    /// Rows older than this are deleted. Default: `"90d"`.
    pub max_age: Duration,
    /// Where the ledger grows beyond this, its oldest rows are deleted; the log beside SQLite's file counts. At least 1 MiB. Default: `"1GiB"`.
    pub max_size: Size,
    /// With which captured content is encrypted: 32 bytes in base64 or hexadecimal digits. Without it, what is captured
    /// is not kept. Default: none.
    pub capture_key: Option<Secret>,
    /// Keys that `capture_key` has replaced: what was encrypted with them can still be read. Default: none.
    pub old_capture_keys: Vec<Secret>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            enabled: true,
            url: None,
            ca_file: None,
            interval: Duration::from_secs(1),
            queue: NonZeroU32::MIN.saturating_add(65_535),
            max_age: Duration::from_secs(90 * 86_400),
            max_size: Size::from_mib(1024),
            capture_key: None,
            old_capture_keys: Vec::new(),
        }
    }
}

//! Reading a ledger past the gateway.

use std::path::Path;

use rusqlite::{Connection, types::ValueRef};
use serde_json::{Map, Value};

use crate::support::{Gateway, PATIENCE};

/// Where a gateway of a test keeps its ledger.
#[derive(Clone)]
pub(crate) enum Database {
    /// In this folder.
    Sqlite(std::path::PathBuf),
    /// At this URL.
    #[cfg(feature = "postgres")]
    Postgres(String),
}

impl Database {
    /// The table `[ledger]` for it, with these keys in it.
    pub(crate) fn config(&self, keys: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("{LOG}[ledger]\n{keys}\n"),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => format!("{LOG}[ledger]\nurl = \"{url}\"\n{keys}\n"),
        }
    }

    /// All rows.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(clippy::unused_async, reason = "a server is waited for")
    )]
    pub(crate) async fn rows(&self) -> Vec<Value> {
        match self {
            Self::Sqlite(folder) => sqlite_rows(&folder.join("ledger.db")),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => crate::postgres::rows(url).await,
        }
    }

    /// All rows once there are as many, which this gateway writes.
    pub(crate) async fn wait_for_rows(&self, gateway: &Gateway, count: usize) -> Vec<Value> {
        loop {
            let logged = gateway.log().len();
            let rows = self.rows().await;
            if rows.len() >= count {
                return rows;
            }
            // It logs each batch that it has written.
            gateway.log_lines(logged + 1).await;
        }
    }
}

/// Waits until this gateway has written so many rows.
#[cfg(feature = "postgres")]
pub(crate) async fn wrote(gateway: &Gateway, count: u64) {
    loop {
        let lines = gateway.log();
        let written = lines
            .iter()
            .filter(|line| line["message"] == "rows are written to the ledger");
        if written
            .filter_map(|line| line["rows"].as_u64())
            .sum::<u64>()
            >= count
        {
            return;
        }
        gateway.log_lines(lines.len() + 1).await;
    }
}

/// What has a gateway log each batch that it has written.
pub(crate) const LOG: &str = "[log]\nlevel = \"info,millgate::ledger=debug\"\n";

/// The rows of a file; none where it is not there yet.
pub(crate) fn sqlite_rows(file: &Path) -> Vec<Value> {
    let Ok(connection) =
        Connection::open_with_flags(file, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE)
    else {
        return Vec::new();
    };
    connection.busy_timeout(PATIENCE).unwrap();
    let Ok(mut read) = connection.prepare("SELECT * FROM exchanges ORDER BY id") else {
        return Vec::new();
    };
    let names: Vec<_> = read.column_names().map(str::to_owned).collect();
    let rows = read.query_map([], |row| {
        let mut members = Map::new();
        for (at, name) in names.iter().enumerate() {
            let value = match row.get_ref(at)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(number)
                    if ["shared", "stream", "estimated"].contains(&&**name) =>
                {
                    (number == 1).into()
                }
                ValueRef::Integer(number) => number.into(),
                ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
                other => panic!("{name} is {other:?}"),
            };
            members.insert(name.clone(), value);
        }
        Ok(members.into())
    });
    rows.unwrap().map(Result::unwrap).collect()
}

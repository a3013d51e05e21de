//! Reading a ledger past the gateway.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, types::ValueRef};
use serde_json::{Map, Value};

use crate::support::PATIENCE;

/// Where a gateway of a test keeps its ledger.
#[derive(Clone)]
pub enum Database {
    /// In this folder.
    Sqlite(std::path::PathBuf),
    /// At this URL.
    #[cfg(feature = "postgres")]
    Postgres(String),
}

impl Database {
    /// The table `[ledger]` for it, with these keys in it.
    pub fn config(&self, keys: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("[ledger]\n{keys}\n"),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => format!("[ledger]\nurl = \"{url}\"\n{keys}\n"),
        }
    }

    /// All rows.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(clippy::unused_async, reason = "a server is waited for")
    )]
    pub async fn rows(&self) -> Vec<Value> {
        match self {
            Self::Sqlite(folder) => sqlite_rows(&folder.join("ledger.db")),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => crate::postgres::rows(url).await,
        }
    }

    /// All rows once there are as many.
    pub async fn wait_for_rows(&self, count: usize) -> Vec<Value> {
        let waiting = async {
            loop {
                let rows = self.rows().await;
                if rows.len() >= count {
                    return rows;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(rows) => rows,
            Err(_) => panic!("never {count} rows: {:#?}", self.rows().await),
        }
    }
}

/// The rows of a file; none where it is not there yet.
pub fn sqlite_rows(file: &Path) -> Vec<Value> {
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

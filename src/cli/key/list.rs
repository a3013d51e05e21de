//! `key list`

use std::{fmt::Write, process::ExitCode, time::SystemTime};

use serde_json::{Value, json};

use super::{ConfigFile, existing, folder, print, timestamp};
use crate::store::database::keys::StoredKey;

const TITLES: [&str; 8] = [
    "ID",
    "TEAM",
    "FINGERPRINT",
    "CREATED",
    "EXPIRES",
    "STATUS",
    "MODELS",
    "TAGS",
];

/// Runs the command.
pub(super) fn run(file: &ConfigFile, all: bool, json: bool) -> Result<ExitCode, String> {
    let keys = existing(&folder(file)?)?.map_or_else(Vec::new, |(_, keys)| keys);
    let now = SystemTime::now();
    if json {
        let keys: Vec<_> = keys.iter().map(|key| describe(key, now)).collect();
        return Ok(print(&format!("{:#}\n", Value::Array(keys))));
    }
    let shown: Vec<_> = keys.iter().filter(|key| all || key.is_good(now)).collect();
    let hidden = keys.len() - shown.len();
    if shown.is_empty() {
        eprintln!("no keys; make one: millgate key new --id ID");
    }
    let printed = match shown[..] {
        [] => ExitCode::SUCCESS,
        _ => print(&table(&shown, now)),
    };
    if hidden > 0 {
        eprintln!("{hidden} revoked or expired: --all shows them");
    }
    Ok(printed)
}

fn status(key: &StoredKey, now: SystemTime) -> &'static str {
    match key {
        key if key.revoked.is_some() => "revoked",
        key if !key.is_good(now) => "expired",
        key if key.rotated.is_some() => "rotated",
        _ => "good",
    }
}

fn describe(key: &StoredKey, now: SystemTime) -> Value {
    let holder = &key.holder;
    json!({
        "id": holder.id,
        "fingerprint": key.fingerprint(),
        "sha256": key.hex(),
        "status": status(key, now),
        "team": holder.team,
        "tags": holder.tags,
        "meta": holder.meta,
        "models": holder.models,
        "created": timestamp(key.created),
        "expires": key.expires.map(timestamp),
        "rotated": key.rotated.map(timestamp),
        "revoked": key.revoked.map(timestamp),
    })
}

/// One line for each key below the titles, in columns as wide as their widest cell.
fn table(keys: &[&StoredKey], now: SystemTime) -> String {
    let rows: Vec<_> = keys.iter().map(|key| row(key, now)).collect();
    let mut widths = TITLES.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |cells: [&str; 8]| {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        line.trim_end().to_owned() + "\n"
    };
    let lines = rows
        .iter()
        .map(|row| line(row.each_ref().map(String::as_str)));
    line(TITLES) + &lines.collect::<String>()
}

fn row(key: &StoredKey, now: SystemTime) -> [String; 8] {
    let holder = &key.holder;
    let minute = |time| timestamp(time)[..16].replace('T', " ");
    [
        holder.id.clone(),
        holder.team.clone().unwrap_or_else(|| "-".to_owned()),
        key.fingerprint(),
        minute(key.created),
        key.expires.map_or_else(|| "never".to_owned(), minute),
        status(key, now).to_owned(),
        holder
            .models
            .as_ref()
            .map_or_else(|| "*".to_owned(), |models| models.join(",")),
        holder.tags.join(","),
    ]
}

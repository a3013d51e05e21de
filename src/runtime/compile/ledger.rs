//! The ledger of a config.

use crate::{
    config::{Loaded, Secret, Severity},
    ledger::{Key, Keys, Settings},
};

/// Less than this, a ledger is deleted as fast as it is written.
const LEAST_SIZE: u64 = 1 << 20;

/// What the table `[ledger]` says. What is wrong with it is among the findings.
pub fn compile(loaded: &Loaded) -> Settings {
    let table = &loaded.config.ledger;
    let refuse = |path: &[&str], message: &str, help: &str| {
        loaded.report(path, Severity::Error, message, Some(help.to_owned()));
    };
    // As a placeholder with an empty default leaves it.
    let url = table
        .url
        .clone()
        .filter(|url| table.enabled && !url.expose().trim().is_empty());
    if let Some(url) = &url
        && let Err((message, help)) = objection(url)
    {
        refuse(&["ledger", "url"], &message, help);
    }
    if table.max_size.bytes() < LEAST_SIZE {
        refuse(
            &["ledger", "max_size"],
            "the ledger would be deleted as fast as it is written",
            "give it at least 1 MiB; leave it out for 1 GiB",
        );
    }
    let key = |path: &[&str], secret: &Secret| {
        let key = Key::parse(secret.expose());
        if key.is_none() {
            refuse(
                path,
                "this is no key of 32 bytes",
                "make one by `openssl rand -base64 32`",
            );
        }
        key
    };
    let is_there = |secret: &&Secret| !secret.expose().trim().is_empty();
    let current = table.capture_key.as_ref().filter(is_there);
    let old = table.old_capture_keys.iter().enumerate();
    let keys = Keys {
        current: current.and_then(|secret| key(&["ledger", "capture_key"], secret)),
        old: old
            .filter(|(_, secret)| is_there(secret))
            .filter_map(|(at, secret)| {
                key(&["ledger", "old_capture_keys", &at.to_string()], secret)
            })
            .collect(),
    };
    let ca_file = table.ca_file.as_ref().map(|file| loaded.folder.join(file));
    Settings {
        enabled: table.enabled,
        url,
        ca_file,
        interval: table.interval.get(),
        queue: table.queue.get() as usize,
        max_age: table.max_age.get(),
        max_size: table.max_size.bytes(),
        keys,
    }
}

/// What is wrong with a URL, without the URL, and what to do about it.
fn objection(url: &Secret) -> Result<(), (String, &'static str)> {
    let url = url.expose().trim();
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err((
            "expected the URL of a PostgreSQL server".to_owned(),
            "write \"postgres://user:password@host/database\", or leave it out for the embedded SQLite",
        ));
    }
    #[cfg(feature = "postgres")]
    return crate::ledger::check_url(url).map_err(|message| {
        (
            message,
            "write \"postgres://user:password@host/database?sslmode=require\"; see docs/ledger.md",
        )
    });
    #[cfg(not(feature = "postgres"))]
    Err((
        "this millgate was built without PostgreSQL".to_owned(),
        "build it with `cargo build --release --features postgres`, or leave the URL out for the embedded SQLite",
    ))
}

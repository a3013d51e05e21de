//! Keys made: `key new` and `key rotate`.

use std::{
    process::ExitCode,
    time::{Duration, SystemTime},
};

use super::{ConfigFile, existing, folder, meant, nobody, open, print, timestamp};
use crate::{
    callers,
    store::{
        database::keys::{Holder, StoredKey},
        key,
    },
};

/// `key new`
pub(super) fn new(
    file: &ConfigFile,
    holder: Holder,
    expires: Option<SystemTime>,
) -> Result<ExitCode, String> {
    let mut database = open(&folder(file)?, true)?;
    let (key, stored) = make(holder, SystemTime::now(), expires)?;
    database.insert_key(&stored)?;
    describe(&stored);
    eprintln!("  in {}", database.path().display());
    Ok(show(&key))
}

/// `key rotate`
pub(super) fn rotate(
    file: &ConfigFile,
    which: &str,
    grace: Duration,
    expires: Option<SystemTime>,
) -> Result<ExitCode, String> {
    let folder = folder(file)?;
    let (mut database, keys) = existing(&folder)?.ok_or_else(|| nobody(which, &folder))?;
    let now = SystemTime::now();
    let old = current(&meant(&keys, which)?, which, now)?.ok_or_else(|| nobody(which, &folder))?;
    // What was made to last for a while lasts as long again.
    let lifetime = || old.expires?.duration_since(old.created).ok();
    let expires = expires.or_else(|| now.checked_add(lifetime()?));
    let (key, stored) = make(old.holder.clone(), now, expires)?;
    let until = now + grace;
    database.replace_key(&old.hash, &stored, until)?;
    describe(&stored);
    let until = old.expires.map_or(until, |expires| expires.min(until));
    eprintln!(
        "  in place of {}, which is good until {}",
        old.fingerprint(),
        timestamp(until)
    );
    Ok(show(&key))
}

/// The one key that can be rotated; `None` where there is no key at all.
fn current<'a>(
    meant: &[&'a StoredKey],
    which: &str,
    now: SystemTime,
) -> Result<Option<&'a StoredKey>, String> {
    let good = meant.iter().filter(|key| key.is_good(now));
    let current: Vec<&StoredKey> = good.filter(|key| key.rotated.is_none()).copied().collect();
    match current[..] {
        [key] => Ok(Some(key)),
        [] if meant.is_empty() => Ok(None),
        [] => Err(format!(
            "no key of `{which}` is good any more, or it has been rotated already\n  make one: millgate key new --id ID"
        )),
        [..] => {
            let line = |key: &&StoredKey| {
                let created = timestamp(key.created);
                format!("\n  {}  made {created}", key.fingerprint())
            };
            let lines: String = current.iter().map(line).collect();
            Err(format!(
                "`{which}` has {} keys: say which one by its fingerprint{lines}",
                current.len()
            ))
        }
    }
}

/// A key, and what is kept of it.
fn make(
    holder: Holder,
    now: SystemTime,
    expires: Option<SystemTime>,
) -> Result<(String, StoredKey), String> {
    let key = key::generate().ok_or("the system gives no random numbers")?;
    let stored = StoredKey {
        hash: callers::hash(&key),
        holder,
        created: now,
        expires,
        rotated: None,
        revoked: None,
    };
    Ok((key, stored))
}

/// For a person; the key alone goes to standard output, so that a script can take it from there.
fn describe(key: &StoredKey) {
    let ends = key.expires.map_or_else(|| "never".to_owned(), timestamp);
    eprintln!(
        "key {} of {}, expires {ends}: shown this once, keep it safe",
        key.fingerprint(),
        key.holder.id
    );
}

fn show(key: &str) -> ExitCode {
    print(&format!("{key}\n"))
}

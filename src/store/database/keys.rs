//! Callers' keys on disk, by hash.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
    sync::Arc,
    time::SystemTime,
};

use rusqlite::{Connection, Row, params};

use super::{Database, StoreError, seconds, time};
use crate::{
    callers::{Caller, KeyHash},
    pipeline::request::Vars,
    routing::pattern::Glob,
};

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// What it is found by.
    pub hash: KeyHash,
    /// What it says of its holder.
    pub holder: Holder,
    /// When it was made.
    pub created: SystemTime,
    /// From when on it is none.
    pub expires: Option<SystemTime>,
    /// When another key took its place; it may still be good for a while.
    pub rotated: Option<SystemTime>,
    /// When it was revoked.
    pub revoked: Option<SystemTime>,
}

/// Who a key is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The caller's id; several keys may have the same.
    pub id: String,
    /// For limits and reports.
    pub team: Option<String>,
    /// For reports.
    pub tags: Vec<String>,
    /// What else is known.
    pub meta: BTreeMap<String, String>,
    /// Globs of the models that may be asked for; all where there is none.
    pub models: Option<Vec<String>>,
}

/// Letters of a fingerprint.
pub const FINGERPRINT: usize = 12;

impl StoredKey {
    /// What people tell keys apart by: the first 12 hexadecimal digits of the hash. It does not give the key away.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.hex()[..FINGERPRINT].to_owned()
    }

    /// Whether the key's hash begins like this, with as many digits as a fingerprint has.
    #[must_use]
    pub fn is_meant_by(&self, digits: &str) -> bool {
        digits.len() >= FINGERPRINT && self.hex().starts_with(&digits.to_ascii_lowercase())
    }

    /// Whether it opens anything at `now`.
    #[must_use]
    pub fn is_good(&self, now: SystemTime) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|expires| now < expires)
    }

    /// The whole hash, in hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        self.hash.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

impl Database {
    /// A number that grows with every change of a key.
    pub fn keys_revision(&self) -> Result<i64, StoreError> {
        self.connection
            .query_row(
                "SELECT number FROM revisions WHERE of = 'keys'",
                [],
                |row| row.get(0),
            )
            .map_err(|error| self.error(error))
    }

    /// Every key, revoked ones too, by caller and age.
    pub fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        let read = || {
            let mut select = self.connection.prepare(
                "SELECT hash, caller, team, tags, meta, models, created, expires, rotated, revoked
                 FROM keys ORDER BY caller, created, hash",
            )?;
            let rows = select.query_map([], read_key)?;
            // What somebody wrote there by hand and nobody can read is no key; the others still are.
            Ok(rows
                .collect::<rusqlite::Result<Vec<_>>>()?
                .into_iter()
                .flatten()
                .collect())
        };
        read().map_err(|error| self.error(error))
    }

    /// The keys that have not been revoked, as requests look them up.
    pub fn callers(&self) -> Result<HashMap<KeyHash, Arc<Caller>>, StoreError> {
        let keys = self.keys()?.into_iter();
        let valid = keys.filter(|key| key.revoked.is_none());
        Ok(valid.map(|key| (key.hash, Arc::new(caller(key)))).collect())
    }

    /// Keeps a new key.
    pub fn insert_key(&mut self, key: &StoredKey) -> Result<(), StoreError> {
        self.transact(|transaction| insert(transaction, key))
    }

    /// Revokes keys, those that are not revoked yet: how many.
    pub fn revoke_keys(&mut self, keys: &[KeyHash], now: SystemTime) -> Result<usize, StoreError> {
        self.transact(|transaction| {
            let mut revoke = transaction
                .prepare("UPDATE keys SET revoked = ?2 WHERE hash = ?1 AND revoked IS NULL")?;
            let mut revoked = 0;
            for key in keys {
                revoked += revoke.execute(params![key, seconds(now)])?;
            }
            Ok(revoked)
        })
    }

    /// Keeps `new` in the place of `old`, which is good until `until`, unless it expires before.
    pub fn replace_key(
        &mut self,
        old: &KeyHash,
        new: &StoredKey,
        until: SystemTime,
    ) -> Result<(), StoreError> {
        self.transact(|transaction| {
            insert(transaction, new)?;
            transaction.execute(
                "UPDATE keys SET rotated = ?2, expires = min(coalesce(expires, ?3), ?3) WHERE hash = ?1",
                params![old, seconds(new.created), seconds(until)],
            )?;
            Ok(())
        })
    }
}

fn insert(connection: &Connection, key: &StoredKey) -> rusqlite::Result<()> {
    let holder = &key.holder;
    let models = holder.models.as_ref().map(json);
    connection.execute(
        "INSERT INTO keys (hash, caller, team, tags, meta, models, created, expires)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            key.hash,
            holder.id,
            holder.team,
            json(&holder.tags),
            json(&holder.meta),
            models,
            seconds(key.created),
            key.expires.map(seconds),
        ],
    )?;
    Ok(())
}

/// Strings in lists and maps always are JSON.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// `None` for a row whose JSON is of another shape.
fn read_key(row: &Row<'_>) -> rusqlite::Result<Option<StoredKey>> {
    let text = |column: &str| row.get::<_, Option<String>>(column);
    let moment =
        |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.and_then(time));
    let id: String = row.get("caller")?;
    let tags = serde_json::from_str(&text("tags")?.unwrap_or_default());
    let meta = serde_json::from_str(&text("meta")?.unwrap_or_default());
    let models = text("models")?.map(|models| serde_json::from_str(&models));
    let (Ok(tags), Ok(meta), Ok(models)) = (tags, meta, models.transpose()) else {
        tracing::warn!(
            caller = id,
            "a key of the store cannot be read, and opens nothing"
        );
        return Ok(None);
    };
    let holder = Holder {
        id,
        team: text("team")?,
        tags,
        meta,
        models,
    };
    Ok(Some(StoredKey {
        hash: row.get("hash")?,
        holder,
        created: moment("created")?.unwrap_or(SystemTime::UNIX_EPOCH),
        expires: moment("expires")?,
        rotated: moment("rotated")?,
        revoked: moment("revoked")?,
    }))
}

fn caller(key: StoredKey) -> Caller {
    let Holder {
        id,
        team,
        tags,
        meta,
        models,
    } = key.holder;
    let mut vars = Vars::default();
    for (name, value) in &meta {
        vars.set(name, Some(value.as_bytes()));
    }
    Caller {
        id: id.into(),
        team: team.map(Into::into),
        tags: tags.into_iter().map(Into::into).collect(),
        meta: vars,
        models: models.map(|globs| globs.iter().map(|glob| Glob::new(glob)).collect()),
        expires: key.expires,
    }
}

//! Callers: the keys of the config, told apart.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::SystemTime,
};

use crate::{
    callers::{Caller, Callers, KeyHash, Models, hash},
    config::{self, Loaded, Patterns, Severity},
    pipeline::request::Vars,
    routing::pattern::Glob,
    store::Store,
};

/// A key of fewer characters can be guessed.
const SHORTEST_KEY: usize = 16;

/// Every caller of the config, beside those of the store. Where no stage asks for keys, what is wrong with theirs is not
/// told.
pub(super) fn compile(loaded: &Loaded, store: Arc<Store>, are_asked: bool) -> Callers {
    if !are_asked {
        return Callers::new(HashMap::new(), store);
    }
    let mut known: HashMap<KeyHash, Arc<Caller>> = HashMap::new();
    for id in loaded.config.callers.names() {
        let Some(table) = read(loaded, id) else {
            continue;
        };
        let Some((key, hash)) = key_hash(loaded, id, &table) else {
            continue;
        };
        expiry(loaded, id, &table);
        match known.entry(hash) {
            Entry::Vacant(free) => {
                free.insert(Arc::new(caller(id, table)));
            }
            Entry::Occupied(taken) => tell_same(loaded, (id, key), &taken.get().id),
        }
    }
    Callers::new(known, store)
}

fn read(loaded: &Loaded, id: &str) -> Option<config::Caller> {
    loaded.section(&["callers", id])?.read()
}

fn caller(id: &str, table: config::Caller) -> Caller {
    let mut meta = Vars::default();
    for (name, value) in &table.meta {
        meta.set(name, Some(value.expose().as_bytes()));
    }
    let models = table.models.as_ref();
    Caller {
        id: id.into(),
        team: table.team.map(Into::into),
        tags: table.tags.into_iter().map(Into::into).collect(),
        meta,
        models: models.map(|list| Patterns::iter(list).map(Glob::new).collect::<Models>()),
        expires: table.expires.map(|moment| moment.0),
    }
}

/// The hash of the caller's key, and which member of the table gives it.
fn key_hash(loaded: &Loaded, id: &str, table: &config::Caller) -> Option<(&'static str, KeyHash)> {
    match (&table.key, table.key_sha256) {
        (Some(_), Some(_)) => {
            let help = Some("keep one of them".to_owned());
            loaded.report_key(
                &["callers", id, "key_sha256"],
                Severity::Error,
                format!("the caller `{id}` has two keys, `key` and `key_sha256`"),
                help,
            );
            None
        }
        (None, None) => {
            let help = "write its SHA-256 (printf %s KEY | sha256sum) as key_sha256 = \"…\", or key = \"${NAME}\"";
            loaded.report_key(
                &["callers", id],
                Severity::Error,
                format!("the caller `{id}` has no key"),
                Some(help.to_owned()),
            );
            None
        }
        (None, Some(config::caller::KeySha256(given))) => {
            if ["", "\n"].iter().any(|nothing| hash(nothing) == given) {
                let help = Some("hash the key alone: printf %s KEY | sha256sum".to_owned());
                loaded.report(
                    &["callers", id, "key_sha256"],
                    Severity::Error,
                    "this is the hash of nothing",
                    help,
                );
                return None;
            }
            Some(("key_sha256", given))
        }
        (Some(key), None) => {
            let key = key.expose();
            if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                loaded.report(
                    &["callers", id, "key"],
                    Severity::Error,
                    "a key is made of visible ASCII characters, without spaces",
                    None,
                );
                return None;
            }
            if key.len() < SHORTEST_KEY {
                let help = Some("make one with: openssl rand -hex 32".to_owned());
                loaded.report(
                    &["callers", id, "key"],
                    Severity::Warning,
                    format!("a key of fewer than {SHORTEST_KEY} characters can be guessed"),
                    help,
                );
            }
            Some(("key", hash(key)))
        }
    }
}

fn tell_same(loaded: &Loaded, (id, key): (&str, &str), first: &str) {
    let at = loaded.key_place(&["callers", first]).map(|place| {
        let (line, _) = place.source.position(place.span.start);
        format!(" ({}:{line})", place.source.name)
    });
    loaded.report(
        &["callers", id, key],
        Severity::Error,
        format!(
            "`{id}` has the same key as `{first}`{}",
            at.unwrap_or_default()
        ),
        Some("give each caller a key of its own".to_owned()),
    );
}

fn expiry(loaded: &Loaded, id: &str, table: &config::Caller) {
    if table.expires.is_some_and(|at| at.0 <= SystemTime::now()) {
        loaded.report(
            &["callers", id, "expires"],
            Severity::Warning,
            format!("the key of `{id}` has expired and is refused"),
            Some("give it a later date, or take the caller out".to_owned()),
        );
    }
}

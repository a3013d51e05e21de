//! Who may call: the keys that are known, and whose they are. Looked up in memory, by the SHA-256 of a key.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};

use crate::{pipeline::request::Vars, routing::pattern::Glob, store::Store};

/// SHA-256 of a key. Keys are long and random, so that a hash that is not slow keeps them.
pub type KeyHash = [u8; 32];

/// The hash that a key is known by.
#[must_use]
pub fn hash(key: &str) -> KeyHash {
    let digest = digest(&SHA256, key.as_bytes());
    let mut hash = KeyHash::default();
    hash.copy_from_slice(digest.as_ref());
    hash
}

/// Somebody who may call.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Unique; what logs, limits and reports know the caller by.
    pub id: Box<str>,
    /// For limits and reports.
    pub team: Option<Box<str>>,
    /// For reports.
    pub tags: Vec<Box<str>>,
    /// What else is known: a department ticket, a user name.
    pub meta: Vars,
    /// The models that may be asked for; all of them where there is no list.
    pub models: Option<Models>,
    /// From when on the key is none.
    pub expires: Option<SystemTime>,
}

impl Caller {
    /// Whether this model may be asked for. A caller with a list may not make calls that name no model: nobody could
    /// tell what they would use.
    #[must_use]
    pub fn may_ask_for(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|list| list.hold(model))
    }
}

/// Models that a caller may ask for.
#[derive(Clone, Debug, Default)]
pub struct Models {
    globs: Box<[Glob]>,
    /// The same, one a line, as stages read them.
    lines: Box<str>,
}

impl Models {
    /// Whether a model is among them.
    #[must_use]
    pub fn hold(&self, model: &str) -> bool {
        self.globs.iter().any(|glob| glob.matches(model))
    }

    /// The globs, one a line.
    #[must_use]
    pub fn lines(&self) -> &str {
        &self.lines
    }

    /// The globs of a text with one a line; empty lines count for nothing.
    #[must_use]
    pub fn from_lines(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty());
        lines.map(Glob::new).collect()
    }
}

impl FromIterator<Glob> for Models {
    fn from_iter<I: IntoIterator<Item = Glob>>(globs: I) -> Self {
        let globs: Box<[Glob]> = globs.into_iter().collect();
        let lines: Vec<_> = globs.iter().map(Glob::as_str).collect();
        Self {
            lines: lines.join("\n").into(),
            globs,
        }
    }
}

/// Callers by key. The keys of the embedded store change while a config is in force, those of the config do not.
#[derive(Default)]
pub struct Callers {
    configured: HashMap<KeyHash, Arc<Caller>>,
    stored: Arc<StoredKeys>,
    store: Arc<Store>,
}

/// The keys of the embedded store, exchanged as a whole when one is made or revoked.
pub type StoredKeys = ArcSwap<HashMap<KeyHash, Arc<Caller>>>;

/// Why there is no caller for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// It is nobody's.
    Nobody,
    /// It may be in the store, which could not be read yet.
    NotReadYet,
}

impl Callers {
    /// The callers of a config, beside those of the store.
    #[must_use]
    pub fn new(configured: HashMap<KeyHash, Arc<Caller>>, store: Arc<Store>) -> Self {
        Self {
            configured,
            stored: store.keys(),
            store,
        }
    }

    /// Whether any key is a caller's for whom `is_wanted` holds.
    pub fn any(&self, mut is_wanted: impl FnMut(&Caller) -> bool) -> bool {
        let mut has = |keys: &HashMap<KeyHash, Arc<Caller>>| keys.values().any(|c| is_wanted(c));
        has(&self.configured) || has(&self.stored.load())
    }

    /// Whose key has this hash; nobody's where it has expired by `now`. A lookup by a hash of the secret tells nothing
    /// by the time that it takes.
    pub fn find(&self, key: &KeyHash, now: SystemTime) -> Result<Arc<Caller>, NotFound> {
        let configured = self.configured.get(key).cloned();
        let Some(caller) = configured.or_else(|| self.stored.load().get(key).cloned()) else {
            return Err(if self.store.keys_are_known() {
                NotFound::Nobody
            } else {
                NotFound::NotReadYet
            });
        };
        if caller.expires.is_some_and(|expires| expires <= now) {
            return Err(NotFound::Nobody);
        }
        Ok(caller)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_hash_is_the_one_that_sha256sum_prints() {
        // ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
        let hash = hash("abc");
        assert_eq!(hash[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(hash[28..], [0xf2, 0x00, 0x15, 0xad]);
    }

    /// An id may have keys in both places, each with what it says of the caller; a key that is in both is the config's.
    #[test]
    fn a_key_of_the_config_comes_before_the_same_one_of_the_store() {
        let keyed = |pairs: &[([u8; 32], &str)]| -> HashMap<KeyHash, Arc<Caller>> {
            let caller = |team: &str| Caller {
                id: "anna".into(),
                team: Some(team.into()),
                ..Caller::default()
            };
            let pairs = pairs.iter();
            pairs
                .map(|(key, team)| (*key, Arc::new(caller(team))))
                .collect()
        };
        let store = Arc::new(Store::default());
        let stored = keyed(&[([1; 32], "stored"), ([2; 32], "stored")]);
        store.keys().store(Arc::new(stored));
        let callers = Callers::new(keyed(&[([1; 32], "configured")]), store);
        let team = |key| {
            let found = callers.find(key, SystemTime::UNIX_EPOCH).ok()?;
            assert_eq!(&*found.id, "anna");
            found.team.clone()
        };
        assert_eq!(team(&[1; 32]).as_deref(), Some("configured"));
        assert_eq!(team(&[2; 32]).as_deref(), Some("stored"));
    }

    #[test]
    fn a_key_is_known_until_it_expires_or_is_revoked() {
        let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        let caller = |id: &str, expires| {
            Arc::new(Caller {
                id: id.into(),
                expires,
                ..Caller::default()
            })
        };
        let store = Arc::new(Store::default());
        let stored = store.keys();
        stored.store(Arc::new(HashMap::from([([2; 32], caller("stored", None))])));
        let configured = HashMap::from([([1; 32], caller("configured", Some(expires)))]);
        let callers = Callers::new(configured, store);
        let id = |key, now| callers.find(key, now).map(|caller| caller.id.clone());
        let before = expires - Duration::from_nanos(1);
        assert_eq!(id(&[1; 32], before).as_deref(), Ok("configured"));
        assert_eq!(id(&[1; 32], expires), Err(NotFound::Nobody));
        assert_eq!(id(&[2; 32], expires).as_deref(), Ok("stored"));
        assert_eq!(id(&[3; 32], before), Err(NotFound::Nobody));
        stored.store(Arc::new(HashMap::new()));
        assert_eq!(id(&[2; 32], expires), Err(NotFound::Nobody));
    }

    #[test]
    fn while_the_store_cannot_be_read_nobody_is_told_that_a_key_is_wrong() {
        let store = Arc::new(Store::default());
        let folder = tempfile::tempdir().unwrap();
        // A file where the folder should be.
        let place = folder.path().join("state");
        std::fs::write(&place, "").unwrap();
        store.keep_in(Ok(place));
        let configured = HashMap::from([([1; 32], Arc::new(Caller::default()))]);
        let callers = Callers::new(configured, store.clone());
        let find = |key| callers.find(&key, SystemTime::UNIX_EPOCH).err();
        assert_eq!(
            find([2; 32]),
            Some(NotFound::Nobody),
            "nobody uses the store"
        );
        store.open(Duration::ZERO);
        #[cfg(feature = "sqlite")]
        assert_eq!(find([2; 32]), Some(NotFound::NotReadYet));
        assert_eq!(find([1; 32]), None);
    }
}

//! Tokens that have been verified, by their SHA-256, until they end.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use crate::stages::auth::jwt::identity::Identity;

const SHARDS: usize = 16;

/// Tokens of each shard.
const MOST: usize = 1024;

type Shard = HashMap<[u8; 32], Arc<Identity>>;

/// A bounded number of tokens and whose they are.
#[derive(Default)]
pub(in crate::stages::auth::jwt) struct Verified([Mutex<Shard>; SHARDS]);

impl Verified {
    /// Whose token has this hash, if it has been verified and is still in force.
    pub(in crate::stages::auth::jwt) fn get(
        &self,
        hash: &[u8; 32],
        now: SystemTime,
    ) -> Option<Arc<Identity>> {
        let found = self.shard(hash).get(hash).cloned()?;
        (now < found.until).then_some(found)
    }

    /// Remembers a token; where there is no room, those that have ended make it, else any other one.
    pub(in crate::stages::auth::jwt) fn put(
        &self,
        hash: [u8; 32],
        identity: Arc<Identity>,
        now: SystemTime,
    ) {
        let mut shard = self.shard(&hash);
        if shard.len() >= MOST {
            shard.retain(|_, known| now < known.until);
        }
        if shard.len() >= MOST
            && let Some(any) = shard.keys().next().copied()
        {
            shard.remove(&any);
        }
        shard.insert(hash, identity);
    }

    fn shard(&self, hash: &[u8; 32]) -> MutexGuard<'_, Shard> {
        let shard = &self.0[usize::from(hash[0]) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::stages::auth::jwt::identity::Claims;

    #[test]
    fn tokens_are_known_until_they_end_and_take_bounded_room() {
        let verified = Verified::default();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let claims = json!({"sub": "kim"}).as_object().unwrap().clone();
        let until = |seconds| {
            let identity = Identity::new(&Claims::default(), &claims, at(seconds));
            Arc::new(identity.unwrap())
        };
        verified.put([0; 32], until(10), at(0));
        assert!(verified.get(&[0; 32], at(9)).is_some());
        assert!(verified.get(&[0; 32], at(10)).is_none());
        assert!(verified.get(&[1; 32], at(9)).is_none());
        let hash = |number: u32| {
            let mut hash = [0; 32];
            hash[28..].copy_from_slice(&number.to_be_bytes());
            hash
        };
        for number in 1..=2 * MOST as u32 {
            verified.put(hash(number), until(20), at(11));
        }
        assert_eq!(verified.shard(&[0; 32]).len(), MOST);
        assert!(verified.get(&hash(2 * MOST as u32), at(12)).is_some());
    }
}

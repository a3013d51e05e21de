//! New keys.

use aws_lc_rs::rand;

/// What keys of millgate begin with, so that people and scanners for secrets know them.
pub const PREFIX: &str = "mg-";

/// Letters and digits alone: a double click marks all of it.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Characters after the prefix: 43 × log₂ 62 are 256 bits.
const LENGTH: usize = 43;

/// A key of 256 random bits from the operating system: `mg-` and 43 letters and digits. `None` where the system has no
/// random numbers to give.
#[must_use]
pub fn generate() -> Option<String> {
    let mut key = PREFIX.to_owned();
    let mut random = [0; 64];
    while key.len() < PREFIX.len() + LENGTH {
        rand::fill(&mut random).ok()?;
        // Only bytes below the largest multiple of 62: each character is as likely as any other.
        let fair = random.iter().filter(|byte| **byte < 4 * 62);
        let characters = fair.map(|byte| ALPHABET[usize::from(byte % 62)] as char);
        key.extend(characters.take(PREFIX.len() + LENGTH - key.len()));
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;

    #[test]
    fn keys_are_long_of_one_shape_and_never_the_same() {
        let keys: HashSet<_> = (0..1000).map(|_| generate().unwrap()).collect();
        assert_eq!(keys.len(), 1000);
        let mut seen = BTreeMap::new();
        for key in &keys {
            let random = key.strip_prefix("mg-").unwrap();
            assert_eq!(random.len(), 43);
            for byte in random.bytes() {
                *seen.entry(byte).or_insert(0) += 1;
            }
        }
        // 43 000 characters: 694 of each, with a standard deviation of 26.
        assert!(seen.keys().copied().eq(ALPHABET.iter().copied()));
        assert!(
            seen.values().all(|count| (500..900).contains(count)),
            "{seen:?}"
        );
    }
}

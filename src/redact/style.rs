//! What stands in the place of a value.

use std::sync::OnceLock;

use super::{candidate::What, kind::Kind};

/// How values are replaced.
#[derive(Clone, Debug)]
pub enum Style {
    /// By what they are: `<EMAIL>`. A custom pattern's label is its type.
    Label,
    /// By `*` for each letter and digit; what stands between them stays.
    Mask,
    /// By what they are and a keyed hash (BLAKE3, 48 bits of it): `<EMAIL:5f1b0c9e77aa>`. Equal values have equal
    /// hashes: of numbers only digits and letters count, however they are written; case counts in secrets alone.
    Hash(HashKey),
    /// By nothing.
    Drop,
}

/// What hashes are keyed with, so that nobody can find out values by hashing all there are.
#[derive(Clone)]
pub struct HashKey([u8; 32]);

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

impl HashKey {
    /// A key from a secret text: hashes can be compared wherever the same one is used.
    #[must_use]
    pub fn derive(secret: &str) -> Self {
        Self(blake3::derive_key(
            "millgate redact hash v1",
            secret.as_bytes(),
        ))
    }

    /// The key of this process: hashes can be compared as long as it runs. `None` where the system has no randomness.
    #[must_use]
    pub fn of_process() -> Option<Self> {
        static KEY: OnceLock<Option<HashKey>> = OnceLock::new();
        let random = || {
            let mut key = [0; 32];
            aws_lc_rs::rand::fill(&mut key).ok().map(|()| Self(key))
        };
        KEY.get_or_init(random).clone()
    }

    /// So many hexadecimal digits of the hash are shown.
    const SHOWN: usize = 12;

    fn hash(&self, what: What, value: &str) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        let lower = value.bytes().map(|byte| byte.to_ascii_lowercase());
        match what {
            What::Known(Kind::EmailAddress) => hasher.update(&lower.collect::<Vec<_>>()),
            What::Known(kind) if kind.is_number() => {
                hasher.update(&lower.filter(u8::is_ascii_alphanumeric).collect::<Vec<_>>())
            }
            _ => hasher.update(value.as_bytes()),
        };
        hasher.finalize().to_hex()[..Self::SHOWN].to_owned()
    }
}

impl Style {
    /// Writes what stands in the place of `value`. `plain` is the value in ASCII forms, and `label` begins with `<`
    /// and ends with `>`.
    pub(super) fn write(&self, to: &mut String, what: What, label: &str, value: &str, plain: &str) {
        match self {
            Self::Label => to.push_str(label),
            Self::Mask => {
                let masked = |c: char| if c.is_alphanumeric() { '*' } else { c };
                to.extend(value.chars().map(masked));
            }
            Self::Hash(key) => {
                to.push_str(label.trim_end_matches('>'));
                to.push(':');
                to.push_str(&key.hash(what, plain));
                to.push('>');
            }
            Self::Drop => {}
        }
    }
}

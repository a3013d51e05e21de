//! Captured content, encrypted: AES-256-GCM (NIST SP 800-38D) with a random nonce and the exchange's id as associated
//! data, so that no content can be passed off as another exchange's.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::{Engine, prelude::BASE64_STANDARD};
use uuid::Uuid;

use super::LedgerError;
use crate::telemetry::ended::Captured;

/// A key of 256 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

impl Key {
    /// Reads 64 hexadecimal digits, or base64 of 32 bytes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let bytes = if text.len() == 64 {
            let digit = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
            (0..32).map(|byte| digit(byte * 2)).collect::<Option<_>>()?
        } else {
            BASE64_STANDARD.decode(text).ok()?
        };
        bytes.try_into().ok().map(Self)
    }

    /// By which it is told apart from others; it does not give the key away.
    fn id(&self) -> String {
        let hash = blake3::derive_key("millgate ledger: id of a capture key", &self.0);
        blake3::Hash::from(hash).to_hex()[..12].to_owned()
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        Some(LessSafeKey::new(
            UnboundKey::new(&AES_256_GCM, &self.0).ok()?,
        ))
    }
}

/// The keys of a config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// With which is encrypted.
    pub current: Option<Key>,
    /// With which was encrypted before.
    pub old: Vec<Key>,
}

/// Content as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    /// Which key it is encrypted with.
    pub(super) key: String,
    /// The nonce, the encrypted content and its tag.
    pub(super) content: Vec<u8>,
}

impl Keys {
    /// Encrypts content; `None` where there is no key for it, or no random number to be had.
    pub(super) fn seal(&self, id: Uuid, captured: &Captured) -> Option<Sealed> {
        let key = self.current.as_ref()?;
        let plain = serde_json::json!([captured.request, captured.reply]).to_string();
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).ok()?;
        let mut encrypted = plain.into_bytes();
        let told = Nonce::assume_unique_for_key(nonce);
        key.cipher()?
            .seal_in_place_append_tag(told, Aad::from(id.as_bytes()), &mut encrypted)
            .ok()?;
        let mut content = nonce.to_vec();
        content.append(&mut encrypted);
        Some(Sealed {
            key: key.id(),
            content,
        })
    }

    /// Decrypts content with whichever of the keys it was encrypted with.
    pub(super) fn unseal(&self, id: Uuid, sealed: &Sealed) -> Result<Captured, LedgerError> {
        let mut keys = self.current.iter().chain(&self.old);
        let key = keys.find(|key| key.id() == sealed.key).ok_or(LedgerError::Sealed(
            "it was encrypted with a key that the config does not have\n  add that key to [ledger] old_capture_keys",
        ))?;
        self::open(key, id, &sealed.content).ok_or(LedgerError::Sealed(
            "what was captured is damaged, or of another exchange",
        ))
    }
}

fn open(key: &Key, id: Uuid, content: &[u8]) -> Option<Captured> {
    let (nonce, encrypted) = content.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut encrypted = encrypted.to_vec();
    let plain = key
        .cipher()?
        .open_in_place(nonce, Aad::from(id.as_bytes()), &mut encrypted)
        .ok()?;
    let [request, reply]: [String; 2] = serde_json::from_slice(plain).ok()?;
    Some(Captured { request, reply })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(current: &str, old: &[&str]) -> Keys {
        Keys {
            current: Key::parse(current),
            old: old.iter().map(|key| Key::parse(key).unwrap()).collect(),
        }
    }

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const OTHER: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn a_key_is_32_bytes_in_either_writing() {
        assert_eq!(Key::parse(HEX), Key::parse(BASE64));
        assert!(Key::parse(HEX).is_some());
        for wrong in [
            "",
            "short",
            &HEX[2..],
            &BASE64[4..],
            &HEX.replace('0', "g"),
            "가나다라",
        ] {
            assert_eq!(Key::parse(wrong), None, "{wrong}");
        }
        assert_eq!(format!("{:?}", Key::parse(HEX)), "Some([secret])");
    }

    #[test]
    fn content_comes_back_with_its_key_and_for_its_exchange_alone() {
        let captured = Captured {
            request: "무엇?".to_owned(),
            reply: "\"nothing\"".to_owned(),
        };
        let id = Uuid::from_u128(7);
        let sealed = keys(HEX, &[]).seal(id, &captured).unwrap();
        assert!(!sealed.content.windows(7).any(|window| window == b"nothing"));
        assert_eq!(keys(BASE64, &[]).unseal(id, &sealed).unwrap(), captured);
        assert_eq!(keys(OTHER, &[HEX]).unseal(id, &sealed).unwrap(), captured);
        let error = keys(OTHER, &[]).unseal(id, &sealed).unwrap_err();
        assert!(error.to_string().contains("old_capture_keys"), "{error}");
        assert!(keys(HEX, &[]).unseal(Uuid::from_u128(8), &sealed).is_err());
        let mut bent = sealed.clone();
        *bent.content.last_mut().unwrap() ^= 1;
        assert!(keys(HEX, &[]).unseal(id, &bent).is_err());
        bent.content.truncate(5);
        assert!(keys(HEX, &[]).unseal(id, &bent).is_err());
        assert_ne!(keys(HEX, &[]).seal(id, &captured), Some(sealed));
        assert_eq!(Keys::default().seal(id, &captured), None);
    }
}

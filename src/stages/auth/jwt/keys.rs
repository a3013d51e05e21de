//! The issuer's public keys (RFC 7517), and the tokens that they have been seen to sign.

mod verified;

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::token::{Fault, Token};
pub(super) use verified::Verified;

/// A set of keys. The tokens that it has verified go with it: a key that is taken out takes them along.
pub(super) struct KeySet {
    keys: Arc<[Key]>,
    pub(super) verified: Verified,
}

/// A key that may sign tokens, each for the one algorithm that its type allows: a token does not choose.
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    public: DecodingKey,
    /// Its parameters as they were read, to tell whether a set has changed.
    parameters: Vec<String>,
}

/// Why a signature is not good.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotSigned {
    /// None of the keys is the one that the token names: a newer set may have it.
    UnknownKey,
    /// Whatever keys there are.
    Never(Fault),
}

/// A key as it stands in the document.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// The usable keys of a document. A key of an unknown kind is passed over; a document without any usable one is
    /// refused.
    pub(super) fn parse(document: &[u8]) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document = serde_json::from_slice(document)
            .map_err(|_| "this is no set of keys: a JSON object with an array `keys` (RFC 7517)")?;
        let keys = document.keys.into_iter();
        let keys: Arc<[Key]> = keys
            .filter_map(|key| serde_json::from_value::<Jwk>(key).ok()?.usable())
            .collect();
        if keys.is_empty() {
            return Err("there is no key for signatures with RS256, ES256 or EdDSA in this set");
        }
        Ok(Self {
            keys,
            verified: Verified::default(),
        })
    }

    /// The same keys, without the tokens.
    pub(super) fn fresh(&self) -> Self {
        Self {
            keys: self.keys.clone(),
            verified: Verified::default(),
        }
    }

    /// Whether both hold the same keys.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let pairs = self.keys.iter().zip(&*other.keys);
        let same = |(a, b): (&Key, &Key)| (&a.id, &a.parameters) == (&b.id, &b.parameters);
        self.keys.len() == other.keys.len() && pairs.into_iter().all(same)
    }

    /// Checks the signature of a token.
    pub(super) fn check(&self, token: &Token<'_>) -> Result<(), NotSigned> {
        let algorithm = match token.header.alg.as_str() {
            "RS256" => Algorithm::RS256,
            "ES256" => Algorithm::ES256,
            "EdDSA" => Algorithm::EdDSA,
            _ => return Err(NotSigned::Never("its algorithm is not accepted")),
        };
        let key = self.find(token.header.kid.as_deref(), algorithm)?;
        let message = token.signed.as_bytes();
        match jsonwebtoken::crypto::verify(token.signature, message, &key.public, algorithm) {
            Ok(true) => Ok(()),
            _ => Err(NotSigned::Never("its signature is not good")),
        }
    }

    /// The key that a token names. A token that names none has to be of the only key for its algorithm.
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<&Key, NotSigned> {
        let mut fitting = self.keys.iter().filter(|key| match id {
            Some(id) => key.id.as_deref() == Some(id),
            None => key.algorithm == algorithm,
        });
        let key = fitting.next().ok_or(NotSigned::UnknownKey)?;
        if fitting.next().is_some() {
            return Err(NotSigned::Never("several keys may have signed it"));
        }
        if key.algorithm != algorithm {
            return Err(NotSigned::Never("its algorithm is not that of its key"));
        }
        Ok(key)
    }
}

impl Jwk {
    /// The key, where it is a public one that may check signatures with an algorithm that we accept.
    fn usable(self) -> Option<Key> {
        let is_for_signatures = self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self
                .key_ops
                .as_ref()
                .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !is_for_signatures {
            return None;
        }
        let (algorithm, name, parameters) = match (&*self.kty, self.crv.as_deref()) {
            ("RSA", _) => (Algorithm::RS256, "RS256", vec![self.n?, self.e?]),
            ("EC", Some("P-256")) => (Algorithm::ES256, "ES256", vec![self.x?, self.y?]),
            ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, "EdDSA", vec![self.x?]),
            _ => return None,
        };
        let is_sound = |parameter: &String| {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(parameter).ok();
            bytes.is_some_and(|bytes| algorithm == Algorithm::RS256 || bytes.len() == 32)
        };
        if self.alg.is_some_and(|alg| alg != name) || !parameters.iter().all(is_sound) {
            return None;
        }
        let public = match parameters.as_slice() {
            [n, e] if algorithm == Algorithm::RS256 => DecodingKey::from_rsa_components(n, e),
            [x, y] => DecodingKey::from_ec_components(x, y),
            [x] => DecodingKey::from_ed_components(x),
            _ => return None,
        };
        Some(Key {
            id: self.kid,
            algorithm,
            public: public.ok()?,
            parameters,
        })
    }
}

#[cfg(test)]
mod tests;

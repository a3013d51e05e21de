//! What identifies an answer: everything that decides it, and for whom.
//!
//! A key is made of the whole request less a short list of what no answer depends on, never of a list of what it does
//! depend on: a parameter that nobody has thought of keeps answers apart.

mod canonical;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    hash::{BuildHasherDefault, Hash, Hasher},
    net::IpAddr,
};

use http::{HeaderName, HeaderValue};
use millgate_plugin::Endpoint;

use super::config::Scope;
use crate::{
    pipeline::request::ClientRequest,
    routing::{pattern::Glob, route::Route},
};

/// A BLAKE3 hash. Never a faster one: two requests of the same key would get each other's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key([u8; 32]);

/// Hashes a [`Key`] by taking it as the hash that it is. Nobody can choose keys that collide.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// Makes [`AsIs`].
pub type ByKey = BuildHasherDefault<AsIs>;

/// Bytes of a key that are shown: enough to tell keys apart, and short enough for a log line.
const SHOWN: usize = 16;

impl Key {
    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// All of it in hexadecimal digits.
    #[must_use]
    pub fn in_full(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

/// A key is a hash already: what tables of keys need is a part of it.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0[..8]);
        state.write_u64(u64::from_le_bytes(first));
    }
}

/// The first half in hexadecimal digits, as the access log has it and `cache purge --key` takes it.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut shown = [0; 2 * SHOWN];
        for (byte, digits) in self.0.iter().zip(shown.chunks_exact_mut(2)) {
            digits[0] = DIGITS[usize::from(byte >> 4)];
            digits[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&shown).unwrap_or_default())
    }
}

/// What no answer depends on. The Responses API gives a part of it back, so there only the form is left out.
fn is_ignored(endpoint: Endpoint, member: &str) -> bool {
    match member {
        // The model is in the key as the stages have left it.
        "model" | "stream" | "stream_options" | "store" => true,
        "user"
        | "metadata"
        | "safety_identifier"
        | "prompt_cache_key"
        | "prompt_cache_retention" => endpoint != Endpoint::Responses,
        _ => false,
    }
}

/// Client headers that alter an answer, beside those that a provider of the route has passed on to it.
const TELLING_HEADERS: [HeaderName; 1] = [HeaderName::from_static("openai-beta")];

/// The key of the answer to a request on this route, with stages below it of this fingerprint. `canonical`: white space
/// and the order within the members make no difference.
#[must_use]
pub fn of(
    request: &ClientRequest,
    route: &Route,
    stages: &[u8; 32],
    scope: Scope,
    canonical: bool,
) -> Key {
    let mut hash = Fields::default();
    hash.scope(request, scope);
    hash.field(&[request.endpoint as u8]);
    hash.field(&route.fingerprint);
    hash.field(stages);
    hash.field(request.api_path().as_bytes());
    hash.field(request.query.as_deref().unwrap_or_default().as_bytes());
    hash.field(request.model.as_bytes());
    hash.headers(request, route);
    hash.members(request, canonical);
    Key(hash.0.finalize().into())
}

/// Fields one after the other, each behind its length, so that no two lists of fields run into the same bytes.
#[derive(Default)]
struct Fields(blake3::Hasher);

impl Fields {
    fn field(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.update(bytes);
    }

    fn number(&mut self, number: usize) {
        self.0.update(&(number as u64).to_le_bytes());
    }

    /// Whose answers these are. A caller without a team shares with nobody.
    fn scope(&mut self, request: &ClientRequest, scope: Scope) {
        let caller = &request.caller;
        match (scope, caller.team(), caller.id()) {
            (Scope::All, ..) => self.field(b"all"),
            (Scope::Team, Some(team), _) => {
                self.field(b"team");
                self.field(team.as_bytes());
            }
            (_, _, Some(id)) => {
                self.field(b"caller");
                self.field(id.as_bytes());
            }
            (_, _, None) => {
                self.field(b"address");
                match request.peer {
                    IpAddr::V4(address) => self.field(&address.octets()),
                    IpAddr::V6(address) => self.field(&address.octets()),
                }
            }
        }
    }

    fn headers(&mut self, request: &ClientRequest, route: &Route) {
        let forwarded = |name: &HeaderName| {
            let is_forwarded = |glob: &Glob| glob.matches(name.as_str());
            let mut providers = route.targets.iter().map(|target| &target.provider);
            providers.any(|provider| provider.forward_headers.iter().any(is_forwarded))
        };
        let mut names: Vec<&HeaderName> = request
            .headers
            .keys()
            .filter(|name| TELLING_HEADERS.contains(name) || forwarded(name))
            .collect();
        names.sort_unstable_by_key(|name| name.as_str());
        self.number(names.len());
        for name in names {
            let values: Vec<&HeaderValue> = request.headers.get_all(name).iter().collect();
            self.field(name.as_str().as_bytes());
            self.number(values.len());
            for value in values {
                self.field(value.as_bytes());
            }
        }
    }

    fn members(&mut self, request: &ClientRequest, canonical: bool) {
        let mut members: Vec<_> = request
            .members
            .iter(&request.body)
            .filter(|(name, _)| !is_ignored(request.endpoint, name))
            .collect();
        members.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        self.number(members.len());
        for (name, span) in members {
            self.field(name.as_bytes());
            let value = request.body.get(span).unwrap_or_default();
            if canonical {
                self.field(&canonical::form(value));
            } else {
                self.field(value);
            }
        }
    }
}

//! Bearers that are signed by a company's sign-on (JWT, RFC 7519), so that it names the user.

mod identity;
mod keys;
mod source;
mod token;

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use millgate_plugin::{BoxFuture, Host, SetupError, units::Duration};
use schemars::JsonSchema;
use serde::Deserialize;

use identity::{Claims, Identity};
use keys::{KeySet, NotSigned};
use source::{Keys, Times};
use token::{Fault, Token};

/// Accepts tokens of a sign-on, signed with `RS256`, `ES256` or `EdDSA`. One of `jwks_url` and `jwks` says with which keys.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the sign-on publishes its keys (RFC 7517): `https`, or `http` on this machine. Asked when the first token
    /// comes. Default: none.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// The keys themselves, as JSON. Give them as `"${file:jwks.json}"`; a reload reads the file again. Default: none.
    #[serde(default)]
    pub jwks: Option<String>,
    /// The `iss` that a token must have, to the letter.
    pub issuer: String,
    /// The `aud` of which a token must have one.
    pub audience: Vec<String>,
    /// What of a token says who the caller is. Default: `sub` is the id.
    #[serde(default)]
    pub claims: Claims,
    /// Keys of this age are asked for anew, in the background. Default: `"10m"`.
    #[serde(default = "ten_minutes")]
    pub refresh: Duration,
    /// The least time between two requests for keys, whatever tokens come. Default: `"5s"`.
    #[serde(default = "five_seconds")]
    pub pause: Duration,
}

fn ten_minutes() -> Duration {
    Duration::from_secs(600)
}

fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

/// What a bearer's tokens are checked by.
pub(super) struct Jwt {
    keys: Keys,
    issuer: String,
    audience: Vec<String>,
    claims: Claims,
}

/// What a bearer is.
pub(super) enum Verdict {
    /// A good token, of this one.
    Good(Arc<Identity>),
    /// None that is good.
    Bad(Fault),
    /// To be asked about again once this is done.
    Wait(BoxFuture),
    /// Nobody can tell: there are no keys. After so long it is worth trying again.
    NoKeys(std::time::Duration),
}

impl Jwt {
    pub(super) fn new(config: Config, host: &Host) -> Result<Self, SetupError> {
        let wrong = |key: &str, message: &str| SetupError::at(["jwt", key], message);
        if config.issuer.is_empty() {
            return Err(wrong("issuer", "tokens of whom? write the `iss` of yours"));
        }
        if config.audience.iter().all(String::is_empty) {
            return Err(wrong(
                "audience",
                "tokens for whom? write the `aud` of yours",
            ));
        }
        if config.refresh.is_zero() {
            return Err(wrong("refresh", "this must be longer than no time at all"));
        }
        let times = Times {
            refresh: config.refresh.get(),
            pause: config.pause.get(),
        };
        let keys = match (config.jwks_url, config.jwks) {
            (Some(url), None) => {
                check_url(&url).map_err(|message| wrong("jwks_url", message))?;
                Keys::from_url(url, host, times)
            }
            (None, Some(document)) => {
                let set = KeySet::parse(document.as_bytes());
                Keys::fixed(set.map_err(|message| wrong("jwks", message))?, host, times)
            }
            (Some(_), Some(_)) => {
                return Err(wrong("jwks", "keep one of `jwks` and `jwks_url`"));
            }
            (None, None) => {
                let message = "say with which keys tokens are signed: jwks_url = \"https://…\", or jwks = \"${file:…}\"";
                return Err(SetupError::at(["jwt"], message));
            }
        };
        Ok(Self {
            keys,
            issuer: config.issuer,
            audience: config.audience,
            claims: config.claims,
        })
    }

    /// Takes over the keys of another, and what they have verified where it would verify the same.
    pub(super) fn adopt(&self, old: &Self) {
        let is_same = (&self.issuer, &self.audience, &self.claims)
            == (&old.issuer, &old.audience, &old.claims);
        self.keys.adopt(&old.keys, is_same);
    }

    /// Whether a bearer is a good token. `hash` is its SHA-256; `may_wait`: it has not been waited for yet.
    pub(super) fn judge(&self, bearer: &str, hash: &[u8; 32], may_wait: bool) -> Verdict {
        let (now, time) = (Instant::now(), SystemTime::now());
        if !token::looks_like_one(bearer) {
            return Verdict::Bad("it is nobody's key, and no token");
        }
        let Some(set) = self.keys.current(now) else {
            let newer = self.keys.newer(now).filter(|_| may_wait);
            return newer.map_or(Verdict::NoKeys(self.keys.pause()), Verdict::Wait);
        };
        let newer = || self.keys.newer(now).filter(|_| may_wait).map(Verdict::Wait);
        if may_wait
            && self.keys.are_stale(now)
            && let Some(wait) = newer()
        {
            return wait;
        }
        if let Some(known) = set.verified.get(hash, time) {
            return Verdict::Good(known);
        }
        match self.verify(&set, bearer, time) {
            Ok(identity) => {
                let identity = Arc::new(identity);
                set.verified.put(*hash, identity.clone(), time);
                Verdict::Good(identity)
            }
            Err(NotSigned::UnknownKey) => {
                newer().unwrap_or(Verdict::Bad("it is signed with an unknown key"))
            }
            Err(NotSigned::Never(fault)) => Verdict::Bad(fault),
        }
    }

    fn verify(&self, set: &KeySet, bearer: &str, now: SystemTime) -> Result<Identity, NotSigned> {
        let token = Token::parse(bearer)?;
        set.check(&token)?;
        let claims = token.claims()?;
        let until = token::check(&claims, &self.issuer, &self.audience, now)?;
        Ok(Identity::new(&self.claims, &claims, until)?)
    }
}

impl From<Fault> for NotSigned {
    fn from(fault: Fault) -> Self {
        Self::Never(fault)
    }
}

/// Whoever can change the keys on their way can sign tokens.
fn check_url(url: &str) -> Result<(), &'static str> {
    let uri: http::Uri = url.parse().map_err(|_| "this is not a URL")?;
    let host = uri
        .host()
        .ok_or("expected a URL like \"https://sso.example.com/jwks\"")?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_this_machine = host == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if is_this_machine => Ok(()),
        Some("http") => Err("keys that come unencrypted can be forged on their way: use https://"),
        _ => Err("expected a URL like \"https://sso.example.com/jwks\""),
    }
}

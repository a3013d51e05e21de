//! `auth`: who is calling, found out by a key, by a token of the company's sign-on, or by the client's own upstream key.

mod credential;
mod failures;
mod jwt;

use std::{net::IpAddr, time::Instant};

use aws_lc_rs::digest::{SHA256, digest};
use millgate_plugin::{
    BoxFuture, Exchange, Field, Flow, Hooks, Host, Place, Refusal, RefusalKind, SetError,
    SetupError, Stage, StageError,
    units::{Per, Rate},
};
use schemars::JsonSchema;
use serde::Deserialize;

use self::{
    credential::Presented,
    failures::Failures,
    jwt::{Jwt, Verdict},
};
use crate::api::error::model_not_allowed;

/// Asks every request for a key: `Authorization: Bearer KEY`, `api-key: KEY` or `x-api-key: KEY`, the first of them that
/// is there. The keys are those of `[callers.ID]`. Whatever it finds, it takes out of the request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `"key"` refuses whoever has no good key. `"optional"` lets those pass who send none; a wrong one is still refused.
    /// `"upstream"` checks nothing and sends the client's own key on, only to providers with `forward_auth = true`; its
    /// hash is the caller's id. Default: `"key"`.
    pub require: Require,
    /// How many requests without a good key may come from one address (of IPv6, one /64); further ones are answered with
    /// 429 instead of 401. A good key is never refused by this. Default: `"30/min"`.
    pub failures: Rate,
    /// Accepts tokens of a sign-on beside the keys. Default: none.
    pub jwt: Option<jwt::Config>,
}

/// What a request needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Require {
    /// A good key or token.
    #[default]
    Key,
    /// A good one or none.
    Optional,
    /// One that the upstream will judge.
    Upstream,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            require: Require::default(),
            failures: FAILURES,
            jwt: None,
        }
    }
}

const FAILURES: Rate = match Rate::new(30, Per::Minute) {
    Some(rate) => rate,
    None => unreachable!(),
};

/// Characters of a caller id that is made of a key's hash: no two keys will ever have the same.
const ID_DIGITS: usize = 24;

/// The stage.
pub struct Auth {
    require: Require,
    failures: Failures,
    jwt: Option<Jwt>,
}

/// How far an exchange has got with being asked who is calling.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// It has waited for keys, and will not do so again.
    has_waited: bool,
    /// It is somebody's, who may have a list of models.
    is_somebodys: bool,
}

/// What comes of a credential.
enum Found {
    /// It is somebody's.
    Somebody,
    /// There is none, and none is needed.
    Anybody,
    /// It is nobody's: why, for the operator.
    Nobody(&'static str),
    /// That will be known once this is done.
    Later(BoxFuture),
    /// That cannot be known before this time has passed.
    NotNow(std::time::Duration),
}

impl Stage for Auth {
    const KIND: &'static str = "auth";
    const PLACE: Place = Place::AboveRoute;
    type Config = Config;
    type State = Asked;

    fn new(_name: &str, config: Config, host: &Host) -> Result<Self, SetupError> {
        if config.require == Require::Upstream && config.jwt.is_some() {
            let message = "with require = \"upstream\" nothing is checked here, tokens neither";
            return Err(SetupError::at(["jwt"], message));
        }
        Ok(Self {
            require: config.require,
            failures: Failures::new(config.failures),
            jwt: config.jwt.map(|jwt| Jwt::new(jwt, host)).transpose()?,
        })
    }

    fn adopt(&self, old: &Self) {
        self.failures.adopt(&old.failures);
        if let (Some(jwt), Some(old)) = (&self.jwt, &old.jwt) {
            jwt.adopt(old);
        }
    }

    fn hooks(&self) -> Hooks {
        Hooks::REQUEST_HEAD | Hooks::REQUEST
    }

    fn needs_store(&self) -> bool {
        self.require != Require::Upstream
    }

    fn begin(&self) -> Asked {
        Asked::default()
    }

    /// Who is calling is told by the head alone: nobody's body is read.
    fn on_request_head(
        &self,
        asked: &mut Asked,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        let found = self.find(!asked.has_waited, exchange)?;
        if let Found::Later(wait) = found {
            asked.has_waited = true;
            return Ok(Flow::Wait(wait));
        }
        if self.require != Require::Upstream || !matches!(found, Found::Somebody) {
            credential::take_out(exchange)?;
        }
        Ok(match found {
            Found::Somebody => {
                asked.is_somebodys = true;
                Flow::Next
            }
            Found::Anybody => Flow::Next,
            Found::Nobody(why) => Flow::Reject(self.refuse(exchange, why)),
            Found::NotNow(after) => Flow::Reject(unavailable(after)),
            Found::Later(wait) => Flow::Wait(wait),
        })
    }

    /// What they ask for, the body tells.
    fn on_request(
        &self,
        asked: &mut Asked,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        // Who is not known here has been let pass on purpose: nobody has to be, or the stage's word does not count.
        let is_refused = asked.is_somebodys && exchange.number(Field::ModelAllowed) == Some(0);
        Ok(if is_refused {
            Flow::Reject(model_not_allowed())
        } else {
            Flow::Next
        })
    }
}

/// When to ask again about a key while the store cannot be read.
const STORE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

impl Auth {
    /// Finds out who is calling, and tells the exchange.
    fn find(&self, may_wait: bool, exchange: &mut dyn Exchange) -> Result<Found, SetError> {
        let key = match credential::presented(exchange) {
            Presented::Key(key) => key,
            Presented::Malformed => return Ok(Found::Nobody("what it sent can be no key")),
            Presented::Nothing if self.require == Require::Optional => return Ok(Found::Anybody),
            Presented::Nothing => return Ok(Found::Nobody("it sent no key")),
        };
        if self.require == Require::Upstream {
            let key = key.to_owned();
            exchange.set(Field::CallerId, "", Some(id_of(&key).as_bytes()))?;
            credential::pass_on(exchange, &key)?;
            return Ok(Found::Somebody);
        }
        let hash = sha256(&[key.as_bytes()]);
        let all_keys_are_known = match exchange.set(Field::CallerKey, "", Some(&hash)) {
            Ok(()) => return Ok(Found::Somebody),
            Err(SetError::Unknown) => true,
            Err(SetError::Unavailable) => false,
            Err(error) => return Err(error),
        };
        Ok(match self.judge(exchange, &hash, may_wait) {
            Verdict::Good(identity) => {
                identity.introduce(exchange)?;
                Found::Somebody
            }
            Verdict::Bad(_) if !all_keys_are_known => Found::NotNow(STORE_PATIENCE),
            Verdict::Bad(why) => Found::Nobody(why),
            Verdict::Wait(wait) => Found::Later(wait),
            Verdict::NoKeys(after) => Found::NotNow(after),
        })
    }

    /// Whether what is nobody's key is a token.
    fn judge(&self, exchange: &dyn Exchange, hash: &[u8; 32], may_wait: bool) -> Verdict {
        match (&self.jwt, credential::presented(exchange)) {
            (Some(jwt), Presented::Key(bearer)) => jwt.judge(bearer, hash, may_wait),
            _ => Verdict::Bad("it is nobody's key"),
        }
    }

    /// 401, or 429 for an address that has had too many. The client is told the same whatever was wrong.
    fn refuse(&self, exchange: &dyn Exchange, why: &'static str) -> Refusal {
        tracing::debug!(request_id = exchange.request_id(), why, "nobody's key");
        let address = exchange.text(Field::PeerAddress, "");
        let address: Option<IpAddr> = address.and_then(|address| address.parse().ok());
        let counted = address.map_or(Ok(()), |address| {
            self.failures.count(address, Instant::now())
        });
        match counted {
            Ok(()) => Refusal::new(
                RefusalKind::Unauthorized,
                "The API key is missing or not valid. Send yours as `Authorization: Bearer KEY`.",
            )
            .code("invalid_api_key"),
            Err(after) => Refusal::new(
                RefusalKind::RateLimited,
                "Too many requests without a valid API key came from this address. Check the key, and try again later.",
            )
            .retry_after(after),
        }
    }
}

fn unavailable(after: std::time::Duration) -> Refusal {
    Refusal::new(
        RefusalKind::Unavailable,
        "Keys and tokens cannot be checked at the moment. Try again later.",
    )
    .code("auth_unavailable")
    .retry_after(after)
}

/// The id of a caller who is known by an upstream's key alone. It is not the plain hash, which may stand in other
/// places too.
fn id_of(key: &str) -> String {
    let hash = sha256(&[b"millgate caller\0", key.as_bytes()]);
    let digits = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
    "key-".chars().chain(digits.take(ID_DIGITS)).collect()
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, &parts.concat()).as_ref());
    hash
}

#[cfg(test)]
mod tests;

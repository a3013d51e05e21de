//! A token taken apart (RFC 7515, 7.1; RFC 7519). Nothing in it is true before its signature has been checked.

use std::time::{Duration, SystemTime};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value};

/// How far ahead of ours the clock of the issuer may be, for `nbf`.
const LEEWAY: Duration = Duration::from_secs(30);

/// A token as it was sent.
pub(super) struct Token<'a> {
    /// What is signed: header and payload with the dot between them.
    pub(super) signed: &'a str,
    /// The signature, in base64url.
    pub(super) signature: &'a str,
    /// What it says of its signature.
    pub(super) header: Header,
    payload: &'a str,
}

/// The protected header, as far as it matters here.
#[derive(Deserialize)]
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) kid: Option<String>,
    crit: Option<Value>,
}

/// Why a token is none: for the operator's log, never for the client.
pub(super) type Fault = &'static str;

/// Whether a bearer looks like a token, so that it may be one where it is nobody's key.
pub(super) fn looks_like_one(bearer: &str) -> bool {
    let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    // `{"` in base64
    bearer.starts_with("ey")
        && bearer.split('.').count() == 3
        && bearer
            .bytes()
            .all(|byte| byte == b'.' || is_base64url(byte))
}

impl<'a> Token<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, Fault> {
        let (signed, signature) = text.rsplit_once('.').ok_or("it has no signature")?;
        let (header, payload) = signed.split_once('.').ok_or("it has no payload")?;
        let header = BASE64_URL_SAFE_NO_PAD
            .decode(header)
            .map_err(|_| "its header is not base64url")?;
        let header: Header =
            serde_json::from_slice(&header).map_err(|_| "its header cannot be read")?;
        if header.crit.is_some() {
            // RFC 7515, 4.1.11: what is not understood and critical makes it invalid.
            return Err("its header wants extensions understood");
        }
        Ok(Self {
            signed,
            signature,
            header,
            payload,
        })
    }

    /// What it says, once its signature has been checked.
    pub(super) fn claims(&self) -> Result<Map<String, Value>, Fault> {
        let payload = BASE64_URL_SAFE_NO_PAD
            .decode(self.payload)
            .map_err(|_| "its payload is not base64url")?;
        serde_json::from_slice(&payload).map_err(|_| "its payload cannot be read")
    }
}

/// Whether a token with these claims is for us, from whom we trust, and in force; until when it is.
pub(super) fn check(
    claims: &Map<String, Value>,
    issuer: &str,
    audience: &[String],
    now: SystemTime,
) -> Result<SystemTime, Fault> {
    if claims.get("iss").and_then(Value::as_str) != Some(issuer) {
        return Err("it is of another issuer");
    }
    let is_ours = |name: &Value| {
        name.as_str()
            .is_some_and(|name| audience.iter().any(|a| a == name))
    };
    let is_for_us = match claims.get("aud") {
        Some(Value::Array(names)) => names.iter().any(is_ours),
        Some(name) => is_ours(name),
        None => return Err("it has no aud"),
    };
    if !is_for_us {
        return Err("it is for another audience");
    }
    let until = time(claims.get("exp").ok_or("it has no exp")?).ok_or("its exp is no time")?;
    if until <= now {
        return Err("it has expired");
    }
    if let Some(from) = claims.get("nbf") {
        let from = time(from).ok_or("its nbf is no time")?;
        if from > now + LEEWAY {
            return Err("it is not in force yet");
        }
    }
    Ok(until)
}

/// Seconds since 1970, with a fraction perhaps (RFC 7519, 2: `NumericDate`).
fn time(value: &Value) -> Option<SystemTime> {
    let since = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn checked(claims: &Value) -> Result<SystemTime, Fault> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let audience = ["millgate".to_owned(), "gate".to_owned()];
        check(claims.as_object().unwrap(), "https://sso", &audience, now)
    }

    #[test]
    fn claims_must_be_for_us_from_the_issuer_and_in_force() {
        let good = json!({"iss": "https://sso", "aud": "millgate", "exp": 1001, "nbf": 1030});
        let until = SystemTime::UNIX_EPOCH + Duration::from_secs(1001);
        assert_eq!(checked(&good), Ok(until));
        let with = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            checked(&claims)
        };
        let without = |name: &str| {
            let mut claims = good.clone();
            claims.as_object_mut().unwrap().remove(name);
            checked(&claims)
        };
        assert!(with("aud", json!(["other", "gate"])).is_ok());
        assert!(with("exp", json!(1000.5)).is_ok());
        assert!(without("nbf").is_ok());
        for name in ["iss", "aud", "exp"] {
            assert!(without(name).is_err(), "{name}");
        }
        for (name, value) in [
            ("iss", json!("https://sso/")),
            ("iss", json!(["https://sso"])),
            ("aud", json!("Millgate")),
            ("aud", json!([])),
            ("aud", json!(null)),
            ("aud", json!({"millgate": true})),
            ("exp", json!(1000)),
            ("exp", json!("1001")),
            ("exp", json!(-1)),
            ("exp", json!(1e300)),
            ("nbf", json!(1031)),
            ("nbf", json!("now")),
        ] {
            assert!(with(name, value.clone()).is_err(), "{name} = {value}");
        }
    }

    #[test]
    fn only_three_parts_that_begin_like_json_look_like_a_token() {
        assert!(looks_like_one("eyJh.eyJi.c2ln"));
        assert!(looks_like_one("eyJh.eyJi."));
        for other in [
            "",
            "sk-1234",
            "eyJh.eyJi",
            "eyJh.eyJi.c2ln.x",
            "eyJh.ey Ji.c2ln",
            "a.b.c",
        ] {
            assert!(!looks_like_one(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_or_refused(text in "[ey.A-Za-z0-9_-]{0,200}") {
            if let Ok(token) = Token::parse(&text) {
                let _ = token.claims();
            }
        }

        #[test]
        fn whatever_is_claimed_is_accepted_or_refused(
            claims in proptest::collection::hash_map("iss|aud|exp|nbf", any::<f64>().prop_map(|n| json!(n)), 0..4),
        ) {
            let claims: Map<String, Value> = claims.into_iter().collect();
            prop_assert!(checked(&Value::Object(claims)).is_err());
        }
    }
}

//! `/api/cache`: how the cache does, and what it is to forget.

use http::{Request, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;

use super::{
    Caller, body,
    reply::{Reply, error, json},
};
use crate::{api::error::ApiError, cache::entry::Purge, runtime::gateway::Gateway};

/// The largest body that is read.
const MAX_BODY: usize = 16 << 10;

/// What to forget: exactly one of them.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    all: bool,
    key: Option<String>,
    model: Option<String>,
    caller: Option<String>,
    tag: Option<String>,
}

impl Asked {
    fn purge(self) -> Option<Purge> {
        if self.key.as_deref().is_some_and(|key| !is_key(key)) {
            return None;
        }
        let mut asked = [
            self.all.then_some(Purge::All),
            self.key.map(|key| Purge::Key(key.to_ascii_lowercase())),
            self.model.map(Purge::Model),
            self.caller.map(Purge::Caller),
            self.tag.map(Purge::Tag),
        ]
        .into_iter()
        .flatten();
        let purge = asked.next()?;
        asked.next().is_none().then_some(purge)
    }
}

/// Whether it says enough of a key to mean one.
fn is_key(text: &str) -> bool {
    text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `GET /api/cache`
pub(super) fn stats(gateway: &Gateway) -> Reply {
    let runtime = gateway.runtime();
    let Some(cache) = &runtime.pipeline.cache else {
        return no_cache();
    };
    let stats = serde_json::to_vec(&cache.stats()).unwrap_or_default();
    json(StatusCode::OK, stats)
}

/// `POST /api/cache/purge` with `{"all":true}`, `{"key":"…"}`, `{"model":"…"}`, `{"caller":"…"}` or `{"tag":"…"}`.
pub(super) async fn purge(
    gateway: &Gateway,
    request: Request<Incoming>,
    caller: &Caller,
) -> Result<Reply, ApiError> {
    let body = body::collect(request.into_body(), MAX_BODY, caller.patience).await?;
    let asked = body.and_then(|body| {
        let asked: Asked = serde_json::from_slice(&body).ok()?;
        asked.purge()
    });
    let Some(purge) = asked else {
        return Err(ApiError::invalid(
            "invalid_purge",
            "Say what to forget by one of {\"all\":true}, {\"key\":…}, {\"model\":…}, {\"caller\":…} or {\"tag\":…}.",
        ));
    };
    let runtime = gateway.runtime();
    let Some(cache) = &runtime.pipeline.cache else {
        return Ok(no_cache());
    };
    let purged = cache.purge(&purge).await;
    tracing::info!(?purge, purged, "cache purged");
    let told = json!({ "purged": purged }).to_string();
    Ok(json(StatusCode::OK, told))
}

fn no_cache() -> Reply {
    error(&ApiError::new(
        StatusCode::NOT_FOUND,
        "no_cache",
        "There is no cache in the pipeline of this gateway.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &str) -> Option<Purge> {
        serde_json::from_str::<Asked>(body).unwrap().purge()
    }

    #[test]
    fn what_is_to_be_forgotten_is_said_once_and_rightly() {
        assert!(matches!(asked(r#"{"all":true}"#), Some(Purge::All)));
        let key = r#"{"key":"ABCDEF01"}"#;
        assert!(matches!(asked(key), Some(Purge::Key(key)) if key == "abcdef01"));
        for wrong in [
            "{}",
            r#"{"all":false}"#,
            r#"{"key":"typo"}"#,
            r#"{"all":true,"key":"typo"}"#,
            r#"{"all":true,"key":"abcdef01"}"#,
            r#"{"model":"a","tag":"b"}"#,
        ] {
            assert!(asked(wrong).is_none(), "{wrong}");
        }
    }
}

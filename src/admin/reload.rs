//! `POST /api/reload`: what SIGHUP does, and what came of it.

use http::{Request, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{
    Admin, Caller, body,
    reply::{Reply, document, json as reply},
};
use crate::{api::error::ApiError, config::finding::Finding};

/// The largest body that is read, of which nothing is wanted.
const MAX_BODY: usize = 4 << 10;

/// Asks for a reload. What is sent to the receiver came of it; where nothing is, it has broken down.
pub type Reload = Box<dyn Fn() -> oneshot::Receiver<Reloaded> + Send + Sync>;

/// What came of a reload.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// The generation that is in force now; `None` where the old one stayed.
    pub generation: Option<u64>,
    /// What was found in the config.
    pub findings: Vec<Finding>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// `POST /api/reload`
pub(super) async fn reload(
    admin: &Admin,
    request: Request<Incoming>,
    caller: &Caller,
) -> Result<Reply, ApiError> {
    let body = body::collect(request.into_body(), MAX_BODY, caller.patience).await?;
    let is_empty = body.is_some_and(|body| {
        body.trim_ascii().is_empty() || serde_json::from_slice::<Nothing>(&body).is_ok()
    });
    if !is_empty {
        let message = "A reload takes no body, or `{}`.";
        return Err(ApiError::invalid("invalid_body", message).close());
    }
    let reloaded = (admin.reload)().await.map_err(|_| {
        ApiError::internal("The reload broke down. See the log; the old config stays in force.")
    })?;
    let findings: Vec<_> = reloaded.findings.iter().map(Finding::to_json).collect();
    if let Some(generation) = reloaded.generation {
        return Ok(document(
            &json!({ "generation": generation, "findings": findings }),
        ));
    }
    let refused = ApiError::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "config_refused",
        "The new config has errors: the old one stays in force.",
    );
    let mut body: Value = serde_json::from_slice(&refused.to_json()).unwrap_or_default();
    body["findings"] = findings.into();
    Ok(reply(refused.status, body.to_string()))
}

//! `/api/session`: signing in once, for a cookie.

use std::time::Instant;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;

use super::{
    Admin, Caller,
    access::{Cookie, Token},
    body,
    reply::{Reply, document},
};
use crate::api::error::ApiError;

/// The largest body that is read.
const MAX_BODY: usize = 4 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    token: String,
}

/// `GET /api/session`
pub(super) fn state(admin: &Admin, headers: &HeaderMap, cookie: &Cookie) -> Reply {
    let token = admin.token();
    document(&json!({
        "signed_in": admin.access.pass(token, headers, cookie).is_some(),
        "required": token.is_some(),
    }))
}

/// `POST /api/session` with `{"token":"…"}`
pub(super) async fn sign_in(
    admin: &Admin,
    request: Request<Incoming>,
    caller: &Caller,
    cookie: &Cookie,
) -> Result<Reply, ApiError> {
    let body = body::collect(request.into_body(), MAX_BODY, caller.patience).await?;
    let shown = body
        .and_then(|body| serde_json::from_slice::<Shown>(&body).ok())
        .ok_or_else(|| ApiError::invalid("invalid_sign_in", "Send {\"token\":\"…\"}."))?;
    let Some(token) = admin.token() else {
        // There is nothing to sign in to.
        return Ok(empty(None));
    };
    let (now, peer) = (Instant::now(), caller.peer.ip());
    let is_right = Token::of(&shown.token) == token;
    // Many operators may share an address, of a proxy perhaps: who has the token is never kept waiting for those who have not.
    if let Some(wait) = admin.access.wait(peer, now).filter(|_| !is_right) {
        let mut error = ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_sign_ins",
            "Too many sign-ins have failed from this address. Wait a minute.",
        );
        error.retry_after = Some(wait);
        return Err(error);
    }
    if !is_right {
        admin.access.failed(peer, now);
        tracing::warn!(%peer, "an operator's sign-in failed");
        return Err(unauthorized("That is not the token of [admin] token."));
    }
    let cookie = admin
        .access
        .sign_in(token, cookie)
        .ok_or_else(|| ApiError::internal("No session can be made."))?;
    tracing::info!(%peer, "an operator signed in");
    Ok(empty(Some(&cookie)))
}

/// `DELETE /api/session`
pub(super) fn sign_out(admin: &Admin, headers: &HeaderMap, cookie: &Cookie) -> Reply {
    empty(Some(&admin.access.sign_out(headers, cookie)))
}

/// 401
pub(super) fn unauthorized(message: &'static str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
}

fn empty(cookie: Option<&str>) -> Reply {
    let mut response = Response::new(Full::default().into());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Some(cookie) = cookie.and_then(|cookie| HeaderValue::from_str(cookie).ok()) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

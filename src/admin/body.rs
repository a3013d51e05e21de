//! The small bodies that operators send.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use crate::api::error::ApiError;

/// All of a body. `None` where it is larger than `most` or breaks off; `Err` where it is not there in time.
pub(super) async fn collect(
    body: Incoming,
    most: usize,
    patience: Duration,
) -> Result<Option<Bytes>, ApiError> {
    let whole = Limited::new(body, most).collect();
    let body = tokio::time::timeout(patience, whole).await.map_err(|_| {
        ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            "The request's body did not arrive in time.",
        )
        .close()
    })?;
    Ok(body.ok().map(http_body_util::Collected::to_bytes))
}

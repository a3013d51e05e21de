//! One connection too many: a 503 that says when to come back.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::refusal;
use crate::{api::error::ApiError, pipeline::exchange::request_id};

/// How long the client has to take its answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Answers whatever is asked with 503, and closes.
pub(super) async fn turn_away(mut stream: TcpStream) {
    let mut error = ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too_many_connections",
        "The gateway has as many connections as it may. Try again shortly.",
    )
    .close();
    error.retry_after = Some(Duration::from_secs(1));
    let reply = refusal::write(&error, &request_id(&HeaderMap::new()));
    let exchange = async {
        // The request is read first: closing with bytes unread would reset the connection and lose the answer.
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        stream.write_all(&reply).await?;
        stream.shutdown().await?;
        while stream.read(&mut request).await? > 0 {}
        std::io::Result::Ok(())
    };
    let _ = tokio::time::timeout(PATIENCE, exchange).await;
}

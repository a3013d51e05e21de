//! The first steps of an exchange: admitted, its head seen, its body read.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, StatusCode, Version, header, request::Parts};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use millgate_plugin::Endpoint;

use super::{Ends, Exchange};
use crate::{
    api::{endpoint::Call, error::ApiError, read},
    http::guard::Unwelcome,
    pipeline::request::ClientRequest,
};

/// Marks a reply that was made while the body of its request was still to come, among its extensions: the connection
/// is closed, but not reset under a client that is still sending.
#[derive(Clone, Copy, Debug)]
pub struct Unread;

/// A body of this length, in bytes, costs less to read than a new connection.
const LITTLE: u64 = 8 << 10;

/// How long such a body may keep the reply waiting. Many clients send it right behind the head, in another packet.
const PATIENCE: Duration = Duration::from_millis(100);

impl Unread {
    /// Whether anything is left of the body of a request that is refused by its head. A little body is thrown away
    /// here, so that the connection lives on; streams of HTTP/2 end without it.
    pub(super) async fn is_left(mut body: Incoming, version: Version, headers: &HeaderMap) -> bool {
        let is_little = body
            .size_hint()
            .exact()
            .is_some_and(|length| length <= LITTLE);
        if version == Version::HTTP_2 || body.is_end_stream() {
            return false;
        }
        // Who waits for leave to send gets none.
        if !is_little || headers.contains_key(header::EXPECT) {
            return true;
        }
        let rest = async { while let Some(Ok(_)) = body.frame().await {} };
        tokio::time::timeout(PATIENCE, rest).await.is_err()
    }
}

impl Exchange {
    /// Turns away what a web page of another origin has sent.
    pub(super) fn admit(&mut self, ends: Ends, parts: &Parts) -> Result<(), ApiError> {
        match self
            .runtime
            .guard
            .admit(&parts.uri, &parts.headers, ends.local)
        {
            Ok(origin) => {
                self.origin = origin.cloned();
                Ok(())
            }
            Err(Unwelcome::Host) => Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "unknown_host",
                "The Host header names a server that this gateway does not know. Operators: add the name to [server] hosts.",
            )),
            Err(Unwelcome::Origin) => Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "unknown_origin",
                "Web pages of this origin may not call the gateway. Operators: add it to [server] cors_origins.",
            )),
        }
    }

    /// Takes what stages may know before the body is read.
    pub(super) fn see_head(&mut self, headers: HeaderMap, call: Call<'_>) -> Result<(), ApiError> {
        let request = own(&mut self.request)?;
        request.headers = headers;
        request.endpoint = match call {
            Call::Understood(endpoint) => endpoint,
            Call::Models(_) => Endpoint::Models,
            _ => Endpoint::Forward,
        };
        request.marks.is_head_only = true;
        Ok(())
    }

    /// Reads the body, or leaves it to stream past.
    pub(super) async fn read(&mut self, call: Call<'_>, body: Incoming) -> Result<(), ApiError> {
        let limits = self.runtime.limits;
        let request = own(&mut self.request)?;
        let begun = Instant::now();
        let read = read::read(request, call, &limits, &mut self.share, body).await;
        self.record.reading = begun.elapsed();
        read?;
        request.marks.is_head_only = false;
        Ok(())
    }
}

/// The request, while nobody else holds it.
fn own(request: &mut Arc<ClientRequest>) -> Result<&mut ClientRequest, ApiError> {
    Arc::get_mut(request).ok_or_else(|| ApiError::internal("The request is in use."))
}

pub(super) fn misframed() -> ApiError {
    let message = "The request has both Content-Length and Transfer-Encoding, or another Transfer-Encoding than `chunked`, or follows one whose end cannot be told, so that servers may disagree about where it ends. Send Content-Length, or `chunked` alone.";
    ApiError::invalid("conflicting_framing", message).close()
}

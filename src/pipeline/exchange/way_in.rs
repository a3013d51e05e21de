//! The first steps of an exchange: admitted, its head seen, its body read.

use std::sync::Arc;

use http::{HeaderMap, StatusCode, header, request::Parts};
use http_body::Body as _;
use hyper::body::Incoming;
use millgate_plugin::Endpoint;

use super::{Ends, Exchange};
use crate::{
    api::{endpoint::Call, error::ApiError, read},
    http::guard::Unwelcome,
    pipeline::request::ClientRequest,
};

/// What a reply leaves unread of its request that was made from the head alone. Marks such a reply, among its
/// extensions: the connection must not be reset under a client that is still sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// A body that may have come along with the head. Where it has, it costs no connection.
    Little,
    /// A body that has not come yet, or not all of it: the reply says that the connection is closed.
    Much,
}

/// A body up to this length is mostly there when its head is.
const LITTLE: u64 = 8 << 10;

impl Unread {
    /// What is left unread of a body of which nothing was asked for.
    pub(super) fn of(body: &Incoming, headers: &HeaderMap) -> Option<Self> {
        let is_waited_with = headers.contains_key(header::EXPECT);
        let length = body.size_hint().exact();
        match () {
            () if body.is_end_stream() => None,
            () if !is_waited_with && length.is_some_and(|length| length <= LITTLE) => {
                Some(Self::Little)
            }
            () => Some(Self::Much),
        }
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
        read::read(request, call, &limits, &mut self.share, body).await?;
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

//! What an exchange answers with, wherever it comes from.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::Body as _;
use millgate_plugin::Reply;

use crate::{
    api::error::ApiError,
    pipeline::{
        reply::{Content, ReplyBody},
        view::ReplyHead,
    },
};

/// What an exchange answers with.
pub(super) struct Answer {
    pub(super) head: ReplyHead,
    pub(super) content: Content,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        let mut headers = HeaderMap::with_capacity(reply.headers.len() + 8);
        for (name, value) in &reply.headers {
            if let (Ok(name), Ok(value)) = (
                http::HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_str(value),
            ) {
                headers.append(name, value);
            }
        }
        let status =
            StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self {
            head: ReplyHead { status, headers },
            content: Content::Full(Some(reply.body)),
        }
    }
}

impl From<ApiError> for Answer {
    fn from(error: ApiError) -> Self {
        let head = ReplyHead {
            status: error.status,
            headers: error.headers(),
        };
        Self {
            head,
            content: Content::Full(Some(error.to_json())),
        }
    }
}

/// The answer to a web page that asks whether it may call.
pub(super) fn preflight() -> Answer {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, DELETE"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("*, authorization"),
    );
    headers.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("600"),
    );
    Answer {
        head: ReplyHead {
            status: StatusCode::NO_CONTENT,
            headers,
        },
        content: Content::Full(None),
    }
}

/// Whether a reply is made of server-sent events, whatever its client has asked for.
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    let media = headers
        .get(header::CONTENT_TYPE)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    let name = b"text/event-stream";
    media.len() >= name.len() && media[..name.len()].eq_ignore_ascii_case(name)
}

/// A length that an upstream or a stage has named is kept only where it is the body's: an upstream may name one beside
/// a chunked body or under a 204, and a stage may still change what passes.
pub(super) fn fitting_length(mut response: Response<ReplyBody>) -> Response<ReplyBody> {
    let named = response.headers().get(header::CONTENT_LENGTH);
    let named = named.and_then(|length| length.to_str().ok()?.parse().ok());
    if response.body().size_hint().exact() != named {
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    response
}

//! Requests that cannot be read at all: hyper answers them by itself, with an empty body. Here such an answer is told
//! by its bytes, and another one put in its place that OpenAI clients understand.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::{api::error::ApiError, pipeline::exchange::request_id};

/// A whole reply to a request that could not be read.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Its status.
    pub(super) status: StatusCode,
    /// Its `x-request-id`.
    pub(super) id: HeaderValue,
    /// The reply, head and body.
    pub(super) bytes: Bytes,
}

impl Refusal {
    /// What to send in place of `written`, if that is the head of an error without a body. Such heads say by
    /// themselves: `content-length: 0`, `connection: close`, and no `x-request-id`, which all our replies have.
    pub(super) fn instead_of(written: &[u8]) -> Option<Self> {
        let head = written
            .strip_prefix(b"HTTP/1.")
            .filter(|rest| rest.get(1..3) == Some(b" 4"))?;
        let fields = head.strip_suffix(b"\r\n\r\n")?;
        let status = StatusCode::from_bytes(fields.get(2..5)?).ok()?;
        let mut lines = fields.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        lines.next();
        let (mut is_empty, mut closes) = (false, false);
        for line in lines {
            match line {
                b"content-length: 0" => is_empty = true,
                b"connection: close" => closes = true,
                line if line.starts_with(b"date: ") => {}
                _ => return None,
            }
        }
        (is_empty && closes).then(|| Self::new(status))
    }

    /// A reply of this status, after which the connection is closed.
    pub(super) fn new(status: StatusCode) -> Self {
        let (code, message) = match status {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => (
                "headers_too_large",
                "The request's headers are larger, or more, than the gateway accepts. Operators: see [server] max_header_size and max_headers.",
            ),
            StatusCode::URI_TOO_LONG => (
                "uri_too_long",
                "The request's path is longer than the gateway accepts.",
            ),
            StatusCode::REQUEST_TIMEOUT => (
                "request_timeout",
                "The request's headers did not arrive in time.",
            ),
            _ => (
                "bad_request",
                "This is no HTTP request that could be read: its first line, a header or its framing is malformed. The gateway speaks HTTP, not HTTPS, on this port.",
            ),
        };
        let error = ApiError::new(status, code, message).close();
        let id = request_id(&HeaderMap::new());
        let bytes = write(&error, &id);
        Self { status, id, bytes }
    }
}

/// An error as HTTP/1.1 has it on the wire.
pub(super) fn write(error: &ApiError, id: &HeaderValue) -> Bytes {
    let body = error.to_json();
    let mut reply = format!(
        "HTTP/1.1 {} {}\r\ncontent-length: {}\r\ndate: {}\r\n",
        error.status.as_str(),
        error.status.canonical_reason().unwrap_or_default(),
        body.len(),
        httpdate::fmt_http_date(std::time::SystemTime::now()),
    )
    .into_bytes();
    let mut headers = error.headers();
    headers.insert("x-request-id", id.clone());
    for (name, value) in &headers {
        reply.extend_from_slice(name.as_str().as_bytes());
        reply.extend_from_slice(b": ");
        reply.extend_from_slice(value.as_bytes());
        reply.extend_from_slice(b"\r\n");
    }
    reply.extend_from_slice(b"\r\n");
    reply.extend_from_slice(&body);
    reply.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: Fri, 02 Jan 2026 03:04:05 GMT\r\n\r\n";

    #[test]
    fn an_empty_error_gets_a_body_of_its_length() {
        let refusal = Refusal::instead_of(HEAD.as_bytes()).unwrap();
        assert_eq!(refusal.status, 431);
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut reply = httparse::Response::new(&mut headers);
        let head = reply.parse(&refusal.bytes).unwrap().unwrap();
        assert_eq!(reply.code, Some(431));
        let body = &refusal.bytes[head..];
        let field = |name: &str| {
            let found = reply.headers.iter().find(|header| header.name == name);
            std::str::from_utf8(found.unwrap().value).unwrap()
        };
        assert_eq!(field("content-length"), body.len().to_string());
        assert_eq!(field("connection"), "close");
        assert_eq!(field("x-request-id"), refusal.id.to_str().unwrap());
        let body: serde_json::Value = serde_json::from_slice(body).unwrap();
        assert_eq!(body["error"]["code"], "headers_too_large");
    }

    #[test]
    fn anything_else_is_left_alone() {
        assert!(Refusal::instead_of(HEAD.replace("1.1", "1.0").as_bytes()).is_some());
        for other in [
            HEAD.replace("431", "200"),
            HEAD.replace("431", "503"),
            HEAD.replace("\r\nconnection: close", ""),
            HEAD.replace("content-length: 0", "content-length: 10"),
            HEAD.replace("connection", "x-request-id: 7\r\nconnection"),
            format!("{HEAD}{{"),
            HEAD.trim_end().to_owned(),
            String::new(),
            "HTTP/1.1 4".to_owned(),
            "HTTP/1.1 4\r\n\r\n".to_owned(),
        ] {
            assert!(Refusal::instead_of(other.as_bytes()).is_none(), "{other:?}");
        }
    }
}

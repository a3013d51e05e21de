//! Header hygiene: which headers cross the gateway, both ways. Everything that is not named here stays behind.

use std::num::NonZeroU64;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    pipeline::{request::ClientRequest, view::HeaderEdits},
    routing::{pattern::Glob, provider::Provider},
};

/// Client headers that every upstream gets.
const TO_UPSTREAM: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::ACCEPT,
    HeaderName::from_static("openai-beta"),
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("traceparent"),
    header::USER_AGENT,
];

/// Never taken from a client, whatever `forward_headers` says: they belong to the connection or to the host.
const NEVER_TO_UPSTREAM: [HeaderName; 13] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
    header::ACCEPT_ENCODING,
    header::COOKIE,
    header::AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
];

/// Whether a header says how a message is framed or what becomes of its connection. Those are the host's, whoever else
/// would like to write them: two who disagree where a message ends are how one is smuggled behind another.
#[must_use]
pub fn is_of_the_connection(name: &HeaderName) -> bool {
    const OF_THE_CONNECTION: [HeaderName; 8] = [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::UPGRADE,
        header::TE,
        header::TRAILER,
        header::EXPECT,
        HeaderName::from_static("keep-alive"),
    ];
    OF_THE_CONNECTION.contains(name)
}

/// Upstream headers that a client gets. Cookies, server names, organisations and the limits of a key that
/// callers share are not among them.
const TO_CLIENT: [HeaderName; 11] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_DISPOSITION,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    header::ETAG,
    header::LAST_MODIFIED,
    HeaderName::from_static("openai-processing-ms"),
    HeaderName::from_static("openai-version"),
    HeaderName::from_static("openai-model"),
];

/// The headers of a request to an upstream: the client's that may pass, the codec's, the gateway's own key, the
/// `span` that sends it where there are traces, and last what the attempt's stages say.
#[must_use]
pub fn for_upstream(
    request: &ClientRequest,
    provider: &Provider,
    codec: &[(std::borrow::Cow<'static, str>, String)],
    span: Option<NonZeroU64>,
    edits: &HeaderEdits,
) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(12);
    for name in &TO_UPSTREAM {
        if let Some(value) = request.headers.get(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
    if !provider.forward_headers.is_empty() {
        forward_more(request, provider, &mut headers);
    }
    for (name, value) in codec {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(value),
        ) {
            headers.insert(name, value);
        }
    }
    let authorization = match request.headers.get(header::AUTHORIZATION) {
        Some(own) if provider.forward_auth => Some(own.clone()),
        _ => provider.authorization.clone(),
    };
    if let Some(mut authorization) = authorization {
        authorization.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, authorization);
    }
    if let (Some(trace), Some(span)) = (request.trace, span) {
        trace.write(span, &request.headers, &mut headers);
    }
    edits.apply(&mut headers);
    headers
}

/// A text from an upstream with everything blanked out that it quotes of these headers. Without a quote it is the
/// text itself.
#[must_use]
pub fn without_secrets<'a>(secrets: impl Iterator<Item = &'a HeaderValue>, text: &Bytes) -> Bytes {
    let mut clean = text.clone();
    for value in secrets {
        let value = value.as_bytes();
        let secret = value.strip_prefix(b"Bearer ").unwrap_or(value);
        if secret.len() >= SHORTEST_SECRET {
            clean = blank_out(clean, secret);
        }
    }
    clean
}

/// What is shorter, such as `AD` or `system`, is no secret, and stands in half of all texts.
const SHORTEST_SECRET: usize = 8;

fn blank_out(text: Bytes, secret: &[u8]) -> Bytes {
    let mut clean = Vec::new();
    let mut kept = 0;
    for at in memchr::memmem::find_iter(&text, secret) {
        clean.extend_from_slice(&text[kept..at]);
        clean.extend_from_slice(b"[secret]");
        kept = at + secret.len();
    }
    if kept == 0 {
        return text;
    }
    clean.extend_from_slice(&text[kept..]);
    clean.into()
}

/// Where clients put keys beside `Authorization`. A pattern such as `x-*` does not mean them: who wants one of them
/// passed on has to name it.
const CREDENTIALS: [HeaderName; 2] = [
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-api-key"),
];

fn forward_more(request: &ClientRequest, provider: &Provider, headers: &mut HeaderMap) {
    let connection = request.headers.get_all(header::CONNECTION);
    for (name, value) in &request.headers {
        let hop_by_hop = connection
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|named| named.trim().eq_ignore_ascii_case(name.as_str()));
        let wanted = provider
            .forward_headers
            .iter()
            .any(|glob| means(glob, name));
        if wanted && !hop_by_hop && !NEVER_TO_UPSTREAM.contains(name) && !TO_UPSTREAM.contains(name)
        {
            headers.append(name.clone(), value.clone());
        }
    }
}

fn means(glob: &Glob, name: &HeaderName) -> bool {
    if CREDENTIALS.contains(name) {
        return glob.as_str().eq_ignore_ascii_case(name.as_str());
    }
    glob.matches(name.as_str())
}

/// The headers of an upstream's reply that a client gets.
#[must_use]
pub fn from_upstream(upstream: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(12);
    for name in &TO_CLIENT {
        if let Some(value) = upstream.get(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_secrets_are_blanked_out_and_nothing_else_is() {
        let secrets = ["Bearer sk-canary", "AD"].map(HeaderValue::from_static);
        let quoted = Bytes::from_static(b"bad key sk-canary (AD), sk-canary: application/json");
        assert_eq!(
            without_secrets(secrets.iter(), &quoted),
            "bad key [secret] (AD), [secret]: application/json"
        );
        let plain = Bytes::from_static(b"bad key");
        assert_eq!(without_secrets(secrets.iter(), &plain), plain);
    }
}

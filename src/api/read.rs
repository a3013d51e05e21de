//! Reading a request: its body collected and its top-level members found, or left to stream past.

use std::{borrow::Cow, error::Error, io, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use millgate_plugin::Endpoint;

use super::{
    budget::{Exhausted, Share},
    endpoint::Call,
    error::ApiError,
};
use crate::{
    http::json::{self, JsonError},
    pipeline::request::ClientRequest,
    routing::upload::Upload,
};

/// Longest name of a model, in bytes: it is logged, matched and sent back in a header.
const LONGEST_MODEL: usize = 1024;

/// How much a client may send, and how slowly.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest body that is collected, in bytes.
    pub max_body: u64,
    /// Most bytes of all bodies together that are collected at a time.
    pub max_buffered: u64,
    /// Largest body that streams past, in bytes.
    pub max_upload: u64,
    /// Longest time for a body to arrive that is collected.
    pub body_timeout: Duration,
    /// Longest time for nothing to arrive of a body that streams past.
    pub upload_timeout: Duration,
}

/// Reads what follows the head of a request into `request`, whose endpoint is known; what is collected counts towards `share`.
pub async fn read(
    request: &mut ClientRequest,
    call: Call<'_>,
    limits: &Limits,
    share: &mut Share,
    body: Incoming,
) -> Result<(), ApiError> {
    match call {
        Call::Understood(_) => {
            expect_json(&request.headers)?;
            request.body = collect(body, &request.headers, limits, share).await?;
            request.members = json::scan(&request.body).map_err(|error| invalid_json(&error))?;
            read_members(request)
        }
        Call::Models(_) => Ok(()),
        Call::Forward | Call::Stateful => read_forwarded(request, limits, share, body).await,
        Call::WrongMethod(allowed) => Err(wrong_method(&request.method, allowed)),
        Call::Unknown => Err(unknown_path(&request.path)),
    }
}

/// JSON is collected, so that it can be routed by its model and tried again; anything else streams past.
async fn read_forwarded(
    request: &mut ClientRequest,
    limits: &Limits,
    share: &mut Share,
    body: Incoming,
) -> Result<(), ApiError> {
    if body.is_end_stream() || request.method == Method::GET {
        return Ok(());
    }
    if !is_json(content_type(&request.headers)) {
        if content_length(&request.headers).is_some_and(|length| length > limits.max_upload) {
            return Err(too_large(limits.max_upload));
        }
        request.upload = Some(Upload::new(body, limits.max_upload, limits.upload_timeout));
        return Ok(());
    }
    request.body = collect(body, &request.headers, limits, share).await?;
    request.members = json::scan(&request.body).map_err(|error| invalid_json(&error))?;
    if let Some(model) = member(request, "model").and_then(json::as_str) {
        check_length(&model)?;
        request.model = model.into();
    }
    request.stream = member(request, "stream")
        .and_then(json::as_bool)
        .unwrap_or(false);
    Ok(())
}

/// What the gateway itself needs to know of an understood request.
fn read_members(request: &mut ClientRequest) -> Result<(), ApiError> {
    let model = member(request, "model").ok_or_else(|| missing("model"))?;
    let model = json::as_str(model)
        .filter(|model| !model.is_empty())
        .ok_or_else(|| wrong("model", "a non-empty string"))?;
    check_length(&model)?;
    let needed = match request.endpoint {
        Endpoint::Chat => Some(("messages", b'[', "an array of messages")),
        _ => None,
    };
    if let Some((name, first, what)) = needed {
        let value = member(request, name).ok_or_else(|| missing(name))?;
        if value.first() != Some(&first) {
            return Err(wrong(name, what));
        }
    }
    if request.endpoint == Endpoint::Embeddings && member(request, "input").is_none() {
        return Err(missing("input"));
    }
    let stream = match member(request, "stream") {
        None => false,
        Some(value) if json::is_null(value) => false,
        Some(value) => json::as_bool(value).ok_or_else(|| wrong("stream", "true or false"))?,
    };
    let include_usage = member(request, "stream_options").is_some_and(asks_for_usage);
    let model = model.into();
    request.model = model;
    request.stream = stream && request.endpoint != Endpoint::Embeddings;
    request.include_usage = include_usage;
    Ok(())
}

fn check_length(model: &str) -> Result<(), ApiError> {
    if model.len() <= LONGEST_MODEL {
        return Ok(());
    }
    let message = format!("`model` is longer than {LONGEST_MODEL} bytes.");
    Err(ApiError::invalid("invalid_value", message).param("model"))
}

fn member<'a>(request: &'a ClientRequest, name: &str) -> Option<&'a [u8]> {
    request.members.get(&request.body, name)
}

fn asks_for_usage(options: &[u8]) -> bool {
    json::scan(options).is_ok_and(|members| {
        members
            .get(options, "include_usage")
            .and_then(json::as_bool)
            == Some(true)
    })
}

async fn collect(
    body: Incoming,
    headers: &HeaderMap,
    limits: &Limits,
    share: &mut Share,
) -> Result<Bytes, ApiError> {
    let length = content_length(headers);
    if length.is_some_and(|length| length > limits.max_body) {
        return Err(too_large(limits.max_body));
    }
    share.expect(length.unwrap_or_default()).map_err(no_room)?;
    let whole = collect_frames(body, length, limits.max_body, share);
    tokio::time::timeout(limits.body_timeout, whole)
        .await
        .unwrap_or_else(|_| {
            Err(ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                "request_timeout",
                "The request's body did not arrive in time.",
            )
            .close())
        })
}

/// Collects a body; one that arrives in a single frame is not copied.
async fn collect_frames(
    body: Incoming,
    length: Option<u64>,
    limit: u64,
    share: &mut Share,
) -> Result<Bytes, ApiError> {
    let mut body = Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX));
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            if error.is::<LengthLimitError>() {
                too_large(limit)
            } else {
                broken(&*error)
            }
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        share.take(data.len() as u64).map_err(no_room)?;
        match first.take() {
            None if rest.is_empty() => first = Some(data),
            None => rest.extend_from_slice(&data),
            Some(begin) => {
                let expected = length.map_or(begin.len() + data.len(), |length| length as usize);
                rest.reserve(expected);
                rest.extend_from_slice(&begin);
                rest.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| rest.freeze()))
}

fn expect_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let encoded = headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|encoding| encoding != "identity");
    let content_type = content_type(headers);
    if encoded {
        return Err(unsupported_media(
            "Compressed request bodies are not understood: send the JSON as it is.",
        ));
    }
    if !content_type.is_empty() && !is_json(content_type) {
        return Err(unsupported_media(
            "The body must be JSON: send it with `content-type: application/json`.",
        ));
    }
    Ok(())
}

fn content_type(headers: &HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn is_json(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    media.eq_ignore_ascii_case("application/json") || media.to_ascii_lowercase().ends_with("+json")
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn unsupported_media(message: &'static str) -> ApiError {
    ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        message,
    )
}

fn too_large(limit: u64) -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!("The request's body is larger than the {limit} bytes that the gateway accepts. Operators: see [server] max_body_size and max_upload_size."),
    )
    .close()
}

/// As many bodies are held as there may be. Soon some of them are answered.
fn no_room(_: Exhausted) -> ApiError {
    let message = "The gateway holds as many request bodies as it may. Try again shortly. Operators: see [server] max_buffered.";
    ApiError {
        retry_after: Some(Duration::from_secs(1)),
        ..ApiError::new(StatusCode::SERVICE_UNAVAILABLE, ApiError::NO_ROOM, message).close()
    }
}

/// The client left in the middle, or its chunks (RFC 9112, 7.1) make no sense.
fn broken(error: &(dyn Error + 'static)) -> ApiError {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    let io = causes.find_map(|error| error.downcast_ref::<io::Error>());
    let malformed = io.is_some_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
        )
    });
    if malformed {
        return ApiError::invalid("malformed_body", "The request's chunked body is malformed.")
            .close();
    }
    ApiError::body_cut_short()
}

fn invalid_json(error: &JsonError) -> ApiError {
    ApiError::invalid(
        "invalid_json",
        format!("The request's body could not be read: {error}."),
    )
}

fn missing(name: &'static str) -> ApiError {
    ApiError::invalid(
        "missing_required_parameter",
        format!("`{name}` is missing: the request needs it."),
    )
    .param(name)
}

fn wrong(name: &'static str, expected: &'static str) -> ApiError {
    ApiError::invalid("invalid_type", format!("`{name}` must be {expected}.")).param(name)
}

fn wrong_method(method: &Method, allowed: &'static str) -> ApiError {
    let message = format!("{method} is not a method of this path: use {allowed}.");
    ApiError {
        allow: Some(allowed),
        ..ApiError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            message,
        )
    }
}

fn unknown_path(path: &str) -> ApiError {
    let hint: Cow<'static, str> = if path.starts_with("/v1/") {
        "This gateway knows no such path.".into()
    } else {
        "Paths begin with /v1: the base URL of a client ends in /v1.".into()
    };
    ApiError::new(StatusCode::NOT_FOUND, "unknown_path", hint)
}

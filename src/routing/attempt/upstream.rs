//! Talking to the upstream: a request sent, and a verdict on the head of its reply.

use std::{any::Any, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header, response::Parts};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Limited};
use millgate_plugin::{Call, HeadFlow, UpstreamHead, UpstreamRequest};
use tokio::time::Instant;

use super::Attempt;
use crate::{
    api::error::ApiError,
    cache::control,
    http::headers,
    pipeline::view::ReplyHead,
    routing::{
        answer::{Answer, Shape, Source},
        answering,
        failure::Failure,
        pool::UpstreamReply,
        retry::FailureClass,
        scanner,
        transport::SendError,
        upload::{ClientFault, Upload, UpstreamBody},
    },
};

/// How much of an upstream's error body is read.
const MAX_ERROR_BODY: usize = 256 << 10;

/// How long an upstream's error body may take.
const ERROR_BODY_PATIENCE: Duration = Duration::from_secs(1);

impl Attempt {
    /// Encodes and sends the request with this `body`, and waits for the head of an answer.
    pub(super) async fn ask(&mut self, body: Bytes) -> Result<Answer, Failure> {
        let codec = self.target.provider.codec.clone();
        let mut state = codec.begin();
        let request = codec
            .encode(&mut *state, &self.call(&body))
            .map_err(Failure::codec)?;
        let response = self.send(request, body).await?;
        self.judge(response, state).await
    }

    fn call<'a>(&'a self, body: &'a [u8]) -> Call<'a> {
        let request = &*self.context.request;
        Call {
            endpoint: request.endpoint,
            method: request.method.as_str(),
            path: request.api_path(),
            query: request.query.as_deref(),
            model: &self.model,
            stream: request.stream,
            body,
            request_id: request.id(),
            created: request.created(),
        }
    }

    /// Sends the request; a connection that had died in the pool is replaced once, for free.
    async fn send(
        &mut self,
        encoded: UpstreamRequest,
        body: Bytes,
    ) -> Result<Response<UpstreamReply>, Failure> {
        let provider = &*self.target.provider;
        let request = &*self.context.request;
        let upload = request.upload.as_ref();
        let Some(transport) = &provider.transport else {
            return Err(Failure::bad_reply(&provider.name, "it has no address"));
        };
        let method = match &*encoded.method {
            "" => request.method.clone(),
            method => Method::from_bytes(method.as_bytes()).unwrap_or_default(),
        };
        let body = encoded.body.map_or(body, Bytes::from);
        let mut is_second = false;
        loop {
            let upstream_body = match upload {
                Some(upload) => UpstreamBody::Upload {
                    upload: upload.clone(),
                    sent: 0,
                },
                None => UpstreamBody::Full((!body.is_empty()).then(|| body.clone())),
            };
            let sent = transport
                .send(
                    method.clone(),
                    &encoded.path,
                    encoded.query.as_deref(),
                    headers::for_upstream(
                        request,
                        provider,
                        &encoded.headers,
                        self.span(),
                        &self.edits,
                    ),
                    upstream_body,
                )
                .await;
            if let Some(failed) = upload.and_then(failed_upload) {
                return Err(failed);
            }
            match sent {
                Ok(response) => return Ok(response),
                Err(SendError::StaleConnection(detail))
                    if !is_second
                        && !request.leaves_something()
                        && !upload.is_some_and(Upload::is_touched) =>
                {
                    tracing::debug!(request_id = request.id(), provider = &*provider.name, %detail, "a pooled connection was dead; trying a new one");
                    is_second = true;
                }
                Err(error) => return Err(not_sent(&provider.name, error)),
            }
        }
    }

    /// What the head of a reply says: an error, or how its body is to be read.
    async fn judge(
        &mut self,
        response: Response<UpstreamReply>,
        mut state: Box<dyn Any + Send>,
    ) -> Result<Answer, Failure> {
        let provider = self.target.provider.clone();
        let (head, body) = response.into_parts();
        if let Some(witness) = &self.witness {
            witness.status(head.status.as_u16());
        }
        if !head.status.is_success() {
            let body = read_error_body(body).await;
            return Err(self.refused(&head, &body));
        }
        self.forbids_storing = control::forbids_storing(&head.headers);
        self.head = ReplyHead {
            status: head.status,
            headers: headers::from_upstream(&head.headers),
        };
        if !self.context.request.endpoint.is_understood() {
            return Ok(Answer::new(Source::Upstream(body), Shape::Raw, None));
        }
        if is_compressed(&head.headers) {
            return Err(Failure::bad_reply(
                &provider.name,
                "the reply is compressed, though nobody asked for that",
            ));
        }
        self.head.headers.remove(header::CONTENT_LENGTH);
        let content_type = content_type(&head.headers);
        let upstream_head = UpstreamHead {
            status: head.status.as_u16(),
            content_type,
        };
        let decoder = match provider.codec.on_head(&mut *state, &upstream_head) {
            HeadFlow::Decode => {
                self.head.headers = answering::headers(&self.context.request);
                Some((provider.codec.clone(), state))
            }
            HeadFlow::Passthrough => {
                let wanted = if self.context.request.stream {
                    "text/event-stream"
                } else {
                    "application/json"
                };
                if !is_of_type(content_type, wanted) {
                    let body = read_error_body(body).await;
                    return Err(self.mistyped(content_type, wanted, &body));
                }
                None
            }
        };
        Ok(
            Answer::new(Source::Upstream(body), self.expected_shape(), decoder)
                .watched(self.witness.clone()),
        )
    }

    /// A reply with the status of an error.
    fn refused(&self, head: &Parts, body: &Bytes) -> Failure {
        let provider = &*self.target.provider;
        let body = self.without_secrets(body);
        let refusal = provider.codec.on_error(head.status.as_u16(), &body);
        Failure::status(
            &provider.name,
            head.status,
            &head.headers,
            &body,
            refusal,
            &self.context.route.retry.fallback_on,
        )
    }

    /// A 200 of the wrong kind: if its body reports an error, in its words.
    fn mistyped(&self, found: &str, wanted: &str, body: &Bytes) -> Failure {
        let provider = &*self.target.provider.name;
        let body = self.without_secrets(body);
        if let Some(error) = scanner::reply_error(&body) {
            return Failure::reported(provider, &error, &self.context.route.retry.fallback_on);
        }
        let found = if found.is_empty() {
            "no content type".to_owned()
        } else {
            format!("content type {found:?}")
        };
        Failure::bad_reply(provider, format!("{found}, where {wanted} was expected"))
    }
}

/// What the client did wrong with its upload, whatever has become of the request.
fn failed_upload(upload: &Upload) -> Option<Failure> {
    let (error, detail) = match upload.fault()? {
        ClientFault::TooLarge => {
            let error = ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "The upload is larger than the gateway allows.",
            );
            (error.close(), "upload too large")
        }
        ClientFault::CutShort => (ApiError::body_cut_short(), "upload cut short"),
        ClientFault::Stalled => {
            let error = ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                "request_timeout",
                "Nothing more of the upload arrived for too long. Operators: see [server] upload_timeout.",
            );
            (error.close(), "upload stalled")
        }
    };
    Some(Failure::new(FailureClass::Client, error, detail))
}

fn not_sent(provider: &str, error: SendError) -> Failure {
    let (what, detail) = match error {
        SendError::Connect(detail) => return Failure::connect(provider, detail),
        SendError::Unsendable(detail) => {
            let error = ApiError::invalid(
                "invalid_request",
                "The path of the request cannot be passed on.",
            );
            return Failure::new(FailureClass::Client, error, detail);
        }
        SendError::StaleConnection(detail) => ("the connection broke off", detail),
        SendError::Broken(detail) => ("the connection broke off before an answer", detail),
    };
    Failure {
        detail: detail.into(),
        ..Failure::bad_reply(provider, what)
    }
}

fn is_compressed(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|encoding| encoding != "identity")
}

fn content_type(headers: &HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn is_of_type(content_type: &str, wanted: &str) -> bool {
    content_type
        .trim_start()
        .to_ascii_lowercase()
        .starts_with(wanted)
}

/// As much of an error body as is worth reading and comes soon: the status is worth more than the words.
async fn read_error_body(body: UpstreamReply) -> Bytes {
    let mut limited = Limited::new(body, MAX_ERROR_BODY);
    let mut collected = Vec::new();
    let until = Instant::now() + ERROR_BODY_PATIENCE;
    while let Ok(Some(Ok(frame))) = tokio::time::timeout_at(until, limited.frame()).await {
        if let Some(data) = frame.data_ref() {
            collected.extend_from_slice(data);
        }
        if limited.is_end_stream() {
            break;
        }
    }
    Bytes::from(collected)
}

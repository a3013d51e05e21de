//! One attempt: one try of one target, from its stages to its commit.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use millgate_plugin::{Call, Endpoint, HeadFlow, Outcome, Reply, UpstreamHead, UpstreamRequest};

use super::{
    answer::{Answer, Fault, Piece, Shape, Source},
    answering,
    balance::InFlightGuard,
    effective,
    failure::Failure,
    retry::{FailureClass, FallbackOn},
    route::{Commit, Route},
    target::Target,
    transport::SendError,
    upload::UpstreamBody,
};
use crate::{
    api::error::ApiError,
    http::headers,
    pipeline::{
        Pipeline, States, Stop,
        request::{ClientRequest, Vars},
        view::{AttemptView, HeaderEdits, ReplyHead},
    },
};

/// How much of a stream is held back while it has no content.
const MAX_HELD: usize = 64 << 10;

/// How much of an upstream's error body is read.
const MAX_ERROR_BODY: usize = 256 << 10;

/// How long an upstream's error body may take.
const ERROR_BODY_PATIENCE: Duration = Duration::from_secs(1);

/// What an attempt is made of: cheap to clone, the same for all attempts of an exchange.
#[derive(Clone)]
pub struct Context {
    /// Whose stages below `route` are run.
    pub pipeline: Arc<Pipeline>,
    /// What the client asked for.
    pub request: Arc<ClientRequest>,
    /// The rule it fell under.
    pub route: Arc<Route>,
}

/// An attempt. Dropped before its end, it tells its stages that the client has left.
pub struct Attempt {
    context: Context,
    /// The target asked.
    pub target: Arc<Target>,
    /// The model it is asked for.
    pub model: Box<str>,
    number: u32,
    states: States,
    vars: Vars,
    edits: HeaderEdits,
    /// Status and headers for the client, from the commit on.
    pub head: ReplyHead,
    answer: Option<Answer>,
    /// Pieces that came before the commit.
    held: std::collections::VecDeque<Piece>,
    ended: bool,
    _busy: InFlightGuard,
}

/// How an attempt ended without a commit.
pub enum NotCommitted {
    /// It failed; another one may be made.
    Failed(Box<Failure>),
    /// A stage answered: final.
    Reply(Reply),
}

impl From<Failure> for NotCommitted {
    fn from(failed: Failure) -> Self {
        Self::Failed(Box::new(failed))
    }
}

impl Attempt {
    /// The `number`th attempt of an exchange; `vars` are the notes of the stages above `route`.
    #[must_use]
    pub fn new(context: Context, target: Arc<Target>, number: u32, vars: Vars) -> Self {
        let model = target
            .model_for(context.request.endpoint, &context.request.model)
            .into();
        Self {
            _busy: target.busy.enter(),
            context,
            target,
            model,
            number,
            states: States::default(),
            vars,
            edits: HeaderEdits::default(),
            head: ReplyHead {
                status: StatusCode::OK,
                headers: HeaderMap::new(),
            },
            answer: None,
            held: std::collections::VecDeque::new(),
            ended: false,
        }
    }

    /// Stages, encode, send, and reading up to the commit point.
    pub async fn run(&mut self) -> Result<(), NotCommitted> {
        let pipeline = self.context.pipeline.clone();
        let (states, mut view) = self.view();
        pipeline
            .below
            .on_request(states, &mut view)
            .await
            .map_err(stopped)?;

        let codec = self.target.provider.codec.clone();
        let body = effective::body(
            &self.context.request,
            &self.context.route,
            &self.target,
            &self.model,
        );
        let mut state = codec.begin();
        let answer = if codec.answers() {
            let answers = answering::start(codec, &self.context.request, &self.model, body);
            self.head.headers = answering::headers(&self.context.request);
            Answer::new(Source::Answering(answers), self.expected_shape(), None)
        } else {
            let request = codec
                .encode(&mut *state, &self.call(&body))
                .map_err(Failure::codec)?;
            let response = self.send(request, body).await?;
            self.judge(response, state).await?
        };
        self.answer = Some(answer);
        self.read_to_commit().await?;

        let (states, mut view) = self.view();
        let mut replaced = None;
        pipeline
            .below
            .on_response(states, &mut view, |_, stop| replaced = Some(stop))
            .await;
        match replaced {
            None => Ok(()),
            Some(stop) => Err(stopped(stop)),
        }
    }

    fn view(&mut self) -> (&mut States, AttemptView<'_>) {
        let usage = self.answer.as_ref().and_then(Answer::usage);
        let view = AttemptView {
            request: &self.context.request,
            route: &self.context.route.name,
            target: &self.target,
            model: &self.model,
            number: self.number,
            vars: &mut self.vars,
            edits: &mut self.edits,
            reply: Some(&mut self.head),
            usage,
        };
        (&mut self.states, view)
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
            created: request.created,
        }
    }

    /// Sends the request; a connection that had died in the pool is replaced once, for free.
    async fn send(
        &mut self,
        encoded: UpstreamRequest,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let provider = self.target.provider.clone();
        let Some(transport) = &provider.transport else {
            return Err(Failure::bad_reply(&provider.name, "it has no address"));
        };
        let request = self.context.request.clone();
        let method = match &*encoded.method {
            "" => request.method.clone(),
            method => Method::from_bytes(method.as_bytes()).unwrap_or_default(),
        };
        let body = encoded.body.map_or(body, Bytes::from);
        let mut stale = false;
        loop {
            let upstream_body = match &request.upload {
                Some(upload) => UpstreamBody::Upload {
                    upload: upload.clone(),
                    sent: 0,
                },
                None => UpstreamBody::Full((!body.is_empty()).then(|| body.clone())),
            };
            let headers = headers::for_upstream(&request, &provider, &encoded.headers, &self.edits);
            let sent = transport
                .send(
                    method.clone(),
                    &encoded.path,
                    encoded.query.as_deref(),
                    headers,
                    upstream_body,
                )
                .await;
            if let Some(upload) = &request.upload {
                if upload.is_too_large() {
                    return Err(too_large());
                }
                if upload.is_cut_short() {
                    let error = ApiError::body_cut_short();
                    return Err(Failure::new(
                        FailureClass::Client,
                        error,
                        "upload cut short",
                    ));
                }
            }
            match sent {
                Ok(response) => return Ok(response),
                Err(SendError::StaleConnection(detail)) => {
                    if stale
                        || request.leaves_something()
                        || request
                            .upload
                            .as_ref()
                            .is_some_and(super::upload::Upload::is_touched)
                    {
                        return Err(Failure {
                            detail: detail.into(),
                            ..Failure::bad_reply(&provider.name, "the connection broke off")
                        });
                    }
                    tracing::debug!(request_id = request.id(), provider = &*provider.name, %detail, "a pooled connection was dead; trying a new one");
                    stale = true;
                }
                Err(SendError::Connect(detail)) => {
                    return Err(Failure::connect(&provider.name, detail));
                }
                Err(SendError::Broken(detail)) => {
                    return Err(Failure {
                        detail: detail.into(),
                        ..Failure::bad_reply(
                            &provider.name,
                            "the connection broke off before an answer",
                        )
                    });
                }
                Err(SendError::Unsendable(detail)) => {
                    let error = ApiError::invalid(
                        "invalid_request",
                        "The path of the request cannot be passed on.",
                    );
                    return Err(Failure::new(FailureClass::Client, error, detail));
                }
            }
        }
    }

    /// What the head of a reply says: an error, or how its body is to be read.
    async fn judge(
        &mut self,
        response: Response<Incoming>,
        mut state: Box<dyn std::any::Any + Send>,
    ) -> Result<Answer, Failure> {
        let provider = self.target.provider.clone();
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            let body = read_error_body(body).await;
            let body = self.without_secrets(&body);
            let refusal = provider.codec.on_error(head.status.as_u16(), &body);
            return Err(Failure::status(
                &provider.name,
                head.status,
                &head.headers,
                &body,
                refusal,
                &self.context.route.retry.fallback_on,
            ));
        }
        let endpoint = self.context.request.endpoint;
        self.head = ReplyHead {
            status: head.status,
            headers: headers::from_upstream(&head.headers),
        };
        if !endpoint.is_understood() {
            return Ok(Answer::new(Source::Upstream(body), Shape::Raw, None));
        }
        if let Some(encoding) = head.headers.get(header::CONTENT_ENCODING)
            && encoding != "identity"
        {
            return Err(Failure::bad_reply(
                &provider.name,
                "the reply is compressed, though nobody asked for that",
            ));
        }
        self.head.headers.remove(header::CONTENT_LENGTH);
        let content_type = head
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let flow = provider.codec.on_head(
            &mut *state,
            &UpstreamHead {
                status: head.status.as_u16(),
                content_type,
            },
        );
        if flow == HeadFlow::Decode {
            self.head.headers = answering::headers(&self.context.request);
            return Ok(Answer::new(
                Source::Upstream(body),
                self.expected_shape(),
                Some((provider.codec.clone(), state)),
            ));
        }
        let wanted = if self.context.request.stream {
            "text/event-stream"
        } else {
            "application/json"
        };
        if !content_type
            .trim_start()
            .to_ascii_lowercase()
            .starts_with(wanted)
        {
            let body = read_error_body(body).await;
            let body = self.without_secrets(&body);
            return Err(wrong_content_type(
                &provider.name,
                content_type,
                wanted,
                &body,
                &self.context.route.retry.fallback_on,
            ));
        }
        Ok(Answer::new(
            Source::Upstream(body),
            self.expected_shape(),
            None,
        ))
    }

    fn expected_shape(&self) -> Shape {
        let request = &*self.context.request;
        match request.endpoint {
            Endpoint::Forward => Shape::Raw,
            endpoint if request.stream => Shape::events(endpoint, request.choices()),
            _ => Shape::document(),
        }
    }

    /// Reads until the reply is worth committing to: until then, another target can still take over.
    async fn read_to_commit(&mut self) -> Result<(), Failure> {
        let route = self.context.route.clone();
        let waits = self.context.request.endpoint.is_understood()
            && (route.commit == Commit::Content || !self.context.request.stream);
        let Some(answer) = &mut self.answer else {
            return Ok(());
        };
        let mut held = 0;
        while waits && !answer.has_content() && held <= MAX_HELD {
            match std::future::poll_fn(|context| answer.poll_piece(context)).await {
                Some(Ok(piece)) => {
                    held += piece.bytes.len();
                    self.held.push_back(piece);
                }
                Some(Err(fault)) => return Err(self.faulted(fault)),
                None => break,
            }
        }
        answer.limit(route.idle_timeout, route.stream_timeout);
        Ok(())
    }

    /// After the commit: the next piece, through the chunk hooks of the attempt's stages.
    pub fn poll_piece(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Piece, Broken>>> {
        use std::task::Poll;
        loop {
            let next = match self.held.pop_front() {
                Some(piece) => Some(Ok(piece)),
                None => match &mut self.answer {
                    Some(answer) => std::task::ready!(answer.poll_piece(context)),
                    None => None,
                },
            };
            let piece = match next {
                Some(Ok(piece)) => piece,
                Some(Err(fault)) => {
                    let failed = self.faulted(fault);
                    return Poll::Ready(Some(Err(Broken::from(failed))));
                }
                None => return Poll::Ready(None),
            };
            let pipeline = self.context.pipeline.clone();
            if !pipeline.below.wants_chunks(&self.states) {
                return Poll::Ready(Some(Ok(piece)));
            }
            let (states, mut view) = self.view();
            match pipeline.below.on_chunk(states, &mut view, piece.bytes) {
                Ok(Some(bytes)) => return Poll::Ready(Some(Ok(Piece { bytes, ..piece }))),
                Ok(None) => {}
                Err(stop) => return Poll::Ready(Some(Err(Broken::stopped(stop)))),
            }
        }
    }

    /// What a fault of the answer means, less the secrets that the upstream may quote in it.
    fn faulted(&self, fault: Fault) -> Failure {
        let provider = &*self.target.provider.name;
        let mut failed = match fault {
            Fault::Broken(detail) => Failure {
                detail: detail.into(),
                ..Failure::bad_reply(provider, "the connection broke off")
            },
            Fault::Incomplete(what) => Failure::bad_reply(provider, what),
            Fault::Bad(what) => Failure::bad_reply(provider, what),
            Fault::Reported(error) => {
                Failure::reported(provider, &error, &self.context.route.retry.fallback_on)
            }
            Fault::Codec(refusal) => Failure::codec(refusal),
            Fault::Idle => Failure::stalled(provider, "idle_timeout"),
            Fault::TooLong => Failure::stalled(provider, "stream_timeout"),
        };
        let message = self.without_secrets(&Bytes::from(failed.error.message.into_owned()));
        failed.error.message = String::from_utf8_lossy(&message).into_owned().into();
        failed
    }

    /// A text of the upstream's less the credentials that it may quote.
    fn without_secrets(&self, text: &Bytes) -> Bytes {
        let own = self.target.provider.authorization.iter();
        let client = self.context.request.headers.get(header::AUTHORIZATION);
        let secrets = own.chain(client).chain(self.edits.set.values());
        headers::without_secrets(secrets, text)
    }

    /// What has been read of the answer.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        self.answer.as_ref()
    }

    /// The exact length of the body still to come, where it is known.
    #[must_use]
    pub fn exact_size(&self) -> Option<u64> {
        let answer = self.answer.as_ref()?;
        let held: u64 = self.held.iter().map(|piece| piece.bytes.len() as u64).sum();
        if self.context.pipeline.below.wants_chunks(&self.states) || self.context.request.stream {
            return None;
        }
        if answer.is_over() {
            Some(held)
        } else {
            answer.exact_size().map(|rest| rest + held)
        }
    }

    /// Whether everything that belongs to the answer has been handed out.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.held.is_empty()
            && self
                .answer
                .as_ref()
                .is_none_or(|answer| answer.is_complete() && answer.is_drained())
    }

    /// Tells the attempt's stages how it ended; once.
    pub fn end(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let pipeline = self.context.pipeline.clone();
        let (states, mut view) = self.view();
        pipeline.below.on_end(states, &mut view, outcome);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.end(Outcome::ClientClosed);
    }
}

/// An answer that broke off after its commit.
#[derive(Debug)]
pub struct Broken {
    /// The last event of the stream.
    pub error: ApiError,
    /// For the log.
    pub detail: String,
    /// How the exchange ended.
    pub outcome: Outcome,
}

impl From<Failure> for Broken {
    fn from(failed: Failure) -> Self {
        Self {
            outcome: failed.outcome(),
            detail: failed.detail.into_owned(),
            error: failed.error,
        }
    }
}

impl Broken {
    /// A stage stopped it.
    #[must_use]
    pub fn stopped(stop: Stop) -> Self {
        match stop {
            Stop::Reject(refusal) => Self {
                detail: refusal.message.to_string(),
                error: refusal.into(),
                outcome: Outcome::Rejected,
            },
            Stop::Reply(_) => Self {
                error: ApiError::internal("A stage answered in the middle of a reply."),
                detail: "a stage answered in the middle of a reply".to_owned(),
                outcome: Outcome::InternalError,
            },
            Stop::Failed { stage, error } => Self {
                error: stage_failed(&stage),
                detail: error.0,
                outcome: Outcome::InternalError,
            },
        }
    }
}

/// The 500 of a stage that failed.
#[must_use]
pub fn stage_failed(stage: &str) -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "stage_failed",
        format!(
            "The stage `{stage}` failed. Operators: see the log, or set on_error = \"skip\" on it."
        ),
    )
}

fn stopped(stop: Stop) -> NotCommitted {
    match stop {
        Stop::Reply(reply) => NotCommitted::Reply(reply),
        Stop::Reject(refusal) => NotCommitted::Failed(Box::new(Failure::refused(refusal))),
        // A stage that fails would fail for the next target too.
        Stop::Failed { stage, error } => {
            Failure::new(FailureClass::Client, stage_failed(&stage), error.0).into()
        }
    }
}

fn too_large() -> Failure {
    let error = ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        "The upload is larger than the gateway allows.",
    )
    .close();
    Failure::new(FailureClass::Client, error, "upload too large")
}

/// A 200 of the wrong kind: if its body reports an error, in its words.
fn wrong_content_type(
    provider: &str,
    found: &str,
    wanted: &str,
    body: &[u8],
    fallback_on: &FallbackOn,
) -> Failure {
    match super::scanner::reply_error(body) {
        Some(error) => Failure::reported(provider, &error, fallback_on),
        None if found.is_empty() => Failure::bad_reply(
            provider,
            format!("no content type, where {wanted} was expected"),
        ),
        None => Failure::bad_reply(
            provider,
            format!("content type {found:?}, where {wanted} was expected"),
        ),
    }
}

/// As much of an error body as is worth reading and comes soon: the status is worth more than the words.
async fn read_error_body(body: Incoming) -> Bytes {
    let mut limited = http_body_util::Limited::new(body, MAX_ERROR_BODY);
    let mut collected = Vec::new();
    let until = tokio::time::Instant::now() + ERROR_BODY_PATIENCE;
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

//! One attempt: one try of one target, from its stages to its end.

mod ending;
mod upstream;

pub use ending::{Broken, NotCommitted};

use std::{
    collections::VecDeque,
    future::poll_fn,
    num::NonZeroU64,
    sync::Arc,
    task::{Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use millgate_plugin::{Endpoint, Outcome};

use super::{
    answer::{Answer, Fault, Piece, Seen, Shape, Source},
    answering,
    balance::InFlightGuard,
    effective,
    failure::Failure,
    flight::StageTimes,
    pace::Pace,
    route::{Commit, Route},
    scanner::Witness,
    target::Target,
};
use crate::{
    api::estimate,
    http::headers,
    pipeline::{
        Pipeline, States,
        request::{ClientRequest, Vars},
        view::{AttemptView, HeaderEdits, ReplyHead},
    },
    telemetry::traces::context::TraceContext,
};

/// How much of a stream is held back while it has no content.
const MAX_HELD: usize = 64 << 10;

/// What an attempt is made of: cheap to clone, the same for all attempts of an exchange.
#[derive(Clone)]
pub struct Context {
    /// Whose stages below `route` are run.
    pub pipeline: Arc<Pipeline>,
    /// What the client asked for.
    pub request: Arc<ClientRequest>,
    /// The rule it fell under.
    pub route: Arc<Route>,
    /// Until when one of them must have committed.
    pub deadline: Instant,
}

/// An attempt. Dropped before its end, it tells its stages that the client has left.
pub struct Attempt {
    context: Context,
    /// The target asked.
    pub target: Arc<Target>,
    /// The model it is asked for.
    pub model: Arc<str>,
    number: u32,
    states: States,
    vars: Vars,
    edits: HeaderEdits,
    /// Status and headers for the client, from the commit on.
    pub head: ReplyHead,
    answer: Option<Answer>,
    /// Where the times of a stream's events are noted.
    pub pace: Option<Arc<Pace>>,
    /// Pieces that came before the commit.
    held: VecDeque<Piece>,
    /// What has passed the stages and is not handed out yet.
    passed: VecDeque<Piece>,
    /// Whether the upstream says that its answer is not to be stored.
    forbids_storing: bool,
    /// Whether the provider is being, or has been, asked.
    asked: bool,
    /// When it has to have an answer.
    until: Instant,
    ended: bool,
    /// Where spans are made of it.
    pub witness: Option<Arc<Witness>>,
    _busy: InFlightGuard,
}

impl Attempt {
    /// The `number`th attempt of an exchange; `vars` are the notes of the stages above `route`.
    #[must_use]
    pub fn new(context: Context, target: Arc<Target>, number: u32, vars: Vars) -> Self {
        let deadline = context.request.started + context.route.deadline;
        let until = deadline.min(Instant::now() + context.route.attempt_timeout);
        let model = target
            .model_for(context.request.endpoint, &context.request.model)
            .into();
        // A list of models that is put together from several has no span for each.
        let is_traced = context.request.trace.is_some_and(TraceContext::is_sampled)
            && context.request.endpoint != Endpoint::Models;
        Self {
            witness: is_traced.then(Arc::default),
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
            pace: None,
            held: VecDeque::new(),
            passed: VecDeque::new(),
            forbids_storing: false,
            asked: false,
            until,
            ended: false,
        }
    }

    /// Stages, request and reply, up to the commit point.
    pub async fn run(&mut self) -> Result<(), NotCommitted> {
        let pipeline = self.context.pipeline.clone();
        let (states, mut view) = self.view();
        pipeline
            .below
            .on_request(states, &mut view)
            .await
            .map_err(NotCommitted::stopped)?;

        let body = effective::body(
            &self.context.request,
            &self.context.route,
            &self.target,
            &self.model,
        );
        self.asked = true;
        let codec = &self.target.provider.codec;
        let answer = if codec.answers() {
            let answers = answering::start(codec.clone(), &self.context.request, &self.model, body);
            self.head.headers = answering::headers(&self.context.request);
            Answer::new(Source::Answering(answers), self.expected_shape(), None)
                .watched(self.witness.clone())
        } else {
            self.ask(body).await?
        };
        self.answer = Some(answer.paced(self.pace.clone()));
        self.read_to_commit().await?;

        let (states, mut view) = self.view();
        let mut replaced = None;
        pipeline
            .below
            .on_response(states, &mut view, |_, stop| replaced = Some(stop))
            .await;
        replaced.map_or(Ok(()), |stop| Err(NotCommitted::stopped(stop)))
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
            match poll_fn(|context| answer.poll_piece(context)).await {
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
    ) -> Poll<Option<Result<Piece, Broken>>> {
        loop {
            if let Some(piece) = self.passed.pop_front() {
                return Poll::Ready(Some(Ok(piece)));
            }
            let next = match self.held.pop_front() {
                Some(piece) => Some(Ok(piece)),
                None => match &mut self.answer {
                    Some(answer) => ready!(answer.poll_piece(context)),
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
                Ok(chunks) => {
                    let is_usage = piece.is_usage;
                    let mut pieces = chunks.into_iter().map(|bytes| Piece { bytes, is_usage });
                    let first = pieces.next();
                    self.passed.extend(pieces);
                    if let Some(piece) = first {
                        return Poll::Ready(Some(Ok(piece)));
                    }
                }
                Err(stop) => return Poll::Ready(Some(Err(Broken::stopped(stop)))),
            }
        }
    }

    /// What has been read of the answer.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        self.answer.as_ref()
    }

    /// Tokens of the answer so far, as estimated from what has passed; `None` until the provider is asked. Of answers
    /// that are no text it is none.
    #[must_use]
    pub fn output_estimate(&self) -> Option<u64> {
        let Some(answer) = &self.answer else {
            return self.asked.then_some(0);
        };
        Some(match self.context.request.endpoint {
            Endpoint::Chat | Endpoint::Completions | Endpoint::Responses => answer
                .tokens_seen()
                .unwrap_or_else(|| estimate::text(answer.received())),
            _ => 0,
        })
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

    /// What is known so far of the tokens.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen {
            usage: self.answer.as_ref().and_then(Answer::usage),
            output_estimate: self.output_estimate(),
        }
    }

    /// Whether nothing more comes from the upstream, so that no piece has to be waited for.
    #[must_use]
    pub fn is_all_there(&self) -> bool {
        self.answer.as_ref().is_none_or(Answer::is_over)
    }

    /// Whether the answer may be kept and given again, as far as its target and its upstream are concerned.
    #[must_use]
    pub fn may_be_kept(&self) -> bool {
        let has_failed = self.answer.as_ref().is_some_and(Answer::has_failed);
        self.head.status.is_success()
            && !has_failed
            && !self.forbids_storing
            && !self.target.provider.is_last_resort()
    }

    /// Whether everything has been handed out, down to what comes behind the answer's end.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        let is_done = |answer: &Answer| answer.is_done() && answer.is_drained();
        self.has_passed_on() && self.answer.as_ref().is_none_or(is_done)
    }

    /// Whether nothing that was read waits to be handed out.
    fn has_passed_on(&self) -> bool {
        self.held.is_empty() && self.passed.is_empty()
    }

    /// Whether everything that belongs to the answer has been handed out.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.has_passed_on()
            && self
                .answer
                .as_ref()
                .is_none_or(|answer| answer.is_complete() && answer.is_drained())
    }

    /// The stages that had a say in it, and how long each took.
    #[must_use]
    pub fn stages_took(&self) -> StageTimes {
        let stages = &self.context.pipeline.below;
        stages
            .took(&self.states)
            .map(|(name, took)| (name.clone(), took))
            .collect()
    }

    /// The span that sends the request, where there is one.
    fn span(&self) -> Option<NonZeroU64> {
        let own = self.witness.as_ref().map(|witness| witness.span);
        own.or(self.context.request.trace.map(|trace| trace.span))
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

    /// What the attempt's stages work on.
    fn view(&mut self) -> (&mut States, AttemptView<'_>) {
        let usage = self.answer.as_ref().and_then(Answer::usage);
        let output_estimate = self.output_estimate();
        let view = AttemptView {
            request: &self.context.request,
            route: &self.context.route.name,
            target: &self.target,
            model: &self.model,
            number: self.number,
            vars: &mut self.vars,
            edits: &mut self.edits,
            reply: Some(&mut self.head),
            until: self.until,
            usage,
            output_estimate,
        };
        (&mut self.states, view)
    }

    /// How the answer is read, as far as the request tells.
    fn expected_shape(&self) -> Shape {
        let request = &*self.context.request;
        match request.endpoint {
            Endpoint::Forward => Shape::Raw,
            endpoint if request.stream => Shape::events(endpoint, request.choices()),
            endpoint => Shape::document(endpoint),
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
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.end(Outcome::ClientClosed);
    }
}

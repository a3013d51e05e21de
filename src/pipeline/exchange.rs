//! One client request and its reply, from the first byte read to the last byte written.
//!
//! [`serve`] is the way of a request, top to bottom.

mod answer;
mod cached;
mod revalidation;
mod way_in;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use hyper::body::Incoming;
use millgate_plugin::{Endpoint, Outcome};

use answer::{Answer, fitting_length, is_event_stream, preflight};
pub use way_in::Unread;
use way_in::misframed;

use super::{
    Chunks, States, Stop,
    reply::{Content, ReplyBody},
    request::{Caller, ClientRequest, Marks, Vars},
    view::{ExchangeView, ReplyHead},
};
use crate::{
    api::{
        budget::Share,
        endpoint::{self, Call},
        error::{ApiError, model_not_allowed},
        models, stored,
    },
    cache::{Lead, control::Status},
    routing::{
        attempt::{Broken, Context},
        flight::{self, NoAnswer, StageTimes, Tried},
        route::{Route, Wanted},
        scanner::Usage,
    },
    runtime::{Expose, Runtime},
    telemetry::{
        access,
        ended::{Captured, id_of},
        filter,
    },
};

/// The two ends of a client's connection.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// The client's.
    pub peer: SocketAddr,
    /// Ours.
    pub local: SocketAddr,
}

/// Marks a request of which servers may disagree where it ends, among its extensions.
#[derive(Clone, Copy, Debug)]
pub struct Misframed;

/// Answers one request, which begins here and now. Dropping the future, or later the body, is the client leaving.
pub fn serve(
    runtime: Arc<Runtime>,
    ends: Ends,
    request: Request<Incoming>,
) -> impl Future<Output = Response<ReplyBody>> + Send {
    let (parts, body) = request.into_parts();
    let mut exchange = Box::new(Exchange::open(runtime, ends, &parts));
    async move {
        let answer = exchange.answer(ends, parts, body).await;
        exchange.respond(answer).await
    }
}

/// An exchange. Whatever way it ends, its stages and the access log hear of it when it is dropped.
pub struct Exchange {
    runtime: Arc<Runtime>,
    request: Arc<ClientRequest>,
    route: Option<Arc<Route>>,
    states: States,
    vars: Vars,
    head: ReplyHead,
    tried: Vec<Tried>,
    /// The web page that is calling, if one is.
    origin: Option<HeaderValue>,
    /// What the access log will say.
    record: access::Record,
    /// Whether it was answered by its head alone, and its body is still to come.
    is_unread: bool,
    /// Counts the request's body for as long as it is held.
    share: Share,
    /// What became of it in the cache.
    cached: Option<Status>,
    /// The flight that it has begun: what that costs is this exchange's, even if its client has left by then.
    lead: Option<Lead>,
}

/// The error of exchanges that were under way when the gateway ended.
const SHUTTING_DOWN: &str = "shutting_down";

const CACHE_STATUS: http::HeaderName = http::HeaderName::from_static("cache-status");
const REQUEST_ID: http::HeaderName = http::HeaderName::from_static("x-request-id");

impl Exchange {
    fn open(runtime: Arc<Runtime>, ends: Ends, parts: &Parts) -> Self {
        let request = ClientRequest {
            id: request_id(&parts.headers),
            started: Instant::now(),
            time: SystemTime::now(),
            peer: ends.peer.ip().to_canonical(),
            trace: runtime
                .traces
                .as_ref()
                .map(|traces| traces.sampling.begin(&parts.headers)),
            method: parts.method.clone(),
            path: endpoint::without_last_slash(parts.uri.path()).into(),
            query: parts.uri.query().map(Into::into),
            headers: HeaderMap::new(),
            endpoint: Endpoint::Forward,
            model: Box::default(),
            stream: false,
            include_usage: false,
            body: Bytes::new(),
            members: crate::http::json::Members::default(),
            upload: None,
            caller: Caller::default(),
            marks: Marks::default(),
        };
        let most_held = runtime.limits.max_buffered;
        Self::begin(runtime, Arc::new(request), most_held)
    }

    fn begin(runtime: Arc<Runtime>, request: Arc<ClientRequest>, most_held: u64) -> Self {
        runtime.observer.begin();
        Self {
            share: runtime.budget.share(most_held),
            runtime,
            request,
            route: None,
            states: States::default(),
            vars: Vars::default(),
            head: ReplyHead::default(),
            tried: Vec::new(),
            origin: None,
            record: access::Record::default(),
            is_unread: false,
            cached: None,
            lead: None,
        }
    }

    /// The way in: admitted, read, routed, through the stages above `route`, and answered by what stands at `route`.
    async fn answer(
        &mut self,
        ends: Ends,
        parts: Parts,
        body: Incoming,
    ) -> Result<Answer, ApiError> {
        if parts.extensions.get::<Misframed>().is_some() {
            return Err(misframed());
        }
        self.admit(ends, &parts)?;
        if parts.method == Method::OPTIONS && self.origin.is_some() {
            return Ok(preflight());
        }
        let call = endpoint::classify(
            &parts.method,
            endpoint::without_last_slash(parts.uri.path()),
        );
        self.see_head(parts.headers, call)?;
        let runtime = self.runtime.clone();
        let above = &runtime.pipeline.above;
        let (states, mut view) = self.view();
        if let Err(stop) = above.on_request_head(states, &mut view).await {
            self.is_unread = Unread::is_left(body, parts.version, &self.request.headers).await;
            return self.stopped(stop);
        }
        self.read(call, body).await?;
        self.find_route(call);
        let (states, mut view) = self.view();
        if let Err(stop) = above.on_request(states, &mut view).await {
            return self.stopped(stop);
        }
        if self.request.marks.model_changed {
            if !self.request.is_model_allowed() {
                return Err(model_not_allowed().into());
            }
            self.find_route(call);
        }

        match call {
            Call::Models(name) => self.models(name).await,
            _ => self.ask_targets().await,
        }
    }

    fn find_route(&mut self, call: Call<'_>) {
        let wanted = Wanted {
            model: &self.request.model,
            path: &self.request.path,
            stateful: call == Call::Stateful,
        };
        self.route = self.runtime.routes.find(wanted).cloned();
    }

    /// At `route`, for everything but the model list.
    async fn ask_targets(&mut self) -> Result<Answer, ApiError> {
        let Some(route) = &self.route else {
            return Err(models::no_route(&self.runtime, &self.request));
        };
        if !route.shared_state {
            stored::refuse(&self.request)?;
        }
        let context = Context {
            pipeline: self.runtime.pipeline.clone(),
            request: self.request.clone(),
            route: route.clone(),
            deadline: self.request.started + route.deadline,
        };
        if let Some(answer) = self.ask_cache(&context).await {
            return answer;
        }
        match flight::answer(&context, &self.vars, &mut self.tried).await {
            Ok(attempt) => {
                self.record
                    .serve(&attempt.target, &attempt.model, attempt.seen());
                Ok(Answer {
                    head: attempt.head.clone(),
                    content: Content::Attempt(Box::new(attempt)),
                })
            }
            Err(NoAnswer::Reply(reply)) => Ok(reply.into()),
            Err(NoAnswer::Error(error, outcome)) => {
                self.record.outcome = Some(outcome);
                Err(error)
            }
        }
    }

    /// At `route`, for the model list.
    async fn models(&mut self, name: Option<&str>) -> Result<Answer, ApiError> {
        let body = models::answer(&self.runtime, &self.request, name).await?;
        let mut headers = HeaderMap::with_capacity(12);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        Ok(Answer {
            head: ReplyHead {
                status: StatusCode::OK,
                headers,
            },
            content: Content::Full(Some(body)),
        })
    }

    /// The way out: the head through the stages that were entered, the gateway's own headers, and the body with
    /// this exchange in it.
    async fn respond(mut self: Box<Self>, answer: Result<Answer, ApiError>) -> Response<ReplyBody> {
        let Answer { head, mut content } = answer.unwrap_or_else(|error| self.error_answer(error));
        self.head = head;
        self.record.cache = self.cache_status();
        let runtime = self.runtime.clone();
        let mut replaced = None;
        let mut stopped = None;
        let (states, mut view) = self.view();
        runtime
            .pipeline
            .above
            .on_response(states, &mut view, |view, stop| {
                let answer = match stop {
                    Stop::Reply(reply) => Answer::from(reply),
                    stop => {
                        let stop = Broken::stopped(stop);
                        stopped = Some((stop.outcome, stop.error.code.to_string()));
                        Answer::from(stop.error)
                    }
                };
                if let Some(head) = view.reply.as_deref_mut() {
                    *head = answer.head;
                }
                replaced = Some(answer.content);
            })
            .await;
        if let Some((outcome, code)) = stopped {
            self.record.outcome = Some(outcome);
            self.record.error = Some(code);
        }
        if let Some(replaced) = replaced
            && let Content::Attempt(mut unread) = std::mem::replace(&mut content, replaced)
        {
            // It did its part: nobody left, another reply took its place.
            unread.end(Outcome::Ok);
        }
        self.record.status = self.head.status.as_u16();
        let mut response = Response::new(());
        *response.status_mut() = self.head.status;
        *response.headers_mut() = std::mem::take(&mut self.head.headers);
        self.own_headers(response.headers_mut());
        if self.is_unread {
            response.extensions_mut().insert(Unread);
        }
        let has_body = self.request.method != Method::HEAD;
        let is_stream = is_event_stream(response.headers());
        let response = response.map(|()| ReplyBody::new(self, content, is_stream));
        if has_body {
            fitting_length(response)
        } else {
            response
        }
    }

    /// What every reply says of itself.
    fn own_headers(&self, headers: &mut HeaderMap) {
        headers.insert(REQUEST_ID, self.request.id.clone());
        if self.is_unread {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if self.request.stream {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        }
        if let Some(origin) = &self.origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("*"),
            );
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if self.runtime.expose == Expose::Full {
            if let Some(status) = self.cached.and_then(Status::header) {
                headers.insert(CACHE_STATUS, status);
            }
            let stages = self.runtime.pipeline.above.took(&self.states);
            self.record
                .expose(headers, stages, &self.tried, self.request.started);
        }
    }

    fn view(&mut self) -> (&mut States, ExchangeView<'_>) {
        let view = ExchangeView {
            request: &mut self.request,
            route: self.route.as_deref(),
            callers: &self.runtime.callers,
            vars: &mut self.vars,
            reply: Some(&mut self.head),
            record: &self.record,
        };
        (&mut self.states, view)
    }

    /// What a stage has put an end to on the way in.
    fn stopped(&mut self, stop: Stop) -> Result<Answer, ApiError> {
        self.record.outcome = Some(match stop {
            Stop::Reply(reply) => return Ok(reply.into()),
            Stop::Reject(_) => Outcome::Rejected,
            Stop::Failed { .. } => Outcome::InternalError,
        });
        Err(Broken::stopped(stop).error)
    }

    fn error_answer(&mut self, error: ApiError) -> Answer {
        let outcome = match () {
            () if error.is_cut_short() => Outcome::ClientClosed,
            () if error.code == ApiError::NO_ROOM => Outcome::Rejected,
            () if error.status.is_server_error() => Outcome::InternalError,
            () => Outcome::ClientError,
        };
        self.record.outcome.get_or_insert(outcome);
        self.record.error = Some(error.code.to_string());
        Answer::from(error)
    }

    /// One piece of the body on its way out, through the chunk hooks: what is left of it.
    pub(super) fn on_chunk(
        &mut self,
        bytes: Bytes,
        usage: Option<Usage>,
    ) -> Result<Chunks, Broken> {
        self.record.usage = usage.or(self.record.usage);
        let runtime = self.runtime.clone();
        if !runtime.pipeline.above.wants_chunks(&self.states) {
            return Ok(Chunks::from_buf([bytes]));
        }
        let (states, mut view) = self.view();
        runtime
            .pipeline
            .above
            .on_chunk(states, &mut view, bytes)
            .map_err(Broken::stopped)
    }

    /// Whether any stage may still change the length of the body.
    pub(super) fn watches_chunks(&self) -> bool {
        self.runtime.pipeline.above.wants_chunks(&self.states)
    }

    /// The request, for the body's writer.
    pub(super) fn request(&self) -> &ClientRequest {
        &self.request
    }

    fn end(&mut self) {
        let is_unfinished = self.record.outcome.is_none();
        let outcome = *self.record.outcome.get_or_insert(Outcome::ClientClosed);
        self.record.left(self.tried.last(), &self.request);
        let outcome = if is_unfinished { self.cut() } else { outcome };
        self.record.outcome = Some(outcome);
        let runtime = self.runtime.clone();
        let above = &runtime.pipeline.above;
        let took: StageTimes = above
            .took(&self.states)
            .map(|(name, took)| (name.clone(), took))
            .collect();
        let (states, mut view) = self.view();
        above.on_end(states, &mut view, outcome);
        let route = self.route.as_deref();
        let mut ended = self.record.ended(&self.request, route, &self.tried, took);
        ended.captured = Captured::take_from(&mut self.vars);
        let ended = Arc::new(ended);
        runtime.observer.end(ended.clone());
        // Last: what is in the log is counted already.
        access::line(&self.request, &self.tried, &self.record, &ended);
        if let Some(upload) = &self.request.upload {
            upload.abandon();
        }
    }

    /// How it ends where it is not over: its client has left, unless the gateway itself waits no longer.
    pub(super) fn cut(&mut self) -> Outcome {
        if !self.runtime.observer.is_cutting_off() {
            return Outcome::ClientClosed;
        }
        self.record.error = Some(SHUTTING_DOWN.to_owned());
        Outcome::Timeout
    }

    /// What the access log will say.
    pub(super) fn record(&mut self) -> &mut access::Record {
        &mut self.record
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.record.cache = self.cache_status();
        match self.lead.take() {
            Some(lead) => self.end_with(lead),
            None => self.end(),
        }
    }
}

/// The client's own `x-request-id` if it is short and plain, else a fresh one, ordered by time.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_sane = |id: &&HeaderValue| {
        !id.is_empty()
            && id.len() <= 128
            && id
                .as_bytes()
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte))
            // It is logged as it is.
            && !id.to_str().is_ok_and(filter::holds_secret)
    };
    if let Some(id) = headers.get("x-request-id").filter(is_sane) {
        // A copy: it outlives its exchange, and would keep the whole head in memory for as long.
        if let Ok(id) = HeaderValue::from_bytes(id.as_bytes()) {
            return id;
        }
    }
    let mut buffer = uuid::Uuid::encode_buffer();
    let id = id_of(SystemTime::now()).simple();
    let id = id.encode_lower(&mut buffer);
    HeaderValue::from_str(id).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_request_id_does_not_keep_the_head_that_it_came_in() {
        let head = Bytes::from("x".repeat(100) + "id-7");
        let within = HeaderValue::from_maybe_shared(head.slice(100..)).unwrap();
        let headers = HeaderMap::from_iter([("x-request-id".parse().unwrap(), within)]);
        let id = request_id(&headers);
        assert_eq!(id, "id-7");
        drop(headers);
        assert!(head.is_unique(), "the id holds on to it");
    }
}

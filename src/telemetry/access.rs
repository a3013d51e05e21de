//! The access log: one line for each exchange, and nothing in it that a client wrote in a body, a key or a query.

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use millgate_plugin::{CacheStatus, Endpoint, Outcome};
use percent_encoding::{CONTROLS, utf8_percent_encode};
use smallvec::SmallVec;

use super::{
    ended::{Attempted, Ended, REVALIDATE, Tokens, clean, cleaned, id_of, shown},
    filter::ACCESS,
    traces::parameters::Parameters,
};

use crate::{
    cache::key::Key,
    pipeline::request::ClientRequest,
    prices::Prices,
    routing::{
        answer::Seen,
        flight::{StageTimes, Tried},
        retry::FailureClass,
        route::Route,
        scanner::Usage,
        target::Target,
        upload::Upload,
    },
};

/// What is found out about an exchange on its way.
#[derive(Debug, Default)]
pub struct Record {
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Status sent to the client; 0 where it left before there was one.
    pub status: u16,
    /// `error.code` of the reply.
    pub error: Option<String>,
    /// Tokens, as the upstream counted them.
    pub usage: Option<Usage>,
    /// Body bytes sent to the client.
    pub bytes: u64,
    /// What the cache had to do with it; `None` where there is none.
    pub cache: Option<CacheStatus>,
    /// Whether no client asked, but the cache, for what was past its time.
    pub is_revalidation: bool,
    /// Under what the cache knows the answer.
    pub cache_key: Option<Key>,
    /// The cache that was asked, and how long it took to look.
    pub looked_up: Option<(Arc<str>, Duration)>,
    /// The provider that answered.
    provider: Option<Arc<str>>,
    /// The model that it was asked for.
    model: Option<Arc<str>>,
    first_byte: Option<Instant>,
    /// How long the client took to send the body of its request.
    pub reading: Duration,
    /// Tokens of the answer, as estimated from what has passed; `None` where no upstream has been asked, or none has
    /// answered.
    pub output_estimate: Option<u64>,
    /// What the models of the target that was asked last cost, and which of them it was.
    priced: Option<(Arc<Prices>, Arc<str>)>,
}

impl Record {
    /// This target answers, for this exchange.
    pub fn serve(&mut self, target: &Target, model: &Arc<str>, seen: Seen) {
        self.share(target.provider.name.clone(), model.clone(), seen);
        self.priced = Some((target.prices.clone(), model.clone()));
    }

    /// This is whose answer it gets that was given to another exchange, which has paid for it.
    pub fn share(&mut self, provider: Arc<str>, model: Arc<str>, seen: Seen) {
        self.provider = Some(provider);
        self.model = Some(model);
        self.finish(seen);
    }

    /// The first byte of the body goes out.
    pub fn first_byte(&mut self) {
        self.first_byte.get_or_insert_with(Instant::now);
    }

    /// No more will come of the answer.
    pub fn finish(&mut self, seen: Seen) {
        self.usage = seen.usage.or(self.usage);
        self.output_estimate = seen.output_estimate.or(self.output_estimate);
    }

    /// It is over. Where the attempt that was begun last has neither failed nor committed, the client has left during it.
    pub fn left(&mut self, last: Option<&Tried>, request: &ClientRequest) {
        let has_left = self.outcome == Some(Outcome::ClientClosed);
        let under_way = last.filter(|tried| has_left && tried.failure.is_none());
        if let Some(Tried { target, .. }) = under_way.filter(|_| self.output_estimate.is_none()) {
            let model = target.model_for(request.endpoint, &request.model);
            self.priced = Some((target.prices.clone(), model.into()));
            self.output_estimate = Some(0);
        }
    }

    /// Bytes of the body that a client has sent.
    fn request_bytes(&self, request: &ClientRequest) -> u64 {
        if self.is_revalidation {
            return 0;
        }
        let upload = request.upload.as_ref();
        upload.map_or(request.body.len() as u64, Upload::passed)
    }

    fn cache_name(&self) -> Option<&'static str> {
        let own = self.is_revalidation.then_some(REVALIDATE);
        own.or(self.cache.map(CacheStatus::name))
    }

    /// What the answer costs, in billionths of a US dollar; `None` where there is none, or no price of its model. By the
    /// estimates where nobody counted.
    #[must_use]
    pub fn cost(&self, request: &ClientRequest) -> Option<u64> {
        let (prices, model) = self.priced.as_ref()?;
        let price = prices.of(model)?;
        Some(price.of(&self.tokens(request)?.usage))
    }

    /// What the cache has saved by answering, in the same unit, where the route tells what its provider costs.
    fn saved(&self, request: &ClientRequest, route: Option<&Route>) -> Option<u64> {
        self.cache.filter(|cache| cache.is_shared())?;
        let targets = &route?.targets;
        let provider = self.provider.as_deref()?;
        let mut named = targets
            .iter()
            .filter(|target| &*target.provider.name == provider);
        let price = named.next()?.prices.of(self.model.as_deref()?)?;
        Some(price.of(&self.tokens(request)?.usage))
    }

    /// The tokens of the answer: by the estimates where nobody counted, unless it was only passed on.
    fn tokens(&self, request: &ClientRequest) -> Option<Tokens> {
        let counted = self.usage.map(|usage| Tokens {
            usage,
            is_estimate: false,
        });
        counted.or_else(|| {
            // What is only passed on need not be text: of a file or a voice lengths tell nothing.
            let is_text = request.endpoint != Endpoint::Forward;
            let output = self.output_estimate.filter(|_| is_text)?;
            Some(Tokens {
                usage: Usage::estimated(request.input_estimate(), output),
                is_estimate: true,
            })
        })
    }

    /// All that is known of an exchange, now that it is over.
    #[must_use]
    pub fn ended(
        &self,
        request: &ClientRequest,
        route: Option<&Route>,
        tried: &[Tried],
        stages: StageTimes,
    ) -> Ended {
        let total = request.started.elapsed();
        let asked = shown(&request.model);
        // A name that is not its client's is one of the config.
        let named = |model: &str| (model == &*request.model).then(|| asked.clone());
        let attempts = tried.iter().filter_map(|tried| {
            let model = tried.target.model_for(request.endpoint, &request.model);
            let model = named(model).unwrap_or_else(|| clean(model).into());
            Attempted::of(tried, model, request.started)
        });
        let attempts: SmallVec<[Attempted; 1]> = attempts.collect();
        let last = attempts.last();
        let (provider, model) = match (&self.provider, last) {
            (Some(provider), _) => {
                let model = self.model.as_ref();
                let model = model.map(|model| named(model).unwrap_or_else(|| cleaned(model)));
                (Some(provider.clone()), model)
            }
            (None, Some(last)) => {
                let provider = last.target.provider.name.clone();
                (Some(provider), Some(last.model.clone()))
            }
            (None, None) => (None, None),
        };
        // What comes piece by piece comes until the end.
        let is_long = request.stream || request.endpoint == Endpoint::Forward;
        let upstream = attempts.first().zip(attempts.last()).map(|(first, last)| {
            let end = if is_long && last.failure.is_none() {
                total
            } else {
                last.begun + last.took
            };
            end.saturating_sub(first.begun)
        });
        Ended {
            id: id_of(request.time),
            request_id: request.id.clone(),
            time: request.time,
            started: request.started,
            total,
            reading: self.reading,
            upstream,
            first: self.first_byte.map(|at| at - request.started),
            peer: request.peer,
            caller: request.caller.clone(),
            method: request.method.clone(),
            path: match request.endpoint {
                // Of these it is known.
                Endpoint::Chat
                | Endpoint::Completions
                | Endpoint::Responses
                | Endpoint::Embeddings => clean(&request.path).into(),
                _ => shown(&request.path),
            },
            endpoint: request.endpoint,
            stream: request.stream,
            route: route.map(|route| route.name.clone()),
            provider,
            model,
            asked,
            attempts,
            stages,
            looked_up: self.looked_up.clone(),
            status: self.status,
            outcome: self.outcome.unwrap_or(Outcome::ClientClosed),
            error: self.error.as_deref().map(Into::into),
            cache: self.cache,
            is_revalidation: self.is_revalidation,
            tokens: self.tokens(request),
            cost: self.cost(request),
            saved: self.saved(request, route),
            request_bytes: self.request_bytes(request),
            bytes: self.bytes,
            captured: None,
            trace: request.trace,
            parameters: request
                .trace
                .filter(|trace| trace.is_sampled())
                .map(|_| Box::new(Parameters::of(request, route))),
        }
    }

    /// The telling headers of a reply. Times end with its head.
    pub fn expose<'a>(
        &self,
        headers: &mut HeaderMap,
        stages: impl Iterator<Item = (&'a Arc<str>, Duration)>,
        tried: &[Tried],
        started: Instant,
    ) {
        if let Some(provider) = &self.provider {
            insert(headers, PROVIDER, provider);
        }
        if let Some(model) = self.model.as_deref().filter(|model| !model.is_empty()) {
            insert(headers, MODEL, model);
        }
        let mut timing = String::with_capacity(96);
        for (stage, took) in stages {
            time(&mut timing, stage, took);
        }
        let attempts = made(tried);
        let is_shared = self.cache.is_some_and(CacheStatus::is_shared);
        if attempts > 0 || is_shared {
            headers.insert(ATTEMPTS, HeaderValue::from(attempts));
        }
        if let Some((cache, took)) = &self.looked_up {
            time(&mut timing, cache, *took);
        }
        // Those below `route` are part of what the upstream took.
        for (stage, took) in tried.last().into_iter().flat_map(|last| &last.stages) {
            time(&mut timing, stage, *took);
        }
        if attempts > 0 {
            let upstream = tried.iter().map(|tried| tried.took).sum();
            time(&mut timing, "upstream", upstream);
        }
        time(&mut timing, "total", started.elapsed());
        insert(headers, SERVER_TIMING, &timing);
    }
}

const PROVIDER: HeaderName = HeaderName::from_static("x-millgate-provider");
const MODEL: HeaderName = HeaderName::from_static("x-millgate-model");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-millgate-attempts");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// One metric of `Server-Timing`, in milliseconds with a tenth of them.
fn time(timing: &mut String, name: &str, took: Duration) {
    let tenths = took.as_micros() as u64 / 100;
    let comma = if timing.is_empty() { "" } else { ", " };
    // Writing to a string does not fail.
    let _ = write!(timing, "{comma}{name};dur={}.{}", tenths / 10, tenths % 10);
}

/// Attempts that were made; a target that cannot serve the call is only passed over.
fn made(tried: &[Tried]) -> usize {
    tried
        .iter()
        .filter(|tried| tried.failure != Some(FailureClass::Unsupported))
        .count()
}

fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

/// A header of any text: what is not visible ASCII is percent-encoded UTF-8.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    let value = if value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        HeaderValue::from_str(value)
    } else {
        HeaderValue::from_str(&utf8_percent_encode(value, CONTROLS).to_string())
    };
    if let Ok(value) = value {
        headers.insert(name, value);
    }
}

/// Writes the line of an exchange that has ended.
pub fn line(request: &ClientRequest, tried: &[Tried], record: &Record, ended: &Ended) {
    let since = |instant: Instant| millis(instant.duration_since(request.started));
    tracing::info!(
        target: ACCESS,
        request_id = request.id(),
        peer = %request.peer,
        caller = request.caller.id(),
        method = ended.method_name(),
        path = &*ended.path,
        endpoint = request.endpoint.name(),
        route = ended.route.as_deref(),
        asked = (!ended.asked.is_empty()).then_some(&*ended.asked),
        provider = ended.provider.as_deref(),
        model = ended.model.as_deref(),
        stream = request.stream,
        attempts = made(tried),
        failed = (tried.iter().any(|tried| tried.failure.is_some())).then(|| failures(tried)),
        status = record.status,
        cache = record.cache_name(),
        cache_key = record.cache_key.map(tracing::field::display),
        outcome = record.outcome.unwrap_or(Outcome::ClientClosed).name(),
        error = record.error.as_deref(),
        ms = since(Instant::now()),
        first_ms = record.first_byte.map(since),
        input_tokens = record.usage.map(|usage| usage.input),
        output_tokens = record.usage.map(|usage| usage.output),
        estimated_tokens = ended.tokens.and_then(Tokens::estimate),
        request_bytes = record.request_bytes(request),
        bytes = record.bytes,
    );
}

/// `internal:status 503:12ms, ollama:connect:0ms`
fn failures(tried: &[Tried]) -> String {
    let failed = tried.iter().filter_map(|tried| {
        let failure = tried.failure?;
        Some(format!(
            "{}:{failure}:{}ms",
            tried.target.label(),
            tried.took.as_millis()
        ))
    });
    failed.collect::<Vec<_>>().join(", ")
}

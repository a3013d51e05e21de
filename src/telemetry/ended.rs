//! An exchange that has ended, as all who observe exchanges see it: metrics, the ledger, traces, the recent ones.

mod judged;
#[cfg(test)]
pub(crate) mod sample;

use std::{
    borrow::Cow,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::{HeaderValue, Method};
pub use judged::{Judged, provider_name};
use millgate_plugin::{CacheStatus, Endpoint, Outcome};
use smallvec::SmallVec;
use uuid::Uuid;

use crate::{
    pipeline::request::{Caller, Vars},
    routing::{
        flight::{StageTimes, Tried},
        pace::Pace,
        retry::FailureClass,
        scanner::{Usage, Witness},
        target::Target,
    },
    stages::redact::{CAPTURED_REPLY, CAPTURED_REQUEST},
    telemetry::{
        filter,
        traces::{context::TraceContext, parameters::Parameters},
    },
};

/// All that is known of an exchange once it is over. It holds no header and no key, and of bodies at most what was
/// [captured](Captured). What its client has chosen in path and model has passed the [`filter`] of the logs.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its own id (`UUIDv7`, RFC 9562): a client's request id need not be unique.
    pub id: Uuid,
    /// `x-request-id`.
    pub request_id: HeaderValue,
    /// When its head had been read, by the clock on the wall.
    pub time: SystemTime,
    /// The same by a clock that is never set.
    pub started: Instant,
    /// From then to its end.
    pub total: Duration,
    /// Of that, how long its client took to send the body.
    pub reading: Duration,
    /// Of that, from the first attempt's beginning to the end of what the upstream sent; `None` where none was asked.
    pub upstream: Option<Duration>,
    /// From the start to the first byte of the body that went out.
    pub first: Option<Duration>,
    /// The client's address.
    pub peer: IpAddr,
    /// Who called.
    pub caller: Caller,
    /// HTTP method; of those that nobody knows, as the client wrote it: see [`Ended::method_name`].
    pub method: Method,
    /// Path, without its query.
    pub path: Arc<str>,
    /// What kind of call it was.
    pub endpoint: Endpoint,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The rule it fell under.
    pub route: Option<Arc<str>>,
    /// The model asked for; empty where the call named none.
    pub asked: Arc<str>,
    /// The provider that answered; where none has, the one that was asked last.
    pub provider: Option<Arc<str>>,
    /// The model that answered, or of the last attempt, as its provider was asked for it.
    pub model: Option<Arc<str>>,
    /// Every attempt, in order; those passed over because their target does not serve the call are not among them.
    pub attempts: SmallVec<[Attempted; 1]>,
    /// The stages above `route` that had a say in the request, and how long each took over it.
    pub stages: StageTimes,
    /// The cache that was asked, and how long it took to look.
    pub looked_up: Option<(Arc<str>, Duration)>,
    /// Status sent to the client; 0 where it left before there was one.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// `error.code` of the reply.
    pub error: Option<Box<str>>,
    /// What the cache had to do with it; `None` where there is none.
    pub cache: Option<CacheStatus>,
    /// Whether it is the gateway's own: no client asked, the cache fetched anew what was past its time.
    pub is_revalidation: bool,
    /// The tokens of its answer; `None` where nobody knows anything of them.
    pub tokens: Option<Tokens>,
    /// What it cost, in billionths of a US dollar; `None` where the price is not known, and where nothing was asked.
    pub cost: Option<u64>,
    /// What the cache has saved by answering, in the same unit.
    pub saved: Option<u64>,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the reply's body that went out.
    pub bytes: u64,
    /// What was said, where the stage `redact` captures it; never kept in memory for longer than it takes to pass on.
    pub captured: Option<Arc<Captured>>,
    /// Its place in a trace; `None` where there are no traces.
    pub trace: Option<TraceContext>,
    /// What it asked of a model; only where spans are made of it.
    pub parameters: Option<Box<Parameters>>,
}

/// The text of an exchange, redacted and cut at the limit of the stage `redact`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// What the client sent: messages with their roles, prompts.
    pub request: String,
    /// What was answered.
    pub reply: String,
}

impl Captured {
    /// What a stage has left among the notes of an exchange, which are no longer needed then.
    pub(crate) fn take_from(vars: &mut Vars) -> Option<Arc<Self>> {
        let mut text = |key| {
            let note = String::from_utf8(vars.take(key)?.into_vec());
            note.ok()
        };
        let request = text(CAPTURED_REQUEST)?;
        let reply = text(CAPTURED_REPLY).unwrap_or_default();
        Some(Arc::new(Self { request, reply }))
    }
}

/// The tokens of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// How many.
    pub usage: Usage,
    /// Whether they are estimated from lengths, because no upstream has counted them.
    pub is_estimate: bool,
}

impl Tokens {
    /// Those of prompt and answer together, where they are estimated.
    #[must_use]
    pub fn estimate(self) -> Option<u64> {
        let all = self.usage.input.saturating_add(self.usage.output);
        self.is_estimate.then_some(all)
    }
}

/// One attempt of an exchange.
#[derive(Clone, Debug)]
pub struct Attempted {
    /// Who was asked.
    pub target: Arc<Target>,
    /// The model it was asked for.
    pub model: Arc<str>,
    /// When it began, from the start of the exchange. Of one that another exchange had begun before: 0.
    pub begun: Duration,
    /// From there to its commit or its failure, or, while it was under way, to the end of the exchange.
    pub took: Duration,
    /// In which way it failed; `None` where it has committed, or the client left during it.
    pub failure: Option<FailureClass>,
    /// Whether it has committed; if not, and if it has not failed either, the client left during it.
    pub has_answered: bool,
    /// The stages below `route` that had a say in it, and how long each took.
    pub stages: StageTimes,
    /// When the events of its answer came, where a stream was asked for.
    pub pace: Option<Arc<Pace>>,
    /// What a trace tells of it; only where spans are made of the exchange.
    pub witness: Option<Arc<Witness>>,
}

impl Attempted {
    /// How a try looks to those who observe exchanges; `None` where the target was only passed over.
    pub(crate) fn of(tried: &Tried, model: Arc<str>, started: Instant) -> Option<Self> {
        if tried.failure == Some(FailureClass::Unsupported) {
            return None;
        }
        Some(Self {
            target: tried.target.clone(),
            model,
            begun: tried.begun.saturating_duration_since(started),
            took: if tried.is_settled {
                tried.took
            } else {
                tried.begun.elapsed()
            },
            failure: tried.failure,
            has_answered: tried.is_settled && tried.failure.is_none(),
            stages: tried.stages.clone(),
            pace: tried.pace.clone(),
            witness: tried.witness.clone(),
        })
    }
}

impl Ended {
    /// The same for those who keep many of them: without content.
    #[must_use]
    pub fn without_content(self: Arc<Self>) -> Arc<Self> {
        if self.captured.is_none() && self.parameters.is_none() {
            return self;
        }
        let mut ended = Self::clone(&self);
        (ended.captured, ended.parameters) = (None, None);
        Arc::new(ended)
    }

    /// The time that the gateway itself took: the whole, less what client and upstream kept it waiting. Waiting between
    /// tries counts as the upstream's; what a stage waits for counts as the gateway's own.
    #[must_use]
    pub fn overhead(&self) -> Duration {
        let others = self.reading + self.upstream.unwrap_or_default();
        self.total.saturating_sub(others)
    }

    /// Whether its answer was another exchange's, which has been charged for it. One that joined another's call and got
    /// no answer of it, because the call failed or its client left before, has shared nothing.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.provider.is_some() && self.cache.is_some_and(CacheStatus::is_shared)
    }

    /// What the cache had to do with it, in a word.
    #[must_use]
    pub fn cache_name(&self) -> Option<&'static str> {
        if self.is_revalidation {
            return Some(REVALIDATE);
        }
        self.cache.map(CacheStatus::name)
    }

    /// The id of its trace, in hexadecimal digits, where spans were made of it.
    #[must_use]
    pub fn trace_id(&self) -> Option<String> {
        let trace = self.trace.filter(|trace| trace.is_sampled())?;
        Some(format!("{:032x}", trace.trace))
    }

    /// The tokens that were charged for: none where the answer was shared.
    #[must_use]
    pub fn charged(&self) -> Option<Tokens> {
        self.tokens.filter(|_| !self.is_shared())
    }

    /// Whether it counts as a failure of the gateway or of what is behind it.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::UpstreamError | Outcome::Timeout | Outcome::InternalError
        )
    }
}

/// What the cache had to do with an exchange of the gateway's own. No plugin gets to see it.
pub(crate) const REVALIDATE: &str = "revalidate";

/// A new id that sorts by this time (`UUIDv7`, RFC 9562).
#[must_use]
pub fn id_of(time: SystemTime) -> Uuid {
    let mut random = [0; 10];
    fastrand::fill(&mut random);
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis() as u64);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// Characters that any text has at most that a client or an upstream chose: of these there are many in memory, and none of
/// them is to make a report or a ledger large.
const LONGEST: usize = 256;

/// Such a text, cut, and without control characters: any database takes it, and a line of a report can hold it.
#[must_use]
pub fn clean(text: &str) -> Box<str> {
    tidy(text).into()
}

/// The same of one that a client chose, as the filter of the logs lets it be seen.
pub(crate) fn shown(text: &str) -> Arc<str> {
    // First what is not to be seen: half of a key would be no key any more.
    tidy(&filter::clean(text)).into()
}

fn tidy(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST && !text.chars().any(char::is_control) {
        return text.into();
    }
    let character = |character: char| {
        if character.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            character
        }
    };
    let cleaned: String = text.chars().take(LONGEST).map(character).collect();
    cleaned.into()
}

/// The same of a text that is shared, and mostly stays so.
pub(crate) fn cleaned(text: &Arc<str>) -> Arc<str> {
    if text.len() <= LONGEST {
        return text.clone();
    }
    clean(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_clients_are_cut_and_hold_nothing_that_a_database_refuses() {
        assert_eq!(&*clean("gpt-4o 모델"), "gpt-4o 모델");
        assert_eq!(&*clean("a\0b\nc"), "a\u{fffd}b\u{fffd}c");
        assert_eq!(clean(&"가".repeat(10_000)).chars().count(), LONGEST);
        let long: Arc<str> = "m".repeat(1 << 20).into();
        assert_eq!(cleaned(&long).len(), LONGEST);
    }
}

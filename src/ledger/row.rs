//! One exchange as the ledger holds it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use uuid::Uuid;

use crate::telemetry::ended::{Captured, Ended, clean};

/// No number of a row is larger: sums of millions of such rows still fit 64 bits.
const LARGEST: u64 = 1 << 40;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
/// The columns, in the order in which both databases are told them.
pub(super) const COLUMNS: &str = "id, time, request_id, caller, team, ticket, method, endpoint, route, asked, model, provider, \
     attempts, status, outcome, error, cache, shared, stream, input_tokens, output_tokens, cached_tokens, \
     reasoning_tokens, estimated, cost, saved, total_us, reading_us, upstream_us, first_us, overhead_us, request_bytes, bytes";

/// One exchange. Texts are short and without control characters; numbers fit 64 bits with their sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The exchange's own id (`UUIDv7`), by which it is written once.
    pub id: Uuid,
    /// When its head had been read, to the millisecond.
    pub time: SystemTime,
    /// `x-request-id`; not unique.
    pub request_id: Box<str>,
    /// The caller's id; of one that nobody knows, its address.
    pub caller: Box<str>,
    /// The caller's team.
    pub team: Option<Box<str>>,
    /// What the caller's list says under `ticket`.
    pub ticket: Option<Box<str>>,
    /// HTTP method.
    pub method: Box<str>,
    /// What kind of call it was.
    pub endpoint: &'static str,
    /// The rule it fell under.
    pub route: Option<Box<str>>,
    /// The model asked for.
    pub asked: Option<Box<str>>,
    /// The model that answered, or was asked last.
    pub model: Option<Box<str>>,
    /// The provider that answered, or was asked last.
    pub provider: Option<Box<str>>,
    /// Attempts that were made.
    pub attempts: i64,
    /// Status sent; `None` where the client left before there was one.
    pub status: Option<i64>,
    /// How it ended.
    pub outcome: &'static str,
    /// `error.code` of the reply.
    pub error: Option<Box<str>>,
    /// What the cache had to do with it.
    pub cache: Option<&'static str>,
    /// Whether the answer was another exchange's, which has been charged for it.
    pub shared: bool,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// Tokens of the prompt.
    pub input: Option<i64>,
    /// Tokens of the answer.
    pub output: Option<i64>,
    /// Of the prompt's, those that the upstream had cached.
    pub cached: Option<i64>,
    /// Of the answer's, those spent on reasoning.
    pub reasoning: Option<i64>,
    /// Whether the tokens are estimated from lengths.
    pub estimated: bool,
    /// What it cost, in billionths of a US dollar; `None` where no price is known.
    pub cost: Option<i64>,
    /// What the cache saved, in the same unit.
    pub saved: Option<i64>,
    /// From its start to its end, in microseconds, as the other times of a row.
    pub total: i64,
    /// How long its client took to send the body.
    pub reading: i64,
    /// What the upstream took.
    pub upstream: Option<i64>,
    /// From the start to the first byte of content that went out.
    pub first: Option<i64>,
    /// What the gateway itself took.
    pub overhead: i64,
    /// Bytes of the request's body.
    pub request_bytes: i64,
    /// Bytes of the reply's body.
    pub bytes: i64,
    /// What was asked and answered, where that is captured; kept apart and encrypted.
    pub captured: Option<Arc<Captured>>,
}

impl Row {
    /// The row of an exchange.
    #[must_use]
    pub fn of(ended: &Ended) -> Self {
        let usage = ended.tokens.map(|tokens| tokens.usage);
        let caller = &ended.caller;
        Self {
            id: ended.id,
            time: to_the_millisecond(ended.time),
            request_id: clean(&String::from_utf8_lossy(ended.request_id.as_bytes())),
            caller: match caller.id() {
                Some(id) => clean(id),
                None => ended.peer.to_string().into(),
            },
            team: caller.team().map(clean),
            ticket: caller
                .meta("ticket")
                .map(|ticket| clean(&String::from_utf8_lossy(ticket))),
            method: ended.method_name().into(),
            endpoint: ended.endpoint.name(),
            route: ended.route.as_deref().map(clean),
            asked: some(&ended.asked),
            model: ended.model.as_deref().and_then(some),
            provider: ended.provider.as_deref().map(clean),
            attempts: number(ended.attempts.len() as u64),
            status: (ended.status != 0).then_some(i64::from(ended.status)),
            outcome: ended.outcome.name(),
            error: ended.error.as_deref().map(clean),
            cache: ended.cache_name(),
            shared: ended.is_shared(),
            stream: ended.stream,
            input: usage.map(|usage| number(usage.input)),
            output: usage.map(|usage| number(usage.output)),
            cached: usage.and_then(|usage| usage.cached).map(number),
            reasoning: usage.and_then(|usage| usage.reasoning).map(number),
            estimated: ended.tokens.is_some_and(|tokens| tokens.is_estimate),
            cost: ended.cost.map(number),
            saved: ended.saved.map(number),
            total: micros(ended.total),
            reading: micros(ended.reading),
            upstream: ended.upstream.map(micros),
            first: ended.first.map(micros),
            overhead: micros(ended.overhead()),
            request_bytes: number(ended.request_bytes),
            bytes: number(ended.bytes),
            captured: ended.captured.clone(),
        }
    }

    /// Bytes of what was captured.
    pub(super) fn captured_bytes(&self) -> usize {
        let captured = self.captured.as_deref();
        captured.map_or(0, |captured| captured.request.len() + captured.reply.len())
    }
}

/// Milliseconds since the epoch.
pub(super) fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// The other way.
pub(super) fn time(millis: i64) -> SystemTime {
    let since = Duration::from_millis(millis.max(0).cast_unsigned());
    SystemTime::UNIX_EPOCH
        .checked_add(since)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

fn to_the_millisecond(at: SystemTime) -> SystemTime {
    time(millis(at))
}

fn micros(time: Duration) -> i64 {
    number(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

fn number(number: u64) -> i64 {
    number.min(LARGEST).cast_signed()
}

fn some(text: &str) -> Option<Box<str>> {
    (!text.is_empty()).then(|| clean(text))
}

/// A row for tests.
#[cfg(test)]
pub(super) fn sample(number: u128, time: SystemTime) -> Row {
    Row {
        id: Uuid::from_u128(number),
        time,
        request_id: "request".into(),
        caller: "anna".into(),
        team: None,
        ticket: None,
        method: "POST".into(),
        endpoint: "chat",
        route: Some("default".into()),
        asked: Some("gpt".into()),
        model: Some("gpt".into()),
        provider: Some("up".into()),
        attempts: 1,
        status: Some(200),
        outcome: "ok",
        error: None,
        cache: None,
        shared: false,
        stream: false,
        input: Some(10),
        output: Some(5),
        cached: None,
        reasoning: Some(2),
        estimated: false,
        cost: Some(1_500_000_000),
        saved: None,
        total: 100,
        reading: 1,
        upstream: Some(90),
        first: Some(80),
        overhead: 9,
        request_bytes: 60,
        bytes: 600,
        captured: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_such_that_any_database_takes_them() {
        assert_eq!(number(u64::MAX), 1 << 40);
        assert_eq!(micros(Duration::MAX), 1 << 40);
        // As many rows of the largest numbers as there are in a ledger of some GiB.
        assert!(number(u64::MAX).checked_mul(8_000_000).is_some());
        assert_eq!(millis(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), 0);
    }
}

//! How each upstream does: over the last minute, since the start, and whether it lives.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Buckets,
    tier::{Counted, Tier},
};
use crate::{
    routing::retry::FailureClass,
    telemetry::ended::{Attempted, Ended, Judged},
};

/// So many exchanges in a row for which it failed are needed before an upstream counts as dead.
const FAILURES: u32 = 3;

/// So long after the last of them it is worth another try.
const REST: Duration = Duration::from_secs(30);

/// Steps of the last minute.
const STEP: Duration = Duration::from_secs(5);
const STEPS: u64 = 12;

/// So many providers are told apart; names come from the config, but it may be reloaded.
const MOST_PROVIDERS: usize = 256;

/// Attempts, added up.
#[derive(Clone, Debug, Default)]
pub struct Tries {
    /// How many.
    pub attempts: u64,
    /// Of these, those that failed, requests that were at fault themselves left out.
    pub failures: u64,
    /// From the beginning to the commit or the failure.
    pub latency: Buckets,
}

impl Counted for Tries {
    fn extent(&self) -> usize {
        3 + self.latency.extent()
    }
}

/// How each upstream does.
pub struct Upstreams {
    since: Instant,
    minute: Tier<Asked, Tries>,
    providers: BTreeMap<Arc<str>, Known>,
}

/// Who was asked: a provider, and the model where the target names one.
#[derive(Default, PartialEq)]
struct Asked {
    provider: Option<Arc<str>>,
    model: Option<Box<str>>,
}

/// What is known of a provider since the start.
#[derive(Default)]
struct Known {
    attempts: u64,
    failures: u64,
    failed_in_a_row: u32,
    failed_last: Option<Instant>,
}

/// What an attempt says of an upstream's life.
enum Sign {
    Lives,
    Fails,
    Nothing,
}

impl Upstreams {
    pub(super) fn since(since: Instant) -> Self {
        Self {
            since,
            minute: Tier::new(STEP, STEPS + 1),
            providers: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, ended: &Ended) {
        // Known of from now on, however long ago an attempt of it was made.
        let at = ended.started + ended.total;
        for (index, judged) in ended.judged().enumerate() {
            let provider = &judged.attempt.target.provider;
            let is_of = |later: &Attempted| Arc::ptr_eq(&later.target.provider, provider);
            let is_its_last = !ended.attempts[index + 1..].iter().any(is_of);
            self.attempt(&judged, at, is_its_last);
        }
    }

    fn attempt(&mut self, judged: &Judged<'_>, at: Instant, is_its_last: bool) {
        let attempt = judged.attempt;
        let provider = &attempt.target.provider.name;
        let is_known = self.providers.contains_key(provider);
        if !is_known && self.providers.len() >= MOST_PROVIDERS {
            return;
        }
        let has_failed = match attempt.failure {
            Some(failure) => failure != FailureClass::Client,
            // One that has answered may still have broken off, or taken too long to the end.
            None => judged.has_failed(),
        };
        let known = self.providers.entry(provider.clone()).or_default();
        known.attempts += 1;
        known.failures += u64::from(has_failed);
        // However often it was tried for one request, which may be at fault itself, that says one thing of it.
        if is_its_last {
            known.judge(&sign(judged), at);
        }
        let asked = Asked {
            provider: Some(provider.clone()),
            model: attempt.target.model.clone(),
        };
        let at = at.saturating_duration_since(self.since);
        self.minute.count(at, asked, |tries| {
            tries.attempts += 1;
            tries.failures += u64::from(has_failed);
            tries.latency.add(attempt.took);
        });
    }

    /// Whether a provider may be expected to answer: unless it has failed the latest three exchanges or more that asked it,
    /// because it could not be reached, took too long, broke off or answered 5xx, the last of them within half a minute.
    #[must_use]
    pub fn is_live(&self, provider: &str, now: Instant) -> bool {
        self.providers.get(provider).is_none_or(|known| {
            known.failed_in_a_row < FAILURES
                || known
                    .failed_last
                    .is_none_or(|last| now.saturating_duration_since(last) >= REST)
        })
    }

    /// Attempts and failures since the start.
    #[must_use]
    pub fn since_start(&self, provider: &str) -> (u64, u64) {
        let known = self.providers.get(provider);
        known.map_or((0, 0), |known| (known.attempts, known.failures))
    }

    /// The attempts of the last minute, of one model's targets alone where that is wanted, and how long that minute is
    /// for a process that has not lived as long.
    #[must_use]
    pub fn minute(
        &self,
        provider: &str,
        model: Option<Option<&str>>,
        now: Instant,
    ) -> (Tries, Duration) {
        let now = now.saturating_duration_since(self.since);
        let last = self.minute.index(now);
        let first = (last + 1).saturating_sub(STEPS);
        let mut all = Tries::default();
        for (_, asked, tries) in self.minute.between(first, last + 1) {
            let is_model = model.is_none_or(|model| asked.model.as_deref() == model);
            if asked.provider.as_deref() == Some(provider) && is_model {
                all.attempts += tries.attempts;
                all.failures += tries.failures;
                all.latency.merge(&tries.latency);
            }
        }
        (all, now.saturating_sub(STEP * first as u32))
    }
}

impl Known {
    fn judge(&mut self, sign: &Sign, at: Instant) {
        match sign {
            Sign::Lives => self.failed_in_a_row = 0,
            Sign::Fails => {
                let has_rested = self
                    .failed_last
                    .is_some_and(|last| at.saturating_duration_since(last) >= REST);
                if has_rested {
                    self.failed_in_a_row = 0;
                }
                self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
                self.failed_last = Some(at);
            }
            Sign::Nothing => {}
        }
    }
}

fn sign(judged: &Judged<'_>) -> Sign {
    match judged.attempt.failure {
        Some(
            FailureClass::Connect
            | FailureClass::Timeout
            | FailureClass::Stream
            | FailureClass::Status(500..),
        ) => Sign::Fails,
        // A client's own key may be what it refuses, and a stage of the gateway says nothing of it.
        Some(FailureClass::UpstreamAuth | FailureClass::Rejected | FailureClass::Unsupported) => {
            Sign::Nothing
        }
        None if judged.has_failed() => Sign::Fails,
        // The client may have left before there was an answer.
        None if !judged.attempt.has_answered => Sign::Nothing,
        Some(_) | None => Sign::Lives,
    }
}

//! What the config may say of a rehearsal provider.

use std::time;

use millgate_plugin::{Refusal, RefusalKind, SetupError, units::Duration};
use schemars::JsonSchema;
use serde::Deserialize;

use super::chance;

/// The table of a `rehearsal` provider.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RehearsalConfig {
    /// Time before the first byte of an answer or a fault, for example `"250ms"`. Default: none.
    pub latency: Duration,
    /// Pace of streams in tokens (words) per second, 0.001 to 1000000. Default: as fast as the reader takes them.
    pub tokens_per_second: Option<f64>,
    /// Faults to rehearse. Default: none.
    pub faults: Faults,
}

/// Faults to rehearse. Which requests they hit depends only on the provider's name and the request's id, so
/// that a request that failed fails again when it is retried here, and another target is what saves it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Share of requests that fail before their first byte, 0 to 1. Default: 0.
    pub error_rate: f64,
    /// HTTP status of these failures: 400, 401, 403, 404, 422, 429, 500, 502, 503 or 504. Default: 503.
    pub status: u16,
    /// The `Retry-After` of these failures. Default: none.
    pub retry_after: Option<Duration>,
    /// Share of streams that end in the middle, without a word, 0 to 1. Default: 0.
    pub cut_rate: f64,
    /// Share of streams that fall silent in the middle for the time `stall`, 0 to 1. Default: 0.
    pub stall_rate: f64,
    /// How long a stream falls silent. Default: `"30s"`.
    pub stall: Duration,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            error_rate: 0.0,
            status: 503,
            retry_after: None,
            cut_rate: 0.0,
            stall_rate: 0.0,
            stall: Duration::from_secs(30),
        }
    }
}

impl RehearsalConfig {
    /// Refuses numbers outside their range.
    pub(super) fn check(&self) -> Result<(), SetupError> {
        if let Some(rate) = self.tokens_per_second
            && !(0.001..=1e6).contains(&rate)
        {
            let message = format!("{rate} is not between 0.001 and 1000000");
            return Err(SetupError::at(["tokens_per_second"], message));
        }
        let faults = &self.faults;
        let rates = [
            ("error_rate", faults.error_rate),
            ("cut_rate", faults.cut_rate),
            ("stall_rate", faults.stall_rate),
        ];
        for (key, rate) in rates {
            if !(0.0..=1.0).contains(&rate) {
                let message = format!("{rate} is not a share between 0 and 1");
                return Err(SetupError::at(["faults", key], message));
            }
        }
        if kind_of(faults.status).is_none() {
            return Err(SetupError::at(
                ["faults", "status"],
                "is none of 400, 401, 403, 404, 422, 429, 500, 502, 503 and 504",
            ));
        }
        Ok(())
    }
}

impl Faults {
    /// The failure of this request, if it is to fail before its first byte.
    pub(super) fn refusal(&self, provider: &str, request_id: &str) -> Option<Refusal> {
        if !hits(self.error_rate, "error", provider, request_id) {
            return None;
        }
        let mut refusal = Refusal::new(
            kind_of(self.status)?,
            "this failure is rehearsed: the provider's `faults.error_rate` asks for it",
        )
        .code("rehearsed_fault");
        refusal.retry_after = self.retry_after.map(Duration::get);
        Some(refusal)
    }

    /// Whether this stream ends in the middle.
    pub(super) fn cuts(&self, provider: &str, request_id: &str) -> bool {
        hits(self.cut_rate, "cut", provider, request_id)
    }

    /// How long this stream falls silent in the middle, if it does.
    pub(super) fn stall(&self, provider: &str, request_id: &str) -> Option<time::Duration> {
        hits(self.stall_rate, "stall", provider, request_id).then(|| self.stall.get())
    }
}

/// The provider's name counts, so that two rehearsal providers of one route do not always fail together.
fn hits(rate: f64, fault: &str, provider: &str, request_id: &str) -> bool {
    let purpose = format!("{fault} of {provider}");
    chance::fraction(chance::hash(&purpose, request_id.as_bytes())) < rate
}

const fn kind_of(status: u16) -> Option<RefusalKind> {
    Some(match status {
        400 => RefusalKind::InvalidRequest,
        401 => RefusalKind::Unauthorized,
        403 => RefusalKind::Forbidden,
        404 => RefusalKind::NotFound,
        422 => RefusalKind::Unprocessable,
        429 => RefusalKind::RateLimited,
        500 => RefusalKind::Internal,
        502 => RefusalKind::BadUpstream,
        503 => RefusalKind::Unavailable,
        504 => RefusalKind::Timeout,
        _ => return None,
    })
}

//! When an upstream says to come back.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header::RETRY_AFTER};

/// The longest time that is believed.
const LONGEST: Duration = Duration::from_hours(24);

/// How long an upstream asks to be left alone: `retry-after-ms` (milliseconds, as `OpenAI` and Azure send it and
/// the `OpenAI` SDKs read it first), else `retry-after` (RFC 9110 §10.2.3: seconds, here also with a fraction, or an
/// HTTP date). A date that has passed is zero, more than a day is a day, and what is neither is ignored.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let from_millis = text("retry-after-ms").and_then(|value| duration(value, 0.001));
    from_millis.or_else(|| {
        let value = text(RETRY_AFTER.as_str())?;
        duration(value, 1.0).or_else(|| until(value, now))
    })
}

/// A plain number of units; no sign, no `inf`, no `NaN`.
fn duration(value: &str, unit_seconds: f64) -> Option<Duration> {
    if !value.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let seconds = value.parse::<f64>().ok()? * unit_seconds;
    Duration::try_from_secs_f64(seconds.min(LONGEST.as_secs_f64())).ok()
}

fn until(date: &str, now: SystemTime) -> Option<Duration> {
    let date = httpdate::parse_http_date(date).ok()?;
    Some(date.duration_since(now).unwrap_or_default().min(LONGEST))
}

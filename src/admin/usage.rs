//! `/api/usage`: what was used, from the ledger.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use serde_json::Value;

use super::query::{Query, invalid};
use crate::{api::error::ApiError, calendar, config};

/// By what rows are told apart.
const KEYS: &[&str] = &["caller", "team", "model", "provider", "ticket", "day"];

/// Over which time, unless the query says so.
const DAY: Duration = Duration::from_hours(24);

/// `GET /api/usage?since=24h&until=…&by=caller`
pub(super) async fn usage(query: &mut Query<'_>) -> Result<Value, ApiError> {
    let now = SystemTime::now();
    let since = query.take("since");
    let since = since.map_or(Ok(now - DAY), |text| moment("since", &text, now))?;
    let until = query.take("until");
    let until = until.map_or(Ok(now), |text| moment("until", &text, now))?;
    let by = query.take("by");
    let by = by.as_deref().unwrap_or("caller");
    let Some(by) = KEYS.iter().find(|key| **key == by).copied() else {
        return Err(invalid("by", &format!("is one of {}", KEYS.join(", "))));
    };
    if until < since {
        return Err(invalid("until", "lies before `since`"));
    }
    let asked = tokio::task::spawn_blocking(move || of_ledger(since, until, by));
    asked
        .await
        .map_err(|_| ApiError::internal("The ledger could not be asked. See the log."))?
}

/// What the ledger says. There is none in this gateway.
fn of_ledger(_since: SystemTime, _until: SystemTime, _by: &str) -> Result<Value, ApiError> {
    Err(ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "ledger_off",
        "This gateway keeps no ledger. See [ledger] in the configuration.",
    ))
}

/// A moment: so long ago (`24h`), a date, or a date and time in UTC (`2026-11-22T14:14:39Z`).
fn moment(name: &str, text: &str, now: SystemTime) -> Result<SystemTime, ApiError> {
    let ago = text
        .parse::<config::Duration>()
        .ok()
        .and_then(|ago| now.checked_sub(ago.get()));
    let at = || {
        let seconds = calendar::parse(text)?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    };
    ago.or_else(at).ok_or_else(|| {
        invalid(
            name,
            "is a time such as 24h, 2026-11-22 or 2026-11-22T14:14:39Z",
        )
    })
}

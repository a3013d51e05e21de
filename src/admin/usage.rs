//! `/api/usage`: what was used, from the ledger.

use std::time::{Duration, SystemTime};

use clap::ValueEnum as _;
use http::StatusCode;
use tokio::sync::Semaphore;

use super::query::{Query, invalid};
use crate::{
    api::error::ApiError,
    calendar, config,
    ledger::usage::{self, By, Usage},
    runtime::gateway::Gateway,
};

/// So many questions are answered at a time: each reads much, and goes on after its client has left.
static ASKING: Semaphore = Semaphore::const_new(4);

/// Over which time, unless the query says so.
const DAY: Duration = Duration::from_hours(24);

/// `GET /api/usage?since=24h&until=…&by=caller`
pub(super) async fn usage(gateway: &Gateway, query: &mut Query<'_>) -> Result<Usage, ApiError> {
    let now = SystemTime::now();
    let since = query.take("since");
    let since = since.map_or(Ok(now - DAY), |text| moment("since", &text, now))?;
    let until = query.take("until");
    let until = until.map_or(Ok(now), |text| moment("until", &text, now))?;
    let by = match query.take("by") {
        Some(name) => {
            By::named(&name).ok_or_else(|| invalid("by", &format!("is one of {}", names())))?
        }
        None => By::default(),
    };
    if until < since {
        return Err(invalid("until", "lies before `since`"));
    }
    let permit = ASKING.try_acquire().map_err(|_| busy())?;
    let place = gateway.process().observer.ledger.place().ok_or_else(off)?;
    // It blocks.
    let asked = tokio::task::spawn_blocking(move || {
        // Held for as long as the database works, whether or not the client waits for it.
        let _permit = permit;
        usage::usage(&place, since, until, by)
    });
    let told = asked
        .await
        .map_err(|_| ApiError::internal("The ledger could not be asked. See the log."))?;
    told.map_err(|error| {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ledger_unavailable",
            format!("The ledger cannot be read: {error}"),
        )
    })
}

fn busy() -> ApiError {
    let mut error = ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "ledger_busy",
        "The ledger is answering others. Ask again in a moment.",
    );
    error.retry_after = Some(Duration::from_secs(1));
    error
}

fn names() -> String {
    let names: Vec<_> = By::value_variants().iter().map(|by| by.name()).collect();
    names.join(", ")
}

fn off() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "ledger_off",
        "This gateway keeps no ledger. See [ledger] in the configuration.",
    )
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

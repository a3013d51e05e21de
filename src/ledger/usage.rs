//! What was used, and by whom.

use std::time::SystemTime;

use clap::ValueEnum;
use serde::Serialize;
use uuid::Uuid;

use super::{Keys, LedgerError, Place, backend::Purpose, row::millis};
use crate::{calendar, telemetry::ended::Captured};

/// By what it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// By the caller's id; of callers that nobody knows, by their address.
    #[default]
    Caller,
    /// By the caller's team.
    Team,
    /// By the model that answered.
    Model,
    /// By the provider that answered.
    Provider,
    /// By the caller's ticket.
    Ticket,
    /// By the day, in UTC, on which exchanges began.
    Day,
}

impl By {
    /// The name that it has in options and queries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Team => "team",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Ticket => "ticket",
            Self::Day => "day",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::value_variants().iter().copied();
        all.find(|by| by.name() == name)
    }
}

/// What was used in some time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Usage {
    /// From when on, RFC 3339.
    pub since: String,
    /// Until before when, RFC 3339.
    pub until: String,
    /// By what it is told.
    pub by: By,
    /// Who or what used the most comes first; days are in their order.
    pub rows: Vec<UsageRow>,
    /// All of it.
    pub totals: UsageRow,
}

/// What one caller, team, model … used. Tokens and cost are those that were charged: answers of the cache are not among
/// them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct UsageRow {
    /// Who or what; `None` for exchanges without one, and in totals.
    pub key: Option<String>,
    /// Exchanges.
    pub exchanges: i64,
    /// Of those, failures of the gateway or of what is behind it.
    pub errors: i64,
    /// Of those, the ones whose client left.
    pub cancelled: i64,
    /// Tokens of prompts, as upstreams counted them.
    pub input_tokens: i64,
    /// Tokens of answers, as upstreams counted them.
    pub output_tokens: i64,
    /// Of the prompts', those that upstreams had cached.
    pub cached_tokens: i64,
    /// Of the answers', those spent on reasoning.
    pub reasoning_tokens: i64,
    /// Tokens of prompts and answers that nobody counted, estimated from lengths; not among the others.
    pub estimated_tokens: i64,
    /// US dollars; `None` where something was used and the price of none of it is known.
    pub cost: Option<f64>,
    /// Exchanges that used tokens whose price is not known.
    pub unpriced_exchanges: i64,
    /// Exchanges that were answered by the cache.
    pub cache_hits: i64,
    /// US dollars that the cache has saved; `None` where it answered and no price is known.
    pub saved: Option<f64>,
}

/// What was used from `since` to before `until`. It blocks, and can be asked while a gateway writes.
pub fn usage(
    place: &Place,
    since: SystemTime,
    until: SystemTime,
    by: By,
) -> Result<Usage, LedgerError> {
    let mut rows = place.open(Purpose::Read)?.usage(since, until, by)?;
    if by == By::Day {
        rows.sort_by(|a, b| a.key.cmp(&b.key));
    } else {
        rows.sort_by(|a, b| b.weight().cmp(&a.weight()).then_with(|| a.key.cmp(&b.key)));
    }
    Ok(Usage {
        since: moment(since),
        until: moment(until),
        by,
        totals: total(&rows),
        rows,
    })
}

/// What was captured of an exchange; `None` where nothing was.
pub fn captured(place: &Place, keys: &Keys, id: Uuid) -> Result<Option<Captured>, LedgerError> {
    let sealed = place.open(Purpose::Read)?.captured(id)?;
    sealed.map(|sealed| keys.unseal(id, &sealed)).transpose()
}

impl UsageRow {
    const fn weight(&self) -> (i64, i64) {
        let tokens = self.input_tokens + self.output_tokens + self.estimated_tokens;
        (tokens, self.exchanges)
    }
}

fn total(rows: &[UsageRow]) -> UsageRow {
    let sum = |number: fn(&UsageRow) -> i64| rows.iter().map(number).sum();
    let mut total = UsageRow {
        key: None,
        exchanges: sum(|row| row.exchanges),
        errors: sum(|row| row.errors),
        cancelled: sum(|row| row.cancelled),
        input_tokens: sum(|row| row.input_tokens),
        output_tokens: sum(|row| row.output_tokens),
        cached_tokens: sum(|row| row.cached_tokens),
        reasoning_tokens: sum(|row| row.reasoning_tokens),
        estimated_tokens: sum(|row| row.estimated_tokens),
        cost: None,
        unpriced_exchanges: sum(|row| row.unpriced_exchanges),
        cache_hits: sum(|row| row.cache_hits),
        saved: None,
    };
    let money = |of: fn(&UsageRow) -> Option<f64>, is_none: bool| {
        let known: Vec<_> = rows.iter().filter_map(of).collect();
        (is_none || known.iter().any(|money| *money > 0.0)).then(|| known.iter().sum())
    };
    total.cost = money(|row| row.cost, total.unpriced_exchanges == 0);
    total.saved = money(|row| row.saved, total.cache_hits == 0);
    total
}

/// `2026-11-22T14:14:39.250Z`
fn moment(time: SystemTime) -> String {
    let millis = millis(time).cast_unsigned();
    let seconds = calendar::timestamp(millis / 1000);
    format!("{seconds}.{:03}Z", millis % 1000)
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
/// Sums by a key, in the SQL that both databases understand: `day` is how this one writes a day, `from` and `to` how it
/// writes the two parameters, `table` where rows are.
pub(super) fn query(by: By, day: &str, table: &str, from: &str, to: &str) -> String {
    let key = match by {
        By::Day => day,
        other => other.name(),
    };
    let count = |when: &str| {
        format!("CAST(coalesce(sum(CASE WHEN {when} THEN 1 ELSE 0 END), 0) AS BIGINT)")
    };
    let sum = |what: &str, when: &str| {
        format!("CAST(coalesce(sum(CASE WHEN {when} THEN {what} END), 0) AS BIGINT)")
    };
    let counted = "NOT shared AND NOT estimated";
    let columns = [
        "CAST(count(*) AS BIGINT)".to_owned(),
        count("outcome IN ('upstream_error', 'timeout', 'internal_error')"),
        count("outcome = 'client_closed'"),
        sum("input_tokens", counted),
        sum("output_tokens", counted),
        sum("cached_tokens", counted),
        sum("reasoning_tokens", counted),
        sum("input_tokens + output_tokens", "NOT shared AND estimated"),
        "CAST(sum(CASE WHEN NOT shared THEN cost END) AS BIGINT)".to_owned(),
        count("NOT shared AND input_tokens IS NOT NULL AND cost IS NULL"),
        count("shared"),
        "CAST(sum(saved) AS BIGINT)".to_owned(),
    ];
    format!(
        "SELECT {key}, {} FROM {table} WHERE time >= {from} AND time < {to} GROUP BY 1",
        columns.join(", ")
    )
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
/// A row of that query: its key, and its numbers in their order.
pub(super) fn usage_row(key: Option<String>, numbers: &[Option<i64>; 12]) -> UsageRow {
    let number = |at: usize| numbers[at].unwrap_or_default();
    let dollars = |at: usize, is_none: bool| {
        let known = numbers[at].map(|nanos| nanos as f64 / 1e9);
        known.or_else(|| is_none.then_some(0.0))
    };
    UsageRow {
        key,
        exchanges: number(0),
        errors: number(1),
        cancelled: number(2),
        input_tokens: number(3),
        output_tokens: number(4),
        cached_tokens: number(5),
        reasoning_tokens: number(6),
        estimated_tokens: number(7),
        cost: dollars(8, number(9) == 0),
        unpriced_exchanges: number(9),
        cache_hits: number(10),
        saved: dollars(11, number(10) == 0),
    }
}

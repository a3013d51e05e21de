//! What was used, and by whom.

use std::{cmp::Reverse, time::SystemTime};

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

/// So many keys are told apart: clients choose some of them, and there is no end to those.
pub const MOST: i64 = 1000;

/// What was used in some time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Usage {
    /// From when on, RFC 3339.
    pub since: String,
    /// Until before when, RFC 3339.
    pub until: String,
    /// By what it is told.
    pub by: By,
    /// Who or what used the most comes first, and [`MOST`] at most; one row more, the last, has the sums of all others. Days
    /// are in their order, and all there.
    pub rows: Vec<UsageRow>,
    /// All of it.
    pub totals: UsageRow,
}

/// What one caller, team, model … used. Tokens and cost are those that were charged: answers of the cache are not among
/// them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct UsageRow {
    /// Who or what; `None` for exchanges without one, and in totals. `"other"` in the row that stands for several.
    pub key: Option<String>,
    /// For how many keys this row stands, where it is that of all others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others: Option<i64>,
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
        rows.sort_by(|a, b| a.place().cmp(&b.place()));
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
    /// By which rows are put into order.
    fn place(&self) -> (bool, Reverse<(i64, i64)>, Option<&str>) {
        let weight = Reverse((self.tokens(), self.exchanges));
        (self.others.is_some(), weight, self.key.as_deref())
    }

    /// All that were charged, estimated ones included.
    fn tokens(&self) -> i64 {
        let prompts_and_answers = self.input_tokens.saturating_add(self.output_tokens);
        prompts_and_answers.saturating_add(self.estimated_tokens)
    }
}

fn total(rows: &[UsageRow]) -> UsageRow {
    let sum = |number: fn(&UsageRow) -> i64| rows.iter().map(number).fold(0, i64::saturating_add);
    let mut total = UsageRow {
        key: None,
        others: None,
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
    // Known in part is known; what nothing was used of says nothing.
    let money = |of: fn(&UsageRow) -> Option<f64>, is_of: fn(&UsageRow) -> bool| {
        let mut all = rows.iter().filter(|row| is_of(row)).peekable();
        let is_known = all.peek().is_none() || all.any(|row| of(row).is_some());
        let sum = rows
            .iter()
            .filter_map(of)
            .fold(0.0, |sum, money| sum + money);
        is_known.then_some(sum)
    };
    total.cost = money(
        |row| row.cost,
        |row| row.unpriced_exchanges > 0 || row.tokens() > 0,
    );
    total.saved = money(|row| row.saved, |row| row.cache_hits > 0);
    total
}

/// `2026-11-22T14:14:39.250Z`
fn moment(time: SystemTime) -> String {
    let millis = millis(time).cast_unsigned();
    let seconds = calendar::timestamp(millis / 1000);
    format!("{seconds}.{:03}Z", millis % 1000)
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
/// Sums by a key, those beyond the first [`MOST`] in one row, in the SQL that both databases understand: `day` is how this one writes a day, `from` and `to` how it
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
    let most = match by {
        By::Day => i64::from(u32::MAX),
        _ => MOST,
    };
    let names: Vec<_> = (0..columns.len()).map(|at| format!("n{at}")).collect();
    let sums: Vec<_> = names
        .iter()
        .map(|name| format!("CAST(sum({name}) AS BIGINT)"))
        .collect();
    format!(
        "WITH sums (who, {names}) AS \
         (SELECT {key}, {columns} FROM {table} WHERE time >= {from} AND time < {to} GROUP BY 1), \
         ranked AS (SELECT sums.*, row_number() OVER (ORDER BY n3 + n4 + n7 DESC, n0 DESC, who) AS nth FROM sums) \
         SELECT max(who), {sums}, CAST(CASE WHEN max(nth) > {most} THEN count(*) END AS BIGINT) \
         FROM ranked GROUP BY CASE WHEN nth > {most} THEN 0 ELSE nth END",
        names = names.join(", "),
        columns = columns.join(", "),
        sums = sums.join(", "),
    )
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
/// Columns of that query after its key.
pub(super) const NUMBERS: usize = 13;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
/// A row of that query: its key, and its numbers in their order.
pub(super) fn usage_row(key: Option<String>, numbers: &[Option<i64>; NUMBERS]) -> UsageRow {
    let number = |at: usize| numbers[at].unwrap_or_default();
    let dollars = |at: usize, is_none: bool| {
        let known = numbers[at].map(|nanos| nanos as f64 / 1e9);
        known.or_else(|| is_none.then_some(0.0))
    };
    let others = numbers[NUMBERS - 1];
    UsageRow {
        key: others.map_or(key, |_| Some("other".to_owned())),
        others,
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

//! Which time to delete rows by: a clock that is set wrong for a while must not cost them.
//!
//! There is a clock that nobody sets: it counts how long gateways have run. At every look, the clock on the wall says when that
//! count began, had no gateway ever been off ("the beginning"). While the wall is right, the beginning only ever
//! becomes later, by the gaps in which none ran. So the least beginning of the last day of running, and what was run since, is
//! never past the true time, unless the wall was ahead at every look of that day. That is what is believed.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use super::row::{millis, time};

const HOUR: i64 = 3_600_000;

/// Beginnings are kept for so many hours of running before the one that runs.
const HOURS: i64 = 25;

/// From how much on there is something to say of a clock that is ahead.
const SLACK: Duration = Duration::from_hours(1);

/// What is believed, as it is noted in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Believed {
    /// The time to go by.
    pub(super) time: SystemTime,
    /// How long gateways have run, in milliseconds; never more than they have.
    pub(super) running: i64,
    /// The least beginning that was seen in each of the last hours of running, in milliseconds since the epoch. Where there is none,
    /// `time` is all that is known.
    pub(super) least: BTreeMap<i64, i64>,
}

/// What there is to say of a clock, once. Both tell by how much it is ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// It is so when it is first looked at: no gateway has run meanwhile, or it is set wrong. Nobody can tell which.
    Away(Duration),
    /// It has become so while it was looked at.
    Leapt(Duration),
}

/// What time is believed: that of the wall, unless it was behind within the last day of running, by this count.
#[derive(Debug)]
pub(super) struct Clock {
    running: i64,
    least: BTreeMap<i64, i64>,
    at: Instant,
    is_new: bool,
    /// By how much the wall was ahead at the last look.
    ahead: Duration,
}

impl Clock {
    /// Begins with what was believed earlier.
    pub(super) fn new(earlier: Option<Believed>, now: Instant) -> Self {
        let (running, mut least) = (earlier.as_ref()).map_or_else(Default::default, |earlier| {
            (earlier.running, earlier.least.clone())
        });
        if let Some(earlier) = earlier
            && least.is_empty()
        {
            least.insert(running / HOUR, millis(earlier.time) - running);
        }
        Self {
            running,
            least,
            at: now,
            is_new: true,
            ahead: Duration::ZERO,
        }
    }

    /// A look at the clock on the wall, which shows `wall`, where one that is never set shows `now`. The time to go by, and what
    /// there is to say of it.
    pub(super) fn believe(&mut self, wall: SystemTime, now: Instant) -> (Believed, Option<Notice>) {
        // At least one look in each hour that counts: what was not looked at is as if no gateway had run.
        let run = now.saturating_duration_since(self.at).as_millis();
        self.running += i64::try_from(run).unwrap_or(HOUR).min(HOUR);
        self.at = now;
        let (hour, beginning) = (self.running / HOUR, millis(wall) - self.running);
        let least = self.least.entry(hour).or_insert(beginning);
        *least = beginning.min(*least);
        self.least.retain(|of, _| *of >= hour - HOURS);
        let least = self.least.values().min().copied().unwrap_or(beginning);
        let believed = Believed {
            time: time(least + self.running),
            running: self.running,
            least: self.least.clone(),
        };
        let ahead = wall.duration_since(believed.time).unwrap_or_default();
        let notice = self.notice(ahead);
        (believed, notice)
    }

    fn notice(&mut self, ahead: Duration) -> Option<Notice> {
        let is_new = std::mem::take(&mut self.is_new);
        let before = std::mem::replace(&mut self.ahead, ahead);
        let leap = ahead.saturating_sub(before);
        let notice = if is_new { Notice::Away } else { Notice::Leapt };
        (leap > SLACK).then(|| notice(leap))
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl Believed {
    /// The beginnings, as they are kept: JSON, pairs of the hour and the beginning.
    pub(super) fn least_text(&self) -> String {
        let pairs: Vec<_> = self.least.iter().collect();
        serde_json::json!(pairs).to_string()
    }

    /// Reads them. What is no such text says nothing.
    pub(super) fn read_least(text: Option<&str>) -> BTreeMap<i64, i64> {
        let pairs: Option<Vec<(i64, i64)>> = text.and_then(|text| serde_json::from_str(text).ok());
        pairs.unwrap_or_default().into_iter().collect()
    }
}

impl Notice {
    /// Says it in the log.
    pub(super) fn say(self) {
        match self {
            Self::Away(ahead) => tracing::info!(
                hours = hours(ahead),
                "the clock is ahead by so many hours of the time that a gateway has run with this ledger: rows that have become too old \
                 in them are deleted once gateways have run for a day, in case that the clock is set wrong"
            ),
            Self::Leapt(ahead) => tracing::warn!(
                hours = hours(ahead),
                "the clock has leapt ahead by so many hours, or this machine has slept: the ledger deletes nothing by them until \
                 gateways have run for a day, in case that the clock is set wrong"
            ),
        }
    }
}

const fn hours(time: Duration) -> u64 {
    time.as_secs() / 3600
}

#[cfg(test)]
mod tests;

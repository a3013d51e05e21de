//! What has happened since the start of the process, in memory: two tiers of steps, and how each upstream does.
//!
//! All of it goes by the clock that is never set: a clock on the wall that steps back changes nothing here.

mod buckets;
mod figures;
#[cfg(test)]
mod tests;
mod tier;
mod upstreams;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

pub use buckets::Buckets;
pub use figures::Figures;
use tier::Tier;
pub use upstreams::{Tries, Upstreams};

use super::ended::Ended;

/// The finer tier: an hour.
const FINE: (Duration, u64) = (Duration::from_secs(5), 726);

/// The coarser one: a week.
const COARSE: (Duration, u64) = (Duration::from_mins(5), 2022);

/// So many stages are told apart; names come from the config, but it may be reloaded.
const MOST_STAGES: usize = 256;

/// What has happened.
pub struct History {
    since: Instant,
    fine: Tier<Key, Figures>,
    coarse: Tier<Key, Figures>,
    stages: BTreeMap<Arc<str>, Buckets>,
    /// How each upstream does.
    pub upstreams: Upstreams,
}

/// By what exchanges are told apart: the rule, and the provider that answered or was asked last.
#[derive(Clone, Default, PartialEq)]
struct Key {
    route: Option<Arc<str>>,
    provider: Option<Arc<str>>,
}

/// Over which time is asked, and in which steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// A minute, by 5 seconds.
    Minute,
    /// 5 minutes, by 5 seconds.
    FiveMinutes,
    /// An hour, by 30 seconds.
    Hour,
    /// A day, by 5 minutes.
    Day,
    /// A week, by half an hour.
    Week,
}

impl Range {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Minute,
        Self::FiveMinutes,
        Self::Hour,
        Self::Day,
        Self::Week,
    ];

    /// Its name: `5m`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "1m",
            Self::FiveMinutes => "5m",
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
        }
    }

    /// How many points it has, and of how many steps of its tier each.
    const fn shape(self) -> (u64, u64) {
        match self {
            Self::Minute => (12, 1),
            Self::FiveMinutes => (60, 1),
            Self::Hour => (120, 6),
            Self::Day => (288, 1),
            Self::Week => (336, 6),
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Over which time.
    pub range: Range,
    /// Of one rule alone.
    pub route: Option<&'a str>,
    /// Of one provider alone.
    pub provider: Option<&'a str>,
}

impl Wanted<'_> {
    fn likes(&self, key: &Key) -> bool {
        let is = |wanted: Option<&str>, name: &Option<Arc<str>>| {
            wanted.is_none() || wanted == name.as_deref()
        };
        is(self.route, &key.route) && is(self.provider, &key.provider)
    }
}

/// Figures over time.
pub struct Series {
    /// How long each point is.
    pub step: Duration,
    /// When the first of what is known happened.
    pub since: Instant,
    /// In order, without gaps, up to now.
    pub points: Vec<Point>,
    /// Of the whole range.
    pub totals: Figures,
    /// How long the range is, as far as it lies behind and since the start.
    pub covered: Duration,
}

/// Figures of one step.
pub struct Point {
    /// When it began.
    pub begin: Instant,
    /// How much of it lies behind.
    pub covered: Duration,
    /// What happened.
    pub figures: Figures,
}

impl Default for History {
    fn default() -> Self {
        Self::since(Instant::now())
    }
}

impl History {
    /// Nothing yet, from this moment on.
    #[must_use]
    pub fn since(since: Instant) -> Self {
        Self {
            since,
            fine: Tier::new(FINE.0, FINE.1),
            coarse: Tier::new(COARSE.0, COARSE.1),
            stages: BTreeMap::new(),
            upstreams: Upstreams::since(since),
        }
    }

    /// When it begins.
    #[must_use]
    pub const fn beginning(&self) -> Instant {
        self.since
    }

    /// An exchange has ended.
    pub fn add(&mut self, ended: &Ended) {
        let at = (ended.started + ended.total).saturating_duration_since(self.since);
        let key = Key {
            route: ended.route.clone(),
            provider: ended.provider.clone(),
        };
        self.fine
            .count(at, key.clone(), |figures| figures.add(ended));
        self.coarse.count(at, key, |figures| figures.add(ended));
        let below = ended.attempts.iter().flat_map(|attempt| &attempt.stages);
        for (name, took) in ended.stages.iter().chain(&ended.looked_up).chain(below) {
            self.stage(name, *took);
        }
        self.upstreams.add(ended);
    }

    fn stage(&mut self, name: &Arc<str>, took: Duration) {
        if let Some(times) = self.stages.get_mut(name) {
            times.add(took);
        } else if self.stages.len() < MOST_STAGES {
            self.stages.entry(name.clone()).or_default().add(took);
        }
    }

    /// How long a stage took over requests and attempts; `None` where it had a say in none.
    #[must_use]
    pub fn stage_times(&self, name: &str) -> Option<&Buckets> {
        self.stages.get(name)
    }

    /// Figures up to now.
    #[must_use]
    pub fn series(&self, wanted: Wanted<'_>, now: Instant) -> Series {
        let tier = match wanted.range {
            Range::Day | Range::Week => &self.coarse,
            _ => &self.fine,
        };
        let (count, group) = wanted.range.shape();
        let step = tier.step() * group as u32;
        let now = now.saturating_duration_since(self.since);
        let last = tier.index(now) / group;
        let known = tier.begin().div_ceil(group);
        let first = (last + 1).saturating_sub(count).max(known.min(last));
        let begin = |point: u64| step * point as u32;
        let mut points: Vec<_> = (first..=last)
            .map(|point| Point {
                begin: self.since + begin(point),
                covered: step.min(now.saturating_sub(begin(point))),
                figures: Figures::default(),
            })
            .collect();
        let mut totals = Figures::default();
        for (index, key, figures) in tier.between(first * group, (last + 1) * group) {
            if wanted.likes(key) {
                points[(index / group - first) as usize]
                    .figures
                    .merge(figures);
                totals.merge(figures);
            }
        }
        Series {
            step,
            since: self.since + begin(known),
            points,
            totals,
            covered: now.saturating_sub(begin(first)),
        }
    }
}

//! A bucket of tokens that fills as time passes. What was taken can be given back, and what was used on top of it
//! leaves a debt that later takers wait for.
//!
//! It keeps what has been used and not yet filled up again, in tokens, so that it means the same under another rate.

use std::time::Duration;

use millgate_plugin::units::Rate;

use super::keys::Worth;

/// How a bucket fills.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pace {
    per_second: f64,
    burst: u64,
}

impl Pace {
    pub(super) fn new(rate: Rate, burst: Option<u64>) -> Self {
        Self {
            per_second: rate.count() as f64 / rate.per().duration().as_secs_f64(),
            burst: burst.unwrap_or(rate.count()),
        }
    }

    /// The most that can be taken at once.
    pub(super) const fn burst(&self) -> u64 {
        self.burst
    }

    fn time_for(&self, tokens: f64) -> Duration {
        let seconds = tokens.max(0.0) / self.per_second;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

/// A bucket; full at first. Times are counted from whatever moment, the same for all calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    used: f64,
    at: Duration,
}

/// Why nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Empty {
    /// There will be enough after this time, if nobody else takes it.
    For(Duration),
    /// The bucket is too small for so much.
    TooSmall,
}

impl Bucket {
    /// Takes tokens, if there are as many.
    pub(super) fn take(&mut self, pace: &Pace, now: Duration, tokens: u64) -> Result<(), Empty> {
        let used = self.used_by(pace, now) + tokens as f64;
        if tokens > pace.burst {
            return Err(Empty::TooSmall);
        }
        if used > pace.burst as f64 {
            return Err(Empty::For(pace.time_for(used - pace.burst as f64)));
        }
        self.set(now, used);
        Ok(())
    }

    /// What was `taken` turned out to be `used`: the rest is given back, or a debt made.
    pub(super) fn settle(&mut self, pace: &Pace, now: Duration, taken: u64, used: u64) {
        let used = self.used_by(pace, now) - taken as f64 + used as f64;
        self.set(now, used.max(0.0));
    }

    /// How many can be taken now.
    pub(super) fn left(&self, pace: &Pace, now: Duration) -> u64 {
        (pace.burst as f64 - self.used_by(pace, now)).max(0.0) as u64
    }

    /// How long until it is full.
    pub(super) fn full_in(&self, pace: &Pace, now: Duration) -> Duration {
        pace.time_for(self.used_by(pace, now))
    }

    /// What there is to lose with it.
    pub(super) fn worth(&self, pace: &Pace, now: Duration) -> Worth {
        match self.used_by(pace, now) {
            used if used > 0.0 => Worth::Something(used.ceil() as u64),
            _ => Worth::Nothing,
        }
    }

    fn used_by(&self, pace: &Pace, now: Duration) -> f64 {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        (self.used - passed * pace.per_second).max(0.0)
    }

    fn set(&mut self, now: Duration, used: f64) {
        // Threads may be a little apart in what they take for now.
        self.at = self.at.max(now);
        self.used = used;
    }
}

#[cfg(test)]
mod tests;

//! Which time to delete rows by: a clock that is set wrong for a while must not cost them all.

use std::time::{Duration, Instant, SystemTime};

/// How far the clock on the wall may be ahead of what is expected without being doubted.
const SLACK: Duration = Duration::from_hours(1);

/// How long a clock that has leapt ahead is doubted: whoever has set it wrong may notice.
const DOUBT: Duration = Duration::from_hours(24);

/// What time is believed. A clock that steps back is believed at once, since rows are then kept for longer; one that leaps
/// ahead only after a day.
#[derive(Debug)]
pub(super) struct Clock {
    believed: SystemTime,
    at: Instant,
    doubted_since: Option<Instant>,
}

impl Clock {
    /// Begins with a time that was believed earlier; `wall` where there is none.
    pub(super) fn new(earlier: Option<SystemTime>, wall: SystemTime, now: Instant) -> Self {
        Self {
            believed: earlier.unwrap_or(wall),
            at: now,
            doubted_since: None,
        }
    }

    /// The time to go by, where the clock on the wall shows `wall` and one that is never set shows `now`.
    pub(super) fn believe(&mut self, wall: SystemTime, now: Instant) -> SystemTime {
        let expected = self.believed + now.saturating_duration_since(self.at);
        let is_ahead = wall
            .duration_since(expected)
            .is_ok_and(|ahead| ahead > SLACK);
        if !is_ahead {
            self.doubted_since = None;
        } else if self.doubted_since.is_none() {
            self.doubted_since = Some(now);
            tracing::warn!("the clock has leapt ahead: the ledger deletes nothing by it for a day");
        }
        let is_doubted = self
            .doubted_since
            .is_some_and(|since| now.saturating_duration_since(since) < DOUBT);
        if is_doubted {
            return expected;
        }
        self.doubted_since = None;
        self.believed = wall;
        self.at = now;
        wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const YEAR: Duration = Duration::from_hours(365 * 24);

    #[test]
    fn a_leap_ahead_is_doubted_for_a_day_and_a_step_back_is_not() {
        let (wall, now) = (SystemTime::UNIX_EPOCH + 50 * YEAR, Instant::now());
        let mut clock = Clock::new(Some(wall), wall, now);
        assert_eq!(clock.believe(wall + HOUR, now + HOUR), wall + HOUR);
        assert_eq!(clock.believe(wall + YEAR, now + 2 * HOUR), wall + 2 * HOUR);
        assert_eq!(
            clock.believe(wall + YEAR, now + 20 * HOUR),
            wall + 20 * HOUR
        );
        // It was set right again.
        assert_eq!(
            clock.believe(wall + 21 * HOUR, now + 21 * HOUR),
            wall + 21 * HOUR
        );
        assert_eq!(clock.believe(wall, now + 22 * HOUR), wall);
        assert_eq!(
            clock.believe(SystemTime::UNIX_EPOCH, now + 23 * HOUR),
            SystemTime::UNIX_EPOCH
        );
    }

    #[test]
    fn one_that_stays_ahead_is_believed_in_the_end() {
        let (wall, now) = (SystemTime::UNIX_EPOCH + 50 * YEAR, Instant::now());
        let mut clock = Clock::new(Some(wall), wall + YEAR, now);
        assert_eq!(clock.believe(wall + YEAR, now), wall);
        assert_eq!(
            clock.believe(wall + YEAR + 23 * HOUR, now + 23 * HOUR),
            wall + 23 * HOUR
        );
        assert_eq!(
            clock.believe(wall + YEAR + 24 * HOUR, now + 24 * HOUR),
            wall + YEAR + 24 * HOUR
        );
        let mut fresh = Clock::new(None, wall, now);
        assert_eq!(fresh.believe(wall, now), wall);
    }
}

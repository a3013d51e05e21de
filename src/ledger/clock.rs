//! Which time to delete rows by: a clock that is set wrong for a while must not cost them all.

use std::time::{Duration, Instant, SystemTime};

/// How far the clock on the wall may be ahead of what is expected without being doubted.
const SLACK: Duration = Duration::from_hours(1);

/// How long a clock that is ahead is doubted: whoever has set it wrong may notice.
const DOUBT: Duration = Duration::from_hours(24);

/// What is believed, as it is noted in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Believed {
    /// The time to go by.
    pub(super) time: SystemTime,
    /// Since when, by the clock on the wall itself, that clock is not believed; `None` where it is.
    pub(super) doubted_since: Option<SystemTime>,
}

/// What there is to say of a clock, once. Both tell by how much it is ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// It is so when it is first looked at: no gateway has run meanwhile, or it is set wrong. Nobody can tell which.
    Away(Duration),
    /// It has become so while it was looked at.
    Leapt(Duration),
}

/// What time is believed. A clock that steps back is believed at once, since rows are then kept for longer; one that is
/// ahead only after a day, restarts included.
#[derive(Debug)]
pub(super) struct Clock {
    believed: SystemTime,
    at: Instant,
    doubt: Option<Doubt>,
    is_new: bool,
}

#[derive(Debug)]
struct Doubt {
    since: SystemTime,
    /// How long it had lasted at `at`.
    before: Duration,
    at: Instant,
}

impl Clock {
    /// Begins with what was believed earlier; with `wall` where there is nothing.
    pub(super) fn new(earlier: Option<Believed>, wall: SystemTime, now: Instant) -> Self {
        let doubt = earlier.and_then(|earlier| {
            let since = earlier.doubted_since?;
            Some(Doubt {
                since,
                before: wall.duration_since(since).unwrap_or_default(),
                at: now,
            })
        });
        Self {
            believed: earlier.map_or(wall, |earlier| earlier.time),
            at: now,
            doubt,
            is_new: true,
        }
    }

    /// The time to go by, where the clock on the wall shows `wall` and one that is never set shows `now`; and what there is to
    /// say of it.
    pub(super) fn believe(&mut self, wall: SystemTime, now: Instant) -> (Believed, Option<Notice>) {
        let is_new = std::mem::take(&mut self.is_new);
        let expected = self.believed + now.saturating_duration_since(self.at);
        let ahead = wall.duration_since(expected).unwrap_or_default();
        let mut notice = None;
        if ahead > SLACK {
            let doubt = self.doubt.get_or_insert_with(|| {
                notice = Some(if is_new {
                    Notice::Away(ahead)
                } else {
                    Notice::Leapt(ahead)
                });
                Doubt {
                    since: wall,
                    before: Duration::ZERO,
                    at: now,
                }
            });
            if doubt.before + now.saturating_duration_since(doubt.at) < DOUBT {
                let believed = Believed {
                    time: expected,
                    doubted_since: Some(doubt.since),
                };
                return (believed, notice);
            }
        }
        self.doubt = None;
        self.believed = wall;
        self.at = now;
        let believed = Believed {
            time: wall,
            doubted_since: None,
        };
        (believed, notice)
    }
}

impl Notice {
    /// Says it in the log.
    pub(super) fn say(self) {
        match self {
            Self::Away(ahead) => tracing::info!(
                hours = hours(ahead),
                "no gateway has looked after this ledger for so many hours, by the clock: rows that have become too old in them are \
                 deleted in a day, in case that the clock is set wrong"
            ),
            Self::Leapt(ahead) => tracing::warn!(
                hours = hours(ahead),
                "the clock has leapt ahead by so many hours, or this machine has slept: the ledger deletes nothing by them for a day, \
                 in case that the clock is set wrong"
            ),
        }
    }
}

const fn hours(time: Duration) -> u64 {
    time.as_secs() / 3600
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const YEAR: Duration = Duration::from_hours(365 * 24);

    fn at(time: SystemTime) -> Believed {
        Believed {
            time,
            doubted_since: None,
        }
    }

    #[test]
    fn a_leap_ahead_is_doubted_for_a_day_and_a_step_back_is_not() {
        let (wall, now) = (SystemTime::UNIX_EPOCH + 50 * YEAR, Instant::now());
        let mut clock = Clock::new(Some(at(wall)), wall, now);
        let mut shown = |wall, now| {
            let (believed, notice) = clock.believe(wall, now);
            (believed.time, notice)
        };
        assert_eq!(shown(wall + HOUR, now + HOUR), (wall + HOUR, None));
        assert_eq!(
            shown(wall + YEAR, now + 2 * HOUR),
            (
                wall + 2 * HOUR,
                Some(Notice::Leapt(Duration::from_hours(365 * 24 - 2)))
            )
        );
        assert_eq!(
            shown(wall + YEAR, now + 20 * HOUR),
            (wall + 20 * HOUR, None)
        );
        // It was set right again.
        assert_eq!(
            shown(wall + 21 * HOUR, now + 21 * HOUR),
            (wall + 21 * HOUR, None)
        );
        assert_eq!(shown(wall, now + 22 * HOUR), (wall, None));
        assert_eq!(
            shown(SystemTime::UNIX_EPOCH, now + 23 * HOUR),
            (SystemTime::UNIX_EPOCH, None)
        );
    }

    #[test]
    fn one_that_stays_ahead_is_believed_in_the_end() {
        let (wall, now) = (SystemTime::UNIX_EPOCH + 50 * YEAR, Instant::now());
        let mut clock = Clock::new(Some(at(wall)), wall + YEAR, now);
        assert_eq!(clock.believe(wall + YEAR, now).0.time, wall);
        assert_eq!(
            clock
                .believe(wall + YEAR + 23 * HOUR, now + 23 * HOUR)
                .0
                .time,
            wall + 23 * HOUR
        );
        assert_eq!(
            clock.believe(wall + YEAR + 24 * HOUR, now + 24 * HOUR).0,
            at(wall + YEAR + 24 * HOUR)
        );
        let mut fresh = Clock::new(None, wall, now);
        assert_eq!(fresh.believe(wall, now), (at(wall), None));
    }

    #[test]
    fn a_gateway_that_was_stopped_has_not_seen_the_clock_leap() {
        let (closed, now) = (SystemTime::UNIX_EPOCH + 50 * YEAR, Instant::now());
        let mut soon = Clock::new(Some(at(closed)), closed + HOUR, now);
        assert_eq!(soon.believe(closed + HOUR, now).1, None);
        let mut late = Clock::new(Some(at(closed)), closed + 3 * HOUR, now);
        let (_, notice) = late.believe(closed + 3 * HOUR, now);
        assert_eq!(notice, Some(Notice::Away(3 * HOUR)));
    }

    #[test]
    fn a_doubt_outlives_restarts_and_ends_all_the_same() {
        let (closed, now) = (SystemTime::UNIX_EPOCH + 50 * YEAR, Instant::now());
        let opened = closed + 10 * HOUR;
        let mut clock = Clock::new(Some(at(closed)), opened, now);
        let (mut noted, notice) = clock.believe(opened, now);
        assert!(notice.is_some());
        assert_eq!(noted.doubted_since, Some(opened));
        // Restarted every ten hours, it never runs for a day.
        for run in 1..3 {
            let wall = opened + run * 10 * HOUR;
            let mut clock = Clock::new(Some(noted), wall, now);
            let (believed, notice) = clock.believe(wall, now);
            assert_eq!((believed.doubted_since, notice), (Some(opened), None));
            noted = believed;
        }
        let wall = opened + 30 * HOUR;
        let mut clock = Clock::new(Some(noted), wall, now);
        assert_eq!(clock.believe(wall, now), (at(wall), None));
    }
}

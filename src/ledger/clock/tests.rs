use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_mins(1);
const AN_HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(365 * 24);

/// Gateways that run one after another with one ledger, and a clock that may be wrong.
struct World {
    /// The true time.
    now: SystemTime,
    /// A clock that only runs while a gateway does.
    steady: Instant,
    /// By how many milliseconds the clock on the wall is ahead.
    error: i64,
    /// How long gateways have run since a look that was right was noted.
    wrong_for: Duration,
    clock: Clock,
    noted: Option<Believed>,
}

impl World {
    fn new() -> Self {
        let steady = Instant::now();
        Self {
            now: SystemTime::UNIX_EPOCH + 50 * YEAR,
            steady,
            error: 0,
            wrong_for: Duration::ZERO,
            clock: Clock::new(None, steady),
            noted: None,
        }
    }

    fn look(&mut self, is_noted: bool) -> (SystemTime, Option<Notice>) {
        let wall = time(millis(self.now) + self.error);
        let (believed, notice) = self.clock.believe(wall, self.steady);
        let least = Believed::read_least(Some(&believed.least_text()));
        assert_eq!(least, believed.least);
        let time = believed.time;
        if is_noted {
            self.noted = Some(believed);
        }
        if is_noted && self.error <= 0 {
            self.wrong_for = Duration::ZERO;
        }
        (time, notice)
    }

    /// Runs for that long, and looks at the end.
    fn run(&mut self, time: Duration) -> (SystemTime, Option<Notice>) {
        self.now += time;
        self.steady += time;
        self.wrong_for += time;
        self.look(true)
    }

    fn restart(&mut self, gap: Duration) -> (SystemTime, Option<Notice>) {
        self.now += gap;
        self.clock = Clock::new(self.noted.clone(), self.steady);
        self.look(true)
    }

    /// Whoever has set the clock wrong notices it within a day of running.
    fn is_noticed_within(&self, time: Duration) -> bool {
        self.error > 0 && self.wrong_for + time >= DAY
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// So many minutes, with a look each so many.
    Run(u64, u64),
    /// A look that the database is not told of.
    Look,
    /// So many minutes.
    Off(u64),
    /// So many hours ahead from here on, or behind.
    Set(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let off = prop_oneof![Just(0), 0..200_u64, 0..100_000_u64];
    let set = prop_oneof![Just(0), 0..30_i64, 0..100_000_i64, -20_000..0_i64];
    let step = prop_oneof![
        4 => (0..1500_u64, 1..150_u64).prop_map(|(run, each)| Step::Run(run, each)),
        1 => Just(Step::Look),
        2 => off.prop_map(Step::Off),
        2 => set.prop_map(Step::Set),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn nothing_is_too_old_before_its_time_and_everything_is_in_the_end(steps in steps()) {
        let mut world = World::new();
        world.look(true);
        for step in steps {
            match step {
                Step::Run(mut left, each) => while left > 0 {
                    let run = left.min(each);
                    left -= run;
                    let run = run as u32 * MINUTE;
                    if world.is_noticed_within(run) {
                        world.error = 0;
                        world.look(true);
                    }
                    let (believed, _) = world.run(run);
                    prop_assert!(believed <= world.now);
                },
                Step::Look => {
                    let (believed, _) = world.look(false);
                    prop_assert!(believed <= world.now);
                }
                Step::Off(minutes) => {
                    let (believed, _) = world.restart(minutes as u32 * MINUTE);
                    prop_assert!(believed <= world.now);
                }
                Step::Set(hours) => world.error = hours * HOUR,
            }
        }
        world.error = 0;
        for _ in 0..26 * 6 {
            world.run(10 * MINUTE);
        }
        prop_assert_eq!(world.look(true).0, world.now);
    }
}

#[test]
fn a_leap_during_a_doubt_gets_a_day_of_its_own() {
    let mut world = World::new();
    world.look(true);
    let closed = world.now;
    // Off for two hours, which is doubted; then for two more, and the clock is set wrong.
    assert_eq!(
        world.restart(2 * AN_HOUR),
        (closed, Some(Notice::Away(2 * AN_HOUR)))
    );
    world.error = 400 * 24 * HOUR;
    let (believed, notice) = world.restart(2 * AN_HOUR);
    assert_eq!(believed, closed);
    assert!(notice.is_some());
    assert_eq!(world.restart(3 * AN_HOUR).0, closed);
    // The same in one process, an instant before a doubt ends.
    for _ in 0..23 {
        world.run(AN_HOUR);
    }
    world.error = 800 * 24 * HOUR;
    let (_, notice) = world.run(50 * MINUTE);
    assert_eq!(notice, Some(Notice::Leapt(Duration::from_hours(400 * 24))));
    world.error = 0;
    assert!(world.run(MINUTE).0 <= world.now);
}

#[test]
fn one_that_stays_ahead_is_believed_after_a_day_of_running_however_often_it_is_interrupted() {
    let mut world = World::new();
    world.look(true);
    world.error = 365 * 24 * HOUR;
    for _ in 0..5 {
        world.restart(Duration::ZERO);
        for _ in 0..5 {
            assert!(world.run(AN_HOUR).0 <= world.now);
        }
    }
    world.run(AN_HOUR);
    assert_eq!(world.run(AN_HOUR).0, world.now + YEAR);
}

#[test]
fn hours_in_which_nobody_could_look_make_nothing_believed() {
    let mut world = World::new();
    world.look(true);
    // The database is away for three days, and at their end the clock leaps.
    world.error = 365 * 24 * HOUR;
    assert!(world.run(3 * DAY).0 <= world.now);
}

#[test]
fn what_an_earlier_version_has_noted_is_where_it_begins() {
    let closed = SystemTime::UNIX_EPOCH + 50 * YEAR;
    let noted = Believed {
        time: closed,
        running: 0,
        least: Believed::read_least(Some("no such text")),
    };
    let now = Instant::now();
    let mut clock = Clock::new(Some(noted), now);
    let (believed, notice) = clock.believe(closed + YEAR, now);
    assert_eq!(believed.time, closed);
    assert_eq!(notice, Some(Notice::Away(YEAR)));
    let mut fresh = Clock::new(None, now);
    let (believed, notice) = fresh.believe(closed, now);
    assert_eq!((believed.time, notice), (closed, None));
}

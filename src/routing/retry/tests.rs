mod budget;
mod rules;
mod simulation;

use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn failed(class: FailureClass) -> Failed {
    Failed {
        class,
        retry_after: None,
        replayable: true,
    }
}

/// A minute and one more target left, and a random number of one half.
fn room(now: Instant) -> Room {
    Room {
        now,
        left: 60 * SECOND,
        targets_left: 1,
        random: 0.5,
    }
}

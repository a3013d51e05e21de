//! Deleting what is old, or too much. Where that fails, rows are written all the same.

use std::time::{Duration, Instant, SystemTime};

use super::{LedgerError, Settings, backend::Backend, clock::Clock, queue::Shared};

/// How often old rows are looked for.
const EVERY: Duration = Duration::from_mins(10);

/// How long until it is tried again after a failure; twice as long each time, up to [`EVERY`].
const FIRST_RETRY: Duration = Duration::from_secs(5);

/// Chunks that are deleted before rows are written again.
const CHUNKS: usize = 8;

/// When old rows of one place are deleted next, and by which time.
pub(super) struct Pruning {
    due: Instant,
    pause: Duration,
    /// `None` until the database has said which time was believed.
    clock: Option<Clock>,
    /// What was logged last, so that it is said once.
    complaint: Option<String>,
}

impl Pruning {
    /// Due at once.
    pub(super) fn new() -> Self {
        Self {
            due: Instant::now(),
            pause: FIRST_RETRY,
            clock: None,
            complaint: None,
        }
    }

    /// Deletes what is due, some of it: the rest the next time, so that rows do not wait. False where the connection is better
    /// not used any more.
    pub(super) fn tend(
        &mut self,
        backend: &mut dyn Backend,
        settings: &Settings,
        shared: &Shared,
    ) -> bool {
        let now = Instant::now();
        let is_due = now >= self.due;
        if !is_due && (self.complaint.is_some() || !backend.is_larger(settings.max_size)) {
            return true;
        }
        match self.work(backend, settings, now, is_due) {
            Ok(()) => {
                self.pause = FIRST_RETRY;
                if self.complaint.take().is_some() {
                    shared.set_pruning_error(None);
                    tracing::info!("old rows of the ledger are deleted again");
                }
                true
            }
            Err(error) => {
                self.fail(&error, now, shared);
                error.passes()
            }
        }
    }

    fn work(
        &mut self,
        backend: &mut dyn Backend,
        settings: &Settings,
        now: Instant,
        is_due: bool,
    ) -> Result<(), LedgerError> {
        let wall = SystemTime::now();
        let clock = if let Some(clock) = &mut self.clock {
            clock
        } else {
            let earlier = backend.known_time()?;
            self.clock.insert(Clock::new(earlier, now))
        };
        let (believed, notice) = clock.believe(wall, now);
        if let Some(notice) = notice {
            notice.say();
        }
        if is_due {
            backend.note_time(&believed)?;
        }
        let cut = believed.time.checked_sub(settings.max_age);
        let cut = cut.unwrap_or(SystemTime::UNIX_EPOCH);
        for _ in 0..CHUNKS {
            if !backend.prune(cut, settings.max_size)? {
                self.due = now + EVERY;
                break;
            }
        }
        Ok(())
    }

    fn fail(&mut self, error: &LedgerError, now: Instant, shared: &Shared) {
        let complaint = error.to_string();
        if self.complaint.as_ref() != Some(&complaint) {
            tracing::error!(
                error = complaint,
                "old rows of the ledger cannot be deleted: it may grow beyond its limits, rows are written all the same"
            );
            self.complaint = Some(complaint.clone());
        }
        shared.set_pruning_error(Some(complaint));
        self.due = now + self.pause;
        self.pause = (self.pause * 2).min(EVERY);
    }
}

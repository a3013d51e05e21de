//! The one thread that writes.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{
    LedgerError, Place, Settings,
    backend::{Backend, Purpose},
    capture::Sealed,
    pruning::Pruning,
    queue::{BATCH, Order, Shared},
    row::Row,
};

/// How long until a ledger that could not be used is tried again; twice as long each time, up to the longest.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(15);

/// So often one row alone is tried with what was captured of it, where it is not taken in time: some minutes.
const PATIENT_ATTEMPTS: u32 = 10;

/// What the thread works with.
pub(super) struct Writer {
    shared: Arc<Shared>,
    settings: Settings,
    place: Option<Place>,
    open: Option<Box<dyn Backend>>,
    pruning: Pruning,
    /// Taken, and not known to be written.
    batch: Vec<Row>,
    /// What was captured of them, in their order: encrypted once, however often it is tried.
    sealed: Vec<(Uuid, Sealed)>,
    /// So many of them are written at once: fewer after a failure that fewer might have been spared.
    at_once: usize,
    /// So often the first of them was not taken in time, alone.
    late: u32,
    retry_at: Option<Instant>,
    pause: Duration,
    /// Whether it was open once: from then on its folder is not made anew, which may be away for a while only.
    was_open: bool,
    /// What was logged last, so that it is said once.
    complaint: Option<String>,
}

impl Writer {
    /// Starts the thread; false where there is none to be had.
    pub(super) fn start(shared: &Arc<Shared>, settings: Settings, place: Place) -> bool {
        let writer = Self::new(shared.clone(), settings, place);
        let started = thread::Builder::new()
            .name("millgate-ledger".to_owned())
            .spawn(move || writer.live());
        if let Err(error) = &started {
            tracing::error!(%error, "there is no thread for the ledger: exchanges are not written down");
            shared.set_error(Some(format!("there is no thread for the ledger: {error}")));
        }
        started.is_ok()
    }

    pub(super) fn new(shared: Arc<Shared>, settings: Settings, place: Place) -> Self {
        Self {
            shared,
            settings,
            place: Some(place),
            open: None,
            pruning: Pruning::new(),
            batch: Vec::new(),
            sealed: Vec::new(),
            at_once: BATCH,
            late: 0,
            retry_at: Some(Instant::now()),
            pause: FIRST_RETRY,
            was_open: false,
            complaint: None,
        }
    }

    /// Works until it is told to stop, and goes on after a panic.
    fn live(mut self) {
        while catch_unwind(AssertUnwindSafe(|| self.run())).is_err() {
            self.outlive();
        }
    }

    /// Accounts for a panic: what was in hand may be its cause, and is lost.
    fn outlive(&mut self) {
        let lost = self.shared.in_hand();
        self.batch.clear();
        self.sealed.clear();
        self.late = 0;
        self.shared.give_up(lost, 0);
        self.open = None;
        self.pruning = Pruning::new();
        let complaint = "the thread of the ledger has panicked\n  see the log, and report it as a defect of millgate".to_owned();
        tracing::error!(lost, "{complaint}");
        self.shared.set_error(Some(complaint.clone()));
        self.complaint = Some(complaint);
        self.retry_at = Some(Instant::now() + LONGEST_RETRY);
    }

    fn run(&mut self) {
        loop {
            let interval = Instant::now() + self.settings.interval;
            let until = self.retry_at.unwrap_or(interval);
            match self.shared.wait(until, self.retry_at.is_none()) {
                None => self.beat(),
                Some(Order::Change(settings, place)) => self.change(settings, place),
                Some(Order::Stop(done)) => {
                    self.stop();
                    let _ = done.try_send(());
                    return;
                }
            }
        }
    }

    /// Writes all that waits, as far as that can be done now, and deletes what is old.
    pub(super) fn beat(&mut self) {
        if self.place.is_none() {
            self.retry_at = None;
            return;
        }
        match self.work() {
            Ok(()) => {
                self.retry_at = None;
                self.pause = FIRST_RETRY;
                if self.complaint.take().is_some() {
                    self.shared.set_error(None);
                    tracing::info!("the ledger is written again");
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    /// Makes the disk as full as a test wants it.
    #[cfg(test)]
    pub(super) fn limit_pages(&mut self, pages: u32) {
        if self.open.is_none() {
            self.beat();
        }
        self.open.as_ref().unwrap().limit_pages(pages);
    }

    fn work(&mut self) -> Result<(), LedgerError> {
        if self.open.is_none() {
            self.open = Some(self.open_place()?);
            self.was_open = true;
        }
        loop {
            self.take();
            if self.batch.is_empty() {
                break;
            }
            self.write()?;
        }
        if let Some(open) = &mut self.open
            && !self.pruning.tend(&mut **open, &self.settings, &self.shared)
        {
            self.open = None;
        }
        Ok(())
    }

    /// Takes the next rows, and encrypts what was captured of them.
    fn take(&mut self) {
        let known = self.batch.len();
        self.shared.take(&mut self.batch);
        let keys = &self.settings.keys;
        let taken = self.batch.iter_mut().skip(known);
        let sealed =
            taken.filter_map(|row| Some((row.id, keys.seal(row.id, &*row.captured.take()?)?)));
        self.sealed.extend(sealed);
    }

    fn open_place(&self) -> Result<Box<dyn Backend>, LedgerError> {
        let Some(place) = &self.place else {
            return Err(LedgerError::NotBuilt("ledger"));
        };
        let purpose = if self.was_open {
            Purpose::Resume
        } else {
            Purpose::Begin
        };
        let backend = place.open(purpose)?;
        tracing::info!(kind = place.kind(), "the ledger is open");
        Ok(backend)
    }

    fn write(&mut self) -> Result<(), LedgerError> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let count = self.batch.len().min(self.at_once);
        let rows = &self.batch[..count];
        // Both are in one order.
        let contents = rows.iter().fold(0, |found, row| {
            let is_next = self.sealed.get(found).is_some_and(|(id, _)| *id == row.id);
            found + usize::from(is_next)
        });
        match open.write(rows, &self.sealed[..contents]) {
            Ok(()) => {
                self.batch.drain(..count);
                self.sealed.drain(..contents);
                self.late = 0;
                // Slowly: where it was too much, every attempt that is too much costs time.
                self.at_once = (self.at_once + self.at_once / 8 + 1).min(BATCH);
                self.shared.settle(count, self.batch.len());
                Ok(())
            }
            Err(error) if error.is_of_these_rows() => self.narrow(count, error),
            Err(error) => Err(error),
        }
    }

    /// Half as many rows the next time, so that what the database does not take, or not in time, holds up nothing for ever. One
    /// alone that it does not take is tried without what was captured of it, and is then lost; one that it does not take in time
    /// says more of the server than of itself, and is kept: only what was captured of it is lost, after many attempts.
    fn narrow(&mut self, count: usize, error: LedgerError) -> Result<(), LedgerError> {
        self.at_once = (count / 2).max(1);
        let is_quick = error.is_quick();
        if count == 1 {
            self.late += u32::from(!is_quick);
            if is_quick || self.late >= PATIENT_ATTEMPTS {
                self.lighten(&error);
            }
        } else {
            // It is another attempt, and not the same again.
            self.pause = FIRST_RETRY;
        }
        if is_quick { Ok(()) } else { Err(error) }
    }

    /// Gives up what was captured of the first row; the row, where there is no such thing and it is the cause.
    fn lighten(&mut self, error: &LedgerError) {
        let Some(id) = self.batch.first().map(|row| row.id) else {
            return;
        };
        if self.sealed.first().is_some_and(|(of, _)| *of == id) {
            self.sealed.remove(0);
            tracing::error!(%error, %id, "what was captured of this exchange is lost: its row is tried without");
        } else if error.is_quick() {
            self.batch.remove(0);
            self.late = 0;
            self.shared.give_up(1, self.batch.len());
            tracing::error!(%error, %id, "the row of this exchange is lost");
        }
    }

    /// Says so, once, and comes back later. What does not heal by itself is opened anew then.
    fn fail(&mut self, error: &LedgerError) {
        let complaint = error.to_string();
        if self.complaint.as_ref() != Some(&complaint) {
            tracing::error!(
                error = complaint,
                waiting = self.shared.waiting(),
                "the ledger cannot be written: serving goes on, rows wait in memory"
            );
            self.complaint = Some(complaint.clone());
        }
        // Said once, but true for as long as it lasts.
        self.shared.set_error(Some(complaint));
        if !error.passes() {
            self.open = None;
        }
        self.retry_at = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_RETRY);
    }

    fn change(&mut self, settings: Settings, place: Option<Place>) {
        if self.place != place {
            self.beat();
            self.open = None;
            self.was_open = false;
            self.complaint = None;
            self.shared.set_error(None);
            self.pruning = Pruning::new();
            self.shared.set_pruning_error(None);
        }
        self.settings = settings;
        self.place = place;
        self.retry_at = None;
        self.pause = FIRST_RETRY;
        if self.place.is_none() {
            self.lose_the_rest();
        }
        self.beat();
    }

    fn stop(&mut self) {
        self.beat();
        self.lose_the_rest();
        self.open = None;
    }

    /// What could not be written by now is lost.
    fn lose_the_rest(&mut self) {
        let mut lost = self.batch.len();
        self.sealed.clear();
        self.late = 0;
        loop {
            self.batch.clear();
            self.shared.take(&mut self.batch);
            if self.batch.is_empty() {
                break;
            }
            lost += self.batch.len();
        }
        if lost > 0 {
            self.shared.give_up(lost, 0);
            tracing::error!(
                lost,
                "the ledger could not be written: the rows that waited are lost"
            );
        }
    }
}

#[cfg(test)]
mod tests;

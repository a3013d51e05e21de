//! The one thread that has the file: it writes what was counted and reads what others changed.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use super::{
    Memory,
    database::{Database, Opening, StoreError, tallies::Mark},
    tallies::Increment,
};

/// How often the thread looks at what is to be written and what others have changed. What was added is written, and a
/// key that was revoked is known to be so, in less than twice this time.
const BEAT: Duration = Duration::from_millis(400);

/// How long a write waits for those of other processes, before it is tried again at a later beat.
const LOCK_PATIENCE: Duration = Duration::from_millis(300);

/// How long until a store that could not be opened is tried again; twice as long each time, up to the longest.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// How often old sums are looked for.
const PRUNING: Duration = Duration::from_hours(1);

/// Requests that may wait for the thread.
const WAITING_REQUESTS: usize = 16;

/// The thread, seen from outside.
pub(super) struct Writer {
    requests: SyncSender<Request>,
}

/// What the thread is asked to do.
enum Request {
    /// Write what is left, say so, and end.
    Stop(SyncSender<()>),
}

impl Writer {
    /// Starts the thread, and waits as long as `patience` for it to have read the store or failed to.
    pub(super) fn start(folder: PathBuf, memory: Arc<Memory>, patience: Duration) -> Option<Self> {
        let (requests, received) = sync_channel(WAITING_REQUESTS);
        let (first, has_tried) = sync_channel(1);
        let work = move || {
            let mut keeper = Keeper::new(folder, memory);
            keeper.beat();
            let _ = first.try_send(());
            keeper.run(&received);
        };
        let started = thread::Builder::new()
            .name("millgate-store".to_owned())
            .spawn(work);
        if let Err(error) = started {
            tracing::error!(%error, "there is no thread for the store: it stays closed");
            return None;
        }
        let _ = has_tried.recv_timeout(patience);
        Some(Self { requests })
    }

    /// Ends the thread, which writes what is left; waits for it as long as `patience`.
    pub(super) fn stop(self, patience: Duration) {
        let (done, is_done) = sync_channel(1);
        let asked = self.requests.try_send(Request::Stop(done));
        if asked.is_err() || is_done.recv_timeout(patience).is_err() {
            tracing::error!(
                "the store did not close in time: what was counted in the last second may be lost"
            );
        }
    }
}

/// What the thread works with.
struct Keeper {
    folder: PathBuf,
    memory: Arc<Memory>,
    state: State,
    /// Whether the store was open once: from then on it is not made anew where it is missing, so that a file that is
    /// gone for a while does not turn into one without keys.
    was_open: bool,
    /// What was logged last, so that it is said once.
    complaint: Option<String>,
}

enum State {
    Open(Box<Open>),
    Closed { retry_at: Instant, pause: Duration },
}

/// An open store, and how far it is known.
struct Open {
    database: Database,
    version: i64,
    keys_revision: i64,
    mark: Mark,
    prune_at: Instant,
}

impl Keeper {
    fn new(folder: PathBuf, memory: Arc<Memory>) -> Self {
        Self {
            folder,
            memory,
            state: State::Closed {
                retry_at: Instant::now(),
                pause: FIRST_RETRY,
            },
            was_open: false,
            complaint: None,
        }
    }

    fn run(&mut self, requests: &Receiver<Request>) {
        loop {
            match requests.recv_timeout(BEAT) {
                Err(RecvTimeoutError::Timeout) => self.beat(),
                Ok(Request::Stop(done)) => {
                    self.stop();
                    let _ = done.try_send(());
                    return;
                }
                Err(RecvTimeoutError::Disconnected) => return self.stop(),
            }
        }
    }

    fn stop(&mut self) {
        if let State::Closed { retry_at, .. } = &mut self.state {
            *retry_at = Instant::now();
        }
        self.beat();
        self.memory.is_open.store(false, Ordering::Relaxed);
        let lost = self.memory.tallies.unwritten();
        if lost > 0 {
            tracing::error!(
                sums = lost,
                "what was counted since the store could last be written is lost"
            );
        }
    }

    /// Opens the store where it is closed, reads what is new and writes what is to be written.
    fn beat(&mut self) {
        match &mut self.state {
            State::Open(open) => {
                if let Err(error) = open.keep(&self.memory) {
                    self.fail(&error);
                } else {
                    self.complaint = None;
                }
            }
            State::Closed { retry_at, .. } if Instant::now() < *retry_at => {}
            State::Closed { .. } => match self.open() {
                Ok(open) => {
                    self.was_open = true;
                    self.complaint = None;
                    self.state = State::Open(Box::new(open));
                    self.memory.is_open.store(true, Ordering::Relaxed);
                }
                Err(error) => self.fail(&error),
            },
        }
    }

    fn open(&self) -> Result<Open, StoreError> {
        let opening = Opening {
            create: !self.was_open,
            patience: LOCK_PATIENCE,
            durable: false,
        };
        let mut open = Open::read(Database::open(&self.folder, opening)?, &self.memory)?;
        open.keep(&self.memory)?;
        Ok(open)
    }

    /// Says so, once, and closes what does not heal by itself.
    fn fail(&mut self, error: &StoreError) {
        self.memory.failures.fetch_add(1, Ordering::Relaxed);
        let complaint = error.to_string();
        if self.complaint.as_ref() != Some(&complaint) {
            tracing::error!(
                error = complaint,
                keys = self.memory.keys.load().len(),
                unwritten = self.memory.tallies.unwritten(),
                "the store cannot be used: serving goes on with the keys that are known, what is counted stays in memory"
            );
            self.complaint = Some(complaint);
        }
        let pause = match &self.state {
            State::Open(_) if error.passes() => return,
            State::Open(_) => FIRST_RETRY,
            State::Closed { pause, .. } => (*pause * 2).min(LONGEST_RETRY),
        };
        self.memory.is_open.store(false, Ordering::Relaxed);
        self.state = State::Closed {
            retry_at: Instant::now() + pause,
            pause,
        };
    }
}

impl Open {
    /// Reads all that a store holds.
    fn read(mut database: Database, memory: &Memory) -> Result<Self, StoreError> {
        // Before the reading: what changes meanwhile is then read again.
        let version = database.version()?;
        let keys_revision = database.keys_revision()?;
        let callers = database.callers()?;
        let (sums, mark) = database.tallies_since(Mark::default())?;
        tracing::info!(
            path = %database.path().display(),
            keys = callers.len(),
            sums = sums.len(),
            "the store is open"
        );
        memory.tallies.learn_all(sums);
        memory.keys.store(Arc::new(callers));
        memory.has_been_read.store(true, Ordering::Release);
        Ok(Self {
            database,
            version,
            keys_revision,
            mark,
            prune_at: Instant::now(),
        })
    }

    /// Reads what others have changed, and writes what was counted.
    fn keep(&mut self, memory: &Memory) -> Result<(), StoreError> {
        let version = self.database.version()?;
        if version != self.version {
            self.read_news(memory)?;
            self.version = version;
        }
        self.write(memory)?;
        if Instant::now() >= self.prune_at {
            let given_up = self.database.prune_tallies(SystemTime::now())?;
            memory.tallies.sweep(&given_up);
            self.prune_at = Instant::now() + PRUNING;
        }
        Ok(())
    }

    fn read_news(&mut self, memory: &Memory) -> Result<(), StoreError> {
        let revision = self.database.keys_revision()?;
        if revision != self.keys_revision {
            let callers = self.database.callers()?;
            tracing::info!(keys = callers.len(), "the keys of the store have changed");
            memory.keys.store(Arc::new(callers));
            self.keys_revision = revision;
        }
        let (news, mark) = self.database.tallies_since(self.mark)?;
        memory.tallies.learn(news);
        self.mark = mark;
        Ok(())
    }

    fn write(&mut self, memory: &Memory) -> Result<(), StoreError> {
        let increments = memory.tallies.take();
        if increments.is_empty() {
            return Ok(());
        }
        match self.database.add(&increments, self.mark, SystemTime::now()) {
            Ok(written) => {
                memory.tallies.learn(written.news);
                for (increment, stored) in increments.into_iter().zip(written.stored) {
                    increment.settle(stored);
                }
                self.mark = written.mark;
                Ok(())
            }
            Err(error) => {
                increments.into_iter().for_each(Increment::put_back);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Log lines on their way out, written by a thread of its own: a request never waits for a pipe, and lines that come
//! close together leave in one write.

use std::{
    io::Write,
    mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// How long lines are gathered after a write. The first line after a silence is written at once.
const GATHER: Duration = Duration::from_millis(20);

/// Lines that may wait while what reads them does not, in bytes; what comes then is lost, and counted.
const MOST: usize = 1 << 20;

/// How long the last lines have to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

static LOST: AtomicU64 = AtomicU64::new(0);

/// Lines that this process has lost so far.
#[must_use]
pub fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// Where lines are left; cheap to clone.
#[derive(Clone)]
pub struct Lines(Arc<Shared>);

/// Keeps the thread writing. Dropped, it waits until the lines that were left are written, for at most a second.
#[must_use = "dropped, it ends the writing"]
pub struct Writing(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Lines that found no room.
    lost: u64,
    /// Whether the thread sleeps until it is woken.
    sleeps: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Ending,
    Ended,
}

/// Starts a thread that writes to `sink`.
pub fn start(sink: impl Write + Send + 'static) -> std::io::Result<(Lines, Writing)> {
    let shared = Arc::new(Shared::default());
    let its = shared.clone();
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || its.write_to(sink))?;
    Ok((Lines(shared.clone()), Writing(shared)))
}

impl Lines {
    /// Leaves whole lines, each with its line feed.
    pub fn leave(&self, lines: &[u8]) {
        let mut waiting = self.0.lock();
        if waiting.bytes.len() + lines.len() > MOST || waiting.state == State::Ended {
            waiting.lost += 1;
            LOST.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.bytes.extend_from_slice(lines);
        if mem::take(&mut waiting.sleeps) {
            drop(waiting);
            self.0.changed.notify_all();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut sink: impl Write) {
        let mut lines = Vec::new();
        let mut waiting = self.lock();
        loop {
            while waiting.bytes.is_empty() && waiting.lost == 0 && waiting.state == State::Open {
                waiting.sleeps = true;
                waiting = self
                    .changed
                    .wait(waiting)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            waiting.sleeps = false;
            mem::swap(&mut lines, &mut waiting.bytes);
            let lost = mem::take(&mut waiting.lost);
            let is_last = waiting.state != State::Open;
            drop(waiting);
            if lost > 0 {
                // Not by `tracing`: that would lead back here.
                let _ = writeln!(
                    lines,
                    "{{\"level\":\"WARN\",\"message\":\"log lines were lost, because what reads them does not keep up\",\"lost\":{lost},\"target\":\"millgate::log\"}}"
                );
            }
            // There is nowhere to tell that the sink is gone.
            let _ = sink.write_all(&lines).and_then(|()| sink.flush());
            lines.clear();
            lines.shrink_to(MOST / 4);
            waiting = self.lock();
            if is_last && waiting.bytes.is_empty() {
                waiting.state = State::Ended;
                self.changed.notify_all();
                return;
            }
            waiting = self
                .changed
                .wait_timeout_while(waiting, GATHER, |waiting| waiting.state == State::Open)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.state = State::Ending;
        self.0.changed.notify_all();
        let _ = self
            .0
            .changed
            .wait_timeout_while(waiting, LAST_LINES, |waiting| waiting.state != State::Ended);
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::mpsc};

    use super::*;

    /// Writes only when it is told to, and tells what.
    struct Gate {
        open: mpsc::Receiver<()>,
        written: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.open.recv();
            let _ = self.written.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Lines, Writing, mpsc::Sender<()>, mpsc::Receiver<Vec<u8>>) {
        let (opener, open) = mpsc::channel();
        let (written, writes) = mpsc::channel();
        let (lines, writing) = start(Gate { open, written }).unwrap();
        (lines, writing, opener, writes)
    }

    #[test]
    fn lines_that_come_while_one_is_written_leave_together_and_in_order() {
        let (lines, writing, open, writes) = gated();
        lines.leave(b"first\n");
        open.send(()).unwrap();
        let first = writes.recv().unwrap();
        lines.leave(b"second\n");
        lines.leave(b"third\n");
        drop(open);
        drop(writing);
        let rest: Vec<u8> = writes.iter().flatten().collect();
        assert_eq!(first, b"first\n");
        assert_eq!(rest, b"second\nthird\n");
    }

    #[test]
    fn a_reader_that_stalls_holds_nobody_and_is_told_what_it_missed() {
        let (lines, writing, open, writes) = gated();
        let line = [vec![b'x'; 999], vec![b'\n']].concat();
        // At most one buffer is being written while another one fills.
        for _ in 0..3 * MOST / line.len() {
            lines.leave(&line);
        }
        drop(open);
        drop(writing);
        let all: Vec<u8> = writes.iter().flatten().collect();
        assert!(all.len() <= 2 * MOST + 1000, "{}", all.len());
        let kept = all.split_inclusive(|&byte| byte == b'\n');
        let kept = kept.filter(|written| **written == line[..]).count();
        let text = String::from_utf8(all).unwrap();
        let lost: usize = text
            .split("\"lost\":")
            .skip(1)
            .map(|rest| rest.split(',').next().unwrap().parse::<usize>().unwrap())
            .sum();
        assert_eq!(kept + lost, 3 * MOST / line.len());
        assert!(lost > 0);
    }
}

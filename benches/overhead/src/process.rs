//! Child processes, and what `/proc` says about them.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to stop, or to say where it listens.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running program and its children, stopped when dropped.
pub(crate) struct Process {
    child: Child,
    /// Where its output goes.
    log: PathBuf,
}

/// CPU time that threads have used, by thread.
pub(crate) struct CpuReading(HashMap<String, u64>);

impl Process {
    /// Starts a program with its output going to `log`.
    pub(crate) fn start(
        program: &Path,
        arguments: &[OsString],
        environment: &[(String, String)],
        log: &Path,
    ) -> io::Result<Self> {
        let output = File::create(log)?;
        let child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("cannot start {}: {error}", program.display()),
                )
            })?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    /// Fails, with the end of its output, if the program has ended.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(io::Error::other(format!(
                "it ended ({status}): {}",
                self.output()
            ))),
        }
    }

    /// The last kilobytes of its output.
    fn output(&self) -> String {
        let output = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&output[output.len().saturating_sub(2000)..]).into_owned()
    }

    /// What stands behind `marker` in its output, once it does.
    pub(crate) async fn printed(&mut self, marker: &str) -> io::Result<String> {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            let output = fs::read_to_string(&self.log)?;
            if let Some((_, rest)) = output.split_once(marker)
                && let Some((word, _)) = rest.split_once(char::is_whitespace)
            {
                return Ok(word.to_owned());
            }
            self.check()?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err(io::Error::other(format!(
            "it never printed {marker:?}: {}",
            self.output()
        )))
    }

    /// CPU time used so far, user and system, by the threads that live now.
    pub(crate) fn cpu(&self) -> CpuReading {
        let threads = self
            .tree()
            .into_iter()
            .filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok());
        let threads = threads.flatten().filter_map(Result::ok);
        CpuReading(
            threads
                .filter_map(|thread| {
                    // Nanoseconds on a processor, then two numbers that are of no use here.
                    let schedstat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
                    let nanoseconds = schedstat.split_whitespace().next()?.parse().ok()?;
                    Some((
                        thread.file_name().to_string_lossy().into_owned(),
                        nanoseconds,
                    ))
                })
                .collect(),
        )
    }

    /// Resident memory in bytes, children included; pages that they share count more than once.
    pub(crate) fn resident(&self) -> u64 {
        let statuses = self
            .tree()
            .into_iter()
            .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok());
        let kilobytes = statuses.filter_map(|status| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        });
        kilobytes.sum::<u64>() * 1024
    }

    /// The process and its children.
    fn tree(&self) -> Vec<u32> {
        let id = self.child.id();
        let processes = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(Result::ok);
        let children = processes.filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name in parentheses may hold anything; behind it come the state and the parent.
            let parent = stat
                .rsplit_once(')')?
                .1
                .split_whitespace()
                .nth(1)?
                .parse::<u32>()
                .ok()?;
            (parent == id).then_some(pid)
        });
        std::iter::once(id).chain(children).collect()
    }
}

impl CpuReading {
    /// CPU time since an earlier reading. A thread that ended in between is left out.
    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        let used = self
            .0
            .iter()
            .map(|(thread, now)| now.saturating_sub(earlier.0.get(thread).copied().unwrap_or(0)));
        Duration::from_nanos(used.sum())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.check().is_err() {
            return;
        }
        // Asked, not killed: a server with worker processes has to take them along.
        let _ = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

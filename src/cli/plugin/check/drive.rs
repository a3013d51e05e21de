//! What driving stages and providers has in common: times, and what went wrong meanwhile.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use super::inside::fault;
use crate::plugin::Plugin;

/// How often a sample goes through, at most.
const MOST_ROUNDS: u32 = 2000;

/// How long one kind is timed, at most.
const LONGEST: Duration = Duration::from_millis(500);

/// How long each function took, each time.
#[derive(Default)]
pub(super) struct Times(Mutex<BTreeMap<&'static str, Vec<u64>>>);

impl Times {
    /// Runs a function and takes down how long it took.
    pub(super) fn of<T>(&self, function: &'static str, run: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let value = run();
        let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.entry(function).or_default().push(took);
        value
    }

    /// Takes the times of samples anew, which run again and again without a word in the log: the first are not like the
    /// others.
    pub(super) fn measure(&self, mut sample: impl FnMut()) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        let began = Instant::now();
        tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::new(), || {
            for _ in 0..MOST_ROUNDS {
                sample();
                if began.elapsed() > LONGEST {
                    break;
                }
            }
        });
    }

    /// The median of each function.
    pub(super) fn medians(&self) -> String {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let median = |(function, times): (&&str, &mut Vec<u64>)| {
            times.sort_unstable();
            let median = times.get(times.len() / 2).copied().unwrap_or_default();
            format!("{function} {median} ns")
        };
        let medians: Vec<_> = times.iter_mut().map(median).collect();
        medians.join(", ")
    }
}

/// What the plugin was to blame for before; what has come to it since is told.
pub(super) struct Blame {
    plugin: &'static Plugin,
    panics: u64,
    failures: u64,
}

impl Blame {
    pub(super) fn new(plugin: &'static Plugin) -> Self {
        Self {
            plugin,
            panics: plugin.panics.load(Ordering::Relaxed),
            failures: plugin.failures.load(Ordering::Relaxed),
        }
    }

    /// Tells what has come to it.
    pub(super) fn tell(&self, kind: &str) {
        let panics = self.plugin.panics.load(Ordering::Relaxed) - self.panics;
        let failures = self.plugin.failures.load(Ordering::Relaxed) - self.failures;
        if panics > 0 {
            fault(format!(
                "{kind} panicked ({panics}×): the log above says where"
            ));
        }
        if failures > 0 {
            fault(format!(
                "{kind} failed, or did what the interface does not allow ({failures}×): the log above says how"
            ));
        }
    }
}

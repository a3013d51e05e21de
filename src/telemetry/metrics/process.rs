//! What the process takes, as the system tells: `process_*`, by the names that all clients of Prometheus use. Where the
//! system does not tell, as anything but Linux through `/proc`, a metric is absent.

use std::{
    fs,
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use super::family::{Family, Kind};

/// What the process takes at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Memory that is in use, in bytes.
    pub resident: Option<u64>,
    /// Address space, in bytes.
    pub virtual_size: Option<u64>,
    /// Files, sockets included, that are open.
    pub open_files: Option<u64>,
    /// How many there may be.
    pub most_files: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Time on processors so far, of the process and of the system for it.
    pub processor: Option<Duration>,
}

static STARTED: LazyLock<SystemTime> = LazyLock::new(SystemTime::now);

/// When the process was started: when it first asked for that, as it does before anything is counted.
#[must_use]
pub fn started() -> SystemTime {
    *STARTED
}

impl Usage {
    /// As it is now.
    #[must_use]
    pub fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kibibytes = |name| field(&status, name).map(|kibibytes| kibibytes << 10);
        Self {
            resident: kibibytes("VmRSS:"),
            virtual_size: kibibytes("VmSize:"),
            // One of them is this look into the folder.
            open_files: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|files| (files.count() as u64).saturating_sub(1)),
            most_files: rlimit::getrlimit(rlimit::Resource::NOFILE)
                .ok()
                .map(|(most, _)| most),
            threads: field(&status, "Threads:"),
            processor: fs::read_to_string("/proc/self/stat")
                .ok()
                .and_then(|stat| processor(&stat)),
        }
    }

    /// The same as metrics.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        let gauge = |name, help, value: Option<u64>| {
            value.map(|value| Family::one(name, Kind::Gauge, help, value as f64))
        };
        let started = started().duration_since(SystemTime::UNIX_EPOCH);
        let processor = self.processor.map(|time| time.as_secs_f64());
        [
            gauge(
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
                self.resident,
            ),
            gauge(
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes.",
                self.virtual_size,
            ),
            gauge(
                "process_open_fds",
                "Number of open file descriptors.",
                self.open_files,
            ),
            gauge(
                "process_max_fds",
                "Maximum number of open file descriptors.",
                self.most_files,
            ),
            gauge("process_threads", "Number of threads.", self.threads),
            processor.map(|seconds| {
                let help = "Total user and system CPU time spent in seconds.";
                Family::one("process_cpu_seconds", Kind::Counter, help, seconds)
            }),
            started.ok().map(|since| {
                let help = "Start time of the process since unix epoch in seconds.";
                Family::one(
                    "process_start_time_seconds",
                    Kind::Gauge,
                    help,
                    since.as_secs_f64(),
                )
            }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// The number of a line of `/proc/self/status`.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system time of `/proc/self/stat` (proc(5): fields 14 and 15, in ticks, of which Linux shows 100 a second to
/// programs on every machine that Rust is built for). The second field, a name in parentheses, may hold anything.
fn processor(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_system_are_read() {
        let status = "Name:\tmillgate\nVmSize:\t  2048 kB\nVmRSS:\t    12 kB\nThreads:\t7\n";
        assert_eq!(field(status, "VmRSS:"), Some(12));
        assert_eq!(field(status, "Threads:"), Some(7));
        assert_eq!(field(status, "VmSwap:"), None);
        let stat = "12 (mill ) gate) S 1 12 12 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 7 0 1 2 3";
        assert_eq!(processor(stat), Some(Duration::from_millis(1750)));
        assert_eq!(processor("12 (x"), None);
    }
}

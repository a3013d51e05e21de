//! What the process takes of its machine. Linux tells; where nobody does, it is `None`.

use std::fs;

/// Memory that is resident, in bytes.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    // proc(5): `VmRSS:     5120 kB`.
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Files and connections that are open.
#[must_use]
pub fn open_fds() -> Option<u64> {
    let fds = fs::read_dir("/proc/self/fd").ok()?;
    // The folder that is being read is one of them.
    Some((fds.count() as u64).saturating_sub(1))
}

//! What makes no sense in `[server]`, taken by itself and beside `[admin]`.

use std::net::SocketAddr;

use crate::config::{Loaded, Severity};

/// More threads than this only wait for each other, whatever the machine.
const MOST_WORKERS: u32 = 1024;

/// Tells what makes no sense.
pub(super) fn check(loaded: &Loaded) {
    let server = &loaded.config.server;
    let refuse = |path: &[&str], message: &str, help: &str| {
        loaded.report(path, Severity::Error, message, Some(help.to_owned()));
    };
    if server.max_body_size.bytes() == 0 {
        refuse(
            &["server", "max_body_size"],
            "no request with a body would be let in",
            "leave it out for 32 MiB",
        );
    }
    // A single body has to fit among all of them, else it would be told to come back for ever.
    if server.max_buffered.bytes() < server.max_body_size.bytes() {
        refuse(
            &["server", "max_buffered"],
            "a body of `max_body_size` would never fit into `max_buffered`, which is for all bodies together",
            "make max_buffered larger, or max_body_size smaller",
        );
    }
    if server
        .workers
        .is_some_and(|workers| workers.get() > MOST_WORKERS)
    {
        refuse(
            &["server", "workers"],
            &format!("at most {MOST_WORKERS} worker threads can be had"),
            "leave it out for one thread for each core",
        );
    }
    if overlap(server.listen.0, loaded.config.admin.listen.0) {
        refuse(
            &["admin", "listen"],
            "clients are listened for at this address already, see [server] listen",
            "give the operators' listener a port of its own",
        );
    }
}

/// Whether only one of two listeners can have its address. Port 0 is any that is free.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (is_any || one.ip() == other.ip())
}

//! What is known of a provider's connections. The client that keeps them tells nothing of its pool, so that they are
//! counted where they are made and closed, and so are the requests that are on them.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// Upper bounds of how long connections take to be made, in seconds.
pub const CONNECT_BOUNDS: [f64; 10] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// Counts the connections of one provider. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Pool(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    open: AtomicU64,
    /// Connections being made.
    making: AtomicU64,
    /// Requests of which the reply has not been read to its end.
    busy: AtomicU64,
    reused: AtomicU64,
    failed: AtomicU64,
    /// Of those made, how many took so long: within each bound and above the one before, the rest last.
    made: [AtomicU64; CONNECT_BOUNDS.len() + 1],
    micros: AtomicU64,
}

/// The connections of a provider at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PoolStats {
    /// Connections that are open.
    pub open: u64,
    /// Of these, those on which no request is. Requests may share a connection of HTTP/2, which makes this a lower bound.
    pub idle: u64,
    /// Requests so far that went out on a connection that had brought a reply before.
    pub reused: u64,
    /// Connections made so far, TLS included.
    pub connects: u64,
    /// Connections so far that could not be made.
    pub failures: u64,
    /// How long the making of those made took, all together.
    pub connecting: Duration,
    /// How many of them took so long: within each of [`CONNECT_BOUNDS`] and above the one before, the rest last.
    pub made: [u64; CONNECT_BOUNDS.len() + 1],
}

impl Pool {
    /// The counts as they are now. Each is right by itself; they are not of one moment.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let of = |count: &AtomicU64| count.load(Relaxed);
        let counts = &*self.0;
        let open = of(&counts.open);
        // A request that waits for a connection is on none.
        let on_connections = of(&counts.busy).saturating_sub(of(&counts.making));
        let made: [u64; CONNECT_BOUNDS.len() + 1] = std::array::from_fn(|at| of(&counts.made[at]));
        PoolStats {
            open,
            idle: open.saturating_sub(on_connections),
            reused: of(&counts.reused),
            connects: made.iter().sum(),
            failures: of(&counts.failed),
            connecting: Duration::from_micros(of(&counts.micros)),
            made,
        }
    }

    /// A request goes out, until what is returned is dropped.
    pub(super) fn send(&self) -> Busy {
        Busy(Counting::begin(self, |counts| &counts.busy))
    }

    /// A connection begins to be made; ended by [`Making::made`] or by being dropped.
    pub(super) fn make(&self) -> Making {
        Making(Counting::begin(self, |counts| &counts.making))
    }

    /// A connection is open, until what is returned is dropped.
    pub(super) fn open(&self) -> Open {
        Open {
            _open: Counting::begin(self, |counts| &counts.open),
        }
    }

    /// A reply came over a connection that had brought one before.
    pub(super) fn reuse(&self) {
        self.0.reused.fetch_add(1, Relaxed);
    }
}

/// Counts for as long as it lives.
#[derive(Debug)]
struct Counting {
    pool: Pool,
    what: fn(&Counts) -> &AtomicU64,
}

impl Counting {
    fn begin(pool: &Pool, what: fn(&Counts) -> &AtomicU64) -> Self {
        what(&pool.0).fetch_add(1, Relaxed);
        Self {
            pool: pool.clone(),
            what,
        }
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        (self.what)(&self.pool.0).fetch_sub(1, Relaxed);
    }
}

/// A connection that is open.
#[derive(Debug)]
pub struct Open {
    _open: Counting,
}

/// A connection in the making.
pub(super) struct Making(Counting);

impl Making {
    /// It is made, and took so long.
    pub(super) fn made(self, took: Duration) {
        let counts = &self.0.pool.0;
        let within = CONNECT_BOUNDS.partition_point(|bound| *bound < took.as_secs_f64());
        counts.made[within].fetch_add(1, Relaxed);
        counts.micros.fetch_add(took.as_micros() as u64, Relaxed);
    }

    /// It cannot be made.
    pub(super) fn failed(self) {
        self.0.pool.0.failed.fetch_add(1, Relaxed);
    }
}

/// A request that is on a connection, or waits for one.
pub(super) struct Busy(Counting);

impl Busy {
    /// Until the reply's body has been read, or let go of.
    pub(super) fn with(self, body: Incoming) -> UpstreamReply {
        UpstreamReply {
            body,
            _busy: self.0,
        }
    }
}

/// The body of an upstream's reply. Its connection counts as in use for as long as this lives.
#[derive(Debug)]
pub struct UpstreamReply {
    body: Incoming,
    _busy: Counting,
}

impl Body for UpstreamReply {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_and_carries_no_request_is_idle() {
        let pool = Pool::default();
        let making = pool.make();
        let busy = pool.send();
        assert_eq!((pool.stats().open, pool.stats().idle), (0, 0));
        let open = pool.open();
        making.made(Duration::from_millis(3));
        assert_eq!((pool.stats().open, pool.stats().idle), (1, 0));
        drop(busy);
        assert_eq!((pool.stats().open, pool.stats().idle), (1, 1));
        let (one, other) = (pool.send(), pool.send());
        assert_eq!(pool.stats().idle, 0, "two requests share a connection");
        drop((one, other, open));
        assert_eq!(pool.stats().open, 0);
    }

    #[test]
    fn how_long_connections_take_is_counted_of_those_that_are_made() {
        let pool = Pool::default();
        pool.make().made(Duration::from_millis(1));
        pool.make().made(Duration::from_mins(1));
        pool.make().failed();
        drop(pool.make());
        let stats = pool.stats();
        assert_eq!((stats.connects, stats.failures), (2, 1));
        assert_eq!((stats.made[0], stats.made[10]), (1, 1));
        assert_eq!(stats.connecting, Duration::from_millis(60_001));
    }
}

//! What the mock has seen, in numbers.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio::sync::watch;

/// What a mock has seen since it began. Calls of its own `/mock/…` are connections here, but not requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests read to their end.
    pub requests: u64,
    /// The same by path, without the query.
    pub paths: BTreeMap<String, u64>,
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub open: u64,
    /// Replies in the making now.
    pub in_flight: u64,
    /// Replies written to their end, faulty ones included.
    pub completed: u64,
    /// Replies during which the peer went away.
    pub aborted: u64,
}

/// Counts a connection for as long as it lives.
pub(super) struct OpenConnection<'a>(&'a watch::Sender<Counts>);

impl<'a> OpenConnection<'a> {
    /// Counts a connection, and tells its number: the first is 1.
    pub(super) fn begin(counts: &'a watch::Sender<Counts>) -> (Self, u64) {
        let mut number = 0;
        counts.send_modify(|counts| {
            counts.connections += 1;
            counts.open += 1;
            number = counts.connections;
        });
        (Self(counts), number)
    }
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|counts| counts.open -= 1);
    }
}

/// Counts a reply for as long as it is in the making.
pub(super) struct InFlight<'a> {
    counts: &'a watch::Sender<Counts>,
    outcome: Option<Outcome>,
}

/// How a reply came to its end.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Completed,
    Aborted,
}

impl<'a> InFlight<'a> {
    /// Counts a request of which the reply now begins.
    pub(super) fn begin(counts: &'a watch::Sender<Counts>, path: &str) -> Self {
        counts.send_modify(|counts| {
            counts.requests += 1;
            counts.in_flight += 1;
            if let Some(count) = counts.paths.get_mut(path) {
                *count += 1;
            } else {
                counts.paths.insert(path.to_owned(), 1);
            }
        });
        Self {
            counts,
            outcome: None,
        }
    }

    pub(super) fn end(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.counts.send_modify(|counts| {
            counts.in_flight -= 1;
            match self.outcome {
                Some(Outcome::Completed) => counts.completed += 1,
                Some(Outcome::Aborted) => counts.aborted += 1,
                None => {}
            }
        });
    }
}

//! A client that takes nothing of what is sent to it. Whoever waits to write to it holds a connection, an upstream's
//! connection and memory, for as long as it likes; the clocks of the reply itself stand still meanwhile.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Sleep;

/// Watches the writes of one connection.
pub(crate) struct Stall {
    limit: Duration,
    /// Runs while a write waits.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    /// A client may take nothing for as long as `limit`.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, alarm: None }
    }

    /// Takes note of what became of a write, and turns one that has waited for too long into an error.
    pub(crate) fn watch<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.alarm = None;
            return written;
        }
        let limit = self.limit;
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(alarm.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

//! HTTP/2 streams whose client takes nothing of its reply. Its connection lives on with the other streams, so that the
//! limit on the connection's writes does not see it.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

use super::tasks;

/// Runs the streams of HTTP/2 connections; each may wait for its client as long as this.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams(pub(super) Duration);

impl<S: Future<Output = ()> + Send + 'static> hyper::rt::Executor<S> for Streams {
    fn execute(&self, stream: S) {
        tasks::spawn(Stream {
            work: Box::pin(stream),
            limit: self.0,
            alarm: None,
        });
    }
}

/// What a reply's body has said when it was asked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Something for the client.
    Gave,
    /// That there is nothing now, or nothing more.
    HadNothing,
}

thread_local! {
    /// Of the stream that is being polled on this thread.
    static ASKED: Cell<Option<Asked>> = const { Cell::new(None) };
}

/// Takes note of what a body has said.
pub(super) fn note(asked: Asked) {
    ASKED.set(Some(asked));
}

/// One stream. Where its body has given something and is not asked for more, the client has no room for it.
struct Stream<S> {
    work: Pin<Box<S>>,
    limit: Duration,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<S: Future<Output = ()>> Future for Stream<S> {
    type Output = ();

    /// Dropping the stream resets it (RFC 9113, 8.1), and ends its exchange.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        ASKED.set(None);
        if self.work.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        match ASKED.take() {
            Some(Asked::Gave) => {
                let until = Instant::now() + self.limit;
                match &mut self.alarm {
                    Some(alarm) => alarm.as_mut().reset(until),
                    None => self.alarm = Some(Box::pin(tokio::time::sleep_until(until))),
                }
            }
            Some(Asked::HadNothing) => self.alarm = None,
            None => {}
        }
        let Some(alarm) = &mut self.alarm else {
            return Poll::Pending;
        };
        ready!(alarm.as_mut().poll(context));
        Poll::Ready(())
    }
}

//! A client's connection, between the socket and hyper: how long a client may be silent, what becomes of requests
//! that cannot be read, and a close that does not lose the last reply.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::StatusCode;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Instant, Sleep},
};

use super::{Limits, exchanges::Exchanges, refusal::Refusal, stall::Stall, tap::Tap};

/// After the last reply the rest of a request is read for as long as it keeps coming, …
const LINGER_SILENCE: Duration = Duration::from_secs(1);

/// … but not for longer than this.
const LINGER: Duration = Duration::from_secs(10);

/// The connection as hyper sees it.
pub(super) struct Wire {
    stream: TokioIo<Tap>,
    peer: SocketAddr,
    exchanges: Exchanges,
    speaks: Speaks,
    header_timeout: Duration,
    keep_alive_timeout: Duration,
    stall: Stall,
    /// Fires no later than the client has been silent for too long. Moved rarely, so that a request costs no timer.
    alarm: Pin<Box<Sleep>>,
    /// Since when a request has been waited for, and after how many.
    waiting: Option<(Instant, u32)>,
    /// Whether a part of the request waited for has come.
    heard: bool,
    /// After how many exchanges all had been flushed that there was to write.
    flushed: u32,
    refusal: Option<Writing>,
    closing: Option<Closing>,
}

/// What is spoken, as the first bytes that we write show.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Nothing,
    Http1,
    Other,
}

/// A refusal on its way out.
struct Writing {
    refusal: Refusal,
    written: usize,
}

/// Our side is shut down, the client's not yet.
struct Closing {
    until: Instant,
}

impl Wire {
    pub(super) fn new(
        stream: TcpStream,
        peer: SocketAddr,
        exchanges: Exchanges,
        limits: &Limits,
    ) -> Self {
        Self {
            stream: TokioIo::new(Tap::new(stream, exchanges.clone())),
            peer,
            exchanges,
            speaks: Speaks::Nothing,
            header_timeout: limits.header_timeout,
            keep_alive_timeout: limits.keep_alive_timeout,
            stall: Stall::new(limits.write_timeout),
            alarm: Box::pin(tokio::time::sleep(limits.header_timeout)),
            waiting: None,
            // A client that connects has something to say.
            heard: true,
            flushed: 0,
            refusal: None,
            closing: None,
        }
    }

    /// Whether a client has let us wait for its request too long. Else the alarm is set for when it will have.
    fn is_too_late(&mut self, context: &mut Context<'_>) -> bool {
        let begun = self.exchanges.begun();
        // HTTP/2 has pings of its own, and says that it closes; but its first request must come as soon as any.
        if (self.speaks == Speaks::Other && begun > 0) || !self.exchanges.are_over() {
            return false;
        }
        let since = match self.waiting {
            Some((since, after)) if after == begun => since,
            _ => {
                let now = Instant::now();
                self.waiting = Some((now, begun));
                now
            }
        };
        let limit = if self.heard {
            self.header_timeout
        } else {
            self.keep_alive_timeout
        };
        let deadline = since + limit;
        if self.alarm.deadline() > deadline {
            self.alarm.as_mut().reset(deadline);
        }
        while self.alarm.as_mut().poll(context).is_ready() {
            if Instant::now() >= deadline {
                return true;
            }
            self.alarm.as_mut().reset(deadline);
        }
        false
    }

    /// A part of a request has come, unless it belongs to the exchange under way.
    fn hear(&mut self) {
        if !self.heard && self.exchanges.are_over() {
            self.heard = true;
            self.waiting = None;
        }
    }

    /// Says why, as far as that goes without waiting.
    fn give_up(&mut self) -> io::Error {
        if self.heard && self.speaks != Speaks::Other {
            let refusal = Refusal::new(StatusCode::REQUEST_TIMEOUT);
            self.log(&refusal);
            let _ = self.stream.inner().try_write(&refusal.bytes);
        }
        io::ErrorKind::TimedOut.into()
    }

    fn learn(&mut self, written: &[u8]) {
        if self.speaks == Speaks::Nothing {
            self.speaks = if written.starts_with(b"HTTP/1.") {
                Speaks::Http1
            } else {
                Speaks::Other
            };
        }
    }

    /// What hyper writes between exchanges, when all of the last one was flushed, can only be its refusal of a request
    /// that it cannot read. The bytes of a reply are never looked at.
    fn refuse(&mut self, bytes: &[u8]) {
        let between = self.flushed == self.exchanges.begun();
        if !between || self.speaks != Speaks::Http1 || self.refusal.is_some() {
            return;
        }
        if let Some(refusal) = Refusal::instead_of(bytes) {
            self.log(&refusal);
            self.refusal = Some(Writing {
                refusal,
                written: 0,
            });
        }
    }

    fn log(&self, refusal: &Refusal) {
        tracing::info!(
            request_id = refusal.id.to_str().unwrap_or_default(),
            peer = %self.peer.ip().to_canonical(),
            status = refusal.status.as_u16(),
            "request refused unread"
        );
    }

    /// Reads on after the last reply: closing with bytes unread would reset the connection, and the client might
    /// lose the reply that says why.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let now = Instant::now();
        let closing = self.closing.get_or_insert_with(|| {
            self.alarm.as_mut().reset(now + LINGER_SILENCE);
            Closing {
                until: now + LINGER,
            }
        });
        let mut scratch = [0; 8192];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(context, buffer.unfilled()) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    let silence = (now + LINGER_SILENCE).min(closing.until);
                    self.alarm.as_mut().reset(silence);
                    if now >= closing.until {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => break,
            }
        }
        self.alarm.as_mut().poll(context).map(Ok)
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending if self.is_too_late(context) => Poll::Ready(Err(self.give_up())),
            Poll::Pending => Poll::Pending,
            Poll::Ready(read) => {
                self.hear();
                Poll::Ready(read)
            }
        }
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.learn(bytes);
        self.refuse(bytes);
        let wire = &mut *self;
        let Some(writing) = &mut wire.refusal else {
            let written = Pin::new(&mut wire.stream).poll_write(context, bytes);
            return wire.stall.watch(written, context);
        };
        // As much is reported as hyper has asked for, once all of what takes its place is written.
        while writing.written < writing.refusal.bytes.len() {
            let rest = &writing.refusal.bytes[writing.written..];
            let written = Pin::new(&mut wire.stream).poll_write(context, rest);
            let written = ready!(wire.stall.watch(written, context))?;
            if written == 0 {
                return Poll::Ready(Ok(0));
            }
            writing.written += written;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = slices {
            return self.poll_write(context, only);
        }
        self.learn(slices.first().map_or(&[], |first| first));
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.stall.watch(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        if self.exchanges.are_over() && self.flushed != self.exchanges.begun() {
            self.flushed = self.exchanges.begun();
            self.heard = false;
            // hyper need not read again before the next request comes: the alarm is set here.
            let _ = self.is_too_late(context);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        }
        let may_be_unread = self.exchanges.may_be_unread() || self.refusal.is_some();
        if self.speaks == Speaks::Other || !may_be_unread {
            return Poll::Ready(Ok(()));
        }
        self.poll_linger(context)
    }
}

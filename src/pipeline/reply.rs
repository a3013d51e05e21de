//! The body of a reply. It owns its exchange: when it has been written, or the client has left, the exchange ends.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use millgate_plugin::Outcome;

pub use super::content::Content;
use super::exchange::Exchange;
use crate::routing::attempt::Broken;

/// A reply on its way to the client.
pub struct ReplyBody {
    exchange: Box<Exchange>,
    content: Content,
    /// What has passed the stages and is not sent yet.
    passed: VecDeque<Bytes>,
    sent: u64,
    is_stream: bool,
    /// Length of the whole, where it was known at the start.
    length: Option<u64>,
}

/// A reply that cannot be finished: the connection is closed, so that the client sees that it is cut.
#[derive(Debug, thiserror::Error)]
#[error("the reply broke off")]
pub struct Cut;

impl ReplyBody {
    /// The body of an exchange's reply; `is_stream` where it is made of server-sent events.
    #[must_use]
    pub fn new(exchange: Box<Exchange>, content: Content, is_stream: bool) -> Self {
        let length = if exchange.watches_chunks() {
            None
        } else {
            content.exact_size(exchange.request().include_usage)
        };
        Self {
            exchange,
            content,
            passed: VecDeque::new(),
            sent: 0,
            is_stream,
            length,
        }
    }

    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cut>>> {
        loop {
            if let Some(bytes) = self.passed.pop_front() {
                return Poll::Ready(Some(Ok(self.sends(bytes))));
            }
            let bytes = match std::task::ready!(self.content.poll_piece(context)) {
                Some(Ok(piece)) if piece.is_usage && !self.exchange.request().include_usage => {
                    continue;
                }
                Some(Ok(piece)) => piece.bytes,
                Some(Err(broken)) => return Poll::Ready(Some(self.break_off(&broken))),
                None => return Poll::Ready(None),
            };
            let usage = self.content.seen().and_then(|seen| seen.usage);
            match self.exchange.on_chunk(bytes, usage) {
                Ok(chunks) => {
                    let mut chunks = chunks.into_iter().filter(|bytes| !bytes.is_empty());
                    let first = chunks.next();
                    self.passed.extend(chunks);
                    if let Some(bytes) = first {
                        return Poll::Ready(Some(Ok(self.sends(bytes))));
                    }
                }
                Err(broken) => return Poll::Ready(Some(self.break_off(&broken))),
            }
        }
    }

    /// Takes note of what is sent.
    fn sends(&mut self, bytes: Bytes) -> Bytes {
        if self.sent == 0 {
            self.exchange.record().first_byte();
        }
        self.sent += bytes.len() as u64;
        bytes
    }

    /// After the commit a stream may only end with one error event, anything else only by closing.
    fn break_off(&mut self, broken: &Broken) -> Result<Bytes, Cut> {
        tracing::warn!(
            request_id = self.exchange.request().id(),
            detail = broken.detail,
            code = &*broken.error.code,
            "reply broke off"
        );
        let record = self.exchange.record();
        record.outcome = Some(broken.outcome);
        record.error = Some(broken.error.code.to_string());
        self.end(broken.outcome);
        if !self.is_stream {
            return Err(Cut);
        }
        let event = broken.error.to_event();
        self.sent += event.len() as u64;
        Ok(event)
    }

    /// Lets go of the content; its attempt, where it is nobody else's, hears how things went.
    fn end(&mut self, outcome: Outcome) {
        let content = std::mem::replace(&mut self.content, Content::Ended);
        if let Some(seen) = content.seen() {
            self.exchange.record().finish(seen);
        }
        if let Content::Attempt(mut attempt) = content {
            attempt.end(outcome);
        }
    }

    /// Whether the client was given everything that there was to give.
    fn is_delivered(&self) -> bool {
        (self.content.is_delivered() && self.passed.is_empty())
            || self.length.is_some_and(|length| self.sent >= length)
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.get_mut()
            .poll_bytes(context)
            .map(|bytes| bytes.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_over() && self.passed.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, |length| {
            SizeHint::with_exact(length - self.sent.min(length))
        })
    }
}

impl Drop for ReplyBody {
    fn drop(&mut self) {
        let outcome = match (self.exchange.record().outcome, self.is_delivered()) {
            (Some(outcome), _) => outcome,
            (None, true) => Outcome::Ok,
            (None, false) => self.exchange.cut(),
        };
        self.exchange.record().bytes = self.sent;
        self.exchange.record().outcome = Some(outcome);
        self.end(outcome);
    }
}

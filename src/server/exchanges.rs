//! What a connection's wire must know of its exchanges: whether one is under way, and whether all of what the client
//! has sent was read; and what an exchange must know of the wire: whether its request can be trusted.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};

use super::streams::{self, Asked};

/// The exchanges of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Exchanges(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    begun: AtomicU32,
    ended: AtomicU32,
    may_be_unread: AtomicBool,
    /// Requests from this number on, counted from 0, are not trusted.
    distrusted: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            begun: AtomicU32::default(),
            ended: AtomicU32::default(),
            may_be_unread: AtomicBool::default(),
            distrusted: AtomicU64::new(u64::MAX),
        }
    }
}

impl Exchanges {
    /// One more is under way, until what is returned is dropped.
    pub(super) fn begin(&self) -> UnderWay {
        let number = self.0.begun.fetch_add(1, Ordering::Relaxed);
        self.0.may_be_unread.store(false, Ordering::Relaxed);
        UnderWay {
            exchanges: self.clone(),
            number,
        }
    }

    /// Where this request and those behind it end, servers may disagree about. Only on HTTP/1.1, where requests come
    /// one after the other and each that can be read begins an exchange.
    pub(super) fn distrust(&self, number: u64) {
        self.0.distrusted.fetch_min(number, Ordering::Relaxed);
    }

    /// How many there have been, modulo 2³².
    pub(super) fn begun(&self) -> u32 {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// Whether none is under way.
    pub(super) fn are_over(&self) -> bool {
        self.0.ended.load(Ordering::Relaxed) == self.begun()
    }

    /// Comes back once there has been no exchange for so long, and before it has been for twice as long. HTTP/1 has a
    /// closer watch in its wire; on HTTP/2 pings keep a connection open that nobody uses.
    pub(super) async fn idle(self, time: Duration) {
        let mut begun = None;
        loop {
            tokio::time::sleep(time).await;
            if self.are_over() && begun == Some(self.begun()) {
                return;
            }
            begun = Some(self.begun());
        }
    }

    /// The last one was answered perhaps without reading all of its request.
    pub(super) fn leave_unread(&self) {
        self.0.may_be_unread.store(true, Ordering::Relaxed);
    }

    /// Whether the last one was.
    pub(super) fn may_be_unread(&self) -> bool {
        self.0.may_be_unread.load(Ordering::Relaxed)
    }
}

/// An exchange under way.
#[derive(Debug)]
pub(super) struct UnderWay {
    exchanges: Exchanges,
    number: u32,
}

impl UnderWay {
    /// Whether its request must not be passed on.
    pub(super) fn is_distrusted(&self) -> bool {
        u64::from(self.number) >= self.exchanges.0.distrusted.load(Ordering::Relaxed)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.exchanges.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// The body of a reply: its exchange is over when it is dropped.
pub(super) struct Watched<B> {
    body: B,
    _exchange: UnderWay,
}

impl<B> Watched<B> {
    pub(super) fn new(body: B, exchange: UnderWay) -> Self {
        Self {
            body,
            _exchange: exchange,
        }
    }
}

impl<B: Body<Data: Buf> + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        streams::note(match frame {
            Poll::Ready(Some(_)) => Asked::Gave,
            _ => Asked::HadNothing,
        });
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

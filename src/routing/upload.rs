//! Request bodies on their way upstream: collected ones that can be sent again, and uploads that stream past once.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

/// A client's body that is not collected. Attempts share it; the first one that reads from it has it for good.
#[derive(Clone, Debug)]
pub struct Upload {
    client: Arc<Mutex<Client>>,
    touched: Arc<AtomicBool>,
    passed: Arc<AtomicU64>,
    limit: u64,
    idle: Duration,
    size: SizeHint,
}

/// The client's side of an upload.
#[derive(Debug)]
struct Client {
    /// Nothing once all of it has come.
    body: Option<Incoming>,
    fault: Option<ClientFault>,
    waiting: Option<Waiting>,
    bell: Arc<Bell>,
    /// How long it was waited for in all, the wait that is under way left out.
    waited: Duration,
}

/// Something more is wanted of the client, and has not come yet.
#[derive(Debug)]
struct Waiting {
    since: Instant,
    alarm: Pin<Box<Sleep>>,
}

/// Rings when more of the upload is there. Whoever sends it on need not look at once: its upstream may take nothing.
#[derive(Debug, Default)]
struct Bell(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    listener: Option<Waker>,
    rung: Option<Instant>,
}

impl Bell {
    fn listen(&self, listener: &Waker) {
        let mut ring = self.ring();
        ring.rung = None;
        ring.listener = Some(listener.clone());
    }

    fn rung(&self) -> Option<Instant> {
        self.ring().rung
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let mut ring = self.ring();
        ring.rung.get_or_insert_with(Instant::now);
        let listener = ring.listener.take();
        drop(ring);
        if let Some(listener) = listener {
            listener.wake();
        }
    }
}

/// What the client did wrong with its upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFault {
    /// It left before the end.
    CutShort,
    /// It has sent more than it may.
    TooLarge,
    /// It has sent nothing for too long.
    Stalled,
}

impl Upload {
    /// An upload of at most `limit` bytes, whose client may send nothing for as long as `idle`.
    #[must_use]
    pub fn new(body: Incoming, limit: u64, idle: Duration) -> Self {
        let size = body.size_hint();
        let client = Client {
            body: Some(body),
            fault: None,
            waiting: None,
            bell: Arc::default(),
            waited: Duration::ZERO,
        };
        Self {
            client: Arc::new(Mutex::new(client)),
            touched: Arc::default(),
            passed: Arc::default(),
            limit,
            idle,
            size,
        }
    }

    /// Whether an attempt has read from it, so that no other attempt can be made.
    #[must_use]
    pub fn is_touched(&self) -> bool {
        self.touched.load(Ordering::Acquire)
    }

    /// How many bytes of it have been read.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }

    /// What the client did wrong, if anything.
    #[must_use]
    pub fn fault(&self) -> Option<ClientFault> {
        self.client().fault
    }

    /// For how long the client has been waited for until now: the upstream had taken all that there was.
    #[must_use]
    pub fn waited(&self) -> Duration {
        let client = self.client();
        client.waited + client.waiting_now()
    }

    /// Lets go of the client: nobody wants the rest. An upstream that takes nothing would hold on to it for ever.
    pub fn abandon(&self) {
        let mut client = self.client();
        if client.body.take().is_some() {
            client.fault.get_or_insert(ClientFault::CutShort);
        }
    }

    fn client(&self) -> MutexGuard<'_, Client> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_frame(
        &self,
        context: &mut Context<'_>,
        sent: &mut u64,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        self.touched.store(true, Ordering::Release);
        let mut client = self.client();
        let frame = match ready!(client.poll_frame(context, self.idle)) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Poll::Ready(None),
            Err(fault) => return Poll::Ready(Some(Err(client.failed(fault)))),
        };
        *sent += frame.data_ref().map_or(0, |data| data.len() as u64);
        self.passed.store(*sent, Ordering::Relaxed);
        if *sent > self.limit {
            return Poll::Ready(Some(Err(client.failed(ClientFault::TooLarge))));
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

impl Client {
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
        idle: Duration,
    ) -> Poll<Result<Option<Frame<Bytes>>, ClientFault>> {
        self.count_wait();
        let Some(body) = &mut self.body else {
            return Poll::Ready(self.fault.map_or(Ok(None), Err));
        };
        self.bell.listen(context.waker());
        let bell = Waker::from(self.bell.clone());
        let polled = Pin::new(body).poll_frame(&mut Context::from_waker(&bell));
        let Poll::Ready(frame) = polled else {
            let waiting = self.waiting.get_or_insert_with(|| Waiting {
                since: Instant::now(),
                alarm: Box::pin(tokio::time::sleep(idle)),
            });
            ready!(waiting.alarm.as_mut().poll(context));
            return Poll::Ready(Err(ClientFault::Stalled));
        };
        self.waiting = None;
        if frame.is_none() {
            self.body = None;
        }
        Poll::Ready(frame.transpose().map_err(|_| ClientFault::CutShort))
    }

    /// How long the wait that is under way has taken, until now or until more had come.
    fn waiting_now(&self) -> Duration {
        let until = self.bell.rung().unwrap_or_else(Instant::now);
        self.waiting.as_ref().map_or(Duration::ZERO, |waiting| {
            until.saturating_duration_since(waiting.since)
        })
    }

    /// Counts what has passed of a wait; one that goes on is counted from now.
    fn count_wait(&mut self) {
        self.waited += self.waiting_now();
        if let Some(waiting) = &mut self.waiting {
            waiting.since = Instant::now();
        }
    }

    fn failed(&mut self, fault: ClientFault) -> UploadError {
        self.count_wait();
        self.waiting = None;
        self.fault = Some(fault);
        UploadError
    }
}

/// The body of a request to an upstream.
#[derive(Debug)]
pub enum UpstreamBody {
    /// Collected.
    Full(Option<Bytes>),
    /// Streaming.
    Upload {
        /// Where it comes from.
        upload: Upload,
        /// How much has passed.
        sent: u64,
    },
}

/// The client's part of an upload failed: [`Upload::fault`] has how.
#[derive(Debug, thiserror::Error)]
#[error("the client's upload failed")]
pub struct UploadError;

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Upload { upload, sent } => upload.poll_frame(context, sent),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Upload { upload, .. } => upload.size.exact() == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Upload { upload, .. } => upload.size,
        }
    }
}
